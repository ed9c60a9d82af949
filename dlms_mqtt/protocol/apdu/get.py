"""GET: read attributes by logical name. The normal request and answer have a fast path: a poll is made of them.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from struct import Struct
from typing import Self

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import (
    ACCESS,
    ATTRIBUTE,
    ATTRIBUTES,
    AccessSelector,
    AttributeDescriptor,
    AttributeWithSelection,
)
from dlms_mqtt.protocol.apdu.results import RESULTS, DataAccessResult, GetDataResult
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.layout import U8, U32, UNENCODABLE, Apdu, LazyValue
from dlms_mqtt.protocol.obis import Obis

_REQUEST = Struct(">BBBH6sbB")


@dataclass(frozen=True, slots=True)
class GetRequestNormal(Apdu, head=(0xC0, 1), name="get-request-normal", layout=(U8, ATTRIBUTE, ACCESS)):
    """Reads one attribute or, with ``access``, a part of it."""

    invoke: int
    attribute: AttributeDescriptor
    access: AccessSelector | None = None

    def encode(self) -> bytes:
        """The message as bytes."""
        class_id, obis, attribute = self.attribute
        selected = self.access is not None
        try:
            start = _REQUEST.pack(0xC0, 1, self.invoke, class_id, obis, attribute, selected)
            return start + ACCESS.encode(self.access)[1:] if selected else start
        except UNENCODABLE as error:
            raise LocalProtocolError(f"{self.NAME} cannot be encoded: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """``decode`` for a caller that has already looked at the head."""
        if len(data) < 13 or data[12]:
            return cls.read_body(Reader(data, 2))
        _, _, invoke, class_id, obis, attribute, _ = _REQUEST.unpack_from(data)
        return cls(invoke, AttributeDescriptor(class_id, Obis(obis), attribute), None)


@dataclass(frozen=True, slots=True)
class GetRequestNext(Apdu, head=(0xC0, 2), name="get-request-next", layout=(U8, U32)):
    """Acknowledges this block and asks for the one after it."""

    invoke: int
    block_number: int


@dataclass(frozen=True, slots=True)
class GetRequestWithList(Apdu, head=(0xC0, 3), name="get-request-with-list", layout=(U8, ATTRIBUTES)):
    """Reads several attributes."""

    invoke: int
    items: tuple[AttributeWithSelection, ...]


def _split_result(reader: Reader) -> int | None:
    """The error that stands in place of data, or None when data follow."""
    picked = reader.u8("get-data-result")
    if picked > 1:
        raise DecodeError(f"get-data-result {picked} is not known", offset=reader.offset - 1)
    return DataAccessResult.of(reader.u8("data-access-result")) if picked else None


@dataclass(frozen=True, slots=True)
class GetResponseNormal(LazyValue, Apdu, head=(0xC4, 1), name="get-response-normal"):
    """One value, raw in ``data`` with all that follows it, or the ``error`` that takes its place."""

    invoke: int
    error: int | None
    data: bytes

    def encode_body(self) -> bytes:
        """The octets after the head."""
        if self.error is not None:
            return bytes((self.invoke, 1, self.error))
        return bytes((self.invoke, 0)) + self.data

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        invoke, error = reader.u8("invoke-id"), _split_result(reader)
        if error is None and not reader.remaining:
            raise DecodeError("the value is missing", offset=reader.offset)
        return cls(invoke, error, b"" if error is not None else reader.rest())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """``decode`` for a caller that has already looked at the head."""
        if len(data) > 4 and not data[3]:
            return cls(data[2], None, data[4:])
        return cls.read_body(Reader(data, 2))


@dataclass(frozen=True, slots=True)
class GetResponseBlock(Apdu, head=(0xC4, 2), name="get-response-with-datablock"):
    """One block of a long answer (DataBlock-G), or the error that ends it."""

    invoke: int
    last: bool
    block_number: int
    error: int | None
    data: bytes

    def encode_body(self) -> bytes:
        """The octets after the head."""
        start = bytes((self.invoke, self.last)) + U32.encode(self.block_number)
        if self.error is not None:
            return start + bytes((1, self.error))
        return start + b"\x00" + encode_length(len(self.data)) + self.data

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        invoke, last, number = reader.u8("invoke-id"), reader.u8("last-block") != 0, reader.u32("block-number")
        error = _split_result(reader)
        return cls(invoke, last, number, error, b"" if error is not None else reader.octets("raw-data"))


@dataclass(frozen=True, slots=True)
class GetResponseWithList(Apdu, head=(0xC4, 3), name="get-response-with-list", layout=(U8, RESULTS)):
    """A value or an error for each attribute asked for, in that order."""

    invoke: int
    results: tuple[GetDataResult, ...]


APDUS: tuple[type[Apdu], ...] = (
    GetRequestNormal,
    GetRequestNext,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseBlock,
    GetResponseWithList,
)
