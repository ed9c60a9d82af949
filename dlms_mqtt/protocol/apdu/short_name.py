"""Short-name referencing: Read, Write, UnconfirmedWrite and InformationReport address a 16-bit variable name.

Long requests go in blocks: a Read with one ReadDataBlockAccess, a Write with one WriteDataBlockAccess and an
octet-string with the part; the parts joined are the body of the request (``encode_body``). Long answers come as
DataBlockResult.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.results import ACCESS_RESULT, DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, decode_whole
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import (
    DATA,
    FLAG,
    OCTETS,
    U8,
    U16,
    VALUES,
    Apdu,
    Codec,
    choice,
    optional,
    record,
    sequence,
)


class VariableName(NamedTuple):
    """variable-name: base name of the object + offset of the attribute, as an unsigned number."""

    name: int


class ParameterisedAccess(NamedTuple):
    """parameterised-access: a part of an attribute (selective access), or a method with its parameter."""

    name: int
    selector: int
    parameter: Data


class BlockNumberAccess(NamedTuple):
    """block-number-access: asks for the block after this one."""

    block_number: int


class ReadDataBlockAccess(NamedTuple):
    """read-data-block-access: a part of a long Read request."""

    last: bool
    block_number: int
    data: bytes


class WriteDataBlockAccess(NamedTuple):
    """write-data-block-access: announces a part of a long Write request."""

    last: bool
    block_number: int


class DataBlockResult(NamedTuple):
    """data-block-result: a part of a long answer."""

    last: bool
    block_number: int
    data: bytes


class BlockNumber(NamedTuple):
    """block-number: this block of a long request has arrived."""

    block_number: int


VariableAccess = VariableName | ParameterisedAccess | BlockNumberAccess | ReadDataBlockAccess | WriteDataBlockAccess
ReadResult = Data | DataAccessResult | int | DataBlockResult | BlockNumber
WriteResult = DataAccessResult | int | BlockNumber

_VARIABLES: dict[type, int] = {
    VariableName: 2,
    ParameterisedAccess: 4,
    BlockNumberAccess: 5,
    ReadDataBlockAccess: 6,
    WriteDataBlockAccess: 7,
}
_READ_RESULTS: dict[type, int] = {Data: 0, DataBlockResult: 2, BlockNumber: 3}
_SUCCESS = Codec(lambda reader: DataAccessResult.SUCCESS, lambda value: b"", 0)
_BLOCK_NUMBER = record(BlockNumber, U16)

VARIABLE = choice(
    {
        2: record(VariableName, U16),
        4: record(ParameterisedAccess, U16, U8, DATA),
        5: record(BlockNumberAccess, U16),
        6: record(ReadDataBlockAccess, FLAG, U16, OCTETS),
        7: record(WriteDataBlockAccess, FLAG, U16),
    },
    lambda value: _VARIABLES[type(value)],
    "variable-access-specification",
)
READ_RESULT = choice(
    {0: DATA, 1: ACCESS_RESULT, 2: record(DataBlockResult, FLAG, U16, OCTETS), 3: _BLOCK_NUMBER},
    lambda value: _READ_RESULTS.get(type(value), 1),
    "read-result",
)
WRITE_RESULT = choice(
    {0: _SUCCESS, 1: ACCESS_RESULT, 2: _BLOCK_NUMBER},
    lambda value: 2 if isinstance(value, BlockNumber) else int(value != DataAccessResult.SUCCESS),
    "write-result",
)
VARIABLES = sequence(VARIABLE)
READ_RESULTS = sequence(READ_RESULT)


@dataclass(frozen=True, slots=True)
class ReadRequest(Apdu, head=(0x05,), name="read-request", layout=(VARIABLES,)):
    """Reads variables."""

    variables: tuple[VariableAccess, ...]


@dataclass(frozen=True, slots=True)
class ReadResponse(Apdu, head=(0x0C,), name="read-response", layout=(READ_RESULTS,)):
    """A value, an error or a block for each variable."""

    results: tuple[ReadResult, ...]


@dataclass(frozen=True, slots=True)
class WriteRequest(Apdu, head=(0x06,), name="write-request", layout=(VARIABLES, VALUES)):
    """Writes variables, one value each."""

    variables: tuple[VariableAccess, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class WriteResponse(Apdu, head=(0x0D,), name="write-response", layout=(sequence(WRITE_RESULT),)):
    """How the writes went, one result each."""

    results: tuple[WriteResult, ...]


@dataclass(frozen=True, slots=True)
class UnconfirmedWriteRequest(Apdu, head=(0x16,), name="unconfirmed-write-request", layout=(VARIABLES, VALUES)):
    """Writes variables; nobody answers."""

    variables: tuple[VariableAccess, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class InformationReportRequest(
    Apdu, head=(0x18,), name="information-report-request", layout=(optional(OCTETS), VARIABLES, VALUES)
):
    """The meter reports variables by itself; ``current_time`` is GeneralizedTime text, None when left out."""

    current_time: bytes | None
    variables: tuple[VariableAccess, ...]
    values: tuple[Data, ...]


def decode_read_blocks(data: bytes) -> tuple[ReadResult, ...]:
    """The answer whose DataBlockResults were joined; DecodeError.

    Servers differ: some cut the bare value into blocks, others the body of the ReadResponse.
    """
    try:
        return (decode_whole(data),)
    except DecodeError:
        reader = Reader(data)
        results: tuple[ReadResult, ...] = READ_RESULTS.read(reader)
        reader.check_end("the results of a Read in blocks")
        return results


APDUS: tuple[type[Apdu], ...] = (
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
    UnconfirmedWriteRequest,
    InformationReportRequest,
)
