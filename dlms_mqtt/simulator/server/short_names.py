"""Read, Write and UnconfirmedWrite in the meter's role: variable names instead of descriptors, blocks both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dlms_mqtt.errors import DecodeError, SecurityError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    VARIABLES,
    BlockNumber,
    BlockNumberAccess,
    DataBlockResult,
    ParameterisedAccess,
    ReadDataBlockAccess,
    ReadRequest,
    ReadResponse,
    UnconfirmedWriteRequest,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import VALUES, Apdu
from dlms_mqtt.simulator.server import services
from dlms_mqtt.simulator.server.associations import CURRENT_SN, SN_ASSOCIATION_NAME
from dlms_mqtt.simulator.server.objects import Context

R = DataAccessResult
REPLY_TO_HLS = SN_ASSOCIATION_NAME + 0x58
_HEAD = 12  # octets of a response with a block, around the block
NULL = Data(DataType.NULL_DATA, None)


class ShortNames:
    """One association's services. ``room``: octets of an answer in one APDU (0: any); ``prove``: passes 3 and 4."""

    def __init__(self, context: Context, room: int, agreed: Conformance, prove: Callable[[Data], bytes]) -> None:
        self.context = context
        self.room = room
        self.agreed = agreed
        self.prove = prove
        self._rest = b""
        self._number = 0
        self._joined = bytearray()
        self._expected = 0

    def answer(self, request: Any) -> Apdu | None:
        """The response to a request; None where there is none to give. DecodeError for unreadable content."""
        if isinstance(request, UnconfirmedWriteRequest):
            self._write_all(request.variables, request.values)
            return None
        first = request.variables[0] if len(request.variables) == 1 else None
        handler = _HANDLERS.get((type(request), type(first)))
        if handler is not None:
            return handler(self, request, first)
        if isinstance(request, ReadRequest):
            return self._results([self._read(variable) for variable in request.variables])
        return WriteResponse(self._write_all(request.variables, request.values))

    # -- Read ---------------------------------------------------------------------------------------------------------

    def _read(self, variable: Any) -> bytes | int:
        if not isinstance(variable, VariableName | ParameterisedAccess):
            raise DecodeError("a block among other variables")
        if variable.name == REPLY_TO_HLS:
            return self._proof(variable)
        found = self.context.meter.named(variable.name)
        if found is None:
            return R.OBJECT_UNDEFINED
        item, kind, number = found
        parameter = variable if isinstance(variable, ParameterisedAccess) else None
        if kind == "method":
            argument = parameter.parameter if parameter else None
            outcome = services.invoke(self.context, MethodDescriptor(item.class_id, item.obis, number), argument)
            return outcome.result or services.encoded(outcome) or b"\x00"
        access = (parameter.selector, parameter.parameter) if parameter else None
        return services.read(self.context, AttributeDescriptor(item.class_id, item.obis, number), access)

    def _proof(self, variable: Any) -> bytes | int:
        try:
            answer = self.prove(getattr(variable, "parameter", NULL))
        except SecurityError:
            return R.READ_WRITE_DENIED
        return b"\x09" + bytes((len(answer),)) + answer

    def _results(self, results: Sequence[bytes | int]) -> Apdu:
        parts = [bytes((1, part)) if isinstance(part, int) else b"\x00" + part for part in results]
        octets = encode_length(len(parts)) + b"".join(parts)
        if self.room and len(octets) + 1 > self.room:
            if len(results) == 1 and self.context.meter.oddities.get("sn_blocks") == "value":
                octets = octets[2:]
            self._rest, self._number = octets, 0
            return self._next_block()
        return ReadResponse(tuple(part if isinstance(part, int) else decode(part)[0] for part in results))

    def _next_block(self) -> Apdu:
        size = max(1, self.room - _HEAD)
        block, self._rest = self._rest[:size], self._rest[size:]
        self._number += 1
        return ReadResponse((DataBlockResult(not self._rest, self._number, block),))

    def _read_next(self, _request: Any, variable: BlockNumberAccess) -> Apdu:
        if not self._rest or variable.block_number != self._number:
            return ReadResponse((R.DATA_BLOCK_NUMBER_INVALID if self._rest else R.NO_LONG_GET_IN_PROGRESS,))
        return self._next_block()

    def _read_block(self, _request: Any, variable: ReadDataBlockAccess) -> Apdu:
        if not self._collect(variable.block_number, variable.data):
            return ReadResponse((R.DATA_BLOCK_NUMBER_INVALID,))
        if not variable.last:
            return ReadResponse((BlockNumber(variable.block_number),))
        return self._results([self._read(item) for item in VARIABLES.read(Reader(bytes(self._joined)))])

    # -- Write --------------------------------------------------------------------------------------------------------

    def _write_all(self, variables: Sequence[Any], values: Sequence[Data]) -> tuple[DataAccessResult | int, ...]:
        if len(variables) != len(values):
            raise DecodeError(f"{len(values)} values for {len(variables)} variables")
        return tuple(self._write(*pair) for pair in zip(variables, values, strict=True))

    def _write(self, variable: Any, value: Data) -> int:
        if not isinstance(variable, VariableName | ParameterisedAccess):
            raise DecodeError("a block among other variables")
        if variable.name == REPLY_TO_HLS:  # some clients write their proof, and do without ours
            proved = self._proof(ParameterisedAccess(variable.name, 0, value))
            return proved if isinstance(proved, int) else R.SUCCESS
        found = self.context.meter.named(variable.name)
        if found is None:
            return R.OBJECT_UNDEFINED
        item, kind, number = found
        if kind == "method":
            return services.invoke(self.context, MethodDescriptor(item.class_id, item.obis, number), value).result
        access = (variable.selector, variable.parameter) if isinstance(variable, ParameterisedAccess) else None
        return services.write(self.context, AttributeDescriptor(item.class_id, item.obis, number), value, access)

    def _write_block(self, request: WriteRequest, variable: WriteDataBlockAccess) -> Apdu:
        part = request.values[0].value if len(request.values) == 1 else None
        if not isinstance(part, bytes) or not self._collect(variable.block_number, part):
            return WriteResponse((R.DATA_BLOCK_NUMBER_INVALID,))
        if not variable.last:
            return WriteResponse((BlockNumber(variable.block_number),))
        reader = Reader(bytes(self._joined))
        return WriteResponse(self._write_all(VARIABLES.read(reader), VALUES.read(reader)))

    def _collect(self, number: int, data: bytes) -> bool:
        if number == 1:
            self._joined.clear()
            self._expected = 0
        if number != self._expected + 1:
            return False
        self._expected = number
        self._joined += data
        return True


def is_proof(request: Any) -> bool:
    """Is this the client's answer to our challenge?"""
    variables: tuple[Any, ...] = getattr(request, "variables", ())
    return len(variables) == 1 and getattr(variables[0], "name", 0) == REPLY_TO_HLS


_HANDLERS: dict[tuple[type, type], Callable[[ShortNames, Any, Any], Apdu]] = {
    (ReadRequest, BlockNumberAccess): ShortNames._read_next,
    (ReadRequest, ReadDataBlockAccess): ShortNames._read_block,
    (WriteRequest, WriteDataBlockAccess): ShortNames._write_block,
}

__all__ = ["CURRENT_SN", "ShortNames", "is_proof"]
