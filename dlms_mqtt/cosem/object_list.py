"""The object list of an association (attribute 2 of Association LN and SN): what a meter has and what we may do.

Lists are long and nearly always written the same way, so one compiled pattern takes them apart and equal access rights
are decoded once; whatever does not fit the pattern goes through the general decoder, which takes every legal spelling.

Source: Blue Book ed. 12, clause 4.4 (access control and management); IEC 62056-6-2.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from dlms_mqtt.cosem.access import FIRST_BITS_VERSION_LN, FIRST_BITS_VERSION_SN, AttributeAccess, MethodAccess
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.obis import Obis

log = logging.getLogger("dlms_mqtt.cosem")

AttributeRights = Mapping[int, AttributeAccess]
MethodRights = Mapping[int, MethodAccess]
_Rights = tuple[dict[int, AttributeAccess], dict[int, MethodAccess]]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a meter. Rights are empty where the list states none (short names); do not change the mappings."""

    class_id: int
    version: int
    obis: Obis
    attribute_access: AttributeRights = field(default_factory=dict)
    method_access: MethodRights = field(default_factory=dict)
    short_name: int | None = None

    def readable(self, attribute: int) -> bool:
        """False only where the list says so: an attribute that is not mentioned may exist all the same."""
        access = self.attribute_access.get(attribute)
        return access is None or access.read

    def writable(self, attribute: int) -> bool:
        """False only where the list says so."""
        access = self.attribute_access.get(attribute)
        return access is None or access.write


