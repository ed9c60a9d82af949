"""APDUs and values as JSON: every field of a message by its own name, secrets as stars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime, tzinfo
from typing import Any

from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.push.layouts import PushValue
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.acse.messages import ApplicationContext, Mechanism
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import CONTAINERS, Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.units import UNITS

_TIME_LENGTH = 12


def apdu_json(message: Apdu) -> dict[str, Any]:
    """The fields of a message; empty ones but results are left out. A carried InitiateRequest is opened."""
    if not is_dataclass(message):
        return {}
    shown: dict[str, Any] = {}
    for field in fields(message):
        value = getattr(message, field.name)
        if value is None or value == b"" or (value == () and field.name != "results"):
            continue
        shown |= _FIELDS[field.name](value) if field.name in _FIELDS else {field.name: _json(value)}
    return shown


def _invoke(value: int) -> dict[str, Any]:
    return {"invoke_id": value & 0x0F, "confirmed": bool(value & 0x40), "high_priority": bool(value & 0x80)}


def _long_invoke(value: int) -> dict[str, Any]:
    return {"long_invoke_id_and_priority": f"{value:08x}", "invoke_id": value & 0xFFFFFF}


def _date_time(value: bytes) -> dict[str, Any]:
    return {"date_time": DateTime(value).iso() if len(value) == _TIME_LENGTH else value.hex()}


def _user_information(value: bytes) -> dict[str, Any]:
    try:
        carried = decode_apdu(value)
    except DlmsMqttError:
        return {"user_information": value.hex()}
    return {"user_information": {"name": carried.NAME, **apdu_json(carried)}}


def _access(value: Any) -> dict[str, Any]:
    """Selective access: which selector, and what it selects."""
    selector, selection = value
    return {"access": {"selector": selector, "selection": _json(selection)}}


def _items(value: Any) -> dict[str, Any]:
    """The attributes of a list, each perhaps with its selection."""
    return {"attributes": [_json(item) | (_access(access) if access else {}) for item, access in value]}


_FIELDS = {
    "access": _access,
    "items": _items,
    "invoke": _invoke,
    "long_invoke": _long_invoke,
    "date_time": _date_time,
    "user_information": _user_information,
}


def _json(value: Any) -> Any:
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Data):
        return value.tree()
    if isinstance(value, Conformance):
        return value.names()
    if isinstance(value, AttributeDescriptor | MethodDescriptor):
        number = {"attribute": value[2]} if isinstance(value, AttributeDescriptor) else {"method": value[2]}
        return {"class": value.class_id, "obis": str(value.obis), **number}
    if isinstance(value, Obis | ApplicationContext | Mechanism) or hasattr(value, "text"):
        return value.text if hasattr(value, "text") else str(value)
    if hasattr(value, "_asdict"):  # variables, specifications and outcomes: by the names of their fields
        return {name: _json(part) for name, part in value._asdict().items() if part is not None}
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def value_json(value: PushValue) -> dict[str, Any]:
    """One value: with its code or its place, scaler and unit where the message (or a published list) tells them."""
    data = value.data
    shown: dict[str, Any] = {"index": value.place} if value.obis is None else {"obis": str(value.obis)}
    if value.class_id is not None:
        shown |= {"class": value.class_id, "attribute": value.attribute}
    if value.obis is not None:
        shown["name"] = object_name(value.obis, value.class_id, value.attribute or 2)
    shown["type"] = data.type.text
    if data.type not in CONTAINERS:
        shown["raw"] = data.tree()[1]
    return shown | _scaled(value) | _text(data)


def readings_json(readings: Iterable[Reading], zone: tzinfo, timed: bool = True) -> list[dict[str, Any]]:
    """What a push says as it is published: keys, units and times of topics; not ``timed``: nobody knows when."""
    return [
        {
            "key": reading.key,
            "obis": str(reading.obis),
            "value": reading.value,
            "unit": reading.unit,
            "time": reading.time.astimezone(zone).isoformat(timespec="seconds") if timed else None,
            "quality": str(reading.quality),
        }
        for reading in readings
    ]


def pushed_json(pushed: PushedValues, zone: tzinfo) -> list[dict[str, Any]]:
    """Of a captured push, as old as it says itself."""
    stated = pushed.stated_time(zone)
    return readings_json(pushed.readings(stated or datetime.now(zone), zone), zone, timed=stated is not None)


def _scaled(value: PushValue) -> dict[str, Any]:
    scaled, raw = value.scaler_unit, value.data.value
    if scaled is None or not isinstance(raw, int | float) or isinstance(raw, bool):
        return {}
    shown = {"scaler": scaled.scaler, "unit": UNITS.get(scaled.unit_code, ""), "value": scaled.apply(raw)}
    return shown | ({"from_list": value.from_list} if value.from_list else {})


def _text(data: Data) -> dict[str, Any]:
    """What octets say: a time, or readable text."""
    if isinstance(data.value, DateTime):
        return {"datetime": data.value.iso()}
    if data.type is not DataType.OCTET_STRING:
        return {}
    octets: bytes = data.value
    if len(octets) == _TIME_LENGTH and DateTime(octets).to_datetime() is not None:
        return {"datetime": DateTime(octets).iso()}
    text = octets.decode("latin-1")
    return {"text": text} if text and text.isascii() and text.isprintable() else {}
