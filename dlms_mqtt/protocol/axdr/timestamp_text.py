"""Dates and times as people write them: ISO 8601 with ``*`` for a part that is left open; the reverse of ``iso()``."""

from __future__ import annotations

import re

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.timestamps import (
    DAY_WORDS,
    DST_END,
    MONTH_WORDS,
    NO_DEVIATION,
    NO_PART,
    NO_YEAR,
    Date,
    DateTime,
    Time,
)

_DATE_TEXT = r"(\d{4}|\*)-(\d\d?|\*|dst-end|dst-begin)-(\d\d?|\*|last|second-last)"
_TIME_TEXT = r"(\d\d?|\*):(\d\d?|\*)(?::(\d\d?|\*)(?:\.(\d\d))?)?"
_DATE_PATTERN = re.compile(_DATE_TEXT, re.ASCII)
_TIME_PATTERN = re.compile(_TIME_TEXT, re.ASCII)
_ZONED_PATTERN = re.compile(r"(.*?)(Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?", re.ASCII | re.DOTALL)
_WORDS = {"*": NO_PART} | {word: value for words in (MONTH_WORDS, DAY_WORDS) for value, word in words.items()}


def _number(text: str | None) -> int:
    return _WORDS[text] if text in _WORDS else int(text or 0)


def _within(value: int, low: int, high: int) -> bool:
    return low <= value <= high or value >= DST_END


def parse_date(text: str) -> Date:
    """``2026-12-31``, with ``*`` for any part, ``last`` for the day, ``dst-begin`` for the month; else ConfigError."""
    match = _DATE_PATTERN.fullmatch(text)
    if match:
        year = NO_YEAR if match[1] == "*" else int(match[1])
        month, day = _number(match[2]), _number(match[3])
        value = Date(year.to_bytes(2, "big") + bytes((month, day, NO_PART)))
        plain = value.to_date()
        if plain:
            return Date.from_date(plain)
        wild = year == NO_YEAR or month >= DST_END or day >= DST_END
        if wild and _within(month, 1, 12) and _within(day, 1, 31):
            return value
    raise ConfigError(f"'{text}' is no date", hint="Write it as 2026-12-31; * stands for a part that is left open.")


def parse_time(text: str) -> Time:
    """``08:30``, ``08:30:15``, ``08:30:15.23``, with ``*`` for any part; else ConfigError."""
    match = _TIME_PATTERN.fullmatch(text)
    if match:
        hour, minute, second, hundredths = map(_number, match.groups())
        if _within(hour, 0, 23) and _within(minute, 0, 59) and _within(second, 0, 59):
            return Time(bytes((hour, minute, second, hundredths)))
    raise ConfigError(f"'{text}' is no time", hint="Write it as 08:30:15; * stands for a part that is left open.")


def parse_date_time(text: str) -> DateTime:
    """Date, ``T`` or a blank, time, and perhaps ``Z`` or ``+01:00``; else ConfigError. The clock status is 0."""
    day, _, rest = text.strip().replace(" ", "T").partition("T")
    zoned = _ZONED_PATTERN.fullmatch(rest)
    clock, offset = zoned.groups() if zoned else (rest, None)
    deviation = NO_DEVIATION
    if offset:
        hours, minutes = divmod(int(offset[1:].replace(":", "") or 0), 100)
        deviation = (hours * 60 + minutes) * (1 if offset[0] == "-" else -1)
    return DateTime(parse_date(day).raw + parse_time(clock).raw + deviation.to_bytes(2, "big", signed=True) + b"\0")
