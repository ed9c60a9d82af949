"""What people type: ``[CLASS/]OBIS[:NUMBER]``, times, values."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from dlms_mqtt.client.procedures.objects import ObjectRef
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

_OBJECT = re.compile(
    r"(?:(?P<class>\d+)/)?(?P<obis>\d+-\d+:\d+\.\d+\.\d+(?:[*&]\d+)?|\d+(?:\.\d+){4,5})(?::(?P<number>-?\d+|[a-z_]\w*))?"
)
_RELATIVE = re.compile(r"-?(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_object(text: str) -> tuple[ObjectRef, str]:
    """The object, and the name of the attribute or method where a name was given instead of a number. ConfigError."""
    match = _OBJECT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"'{text}' is no object", hint="Write [CLASS/]OBIS[:ATTRIBUTE], as in 3/1.0.1.8.0.255:2 or 1-0:1.8.0."
        )
    number = match["number"] or ""
    numeric = number.lstrip("-").isdigit()
    class_id = int(match["class"]) if match["class"] else None
    reference = ObjectRef(class_id, Obis.parse(match["obis"]), int(number) if numeric else None)
    if (class_id or 0) > 0xFFFF or not -128 <= (reference.number or 0) <= 127:
        raise ConfigError(f"'{text}' is no object", hint="Classes go up to 65535, attributes and methods up to 127.")
    return reference, "" if numeric else number


def attribute_number(class_id: int, name: str) -> int:
    """The number of an attribute by its Blue Book name. ConfigError."""
    row = find(class_id)
    found = row.attribute(name) if row else None
    if found is None:
        known = ", ".join(a.name for a in row.attributes) if row else "give its number"
        raise ConfigError(f"class {class_id} has no attribute '{name}'", hint=f"It has: {known}.")
    return found.index


def method_number(class_id: int, name: str) -> int:
    """The number of a method by its Blue Book name. ConfigError."""
    row = find(class_id)
    found = row.method(name) if row else None
    if found is None:
        known = ", ".join(m.name for m in row.methods) if row else "give its number"
        raise ConfigError(f"class {class_id} has no method '{name}'", hint=f"It has: {known}.")
    return found.index


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
