"""Durations and moments as people write them, wherever the program takes one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.option_values import parse_patience, parse_seconds
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.times import DURATION_PATTERN, later, parse_duration, parse_moment

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("5m", 300),
        ("5min", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("2w", 1209600),
        ("500ms", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(text, bare=True) == seconds
    assert re.fullmatch(DURATION_PATTERN, text)


@pytest.mark.parametrize("text", ["", "5", "5x", "m", "1 h", "-5m", "1h30", "99999d", "inf", None, 5, True, ["5m"]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ConfigError):
        parse_duration(text)


def test_seconds_without_a_unit() -> None:
    for text, seconds in (("5", 5), (5, 5), ("0.25", 0.25), (".5", 0.5), ("5.", 5), (1e-05, 1e-05), ("1m30s", 90)):
        assert parse_duration(text, bare=True) == seconds
    for text, seconds in (("5", 5), (0, 0), (" 0.2 ", 0.2), ("500ms", 0.5), ("1m30s", 90), ("2h", 7200)):
        assert parse_seconds(text) == seconds
    for wrong in ("1d", "-1", "nan", "inf", "soon", "", True, None, "1e9"):
        with pytest.raises(ConfigError, match="expected seconds"):
            parse_seconds(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=VIENNA)),
        ("2026-11-22T14:30", datetime(2026, 11, 22, 14, 30, tzinfo=VIENNA)),
        ("2026-11-22 14:30", datetime(2026, 11, 22, 14, 30, tzinfo=VIENNA)),
        ("2026-11-22T14:30Z", datetime(2026, 11, 22, 14, 30, tzinfo=UTC)),
        ("2026-11-22T14:30:00+05:30", datetime(2026, 11, 22, 9, 0, tzinfo=UTC)),
        ("now", NOW),
        ("90m", NOW - timedelta(minutes=90)),
        ("-24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("1h30m", NOW - timedelta(minutes=90)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert parse_moment(text, VIENNA, NOW) == expected


@pytest.mark.parametrize(
    ("now", "ago", "expected"),
    [
        ("2026-03-29T03:10+02:00", "1h", "2026-03-29T01:10+01:00"),
        ("2026-03-29T12:00+02:00", "24h", "2026-03-28T11:00+01:00"),
        ("2026-10-25T02:30+01:00", "1h", "2026-10-25T02:30+02:00"),
        ("2026-10-25T12:00+01:00", "24h", "2026-10-24T13:00+02:00"),
    ],
)
def test_how_long_ago_across_the_changes(now: str, ago: str, expected: str) -> None:
    moment = parse_moment(ago, VIENNA, datetime.fromisoformat(now).astimezone(VIENNA))
    assert moment.isoformat(timespec="minutes") == expected
    assert later(moment, parse_duration(ago)).isoformat(timespec="minutes") == now


@pytest.mark.parametrize("text", ["yesterday", "", "24", "99999w", "2026-13-01", "12:00"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_moment(text, VIENNA, NOW)


def test_a_clock_is_not_set_to_how_long_ago() -> None:
    for text in ("24h", "now"):
        with pytest.raises(ConfigError, match="is no time"):
            parse_moment(text, VIENNA)


@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    for parse in (parse_duration, parse_seconds, lambda given: parse_moment(given, VIENNA, NOW)):
        try:
            parse(text)
        except ConfigError:
            continue


@pytest.mark.parametrize("value", [0, "0", "0s", 0.0, "0.0"])
def test_no_time_at_all_is_no_time_to_wait(value):
    assert parse_seconds(value) == 0
    with pytest.raises(ConfigError, match="above 0"):
        parse_patience(value)
