"""A-XDR values: every data type of the Blue Book between bytes and plain Python, both ways.

A count or length is believed only as far as there are octets behind it, and nesting ends at ``MAX_DEPTH``, so that any
bytes decode or raise DecodeError in bounded time. One table per direction, indexed by the tag, does all the work.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.protocol.buffer import encode_length
from dlms_mqtt.protocol.timestamps import Date, DateTime, Time

MAX_DEPTH = 32


class DataType(IntEnum):
    """The tags of the standard's CHOICE Data."""

    NULL_DATA = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INTEGER = 28
    DELTA_LONG = 29
    DELTA_DOUBLE_LONG = 30
    DELTA_UNSIGNED = 31
    DELTA_LONG_UNSIGNED = 32
    DELTA_DOUBLE_LONG_UNSIGNED = 33
    DONT_CARE = 255

    @property
    def text(self) -> str:
        """The Blue Book's name: ``double-long-unsigned``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_text(cls, text: str) -> DataType | None:
        """The type of that name, or None."""
        return cls.__members__.get(text.strip().upper().replace("-", "_"))


T = DataType
CONTAINERS = frozenset({T.ARRAY, T.STRUCTURE, T.COMPACT_ARRAY})

# Numbers of a fixed size: the standard's type and the struct code of its octets.
NUMBERS: dict[DataType, str] = {
    T.INTEGER: "b",
    T.LONG: "h",
    T.DOUBLE_LONG: "i",
    T.LONG64: "q",
    T.UNSIGNED: "B",
    T.LONG_UNSIGNED: "H",
    T.DOUBLE_LONG_UNSIGNED: "I",
    T.LONG64_UNSIGNED: "Q",
    T.ENUM: "B",
    T.DELTA_INTEGER: "b",
    T.DELTA_LONG: "h",
    T.DELTA_DOUBLE_LONG: "i",
    T.DELTA_UNSIGNED: "B",
    T.DELTA_LONG_UNSIGNED: "H",
    T.DELTA_DOUBLE_LONG_UNSIGNED: "I",
    T.FLOAT32: "f",
    T.FLOAT64: "d",
}


class Data(NamedTuple):
    """A value and its DLMS type.

    Numbers, booleans and text are plain; octet-string and bcd are bytes, a bit-string is text of 0 and 1, dates and
    times are those of ``timestamps``; array, structure and compact-array hold a tuple of Data.
    """

    type: DataType
    value: Any

    def plain(self) -> Any:
        """The value without types: containers as lists."""
        return [item.plain() for item in self.value] if self.type in CONTAINERS else self.value

    def tree(self) -> list[Any]:
        """``[type, value]`` for JSON: containers as lists, octets and times in hex."""
        kind, value = self
        if kind in CONTAINERS:
            return [kind.text, [item.tree() for item in value]]
        if isinstance(value, Date | DateTime | Time):
            value = value.raw
        return [kind.text, value.hex() if isinstance(value, bytes) else value]


class CompactArray(tuple[Data, ...]):
    """The elements of a compact-array; ``description`` is how the meter described them, for encoding them again."""

    description: bytes = b""


Decoder = Callable[[bytes, int, int], tuple[Data, int]]  # octets, offset after the tag, depth left -> value, offset
_new = tuple.__new__


# --- decoding -------------------------------------------------------------------------------------------------------


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
        count, offset = take_length(data, offset)
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
    element, start = _description(data, offset, depth)
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
    """Elements without octets could make endless values out of a few: 16 for each octet are plenty."""
    return bool(element.least) and length // element.least * element.values <= 256 + 16 * length


def _description(data: bytes, offset: int, depth: int) -> tuple[_Element, int]:
    """Read a contents-description."""
    tag = data[offset]
    if not depth:
        raise DecodeError(f"values are nested deeper than {MAX_DEPTH}", offset=offset)
    if tag == T.ARRAY:
        count = int.from_bytes(data[offset + 1 : offset + 3], "big")
        part, end = _description(data, offset + 3, depth - 1)
        return _sequence(T.ARRAY, [part], count), end
    if tag == T.STRUCTURE:
        count, offset = take_length(data, offset + 1)
        parts = []
        for _ in range(count):
            part, offset = _description(data, offset, depth - 1)
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


def _latin(raw: bytes) -> str:
    return raw.decode("latin-1")  # ASCII by the standard; meters write ä and ° all the same


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")  # one bad octet must not cost the whole answer


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
_DECODERS[T.VISIBLE_STRING] = _string_decoder(T.VISIBLE_STRING, _latin)
_DECODERS[T.UTF8_STRING] = _string_decoder(T.UTF8_STRING, _utf8)
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


# --- encoding -------------------------------------------------------------------------------------------------------

Encoder = Callable[[bytearray, Any], None]  # appends what stands behind the tag


def encode(data: Data) -> bytes:
    """The octets of a value; LocalProtocolError when it does not fit its type."""
    out = bytearray()
    try:
        _put(out, data)
    except (struct.error, TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise LocalProtocolError(f"a value does not fit its type {data[0]!r}: {error}") from None
    return bytes(out)


def _put(out: bytearray, data: Data) -> None:
    kind, value = data
    out.append(kind)
    _ENCODERS[kind](out, value)


def _put_nothing(out: bytearray, value: Any) -> None:
    pass


def _number_encoder(kind: DataType) -> Encoder:
    pack = struct.Struct(">" + NUMBERS[kind]).pack

    def put_number(out: bytearray, value: Any) -> None:
        out += pack(value)

    return put_number


def _put_octets(out: bytearray, value: bytes | bytearray) -> None:
    out += encode_length(len(value))
    out += value


def _put_bits(out: bytearray, value: str) -> None:
    size = (len(value) + 7) // 8
    out += encode_length(len(value))
    if value:
        out += int(value.ljust(size * 8, "0"), 2).to_bytes(size, "big")


def _put_bcd(out: bytearray, value: bytes) -> None:
    (octet,) = value
    out.append(octet)


def _put_container(out: bytearray, value: tuple[Data, ...]) -> None:
    out += encode_length(len(value))
    for item in value:
        _put(out, item)


def _put_compact_array(out: bytearray, value: tuple[Data, ...]) -> None:
    description = getattr(value, "description", b"") or bytes(_describe(value[0]) if value else b"\0")
    contents = bytearray()
    for item in value:
        if _put_bare(contents, item, description, 0) != len(description):
            raise ValueError("its contents-description has stray octets")
    out += description
    _put_octets(out, contents)


def _describe(data: Data) -> bytearray:
    """The contents-description of a compact-array whose elements look like this one."""
    kind, value = data
    out = bytearray((kind,))
    if kind == T.ARRAY:
        out += len(value).to_bytes(2, "big") + (_describe(value[0]) if value else b"\0")
    elif kind == T.STRUCTURE:
        out += encode_length(len(value))
        for item in value:
            out += _describe(item)
    return out


def _put_bare(out: bytearray, data: Data, description: bytes, at: int) -> int:
    """Append an element without tags and counts; the offset after its part of the description."""
    kind, value = data
    if description[at] != kind or kind == T.COMPACT_ARRAY:
        raise ValueError(f"a {kind.text} among the elements of a compact-array, described as {description[at]}")
    if kind == T.ARRAY:
        if len(value) != int.from_bytes(description[at + 1 : at + 3], "big"):
            raise ValueError("arrays of different lengths in a compact-array")
        if not value:
            return _description(description, at + 3, MAX_DEPTH)[1]
        return [_put_bare(out, item, description, at + 3) for item in value][-1]
    if kind == T.STRUCTURE:
        count, at = take_length(description, at + 1)
        for item in _exactly(count, value):
            at = _put_bare(out, item, description, at)
        return at
    _ENCODERS[kind](out, value)
    return at + 1


def _exactly(count: int, value: tuple[Data, ...]) -> tuple[Data, ...]:
    if count != len(value):
        raise ValueError("structures of different lengths in a compact-array")
    return value


def _put_time(size: int) -> Encoder:
    def put_raw(out: bytearray, value: Date | DateTime | Time) -> None:
        if len(value.raw) != size:
            raise ValueError(f"{len(value.raw)} octets instead of {size}")
        out += value.raw

    return put_raw


_ENCODERS: dict[int, Encoder] = {
    **{kind: _number_encoder(kind) for kind in NUMBERS},
    T.NULL_DATA: _put_nothing,
    T.DONT_CARE: _put_nothing,
    T.ARRAY: _put_container,
    T.STRUCTURE: _put_container,
    T.COMPACT_ARRAY: _put_compact_array,
    T.BOOLEAN: lambda out, value: out.append(1 if value else 0),
    T.BIT_STRING: _put_bits,
    T.OCTET_STRING: _put_octets,
    T.VISIBLE_STRING: lambda out, value: _put_octets(out, value.encode("latin-1")),
    T.UTF8_STRING: lambda out, value: _put_octets(out, value.encode()),
    T.BCD: _put_bcd,
    T.DATE_TIME: _put_time(12),
    T.DATE: _put_time(5),
    T.TIME: _put_time(4),
}
