"""Times as people write them: durations (``500ms``, ``1h30m``) and moments (``2026-11-22T14:30``, ``24h`` ago)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from dlms_mqtt.errors import ConfigError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
#: For JSON schemas too.
DURATION_PATTERN = r"(?:\d+(?:\.\d+)?(?:ms|min|[smhdw]))+"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|min|[smhdw])", re.ASCII)
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_LONGEST = 3660 * 86400.0  # s


def parse_duration(value: Any, *, bare: bool = False) -> float:
    """Seconds out of ``10s``, ``5m``, ``1h``, ``30d`` or ``1h30m``; ``ms``, ``min`` and ``w`` too. ConfigError.

    ``bare``: a number without a unit is seconds.
    """
    number = bare and not isinstance(value, bool) and _NUMBER.fullmatch(str(value))
    if not number and not (isinstance(value, str) and _DURATION.fullmatch(value)):
        raise ConfigError(f"expected a time with a unit such as 10s, 5m, 1h or 30d, not {value!r}")
    parts = [(value, "s")] if number else _PART.findall(value)
    seconds = float(sum(float(count) * _UNITS[unit] for count, unit in parts))
    if seconds > _LONGEST:
        raise ConfigError(f"expected at most 3660d (ten years), not {value!r}")
    return seconds


def parse_moment(text: str, zone: tzinfo | None, now: datetime | None = None) -> datetime:
    """An ISO 8601 time, in ``zone`` where it does not say. With ``now``: also that word, or how long ago (``1h30m``).

    ConfigError.
    """
    if now is not None and text == "now":
        return now
    if now is not None and _DURATION.fullmatch(text.removeprefix("-")):
        return later(now, -parse_duration(text.removeprefix("-")))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        or_ago = ", 24h or 7d" if now is not None else ""
        raise ConfigError(f"'{text}' is no time", hint=f"Write 2026-11-22, 2026-11-22T14:30{or_ago}.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def later(moment: datetime, seconds: float) -> datetime:
    """So much later in the same zone: in real seconds, of which a wall clock skips or repeats some."""
    return (moment.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(moment.tzinfo)
