"""GET, SET and ACTION in the meter's role, with everything that makes them long: lists and blocks both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import action, get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessOutcome, AccessRequest, AccessResponse
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult, GetDataResult, encode_results
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode, decode_whole
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.simulator.server import services
from dlms_mqtt.simulator.server.objects import Context, Outcome

R = DataAccessResult
_HEAD = 14  # octets of a response with a block, around the block
NULL = Data(DataType.NULL_DATA, None)


class LogicalNames:
    """One association's services. ``room``: octets of an answer in one APDU (0: any)."""

    def __init__(self, context: Context, room: int, agreed: Conformance) -> None:
        self.context = context
        self.room = room
        self.agreed = agreed
        self._rest = b""  # of an answer that goes in blocks
        self._number = 0  # of the block sent last
        self._target: Any = None  # what a request in blocks is about
        self._joined = bytearray()
        self._expected = 0

    def answer(self, request: Any) -> Apdu | None:
        """The response to a request; None where there is none to give. DecodeError for unreadable content."""
        handler = _HANDLERS.get(type(request))
        return None if handler is None else handler(self, request)

    def _fits(self, octets: bytes) -> bool:
        return not self.room or len(octets) + 4 <= self.room

    # -- GET ----------------------------------------------------------------------------------------------------------

    def _get(self, request: get.GetRequestNormal) -> Apdu:
        found = services.read(self.context, request.attribute, request.access)
        if isinstance(found, int):
            return get.GetResponseNormal(request.invoke, found, b"")
        if self._fits(found):
            return get.GetResponseNormal(request.invoke, None, found)
        return self._begin_blocks(request.invoke, found)

    def _begin_blocks(self, invoke: int, octets: bytes) -> Apdu:
        if not self.agreed & Conformance.BLOCK_TRANSFER_WITH_GET_OR_READ:
            return get.GetResponseNormal(invoke, R.DATA_BLOCK_UNAVAILABLE, b"")
        self._rest, self._number = octets, 0
        return self._next_get(invoke)

    def _take_block(self) -> tuple[bool, bytes]:
        size = max(1, self.room - _HEAD)
        block, self._rest = self._rest[:size], self._rest[size:]
        self._number += 1
        return not self._rest, block

    def _next_get(self, invoke: int) -> Apdu:
        last, block = self._take_block()
        return get.GetResponseBlock(invoke, last, self._number, None, block)

    def _get_next(self, request: get.GetRequestNext) -> Apdu:
        if request.block_number != self._number or not self._rest:
            reason = R.DATA_BLOCK_NUMBER_INVALID if self._rest else R.NO_LONG_GET_IN_PROGRESS
            return get.GetResponseBlock(request.invoke, True, request.block_number, reason, b"")
        return self._next_get(request.invoke)

    def _get_list(self, request: get.GetRequestWithList) -> Apdu:
        results = tuple([_result(services.read(self.context, *item)) for item in request.items])
        octets = encode_results(results)
        if self._fits(octets):
            return get.GetResponseWithList(request.invoke, results)
        return self._begin_blocks(request.invoke, octets)

    # -- SET ----------------------------------------------------------------------------------------------------------

    def _set(self, request: set_.SetRequestNormal) -> Apdu:
        value = decode_whole(request.data)
        return set_.SetResponseNormal(
            request.invoke, services.write(self.context, request.attribute, value, request.access)
        )

    def _set_list(self, request: set_.SetRequestWithList) -> Apdu:
        return set_.SetResponseWithList(request.invoke, self._write_all(request.items, request.values))

    def _write_all(self, items: tuple[Any, ...], values: tuple[Data, ...]) -> tuple[int, ...]:
        if len(items) != len(values):
            raise DecodeError(f"{len(values)} values for {len(items)} attributes")
        return tuple(
            services.write(self.context, attribute, value, access)
            for (attribute, access), value in zip(items, values, strict=True)
        )

    def _set_first(self, request: set_.SetRequestFirstBlock) -> Apdu:
        self._begin((request.attribute, request.access))
        return self._set_block(request)

    def _set_list_first(self, request: set_.SetRequestWithListFirstBlock) -> Apdu:
        self._begin(request.items)
        return self._set_block(request)

    def _begin(self, target: Any) -> None:
        self._target, self._expected = target, 0
        self._joined.clear()

    def _collect(self, request: Any) -> int:
        """Take a block of a long request; the reason where it cannot be taken."""
        if self._target is None:
            return R.NO_LONG_SET_IN_PROGRESS
        if request.block_number != self._expected + 1:
            self._target = None
            return R.DATA_BLOCK_NUMBER_INVALID
        self._expected += 1
        self._joined += request.data
        return R.SUCCESS

    def _set_block(self, request: Any) -> Apdu:
        invoke, number = request.invoke, request.block_number
        if failure := self._collect(request):
            return set_.SetResponseLastBlock(invoke, failure, number)
        if not request.last:
            return set_.SetResponseBlock(invoke, number)
        target, self._target = self._target, None
        octets = bytes(self._joined)
        if isinstance(target[0], tuple) and isinstance(target[0][0], tuple):
            results = self._write_all(target, set_.decode_values(octets))
            return set_.SetResponseLastBlockWithList(invoke, results, number)
        attribute, access = target
        result = services.write(self.context, attribute, decode_whole(octets), access)
        return set_.SetResponseLastBlock(invoke, result, number)

    # -- ACTION -------------------------------------------------------------------------------------------------------

    def _action(self, request: action.ActionRequestNormal) -> Apdu:
        argument = None if request.data is None else decode_whole(request.data)
        return self._outcome(request.invoke, services.invoke(self.context, request.method, argument))

    def _outcome(self, invoke: int, outcome: Outcome) -> Apdu:
        octets = services.encoded(outcome)
        if octets is None or outcome.result:
            return action.ActionResponseNormal(invoke, outcome.result)
        if self._fits(octets):
            return action.ActionResponseNormal(invoke, outcome.result, None, octets)
        self._rest, self._number = octets, 0
        return self._next_action(invoke)

    def _next_action(self, invoke: int) -> Apdu:
        last, block = self._take_block()
        return action.ActionResponsePblock(invoke, last, self._number, block)

    def _action_next(self, request: action.ActionRequestNextPblock) -> Apdu:
        if request.block_number != self._number or not self._rest:
            return action.ActionResponseNormal(request.invoke, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
        return self._next_action(request.invoke)

    def _action_list(self, request: action.ActionRequestWithList) -> Apdu:
        return self._outcomes(request.invoke, request.methods, request.values)

    def _outcomes(self, invoke: int, methods: tuple[Any, ...], values: tuple[Data, ...]) -> Apdu:
        if len(methods) != len(values):
            raise DecodeError(f"{len(values)} parameters for {len(methods)} methods")
        outcomes = tuple(
            action.ActionOutcome(*services.invoke(self.context, method, None if value == NULL else value))
            for method, value in zip(methods, values, strict=True)
        )
        octets = action.encode_outcomes(outcomes)
        if self._fits(octets):
            return action.ActionResponseWithList(invoke, outcomes)
        self._rest, self._number = octets, 0
        return self._next_action(invoke)

    def _action_first(self, request: action.ActionRequestFirstPblock) -> Apdu:
        self._begin(request.method)
        return self._action_block(request)

    def _action_list_first(self, request: action.ActionRequestWithListFirstPblock) -> Apdu:
        self._begin(request.methods)
        return self._action_block(request)

    def _action_block(self, request: Any) -> Apdu:
        if self._collect(request):
            return action.ActionResponseNormal(request.invoke, ActionResult.LONG_ACTION_ABORTED)
        if not request.last:
            return action.ActionResponseNextPblock(request.invoke, request.block_number)
        target, self._target = self._target, None
        octets = bytes(self._joined)
        if isinstance(target[0], tuple):
            return self._outcomes(request.invoke, target, set_.decode_values(octets))
        return self._outcome(request.invoke, services.invoke(self.context, target, decode_whole(octets)))

    # -- ACCESS -------------------------------------------------------------------------------------------------------

    def _access(self, request: AccessRequest) -> Apdu:
        """Everything in order; a GET's value, an ACTION's answer, null-data where there is none."""
        if len(request.specifications) != len(request.values):
            raise DecodeError(f"{len(request.values)} values for {len(request.specifications)} specifications")
        steps = [_STEPS[item.kind](self.context, item, value) for item, value in _pairs(request)]
        outcomes = tuple(
            AccessOutcome(item.kind, result) for item, (result, _) in zip(request.specifications, steps, strict=True)
        )
        return AccessResponse(request.long_invoke, None, None, tuple(value for _, value in steps), outcomes)


def _pairs(request: AccessRequest) -> Any:
    return zip(request.specifications, request.values, strict=True)


def _access_get(context: Context, item: Any, _value: Data) -> tuple[int, Data]:
    found = services.read(context, item.target, item.access)
    return (found, NULL) if isinstance(found, int) else (R.SUCCESS, decode(found)[0])


def _access_set(context: Context, item: Any, value: Data) -> tuple[int, Data]:
    return services.write(context, item.target, value, item.access), NULL


def _access_action(context: Context, item: Any, value: Data) -> tuple[int, Data]:
    outcome = services.invoke(context, item.target, None if value == NULL else value)
    return outcome.result, outcome.returned or NULL


_STEPS: dict[AccessKind, Callable[[Context, Any, Data], tuple[int, Data]]] = {
    AccessKind.GET: _access_get,
    AccessKind.SET: _access_set,
    AccessKind.ACTION: _access_action,
}


def _result(found: bytes | int) -> GetDataResult:
    return found if isinstance(found, int) else decode(found)[0]


_HANDLERS: dict[type, Callable[[LogicalNames, Any], Apdu]] = {
    get.GetRequestNormal: LogicalNames._get,
    get.GetRequestNext: LogicalNames._get_next,
    get.GetRequestWithList: LogicalNames._get_list,
    set_.SetRequestNormal: LogicalNames._set,
    set_.SetRequestWithList: LogicalNames._set_list,
    set_.SetRequestFirstBlock: LogicalNames._set_first,
    set_.SetRequestWithListFirstBlock: LogicalNames._set_list_first,
    set_.SetRequestBlock: LogicalNames._set_block,
    action.ActionRequestNormal: LogicalNames._action,
    action.ActionRequestNextPblock: LogicalNames._action_next,
    action.ActionRequestWithList: LogicalNames._action_list,
    action.ActionRequestFirstPblock: LogicalNames._action_first,
    action.ActionRequestWithListFirstPblock: LogicalNames._action_list_first,
    action.ActionRequestPblock: LogicalNames._action_block,
    AccessRequest: LogicalNames._access,
}
