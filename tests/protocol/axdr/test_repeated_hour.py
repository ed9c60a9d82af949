"""The night of the clock change in autumn, by every way in which meters write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.axdr.repeated_hour import RepeatedHour, widened
from dlms_mqtt.protocol.axdr.timestamps import DateTime, to_datetimes

VIENNA = ZoneInfo("Europe/Vienna")
START = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)  # 01:00 in Vienna; the clock goes back at 01:00 UTC
QUARTER = timedelta(minutes=15)
NIGHT = [START + n * QUARTER for n in range(20)]


def octets(moment, status):
    local = moment.astimezone(VIENNA)
    value = {"00": 0, "ff": 0xFF, "dst": 0x80 if local.dst() else 0}[status]
    return DateTime.from_datetime(local, deviation=False, status=value).encode()


def read(moments, status, **more):
    hour = RepeatedHour(VIENNA, period=more.pop("period", QUARTER), **more)
    raws = [octets(moment, status) for moment in moments]
    made = hour.resolve(raws, to_datetimes(raws, VIENNA))
    return [moment.astimezone(UTC) for moment in made], hour.unsure


@pytest.mark.parametrize("status", ["00", "ff", "dst"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_whole_night(status, newest_first):
    night = NIGHT[::-1] if newest_first else NIGHT
    assert read(night, status) == (night, set())


@pytest.mark.parametrize("status", ["00", "ff", "dst"])
@pytest.mark.parametrize("cut", range(1, 20))
def test_two_fetches(status, cut):
    """Wherever the first one ended: the second begins an hour sooner, as ``widened`` asks for it."""
    assert read(NIGHT[:cut], status) == (NIGHT[:cut], set())
    before = NIGHT[cut - 1]
    start, _ = widened(before, None, VIENNA)
    wall = start.astimezone(VIENNA).replace(tzinfo=None)
    sent = [moment for moment in NIGHT if moment.astimezone(VIENNA).replace(tzinfo=None) >= wall]
    found, unsure = read(sent, status, before=before)
    assert found == sent and not unsure
    assert set(NIGHT[cut:]) <= set(sent)


def test_by_the_row_after_it():
    assert read(NIGHT[8:14], "00") == (NIGHT[8:14], set())
    assert read(NIGHT[4:8], "00", before=START + 3 * QUARTER) == (NIGHT[4:8], set())
    assert read(NIGHT[8:12], "ff", before=NIGHT[7]) == (NIGHT[8:12], set())


def test_what_nothing_tells_is_named():
    found, unsure = read(NIGHT[8:10], "00")
    assert found == NIGHT[4:6] and unsure == set(NIGHT[4:6])
    hole = [*NIGHT[:4], *NIGHT[4:8], *NIGHT[12:]]  # an hour is missing somewhere, both sides fit
    assert read(hole, "ff")[1] == set() or read(hole, "ff")[0] == hole


def test_the_bit_tells_it_where_the_meter_uses_it():
    assert read([*NIGHT[:2], NIGHT[9]], "dst", period=None) == ([*NIGHT[:2], NIGHT[9]], set())
    assert read([NIGHT[5]], "dst") == ([NIGHT[5]], set())


def test_the_bit_of_an_irish_meter_tells_it():
    """The tables have winter as the exception there; a meter's bit is set in summer as everywhere."""
    dublin = ZoneInfo("Europe/Dublin")
    sent = [*NIGHT[:2], NIGHT[9]]  # from midnight on, and one of the second hour from one o'clock
    raws = [
        DateTime.from_datetime(moment.astimezone(dublin), deviation=False, status=0x80 * (moment < NIGHT[8])).encode()
        for moment in sent
    ]
    hour = RepeatedHour(dublin)
    assert hour.resolve(raws, to_datetimes(raws, dublin)) == [moment.astimezone(dublin) for moment in sent]
    assert not hour.unsure


def test_rows_with_a_deviation_and_other_nights_are_left_alone():
    raws = [DateTime.from_datetime(moment.astimezone(VIENNA)).encode() for moment in NIGHT]
    made = to_datetimes(raws, VIENNA)
    assert RepeatedHour(VIENNA).resolve(raws, made) == made
    june = [datetime(2026, 6, 1, 1, tzinfo=UTC) + n * QUARTER for n in range(8)]
    assert read(june, "00") == (june, set())


def test_spring_has_no_hour_twice():
    spring = [datetime(2026, 3, 29, 0, tzinfo=UTC) + n * QUARTER for n in range(8)]
    assert read(spring, "00") == (spring, set())


@given(st.integers(0, 19), st.integers(1, 20), st.sampled_from(["00", "ff", "dst"]))
def test_no_row_is_lost_and_none_doubled(first, count, status):
    rows = NIGHT[first : first + count]
    found, _ = read(rows, status)
    assert len(set(found)) == len(rows) and found == sorted(found)


def test_a_range_is_widened_only_where_wall_clocks_repeat():
    hour = timedelta(hours=1)
    for minutes in range(-180, 181, 15):
        moment = datetime(2026, 10, 25, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        start, end = widened(moment, moment, VIENNA)
        assert start == (moment - hour if -60 <= minutes < 0 else moment)
        assert end == (moment + hour if 0 <= minutes < 60 else moment)
    assert widened(None, None, VIENNA) == (None, None)


@pytest.mark.parametrize(
    ("zone", "wall"),
    [
        ("Asia/Beirut", "2025-10-25T23:30"),  # back at midnight: the hour is of the day before
        ("America/Havana", "2025-11-02T00:30"),  # back to midnight
        ("Australia/Lord_Howe", "2026-04-05T01:45"),  # back by half an hour
        ("America/St_Johns", "2010-11-06T23:30"),  # back at one minute past midnight
    ],
)
def test_zones_that_go_back_at_another_time(zone, wall):
    raw = DateTime.from_datetime(datetime.fromisoformat(wall).replace(tzinfo=UTC), deviation=False, status=0).encode()
    hour = RepeatedHour(ZoneInfo(zone))
    (made,) = hour.resolve([raw], to_datetimes([raw], hour.zone))
    assert made.isoformat(timespec="minutes").startswith(wall) and hour.unsure == {made.astimezone(UTC)}


@pytest.mark.parametrize("wall", ["0001-01-01T00:30", "9999-12-31T23:30"])
def test_the_ends_of_the_calendar_have_no_second_hour(wall):
    raw = DateTime.from_datetime(datetime.fromisoformat(wall).replace(tzinfo=UTC), deviation=False, status=0).encode()
    moments = to_datetimes([raw], VIENNA)
    assert RepeatedHour(VIENNA).resolve([raw], moments) == moments
