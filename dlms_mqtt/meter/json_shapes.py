"""Data of a meter in the JSON shapes that other programs rely on: one for the command line and for MQTT replies.

Numbers stay Decimal, octets bytes and times datetime: whoever writes the JSON writes them exactly.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dlms_mqtt.client.procedures.clock import ClockReading
from dlms_mqtt.client.procedures.objects import Identity
from dlms_mqtt.client.procedures.profile import Column, Profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.classes import class_name, find
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter.catalogue.lookup import Item
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.readings import text_of
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import CONTAINERS, Data, DataType


def meter_json(identity: Identity) -> dict[str, Any]:
    """Who answered."""
    return {
        "system_title": identity.system_title or None,
        "logical_device_name": identity.logical_device_name or None,
    }


def readable(data: Data) -> Any:
    """A value as JSON: numbers and truth as they are, everything else as text, containers as lists."""
    if data.type in CONTAINERS:
        return [readable(item) for item in data.value]
    if data.value is None or isinstance(data.value, bool | int | float):
        return data.value
    return data.value if data.type is DataType.BIT_STRING else text_of(data)


def raw(data: Data) -> Any:
    """As sent: numbers plain, octets and times in hex, containers as a tree."""
    tree = data.tree()
    return tree if data.type in CONTAINERS else tree[1]


def value_json(measured: Measured, time: datetime | None) -> dict[str, Any]:
    """One value, in the meter's own unit."""
    attribute, scaled = measured.attribute, measured.scaler_unit
    return {
        **_address(attribute),
        "name": object_name(attribute.obis, attribute.class_id, attribute.attribute),
        "raw": raw(measured.data),
        "scaler": scaled.scaler if scaled else None,
        "value": measured.value if scaled else readable(measured.data),
        "unit": measured.unit or None,
        "type": measured.data.type.text,
        "time": time.isoformat(timespec="seconds") if time else None,
    }


def error_json(attribute: AttributeDescriptor, error: MeterRefused) -> dict[str, Any]:
    """One refusal, with the standard's word for it."""
    return {**_address(attribute), "code": error.name or "refused", "message": error.message}


def _address(attribute: AttributeDescriptor) -> dict[str, Any]:
    return {"obis": str(attribute.obis), "class": attribute.class_id, "attribute": attribute.attribute}


def cells_json(profile: Profile, fallback: datetime) -> list[dict[str, Any]]:
    """One value per cell, with the time of its row; the time column itself is not repeated."""
    times = (row[profile.time_column] if profile.time_column is not None else fallback for row in profile.rows)
    return [
        _cell_json(column, raw_value, time) | ({"uncertain": True} if profile.is_unsure(time) else {})
        for row, time in zip(profile.rows, times, strict=True)
        for index, (column, raw_value) in enumerate(zip(profile.columns, row, strict=False))
        if index != profile.time_column
    ]


def cell_value(column: Column, value: Any) -> Any:
    """A cell in the meter's unit: scaled number, text, time."""
    if isinstance(value, bytes):
        return readable(Data(DataType.OCTET_STRING, value))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return column.scaler_unit.apply(value) if column.scaler_unit and number else value


def _cell_json(column: Column, value: Any, time: Any) -> dict[str, Any]:
    source, scaled = column.source, column.scaler_unit
    return {
        **_address(AttributeDescriptor(*source[:3])),
        "name": object_name(source.obis, source.class_id, source.attribute),
        "raw": value,
        "scaler": scaled.scaler if scaled else None,
        "value": cell_value(column, value),
        "unit": (scaled.unit or None) if scaled else None,
        "type": column.type.text if column.type is not None else None,
        "time": time,
    }


def clock_json(reading: ClockReading) -> dict[str, Any]:
    """What the clock says; ``drift``: seconds it is ahead of us (negative: behind)."""
    return {
        "time": reading.moment.isoformat() if reading.moment else None,
        "raw": reading.octets.hex(),
        "deviation": reading.deviation,
        "deviation_sense": reading.sense,
        "status": list(reading.status),
        "drift": round(reading.drift, 1) + 0.0 if reading.drift is not None else None,
    }


def written_json(attribute: AttributeDescriptor, value: Data) -> dict[str, Any]:
    """What is written where."""
    return {**_address(attribute), "type": value.type.text, "value": readable(value)}


def read_back_json(held: Data | None) -> dict[str, Any]:
    """What is there after a write; None where the meter does not show it."""
    if held is None:
        return {"read_back": None}
    return {"read_back": readable(held), "read_back_raw": raw(held)}


def invoked_json(method: MethodDescriptor, returned: Data | None) -> dict[str, Any]:
    """What a method gave back; None where it gives nothing."""
    return {
        "obis": str(method.obis),
        "class": method.class_id,
        "method": method.method,
        "returned": None if returned is None else readable(returned),
        "raw": None if returned is None else raw(returned),
    }


def object_json(item: ObjectInfo) -> dict[str, Any]:
    """One object with its rights."""
    row = find(item.class_id, item.version)
    return {
        "class": item.class_id,
        "class_name": class_name(item.class_id),
        "version": item.version,
        "obis": str(item.obis),
        "name": object_name(item.obis, item.class_id),
        "short_name": item.short_name,
        "attributes": [
            {"attribute": number, "name": _member(row and row.attribute(number)), "access": access.text}
            for number, access in sorted(item.attribute_access.items())
        ],
        "methods": [
            {"method": number, "name": _member(row and row.method(number)), "access": access.text}
            for number, access in sorted(item.method_access.items())
        ],
    }


def _member(found: Any) -> str | None:
    return found.name if found else None


def value_rows(items: list[Item], core: set[str], language: str) -> list[dict[str, Any]]:
    """What may be read of a meter, one row per value, for a form to choose from."""
    return [
        {
            "obis": str(item.obis),
            "class": item.class_id,
            "attribute": item.attribute,
            "key": item.quantity.key,
            "name": item.quantity.name_in(language),
            "unit": item.quantity.unit or None,
            "core": item.quantity.key in core,
        }
        for item in items
    ]
