"""The little of BER that ACSE needs: tag, length, contents, one after another.

Tags are given as the number that their octets make: ``0xA1``, or ``0x5F1F`` for a tag of two octets.

Source: ITU-T X.690, definite lengths only.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.buffer import Reader, encode_length

_LONG_FORM = 0x1F
_MORE = 0x80


def encode_tlv(tag: int, contents: bytes) -> bytes:
    """Tag, definite length, contents."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + encode_length(len(contents)) + contents


def read_tlv(reader: Reader) -> tuple[int, bytes]:
    """The next tag and its contents; DecodeError."""
    start = reader.offset
    tag = reader.u8("tag")
    more = tag & _LONG_FORM == _LONG_FORM
    while more:
        octet = reader.u8("tag")
        tag = tag << 8 | octet
        if tag > 0xFFFFFF:
            raise DecodeError("a tag has more than three octets", offset=start)
        more = bool(octet & _MORE)
    return tag, reader.octets(f"contents of tag {tag:02x}")


def iter_tlv(data: bytes) -> Iterator[tuple[int, bytes]]:
    """All tags and contents of these octets; DecodeError where they end too early."""
    reader = Reader(data)
    while reader.remaining:
        yield read_tlv(reader)


def encode_integer(value: int) -> bytes:
    """The contents of an INTEGER."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def decode_integer(contents: bytes) -> int:
    """The contents of an INTEGER; DecodeError when there are none or more than eight octets."""
    if not 1 <= len(contents) <= 8:
        raise DecodeError(f"an INTEGER of {len(contents)} octets")
    return int.from_bytes(contents, "big", signed=True)
