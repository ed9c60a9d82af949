"""What pushed values mean: the ways in which meters arrange codes and values in a notification, one function each.

    described   the first element lists class, code and attribute of each element (the standard's push object list)
    struct      every element is a structure of code, value and perhaps scaler and unit
    flat        code, value, perhaps scaler and unit, code, value ... in one structure; some elements have no code
    positional  no codes at all: the order is that of a vendor's list
    untagged    attribute descriptors without type tags (Czech customer interface)

The arrangement is told by the message itself, never by the vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dlms_mqtt.cosem.structures import ScalerUnit, signed_scaler
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.meter.push.vendor_lists import POSITIONAL
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode
from dlms_mqtt.protocol.obis import Obis

_CONTAINERS = (DataType.ARRAY, DataType.STRUCTURE)
_STRUCTURE, _OCTETS = DataType.STRUCTURE, DataType.OCTET_STRING  # by their own names: pushes come every second
_CURRENT = 0xFF  # group F of nearly every code that is pushed
_MAX_MEDIUM = 15


class PushValue(NamedTuple):
    """One value of a push: with its code, or its place where it has none. ``from_list``: a vendor list named it."""

    data: Data
    obis: Obis | None = None
    place: int | None = None
    class_id: int | None = None
    attribute: int | None = None
    scaler_unit: ScalerUnit | None = None
    from_list: str | None = None


def push_values(message: DataNotification) -> list[PushValue]:
    """The values of a notification, in order; [] where it is a single value. DecodeError."""
    untagged = _untagged(message.data)
    if untagged is not None:
        return untagged
    data = message.value
    if data.type not in _CONTAINERS:
        return []
    items: tuple[Data, ...] = data.value
    for layout in (_described, _struct, _positional):
        found = layout(items)
        if found is not None:
            return found
    return list(_flat(items))


def is_code(data: Data) -> bool:
    """Does this element look like an OBIS code?"""
    kind, value = data
    return kind is _OCTETS and len(value) == 6 and value[5] == _CURRENT and value[0] <= _MAX_MEDIUM


_SCALERS = frozenset((DataType.INTEGER, DataType.UNSIGNED, DataType.LONG, DataType.LONG_UNSIGNED))


def scaler_unit(data: Data) -> ScalerUnit | None:
    """Scaler and unit, where the element is that structure."""
    kind, parts = data
    if kind is not _STRUCTURE or len(parts) != 2:
        return None
    scaler, unit = parts
    if scaler.type in _SCALERS and unit.type is DataType.ENUM:
        return ScalerUnit(signed_scaler(scaler.value), unit.value)
    return None


def _described(items: tuple[Data, ...]) -> list[PushValue] | None:
    if not items or items[0].type is not DataType.ARRAY or len(items[0].value) != len(items):
        return None
    rows = [_definition(element) for element in items[0].value]
    if None in rows:
        return None
    return [
        PushValue(item, Obis(row[1]), None, row[0], row[2])
        for item, row in zip(items, rows, strict=True)
        if row is not None
    ]


def _definition(element: Data) -> tuple[int, bytes, int] | None:
    """Class, code and attribute of a line of the push object list (later versions have more behind)."""
    if element.type is not DataType.STRUCTURE or len(element.value) < 4:
        return None
    class_id, code, attribute = (part.value for part in element.value[:3])
    sound = isinstance(class_id, int) and isinstance(attribute, int) and isinstance(code, bytes) and len(code) == 6
    return (class_id, code, attribute) if sound else None


def _struct(items: tuple[Data, ...]) -> list[PushValue] | None:
    found: list[PushValue] = []
    for item in items:
        value = _pair(item)
        if value is None:
            return None
        found.append(value)
    return found or None


def _pair(item: Data) -> PushValue | None:
    """A structure of code, value and perhaps scaler and unit."""
    kind, parts = item
    if kind is not _STRUCTURE or not 2 <= len(parts) <= 3 or not is_code(parts[0]):
        return None
    return _named(parts[0], parts[1], scaler_unit(parts[2]) if len(parts) == 3 else None)


def _named(code: Data, value: Data, unit: ScalerUnit | None) -> PushValue:
    return PushValue(value, Obis(code.value), None, None, None, unit)


def _positional(items: tuple[Data, ...]) -> list[PushValue] | None:
    """A vendor's list, which names itself in its first element or is known by its length alone."""
    if any(is_code(item) for item in items):
        return None
    for rule in POSITIONAL:
        rows = rule.rows(items)
        if rows is not None:
            return [
                PushValue(item, row.obis, scaler_unit=row.scaler_unit, from_list=rule.name if row.scaler_unit else None)
                for item, row in zip(items, rows, strict=True)
            ]
    return None


def _flat(items: tuple[Data, ...]) -> Iterator[PushValue]:
    index, count = 0, len(items)
    while index < count:
        item = items[index]
        if is_code(item) and index + 1 < count and not is_code(items[index + 1]):
            unit = scaler_unit(items[index + 2]) if index + 2 < count else None
            yield _named(item, items[index + 1], unit)
            index += 2 if unit is None else 3
        else:
            yield _pair(item) or PushValue(item, place=index)
            index += 1


_UNTAGGED_HEAD = b"\x02\x02\x16"
_DESCRIPTOR = 9  # class 2, code 6, attribute 1 octets


def _untagged(body: bytes) -> list[PushValue] | None:
    """structure{enum, array of structure{descriptor without tags, value}}; None where the body is not exactly that."""
    if body[:3] != _UNTAGGED_HEAD or body[4:5] != b"\x01":
        return None
    values: list[PushValue] = []
    at = 6
    try:
        for _ in range(body[5]):
            if body[at : at + 2] != b"\x02\x02":
                return None
            head = body[at + 2 : at + 2 + _DESCRIPTOR]
            data, at = decode(body, at + 2 + _DESCRIPTOR)
            class_id, code, attribute = int.from_bytes(head[:2], "big"), Obis(head[2:8]), head[8]
            values.append(PushValue(data, code, None, class_id, attribute))
    except (DecodeError, IndexError):
        return None
    return values if at == len(body) else None


def plain_tree(message: DataNotification) -> Data | None:
    """The body as one value, None where it is not plain A-XDR."""
    try:
        return None if message.trailing or _untagged(message.data) is not None else message.value
    except DecodeError:
        return None
