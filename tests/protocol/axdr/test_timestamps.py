"""Dates and times: published vectors, wildcards, impossible dates, the double hour, both senses of the deviation."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError, DecodeError
from dlms_mqtt.protocol.axdr.data import decode_whole
from dlms_mqtt.protocol.axdr.timestamp_text import parse_date, parse_date_time, parse_time
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time, is_summer, to_datetimes
from tests.frames_data import entries, entry_id

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
FIELDS = ("year", "month", "day", "weekday", "hour", "minute", "second", "hundredths")


def moment(text: str) -> DateTime:
    return DateTime.decode(bytes.fromhex(text.replace(" ", "")))


# --- published vectors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", entries("vectors_data", group="date-time"), ids=entry_id)
def test_vector(entry):
    value, expected = moment(entry["hex"]), entry["expected"]
    assert {field: getattr(value, field) for field in FIELDS} == {field: expected[field] for field in FIELDS}
    assert (value.deviation, value.status) == (expected["deviation_minutes"], expected["clock_status"])
    assert value.iso() == expected["local"] + (expected["utc_offset"] or "")
    assert value.to_datetime() == datetime.fromisoformat(value.iso())
    assert value.encode().hex() == entry["hex"]


def published_datetimes(node):
    if isinstance(node, dict):
        found = [(node["raw"], node["datetime"])] if "datetime" in node else []
        return found + [pair for value in node.values() for pair in published_datetimes(value)]
    return [pair for value in node for pair in published_datetimes(value)] if isinstance(node, list) else []


PUBLISHED = published_datetimes(entries("push"))


def test_every_published_date_time():
    assert len(PUBLISHED) > 20
    for raw, expected in PUBLISHED:
        value = moment(raw)
        assert value.deviation == expected.get("deviation_minutes")
        plain = value.to_datetime()
        assert plain is not None
        assert plain.replace(tzinfo=None) == datetime.fromisoformat(expected["local"])
        assert (plain.tzinfo is None) == (value.deviation is None)


PARTS = [entry for entry in entries("vectors_data") if entry["id"].startswith(("date-1", "date-uns", "time-"))]


@pytest.mark.parametrize("entry", PARTS, ids=entry_id)
def test_date_or_time_vector(entry):
    value, expected = decode_whole(bytes.fromhex(entry["hex"])).value, entry["expected"]
    text = expected["date"] if "date" in expected else expected["time"]
    plain = value.to_date() if isinstance(value, Date) else value.to_time()
    assert (value.iso() if plain else None) == text


# --- parts ----------------------------------------------------------------------------------------------------------


def test_nothing_specified():
    value = moment("ffff ff ff ff ff ff ff ff 8000 ff")
    assert all(getattr(value, field) is None for field in (*FIELDS, "deviation", "status"))
    assert value.iso() == "*-*-*T*:*:*"
    assert value.status_names == []
    assert value.to_datetime(BERLIN) is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("ffff fe fe 07 02 00 00 00 8000 00", "*-dst-begin-lastT02:00:00"),
        ("07ea fd fd ff 03 00 ff ff ffc4 80", "2026-dst-end-second-lastT03:00:*+01:00"),
        ("07ea 02 1f ff 18 3d 00 00 8000 00", "2026-02-31T24:61:00"),
        ("07ea 0b 16 07 14 0f 00 2a 003c 00", "2026-11-22T20:15:00.42-01:00"),
        ("07ea 0b 16 07 14 0f 00 00 7fff 00", "2026-11-22T20:15:00"),
    ],
)
def test_text(octets, text):
    assert moment(octets).iso() == str(moment(octets)) == text


def test_status_names():
    assert moment("ffff ff ff ff ff ff ff ff 8000 83").status_names == [
        "invalid-value",
        "doubtful-value",
        "daylight-saving-active",
    ]


def test_date_and_time_of_a_date_time():
    value = moment("07ea 0b 16 07 14 0f 1e 32 003c 00")
    assert value.date.to_date() == date(2026, 11, 22)
    assert value.time.to_time() == time(20, 15, 30, 500_000)


@pytest.mark.parametrize(("kind", "size"), [(DateTime, 12), (Date, 5), (Time, 4)])
def test_wrong_size(kind, size):
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(DecodeError, match=f"{size} octets"):
            kind.decode(bytes(wrong))


# --- to datetime ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        "07ea 02 1f ff 00 00 00 00 8000 00",  # 31 February
        "07ea 02 01 ff 18 00 00 00 8000 00",  # hour 24
        "07ea 02 01 ff 00 3c 00 00 8000 00",
        "07ea 02 01 ff 00 00 00 64 8000 00",  # hundredths 100
        "07ea 02 01 ff ff 00 00 00 8000 00",
        "07ea fe 01 ff 00 00 00 00 8000 00",
        "0000 01 01 ff 00 00 00 00 8000 00",
        "ffff 01 01 ff 00 00 00 00 8000 00",
        "07ea 00 00 ff 00 00 00 00 0000 00",
    ],
)
def test_no_calendar_has_it(octets):
    value = moment(octets)
    assert value.to_datetime() is None
    assert to_datetimes([value.raw], BERLIN) == [value]
    assert value.iso()


def test_sense_of_the_deviation():
    paris, india = moment("07ea 0b 16 07 14 0f 00 00 ffc4 00"), moment("07ea 0b 16 07 14 0f 00 00 014a 00")
    assert paris.to_datetime() == datetime(2026, 11, 22, 19, 15, tzinfo=UTC)
    assert paris.to_datetime(sense=1) == datetime(2026, 11, 22, 21, 15, tzinfo=UTC)
    assert india.to_datetime(sense=1).utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize(("deviation", "zone"), [("8000", BERLIN), ("0000", UTC), ("7fff", BERLIN)])
def test_the_default_zone_is_for_times_without_a_usable_deviation(deviation, zone):
    value = moment(f"07ea 07 16 ff 14 0f ff ff {deviation} 80")
    assert value.to_datetime(BERLIN) == datetime(2026, 7, 22, 20, 15, tzinfo=zone)


def test_without_any_zone_a_datetime_is_naive():
    assert moment("07ea 07 16 ff 14 0f ff ff 8000 80").to_datetime() == datetime(2026, 7, 22, 20, 15)


@pytest.mark.parametrize(("status", "hour"), [("80", 0), ("00", 1), ("ff", 0)])
def test_the_hour_that_comes_twice(status, hour):
    value = moment("07ea 0a 19 07 02 1e 00 00 8000" + status)  # 25 October 2026, 02:30
    for plain in (value.to_datetime(BERLIN), *to_datetimes([value.raw], BERLIN)):
        assert plain.astimezone(UTC) == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "winter", "summer"),
    [
        ("Europe/Berlin", False, True),
        ("Europe/Dublin", False, True),  # where the law makes winter the exception, and the tables say -1 h for it
        ("America/New_York", False, True),
        ("Australia/Sydney", True, False),  # January is summer there
        ("Africa/Casablanca", False, False),  # an hour less in Ramadan only
        ("Asia/Kolkata", False, False),
        ("UTC", False, False),
    ],
)
def test_where_and_when_it_is_summer(zone, winter, summer):
    months = [datetime(2026, month, 15, 12, tzinfo=ZoneInfo(zone)) for month in (1, 7)]
    assert [is_summer(month) for month in months] == [winter, summer]
    assert [DateTime.from_datetime(month).status == 0x80 for month in months] == [winter, summer]


def test_without_a_zone_it_is_no_summer():
    assert not is_summer(datetime(2026, 7, 15)) and not is_summer(datetime(2026, 7, 15, tzinfo=timezone(timedelta(0))))


def test_many_at_once_equal_one_by_one():
    raws = [
        "07ea 0a 19 07 02 1e 00 00 8000 00",
        "07ea 0a 19 07 02 1e 00 ff ffc4 00",
        "07ea 0a 19 07 02 1e 00 32 ff88 80",
        "07ea 0a 19 07 02 1e ff 32 ff88 80",
        "07ea 0a 19 07 18 1e 00 32 7fff 80",
        "ffff ff ff ff ff ff ff ff 8000 ff",
    ]
    raws = [moment(text).raw for text in raws]
    for first in range(len(raws) + 1):
        for last in range(first, len(raws) + 1):
            single = [DateTime(raw).to_datetime(BERLIN) or DateTime(raw) for raw in raws[first:last]]
            assert to_datetimes(raws[first:last], BERLIN) == single


@given(st.binary(min_size=12, max_size=12), st.sampled_from([None, UTC, BERLIN]), st.sampled_from([-1, 1]))
def test_any_octets_have_text_and_perhaps_a_datetime(raw, zone, sense):
    value = DateTime.decode(raw)
    assert value.iso()
    assert to_datetimes([raw, raw], zone, sense) == [value.to_datetime(zone, sense) or value] * 2


# --- from datetime --------------------------------------------------------------------------------------------------

ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), BERLIN, NEW_YORK])
LOCAL = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda plain: plain.replace(microsecond=0, fold=0))


@given(LOCAL, ZONES, st.sampled_from([-1, 1]))
def test_a_datetime_comes_back(plain, zone, sense):
    plain = plain.replace(tzinfo=zone)
    again = DateTime.from_datetime(plain, sense=sense).to_datetime(sense=sense)
    assert again.replace(tzinfo=None) == plain.replace(tzinfo=None)
    assert again.utcoffset() == plain.utcoffset()


def test_octets_of_a_datetime():
    plain = datetime(2026, 7, 22, 20, 15, 30, 250_000, tzinfo=BERLIN)
    assert DateTime.from_datetime(plain).raw.hex(" ") == "07 ea 07 16 03 14 0f 1e 19 ff 88 80"
    bare = DateTime.from_datetime(plain, deviation=False, weekday=False, status=0xFF)
    assert bare.raw.hex(" ") == "07 ea 07 16 ff 14 0f 1e 19 80 00 ff"


# --- what people write ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("2026-11-22T20:15:00+01:00", "07ea0b1607140f0000ffc400"),
        ("2026-11-22 20:15", "07ea0b1607140f0000800000"),
        ("2026-11-22T20:15:30.42Z", "07ea0b1607140f1e2a000000"),
        ("2026-11-22T20:15:00-0330", "07ea0b1607140f000000d200"),
        ("*-dst-begin-lastT02:*:*", "fffffefeff02ffff00800000"),
    ],
)
def test_date_time_from_text(text, octets):
    assert parse_date_time(text).raw.hex() == octets


@pytest.mark.parametrize(
    "text", ["", "today", "2026-02-31", "2026-13-01", "2026-1-0", "26-01-01", "*-13-*", "2026-01-01T"]
)
def test_no_date(text):
    with pytest.raises(ConfigError):
        parse_date(text)


@pytest.mark.parametrize("text", ["", "24:00", "12:60", "12", "12:00:60", "12:00:00.123", "last:00", "noon"])
def test_no_time(text):
    with pytest.raises(ConfigError):
        parse_time(text)


NO_DATE_TIMES = ["", "2026-01-01", "12:00", "2026-01-01T12:00+1", "2026-01-01T12:00x", "2026-01-01T12:00+99:99"]


@pytest.mark.parametrize("text", NO_DATE_TIMES)
def test_no_date_time(text):
    with pytest.raises(ConfigError):
        parse_date_time(text)


@given(LOCAL, st.sampled_from([None, UTC, timezone(timedelta(hours=-3))]))
def test_text_comes_back(plain, zone):
    value = DateTime.from_datetime(plain.replace(tzinfo=zone))
    assert parse_date_time(value.iso()) == value
    assert parse_date(value.date.iso()) == value.date
    assert parse_time(value.time.iso()) == value.time
