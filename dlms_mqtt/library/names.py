"""Names of objects as a program writes them."""

from __future__ import annotations

import re

from dlms_mqtt.bridge.meters.fleet import system_zone
from dlms_mqtt.client.procedures.objects import ObjectRef
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

__all__ = ["attribute_number", "method_number", "parse_object", "system_zone"]
_OBJECT = re.compile(
    r"(?:(?P<class>\d+)/)?(?P<obis>\d+-\d+:\d+\.\d+\.\d+(?:[*&]\d+)?|\d+(?:\.\d+){4,5})(?::(?P<number>-?\d+|[a-z_]\w*))?"
)


def parse_object(text: str) -> tuple[ObjectRef, str]:
    """The object, and the name of the attribute or method where a name was given. ConfigError."""
    match = _OBJECT.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"'{text}' is no object", hint="Write [CLASS/]OBIS[:ATTRIBUTE], as in 3/1.0.1.8.0.255:2 or 1-0:1.8.0."
        )
    number = match["number"] or ""
    numeric = number.lstrip("-").isdigit()
    class_id = int(match["class"]) if match["class"] else None
    if (class_id or 0) > 0xFFFF or not -128 <= int(number if numeric else 0) <= 127:
        raise ConfigError(f"'{text}' is no object", hint="Classes go up to 65535, attributes and methods up to 127.")
    reference = ObjectRef(class_id, Obis.parse(match["obis"]), int(number) if numeric else None)
    return reference, "" if numeric else number


def attribute_number(class_id: int, name: str) -> int:
    """The number of an attribute by its Blue Book name. ConfigError."""
    row = find(class_id)
    found = row.attribute(name) if row else None
    if found is None:
        raise ConfigError(f"class {class_id} has no attribute '{name}'")
    return found.index


def method_number(class_id: int, name: str) -> int:
    """The number of a method by its Blue Book name. ConfigError."""
    row = find(class_id)
    found = row.method(name) if row else None
    if found is None:
        raise ConfigError(f"class {class_id} has no method '{name}'")
    return found.index
