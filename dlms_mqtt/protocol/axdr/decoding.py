"""A-XDR octets to values: one table of decoders, indexed by the tag.

A count or length is believed only as far as there are octets behind it, and nesting ends at ``MAX_DEPTH``, so that any
octets decode or raise DecodeError in bounded time and memory.

Source: IEC 61334-6 (A-XDR) with the data types of the Blue Book ed. 12, clause 4.1.5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time
from dlms_mqtt.protocol.axdr.values import NUMBERS, CompactArray, Data, DataType

MAX_DEPTH = 32
T = DataType

Decoder = Callable[[bytes, int, int], tuple[Data, int]]  # octets, offset after the tag, depth left -> value, offset
_new = tuple.__new__


def decode(data: bytes, offset: int = 0) -> tuple[Data, int]:
    """The value at ``offset`` and the offset after it; DecodeError."""
    try:
        return _DECODERS[data[offset]](data, offset + 1, MAX_DEPTH)
    except (IndexError, struct.error):
        raise _cut(data) from None


def decode_whole(data: bytes) -> Data:
    """The one value these octets are; DecodeError also when something is left over."""
    value, end = decode(data)
    if end != len(data):
        raise DecodeError(f"{len(data) - end} stray octets after the value", offset=end)
    return value


def _cut(data: bytes) -> DecodeError:
    return DecodeError("the value is cut off", offset=len(data))


def take_length(data: bytes, offset: int) -> tuple[int, int]:
    """A length or count and the offset after it."""
    length = data[offset]
    if length < 0x80:
        return length, offset + 1
    end = offset + 1 + (length & 0x7F)
    if not 1 <= length & 0x7F <= 4:
        raise DecodeError(f"a length has an unusable form {length:02x}", offset=offset)
    if end > len(data):
        raise _cut(data)
    return int.from_bytes(data[offset + 1 : end], "big"), end


def _unknown(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
    raise DecodeError(f"there is no data type {data[offset - 1]}", offset=offset - 1)


def _empty_decoder(kind: DataType) -> Decoder:
    value = Data(kind, None)
    return lambda data, offset, depth: (value, offset)


def _number_decoder(kind: DataType) -> Decoder:
    layout = struct.Struct(">" + NUMBERS[kind])
    unpack, size = layout.unpack_from, layout.size

    def decode_number(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        return _new(Data, (kind, unpack(data, offset)[0])), offset + size

    return decode_number


def _octet_decoder(kind: DataType) -> Decoder:
    """Types of one octet are read by indexing: faster than struct."""

    def decode_octet(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        return _new(Data, (kind, data[offset])), offset + 1

    return decode_octet


def _boolean(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
    return _new(Data, (T.BOOLEAN, data[offset] != 0)), offset + 1


def _fixed_decoder(kind: DataType, size: int, make: Callable[[bytes], Any]) -> Decoder:
    def decode_fixed(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        end = offset + size
        if end > len(data):
            raise _cut(data)
        return _new(Data, (kind, make(bytes(data[offset:end])))), end

    return decode_fixed


def _string_decoder(kind: DataType, make: Callable[[bytes], Any]) -> Decoder:
    def decode_string(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        length = data[offset]
        offset += 1
        if length >= 0x80:
            length, offset = take_length(data, offset - 1)
        end = offset + length
        if end > len(data):
            raise _cut(data)
        return _new(Data, (kind, make(data[offset:end]))), end

    return decode_string


def _bit_string(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
    count, offset = take_length(data, offset)
    end = offset + (count + 7) // 8
    if end > len(data):
        raise _cut(data)
    bits = f"{int.from_bytes(data[offset:end], 'big'):0{(end - offset) * 8}b}" if count else ""
    return Data(T.BIT_STRING, bits[:count]), end


def _container_decoder(kind: DataType) -> Decoder:
    def decode_container(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        count = data[offset]  # in place, as in a string: nearly all are short, and a call costs more
        offset += 1
        if count >= 0x80:
            count, offset = take_length(data, offset - 1)
        if count > len(data) - offset:  # an element has at least its tag
            raise _cut(data)
        if not depth:
            raise DecodeError(f"values are nested deeper than {MAX_DEPTH}", offset=offset)
        items = []
        for _ in range(count):
            item, offset = _DECODERS[data[offset]](data, offset + 1, depth - 1)
            items.append(item)
        return _new(Data, (kind, tuple(items))), offset

    return decode_container


class _Element(NamedTuple):
    """What a contents-description says: how to decode one element, its least size and how many values it makes."""

    decode: Decoder
    least: int
    values: int


def _compact_array(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
    element, start = read_description(data, offset, depth)
    length, begin = take_length(data, start)
    end = begin + length
    if end > len(data):
        raise _cut(data)
    contents, items = data[begin:end], []
    if length and not _plausible(element, length):
        raise DecodeError("a compact-array describes more values than it can hold", offset=offset)
    at = 0
    while at < length:
        item, at = element.decode(contents, at, depth - 1)
        items.append(item)
    value = CompactArray(items)
    value.description = bytes(data[offset:start])
    return Data(T.COMPACT_ARRAY, value), end


def _plausible(element: _Element, length: int) -> bool:
    """Values without octets could be endless: 16 for each octet are plenty, in a last element that is cut off too."""
    if not 0 < element.least <= length:
        return False
    return (length // element.least + 1) * element.values <= 256 + 16 * length


def read_description(data: bytes, offset: int, depth: int = MAX_DEPTH) -> tuple[_Element, int]:
    """Read a contents-description: how to decode one element, and the offset after the description."""
    tag = data[offset]
    if not depth:
        raise DecodeError(f"values are nested deeper than {MAX_DEPTH}", offset=offset)
    if tag == T.ARRAY:
        count = int.from_bytes(data[offset + 1 : offset + 3], "big")
        part, end = read_description(data, offset + 3, depth - 1)
        return _sequence(T.ARRAY, [part], count), end
    if tag == T.STRUCTURE:
        count, offset = take_length(data, offset + 1)
        parts = []
        for _ in range(count):
            part, offset = read_description(data, offset, depth - 1)
            parts.append(part)
        return _sequence(T.STRUCTURE, parts, 1), offset
    if tag not in _LEAST or _DECODERS[tag] is _unknown:
        raise DecodeError(f"a compact-array cannot hold data type {tag}", offset=offset)
    return _Element(_DECODERS[tag], _LEAST[tag], 1), offset + 1


def _sequence(kind: DataType, parts: list[_Element], times: int) -> _Element:
    """An array (one part many times) or a structure (each part once) without tags and counts."""
    decoders = [part.decode for part in parts]

    def decode_sequence(data: bytes, offset: int, depth: int) -> tuple[Data, int]:
        items = []
        for _ in range(times):
            for decoder in decoders:
                item, offset = decoder(data, offset, depth)
                items.append(item)
        return Data(kind, tuple(items)), offset

    least, values = sum(part.least for part in parts), sum(part.values for part in parts)
    return _Element(decode_sequence, times * least, 1 + times * values)


def latin(raw: bytes) -> str:
    """The text of a visible-string: ASCII by the standard, but meters write ä and ° all the same."""
    return raw.decode("latin-1")


def utf8(raw: bytes) -> str:
    """The text of an utf8-string; one bad octet must not cost the whole answer."""
    return raw.decode("utf-8", "backslashreplace")


_DECODERS: list[Decoder] = [_unknown] * 256
_DECODERS[T.NULL_DATA] = _empty_decoder(T.NULL_DATA)
_DECODERS[T.DONT_CARE] = _empty_decoder(T.DONT_CARE)
for _kind, _code in NUMBERS.items():
    _DECODERS[_kind] = _octet_decoder(_kind) if _code == "B" else _number_decoder(_kind)
for _kind in (T.ARRAY, T.STRUCTURE):
    _DECODERS[_kind] = _container_decoder(_kind)
_DECODERS[T.BOOLEAN] = _boolean
_DECODERS[T.BIT_STRING] = _bit_string
_DECODERS[T.OCTET_STRING] = _string_decoder(T.OCTET_STRING, bytes)
_DECODERS[T.VISIBLE_STRING] = _string_decoder(T.VISIBLE_STRING, latin)
_DECODERS[T.UTF8_STRING] = _string_decoder(T.UTF8_STRING, utf8)
_DECODERS[T.BCD] = _fixed_decoder(T.BCD, 1, bytes)
_DECODERS[T.DATE_TIME] = _fixed_decoder(T.DATE_TIME, 12, DateTime)
_DECODERS[T.DATE] = _fixed_decoder(T.DATE, 5, Date)
_DECODERS[T.TIME] = _fixed_decoder(T.TIME, 4, Time)
_DECODERS[T.COMPACT_ARRAY] = _compact_array

# The least number of octets a value has behind its tag; what is missing here cannot stand in a compact-array.
_LEAST: dict[int, int] = {
    **{kind: struct.calcsize(">" + code) for kind, code in NUMBERS.items()},
    **dict.fromkeys((T.NULL_DATA, T.DONT_CARE), 0),
    **dict.fromkeys((T.BOOLEAN, T.BIT_STRING, T.OCTET_STRING, T.VISIBLE_STRING, T.UTF8_STRING, T.BCD), 1),
    T.DATE_TIME: 12,
    T.DATE: 5,
    T.TIME: 4,
}
