"""SET: write attributes by logical name, in one message or in blocks, one attribute or a list.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import (
    ACCESS,
    ATTRIBUTE,
    ATTRIBUTES,
    AccessSelector,
    AttributeDescriptor,
    AttributeWithSelection,
)
from dlms_mqtt.protocol.apdu.results import ACCESS_RESULT, ACCESS_RESULTS
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import FLAG, OCTETS, REST, U8, U32, VALUES, Apdu, LazyValue

BLOCK = (FLAG, U32, OCTETS)  # DataBlock-SA: last-block, block-number, raw-data


@dataclass(frozen=True, slots=True)
class SetRequestNormal(
    LazyValue, Apdu, head=(0xC1, 1), name="set-request-normal", layout=(U8, ATTRIBUTE, ACCESS, REST)
):
    """Writes one value; ``data`` is its encoding."""

    invoke: int
    attribute: AttributeDescriptor
    access: AccessSelector | None
    data: bytes


@dataclass(frozen=True, slots=True)
class SetRequestFirstBlock(
    Apdu, head=(0xC1, 2), name="set-request-with-first-datablock", layout=(U8, ATTRIBUTE, ACCESS, *BLOCK)
):
    """Begins a long write; the joined blocks are the encoding of one value."""

    invoke: int
    attribute: AttributeDescriptor
    access: AccessSelector | None
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SetRequestBlock(Apdu, head=(0xC1, 3), name="set-request-with-datablock", layout=(U8, *BLOCK)):
    """Goes on with a long write."""

    invoke: int
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SetRequestWithList(Apdu, head=(0xC1, 4), name="set-request-with-list", layout=(U8, ATTRIBUTES, VALUES)):
    """Writes several values, one for each attribute."""

    invoke: int
    items: tuple[AttributeWithSelection, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class SetRequestWithListFirstBlock(
    Apdu, head=(0xC1, 5), name="set-request-with-list-and-first-datablock", layout=(U8, ATTRIBUTES, *BLOCK)
):
    """Begins a long write of several values; the joined blocks are ``encode_values`` of them."""

    invoke: int
    items: tuple[AttributeWithSelection, ...]
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SetResponseNormal(Apdu, head=(0xC5, 1), name="set-response-normal", layout=(U8, ACCESS_RESULT)):
    """How the write went."""

    invoke: int
    result: int


@dataclass(frozen=True, slots=True)
class SetResponseBlock(Apdu, head=(0xC5, 2), name="set-response-datablock", layout=(U8, U32)):
    """This block has arrived; the next one, please."""

    invoke: int
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseLastBlock(Apdu, head=(0xC5, 3), name="set-response-last-datablock", layout=(U8, ACCESS_RESULT, U32)):
    """How the long write went."""

    invoke: int
    result: int
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseLastBlockWithList(
    Apdu, head=(0xC5, 4), name="set-response-last-datablock-with-list", layout=(U8, ACCESS_RESULTS, U32)
):
    """How the long write of several values went, one result each."""

    invoke: int
    results: tuple[int, ...]
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseWithList(Apdu, head=(0xC5, 5), name="set-response-with-list", layout=(U8, ACCESS_RESULTS)):
    """How the writes went, one result each."""

    invoke: int
    results: tuple[int, ...]


def encode_values(values: tuple[Data, ...]) -> bytes:
    """The values of a list, ready to be cut into blocks: SEQUENCE OF Data."""
    return VALUES.encode(values)


def decode_values(data: bytes) -> tuple[Data, ...]:
    """The values of a list whose blocks were joined; DecodeError."""
    values: tuple[Data, ...] = VALUES.read(Reader(data))
    return values


APDUS: tuple[type[Apdu], ...] = (
    SetRequestNormal,
    SetRequestFirstBlock,
    SetRequestBlock,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseNormal,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseWithList,
)
