"""What people type: times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from dlms_mqtt.errors import ConfigError

_RELATIVE = re.compile(r"-?(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, zone: tzinfo, now: datetime) -> datetime:
    """An ISO 8601 time (in the meter's zone where it does not say), ``now``, or how long ago: 90m, 24h, 7d, 2w."""
    if text == "now":
        return now
    if match := _RELATIVE.fullmatch(text):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is no time", hint="Write 2026-11-22, 2026-11-22T14:30, 24h or 7d.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
