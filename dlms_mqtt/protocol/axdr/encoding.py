"""Values to A-XDR octets: one table of encoders; each appends what stands behind the tag.

Source: IEC 61334-6 (A-XDR) with the data types of the Blue Book ed. 12, clause 4.1.5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.axdr.decoding import read_description, take_length
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time
from dlms_mqtt.protocol.axdr.values import NUMBERS, Data, DataType
from dlms_mqtt.protocol.buffer import encode_length

T = DataType
Encoder = Callable[[bytearray, Any], None]


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
            return read_description(description, at + 3)[1]
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