# How nearly every meter writes an element: class id, version, OBIS, counts and octets of attribute and method rights.
_ELEMENT = re.compile(
    rb"\x02\x04\x12(..)\x11(.)\x09\x06(.{6})\x02\x02"
    rb"\x01([\x00-\x7f])((?:\x02\x03\x0f.\x16.(?:\x00|\x01[\x00-\x7f](?:\x0f.)*))*)"
    rb"\x01([\x00-\x7f])((?:\x02\x02\x0f.[\x03\x16].)*)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"\x02\x03\x0f(.)\x16(.)(\x00|\x01.(?:\x0f.)*)", re.DOTALL)
_METHOD = re.compile(rb"\x02\x02\x0f(.)[\x03\x16](.)", re.DOTALL)
_CURRENT_ASSOCIATION = re.compile(rb"\x12\x00\x0f\x11(.)\x09\x06\x00\x00\x28\x00\x00\xff", re.DOTALL)


def decode_object_list(data: bytes, association_version: int | None = None) -> tuple[ObjectInfo, ...]:
    """Attribute 2 of Association LN. Without a version: the one the list itself states for the current association.

    DecodeError; octets after the list are left alone (some meters send them).
    """
    bits = _stated_version(data, association_version) >= FIRST_BITS_VERSION_LN
    objects = _decode_fast(data, *_count(data), bits)
    return _decode_slowly(data, bits) if objects is None else objects


def _count(data: bytes) -> tuple[int, int]:
    """Where the entries of a list begin, and how many there are. DecodeError for no list."""
    reader = Reader(data)
    tag = reader.u8("object list")
    if tag == DataType.NULL_DATA:  # some meters write an empty list so
        return reader.offset, 0
    if tag not in (DataType.ARRAY, DataType.STRUCTURE):  # the latter by mistake: entries follow a count in both
        raise DecodeError("the object list is no array", offset=0)
    count = reader.length("object list")
    return reader.offset, count


def _stated_version(data: bytes, version: int | None) -> int:
    found = _CURRENT_ASSOCIATION.search(data) if version is None else None
    return found[1][0] if found else version or 0


def _decode_fast(data: bytes, offset: int, count: int, bits: bool) -> tuple[ObjectInfo, ...] | None:
    """The list by pattern, or None as soon as something does not fit."""
    match, objects = _ELEMENT.match, list[ObjectInfo]()
    attributes, methods = _AttributeRights(bits), _MethodRights(bits)
    try:
        for _ in range(count):
            found = match(data, offset)
            if found is None:
                return None
            class_id, version, obis, *rights = found.groups()
            offset = found.end()
            number = class_id[0] << 8 | class_id[1]
            access = attributes[rights[0] + rights[1]], methods[rights[2] + rights[3]]
            objects.append(ObjectInfo(number, version[0], Obis(obis), *access))
    except _CountError:
        return None
    return tuple(objects)


class _CountError(Exception):
    """A count that does not agree with the elements after it."""


class _AttributeRights(dict[bytes, dict[int, AttributeAccess]]):
    """Count and octets of attribute rights -> rights, decoded when first met: most objects of a meter share them."""

    def __init__(self, bits: bool) -> None:
        self._known: dict[tuple[bytes, bytes], AttributeAccess] = {}
        self._bits = bits

    def __missing__(self, octets: bytes) -> dict[int, AttributeAccess]:
        items = _ATTRIBUTE.findall(octets, 1)
        self[octets] = rights = {_signed(index): self._access(mode, rest) for index, mode, rest in items}
        if len(items) != octets[0]:
            raise _CountError
        return rights

    def _access(self, mode: bytes, selectors: bytes) -> AttributeAccess:
        known = self._known.get((mode, selectors))
        if known is None:
            if selectors[0] and len(selectors) != 2 + 2 * selectors[1]:
                raise _CountError
            numbers = tuple(map(_signed, selectors[3::2])) if selectors[0] else None
            known = self._known[mode, selectors] = AttributeAccess(mode[0], self._bits, numbers)
        return known


class _MethodRights(dict[bytes, dict[int, MethodAccess]]):
    """Count and octets of method rights -> rights."""

    def __init__(self, bits: bool) -> None:
        self._bits = bits

    def __missing__(self, octets: bytes) -> dict[int, MethodAccess]:
        items = _METHOD.findall(octets, 1)
        self[octets] = rights = {_signed(index): MethodAccess(mode[0], self._bits) for index, mode in items}
        if len(items) != octets[0]:
            raise _CountError
        return rights


def _signed(octet: bytes | int) -> int:
    """Attribute and method numbers are signed: the negative ones are the manufacturer's."""
    value = octet if isinstance(octet, int) else octet[0]
    return value if value < 0x80 else value - 0x100


def _decode_slowly(data: bytes, bits: bool) -> tuple[ObjectInfo, ...]:
    """The list by the general decoder."""
    return _sensible(data, lambda item: _object(item, bits))


def _sensible(data: bytes, entry: Callable[[Data], ObjectInfo]) -> tuple[ObjectInfo, ...]:
    """The entries that make sense, entry by entry: one that does not must not cost the others. DecodeError.

    Tolerated, and told in the log: entries of null or of other shapes, and a list that is cut off.
    """
    offset, count = _count(data)
    found: list[ObjectInfo] = []
    wrong: list[str] = []
    for number in range(1, count + 1):
        try:
            value, offset = decode(data, offset)
        except DecodeError as error:
            wrong.append(f"it is cut off at entry {number} of {count} ({error.message})")
            break
        try:
            found.append(entry(value))
        except DecodeError as error:
            wrong.append(f"entry {number}: {error.message}")
    if wrong and not found:
        raise DecodeError(f"nothing of the object list makes sense: {wrong[0]}")
    if wrong:
        log.info("%d entries of the object list make no sense and are left out: %s", len(wrong), "; ".join(wrong[:3]))
    return tuple(found)


def _rights(value: Data, bits: bool) -> _Rights:
    if value.type == DataType.NULL_DATA:
        return {}, {}
    attributes, methods = _parts(value, 2, "access rights")
    return (
        dict(_attribute_access(item, bits) for item in _items(attributes)),
        dict(_method_access(item, bits) for item in _items(methods)),
    )


def _attribute_access(value: Data, bits: bool) -> tuple[int, AttributeAccess]:
    index, mode, selectors = _parts(value, 3, "attribute access")
    return _index(index), AttributeAccess(_number(mode), bits, _selectors(selectors))


def _selectors(value: Data) -> tuple[int, ...] | None:
    return tuple(map(_number, value.value)) if value.type == DataType.ARRAY else None


def _method_access(value: Data, bits: bool) -> tuple[int, MethodAccess]:
    index, mode = _parts(value, 2, "method access")
    return _index(index), MethodAccess(_number(mode), bits)


def _object(value: Data, bits: bool) -> ObjectInfo:
    parts = value.value if isinstance(value.value, tuple) else ()
    rights = _parts(value, 4, "object list element")[3] if len(parts) != 3 else None  # some meters state no rights
    class_id, version, obis = parts[:3]
    return ObjectInfo(
        _class(class_id), _number(version), _obis(obis), *({}, {}) if rights is None else _rights_or_none(rights, bits)
    )


def _rights_or_none(value: Data, bits: bool) -> _Rights:
    """Rights of another shape than the standard's say nothing; the object is there all the same."""
    try:
        return _rights(value, bits)
    except DecodeError:
        return {}, {}


def _parts(value: Data, count: int, what: str) -> tuple[Any, ...]:
    items = value.value
    if not isinstance(items, tuple) or len(items) != count:
        raise DecodeError(f"{what}: a structure of {count} was expected, not {value.type.text}")
    return items


def _items(value: Data) -> tuple[Data, ...]:
    if value.type == DataType.NULL_DATA:  # some meters write "no rights" so
        return ()
    items = value.value
    if not isinstance(items, tuple):
        raise DecodeError(f"an array was expected, not {value.type.text}")
    return items


def _number(value: Data) -> int:
    if not isinstance(value.value, int):
        raise DecodeError(f"a number was expected, not {value.type.text}")
    return int(value.value)


def _class(value: Data) -> int:
    """A number that a question can name."""
    if not 0 <= (number := _number(value)) <= 0xFFFF:
        raise DecodeError(f"there is no class {number}")
    return number


def _index(value: Data) -> int:
    """The number of an attribute or method, whatever the tag."""
    if not -0x80 <= (number := _number(value)) <= 0xFF:
        raise DecodeError(f"there is no attribute {number}")
    return _signed(number & 0xFF)


def _obis(value: Data) -> Obis:
    if not isinstance(value.value, bytes) or len(value.value) != 6:
        raise DecodeError("a logical name of six octets was expected")
    return Obis(value.value)


# --- short names ----------------------------------------------------------------------------------------------------


def decode_object_list_sn(data: bytes) -> tuple[ObjectInfo, ...]:
    """Attribute 2 of Association SN: base name, class, version and OBIS of every object; DecodeError."""
    return _sensible(data, _object_sn)


def _object_sn(value: Data) -> ObjectInfo:
    base_name, class_id, version, obis = _parts(value, 4, "object list element")
    # A base name is a signed long in the standard; people and the services write it unsigned.
    return ObjectInfo(_class(class_id), _number(version), _obis(obis), short_name=_number(base_name) & 0xFFFF)


def add_access_rights_sn(
    objects: Iterable[ObjectInfo], data: bytes, association_version: int = 2
) -> tuple[ObjectInfo, ...]:
    """The objects with the rights of attribute 3 of Association SN (``access_rights_list``); DecodeError."""
    value, _ = decode(data)
    bits = association_version >= FIRST_BITS_VERSION_SN
    rights = dict(_access_sn(item, bits) for item in _items(value))
    return tuple(_with_rights(item, rights.get(item.short_name or 0)) for item in objects)


def _access_sn(value: Data, bits: bool) -> tuple[int, _Rights]:
    base_name, *access = _parts(value, 3, "access rights element")
    return _number(base_name) & 0xFFFF, _rights(Data(DataType.STRUCTURE, tuple(access)), bits)


def _with_rights(item: ObjectInfo, rights: _Rights | None) -> ObjectInfo:
    return item if rights is None else replace(item, attribute_access=rights[0], method_access=rights[1])


# --- encoding (the simulator and tests) -----------------------------------------------------------------------------


def encode_object_list(objects: Iterable[ObjectInfo], association_version: int = 1) -> bytes:
    """Attribute 2 of Association LN; version 0 writes method modes as booleans."""
    method_tag = DataType.BOOLEAN if association_version == 0 else DataType.ENUM
    elements = [
        b"\x02\x04\x12%b\x11%c\x09\x06%b\x02\x02%b%b"
        % (
            item.class_id.to_bytes(2, "big"),
            item.version,
            item.obis,
            _encode_attributes(item.attribute_access),
            _encode_methods(item.method_access, method_tag),
        )
        for item in objects
    ]
    return _array(elements)


def _array(elements: list[bytes]) -> bytes:
    return b"\x01" + encode_length(len(elements)) + b"".join(elements)


def _encode_attributes(rights: AttributeRights) -> bytes:
    return _array(
        [
            b"\x02\x03\x0f%c\x16%c%b" % (index & 0xFF, access.mode, _encode_selectors(access.selectors))
            for index, access in rights.items()
        ]
    )


def _encode_selectors(selectors: tuple[int, ...] | None) -> bytes:
    return b"\x00" if selectors is None else _array([b"\x0f%c" % (number & 0xFF) for number in selectors])


def _encode_methods(rights: MethodRights, tag: int) -> bytes:
    return _array([b"\x02\x02\x0f%c%c%c" % (index & 0xFF, tag, access.mode) for index, access in rights.items()])


def encode_object_list_sn(objects: Iterable[ObjectInfo]) -> bytes:
    """Attribute 2 of Association SN; objects without a short name are left out."""
    return _array(
        [
            b"\x02\x04\x10%b\x12%b\x11%c\x09\x06%b"
            % (item.short_name.to_bytes(2, "big"), item.class_id.to_bytes(2, "big"), item.version, item.obis)
            for item in objects
            if item.short_name is not None
        ]
    )


def encode_access_rights_sn(objects: Iterable[ObjectInfo]) -> bytes:
    """Attribute 3 of Association SN; objects without a short name are left out."""
    return _array(
        [
            b"\x02\x03\x10%b%b%b"
            % (
                item.short_name.to_bytes(2, "big"),
                _encode_attributes(item.attribute_access),
                _encode_methods(item.method_access, DataType.ENUM),
            )
            for item in objects
            if item.short_name is not None
        ]
    )
