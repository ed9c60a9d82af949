"""Dates and times as people write them: whole, open in parts, with zones, and what is none."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.timestamp_text import parse_date, parse_date_time, parse_time


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("2026-12-31", "07ea0c1f04"),
        ("2026-1-5", "07ea010501"),
        ("*-12-24", "ffff0c18ff"),
        ("*-*-*", "ffffffffff"),
        ("2026-*-last", "07eafffeff"),
        ("*-dst-begin-1", "fffffe01ff"),
        ("*-dst-end-second-last", "fffffdfdff"),
    ],
)
def test_dates(text: str, octets: str) -> None:
    assert parse_date(text).raw.hex() == octets


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01", "2026-12-32", "*-13-1", "*-1-32", "26-12-31", "2026-12", "", "2026-12-31x"]
)
def test_no_dates(text: str) -> None:
    with pytest.raises(ConfigError, match="is no date"):
        parse_date(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("08:30", "081e0000"), ("8:30:15", "081e0f00"), ("08:30:15.23", "081e0f17"), ("*:00:*", "ff00ff00")],
)
def test_times(text: str, octets: str) -> None:
    assert parse_time(text).raw.hex() == octets


@pytest.mark.parametrize("text", ["24:00", "8", "08:60", "08:30:60", "08:30:15.2", "", "08:30:15.234", "last:00"])
def test_no_times(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "deviation"),
    [
        ("2026-12-31T08:30", -0x8000),
        ("2026-12-31 08:30Z", 0),
        ("2026-12-31T08:30+01:00", -60),
        ("2026-12-31T08:30+0530", -330),
        ("2026-12-31T08:30-03:30", 210),
    ],
)
def test_the_deviation_is_the_standards_own(text: str, deviation: int) -> None:
    """Minutes to UTC: east is negative (Blue Book, date-time); 8000h where nothing is said."""
    raw = parse_date_time(text).raw
    assert int.from_bytes(raw[9:11], "big", signed=True) == deviation
    assert raw[:9].hex() == "07ea0c1f04081e0000" and raw[11] == 0


@pytest.mark.parametrize("text", ["2026-12-31", "2026-12-31T", "2026-12-31T08:30+15:00", "now", "2026-12-31T08:30Zx"])
def test_no_date_times(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_date_time(text)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))
def test_whole_ones_go_round(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 10000 * 10000)
    text = moment.isoformat(timespec="milliseconds")[:-1]
    raw = parse_date_time(text).raw
    day = date(int.from_bytes(raw[:2], "big"), raw[2], raw[3])
    assert datetime.combine(day, time(raw[5], raw[6], raw[7], raw[8] * 10000)) == moment
    assert raw[4] == moment.isoweekday()
