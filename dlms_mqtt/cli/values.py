"""Values as the command line shows them: the JSON rows that other programs rely on, and the same in a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dlms_mqtt.cli.output import plain, say, table
from dlms_mqtt.client.memory import Measured
from dlms_mqtt.client.objects import Identity
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter.names import object_name
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.data import CONTAINERS, Data, DataType
from dlms_mqtt.protocol.timestamps import DateTime

_CLOCK_LENGTH = 12


def meter_json(identity: Identity) -> dict[str, str | None]:
    """Who answered."""
    return {
        "system_title": identity.system_title or None,
        "logical_device_name": identity.logical_device_name or None,
    }


def value_json(measured: Measured, time: datetime | None) -> dict[str, Any]:
    """One value: ``raw`` as sent, ``value`` in the meter's own unit."""
    attribute, data = measured.attribute, measured.data
    scaled = measured.scaler_unit
    return {
        "obis": str(attribute.obis),
        "class": attribute.class_id,
        "attribute": attribute.attribute,
        "name": object_name(attribute.obis, attribute.class_id, attribute.attribute),
        "raw": raw(data),
        "scaler": scaled.scaler if scaled else None,
        "value": plain(measured.value) if scaled else readable(data),
        "unit": measured.unit or None,
        "type": data.type.text,
        "time": time.isoformat(timespec="seconds") if time else None,
    }


def error_json(attribute: AttributeDescriptor, error: MeterRefused) -> dict[str, Any]:
    """One refusal, with the standard's word for it."""
    return {
        "obis": str(attribute.obis),
        "class": attribute.class_id,
        "attribute": attribute.attribute,
        "code": error.name or "refused",
        "message": error.message,
    }


def raw(data: Data) -> Any:
    """As sent: numbers plain, octets and times in hex, containers as a tree."""
    tree = data.tree()
    return tree if data.type in CONTAINERS else tree[1]


def readable(data: Data) -> Any:
    """As a person reads it: octets as text or time where they are that."""
    value = data.value
    if data.type in CONTAINERS:
        return [readable(item) for item in value]
    if data.type is DataType.OCTET_STRING:
        return octets_text(value)
    if isinstance(value, bytes | DateTime) or hasattr(value, "iso"):
        return value.hex() if isinstance(value, bytes) else value.iso()
    return value


def octets_text(value: bytes) -> str:
    """Octets as a time, as text, else in hex."""
    if len(value) == _CLOCK_LENGTH and (DateTime(value).to_datetime() is not None):
        return DateTime(value).iso()
    text = value.decode("latin-1")
    return text if text and text.isascii() and text.isprintable() else value.hex()


def print_values(values: Sequence[dict[str, Any]]) -> None:
    """The table for people."""
    rows = [(v["obis"], v["attribute"], v["name"], _shown(v["value"]), v["unit"] or "") for v in values]
    if rows:
        say(table(rows, ("OBIS", "ATTR", "NAME", "VALUE", "UNIT"), right=(3,)))


def _shown(value: Any) -> str:
    return ", ".join(_shown(item) for item in value) if isinstance(value, list) else "" if value is None else str(value)
