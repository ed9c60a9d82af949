"""The services with logical names: GET, SET, ACTION and ACCESS, with blocks and lists.

Short names offer the same calls (short_names.py); the client above does not know which it talks through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from dlms_mqtt.client.line.exchange import Exchange
from dlms_mqtt.client.refusals import access_refused, action_refused
from dlms_mqtt.errors import AccessRefused, ActionRefused, LocalProtocolError, RemoteProtocolError
from dlms_mqtt.protocol.apdu.access import (
    AccessKind,
    AccessOutcome,
    AccessRequest,
    AccessResponse,
    AccessSpecification,
)
from dlms_mqtt.protocol.apdu.action import (
    ActionOutcome,
    ActionRequestFirstPblock,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestPblock,
    ActionRequestWithList,
    ActionRequestWithListFirstPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponsePblock,
    ActionResponseWithList,
    decode_outcomes,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeWithSelection, MethodDescriptor
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.results import decode_results_with_rest
from dlms_mqtt.protocol.apdu.set import (
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseNormal,
    SetResponseWithList,
    encode_values,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode, encode
from dlms_mqtt.protocol.layout import Apdu

Reply = TypeVar("Reply", bound=Apdu)
NULL = Data(DataType.NULL_DATA, None)
_CONFIRMED = 0x40  # service class, bit of invoke-id-and-priority
_CONFIRMED_HIGH = 0x80 | _CONFIRMED  # priority high
_BLOCK_OVERHEAD = 12  # octets around the raw data of one SET or ACTION block


# Attributes that are as long as the meter has objects or rows: the first octet may take as long as all of them.
LONG = frozenset({(7, 2), (15, 2), (12, 2)})


class OutOfTurn(RemoteProtocolError):
    """Another block came than the one that was due."""


class WrongList(RemoteProtocolError):
    """The answer to a list is not one result for each question: none of it is believed."""


class LogicalNames:
    """Attributes and methods by class, OBIS code and number. ``max_pdu``: octets the meter takes in one APDU, 0 any."""

    def __init__(self, exchange: Exchange, max_pdu: int) -> None:
        self._exchange = exchange
        self._ask = exchange.ask
        self._go_on = exchange.go_on
        self._max_pdu = max_pdu
        self._number = self._long = 0

    async def get(self, item: AttributeWithSelection) -> bytes:
        """One attribute, as encoded data (with whatever the meter put behind it). AccessRefused, ServiceRefused."""
        attribute, access = item
        request = GetRequestNormal(self._invoke(), attribute, access)
        long = access is not None or (attribute.class_id, attribute.attribute) in LONG
        answer = await self._ask(request, GetResponseNormal, GetResponseBlock, patient=long)
        if type(answer) is GetResponseBlock:
            return await self._join(answer, attribute, request.invoke)
        if answer.error is not None:
            raise access_refused(answer.error, attribute)
        octets: bytes = answer.data
        return octets

    async def get_list(self, items: Sequence[AttributeWithSelection]) -> list[Data | AccessRefused]:
        """Several attributes in one request: data or refusal for each, in order."""
        request = GetRequestWithList(self._invoke(), tuple(items))
        answer = await self._ask(request, GetResponseWithList, GetResponseBlock, GetResponseNormal)
        if type(answer) is GetResponseBlock:
            octets = await self._join(answer, "a list", request.invoke)
            results, left_over = decode_results_with_rest(octets)
        elif type(answer) is GetResponseNormal:  # some meters refuse a whole list with one result
            raise access_refused(250 if answer.error is None else answer.error, "a list")
        else:
            results, left_over = answer.results, self._exchange.connection.left_over
        if len(results) != len(items):
            raise WrongList(f"the meter answered {len(results)} of {len(items)} attributes of a list")
        if left_over:
            raise WrongList(f"{len(left_over)} octets are left over behind the answers to a list")
        return [
            result if isinstance(result, Data) else access_refused(result, item[0])
            for item, result in zip(items, results, strict=True)
        ]

    async def set(self, item: AttributeWithSelection, value: Data) -> None:
        """Write one attribute, in blocks where it is too long. AccessRefused, ServiceRefused."""
        attribute, access = item
        octets = encode(value)
        if not self._too_long(request := SetRequestNormal(self._invoke(), attribute, access, octets)):
            answer = await self._ask(request, SetResponseNormal)
            return _check(answer.result, attribute)

        def first(last: bool, block: bytes) -> Apdu:
            return SetRequestFirstBlock(request.invoke, attribute, access, last, 1, block)

        answer = await self._send_set_blocks(first, octets, request.invoke)
        return _check(answer.result, attribute)

    async def set_list(
        self, items: Sequence[AttributeWithSelection], values: Sequence[Data]
    ) -> list[AccessRefused | None]:
        """Write several attributes in one request: None or the refusal for each."""
        invoke, targets = self._invoke(), tuple(items)
        request = SetRequestWithList(invoke, targets, tuple(values))
        if not self._too_long(request):
            answer: Any = await self._ask(request, SetResponseWithList, SetResponseNormal)
        else:

            def first(last: bool, block: bytes) -> Apdu:
                return SetRequestWithListFirstBlock(invoke, targets, last, 1, block)

            answer = await self._send_set_blocks(first, encode_values(tuple(values)), invoke)
        results = getattr(answer, "results", None)
        if results is None:
            raise access_refused(answer.result, "a list", "write")
        return [access_refused(r, t[0], "write") if r else None for r, t in zip(results, targets, strict=True)]

    async def invoke(self, method: MethodDescriptor, argument: Data | None) -> Data | None:
        """Run a method; its return parameters where it has some. ActionRefused, ServiceRefused."""
        octets = None if argument is None else encode(argument)
        request = ActionRequestNormal(self._invoke(), method, octets)
        if octets is not None and self._too_long(request):

            def first(last: bool, block: bytes) -> Apdu:
                return ActionRequestFirstPblock(request.invoke, method, last, 1, block)

            answer = await self._send_action_blocks(first, octets, request.invoke)
        else:
            answer = await self._ask(request, ActionResponseNormal, ActionResponsePblock)
        if type(answer) is ActionResponsePblock:
            return decode(await self._join_action(answer, method, request.invoke))[0]
        if answer.result:
            raise action_refused(answer.result, method)
        return _returned(answer.error if answer.data is None else answer.value, method)

    async def invoke_list(
        self, methods: Sequence[MethodDescriptor], arguments: Sequence[Data | None]
    ) -> list[Data | ActionRefused | None]:
        """Run several methods in one request: return parameters or the refusal for each."""
        invoke, targets = self._invoke(), tuple(methods)
        values = tuple(NULL if argument is None else argument for argument in arguments)
        request = ActionRequestWithList(invoke, targets, values)
        if self._too_long(request):

            def first(last: bool, block: bytes) -> Apdu:
                return ActionRequestWithListFirstPblock(invoke, targets, last, 1, block)

            answer = await self._send_action_blocks(first, encode_values(values), invoke)
        else:
            answer = await self._ask(request, ActionResponseWithList, ActionResponsePblock, ActionResponseNormal)
        if type(answer) is ActionResponsePblock:
            results = decode_outcomes(await self._join_action(answer, "a list", invoke))
        elif type(answer) is ActionResponseNormal:
            raise action_refused(answer.result, "a list")
        else:
            results = answer.results
        return [_outcome(outcome, target) for outcome, target in zip(results, targets, strict=True)]

    async def tell(self, item: AttributeWithSelection, value: Data) -> None:
        """Write one attribute without an answer (service class unconfirmed): whether it worked, only reading shows."""
        invoke = self._invoke() & ~_CONFIRMED
        await self._exchange.tell(SetRequestNormal(invoke, *item, encode(value)))

    async def access(
        self, specifications: Sequence[AccessSpecification], values: Sequence[Data]
    ) -> list[Data | AccessRefused | None]:
        """Any mixture of GET, SET and ACTION in one request: a value, None or the refusal for each, in order."""
        request = AccessRequest(_CONFIRMED_HIGH << 24 | self._long_number(), None, tuple(specifications), tuple(values))
        if self._too_long(request):
            raise LocalProtocolError(
                f"an ACCESS request of {len(request.encode())} octets is too long for this meter ({self._max_pdu})",
                hint="Set gbt_window, or ask for less at a time.",
            )
        answer: AccessResponse = await self._ask(request, AccessResponse)
        if not len(answer.values) == len(answer.results) == len(specifications):
            raise RemoteProtocolError(f"the meter answered {len(answer.results)} of {len(specifications)} accesses")
        return [_accessed(*row) for row in zip(specifications, answer.values, answer.results, strict=True)]

    def _long_number(self) -> int:
        self._long = (self._long + 1) & 0xFFFFFF
        return self._long

    def _invoke(self) -> int:
        self._number = (self._number + 1) & 0x0F
        return _CONFIRMED_HIGH | self._number

    def _too_long(self, request: Apdu) -> bool:
        if not self._max_pdu or self._exchange.connection.blocks is not None:
            return False
        return len(request.encode()) + self._exchange.overhead > self._max_pdu

    async def _join(self, block: Any, target: object, invoke: int) -> bytes:
        """All blocks of a GET answer. ``invoke`` is the question's own: some meters answer with other bits."""
        joined, number = bytearray(), 1
        while True:
            if block.error is not None:
                raise access_refused(block.error, target)
            check_block(block, number, len(joined), self._exchange.most_octets)
            joined += block.data
            if block.last:
                return bytes(joined)
            block = await self._go_on(GetRequestNext(invoke, number), GetResponseBlock, GetResponseNormal)
            if type(block) is GetResponseNormal:  # refused on the way, or a meter that ends with a normal answer
                raise access_refused(250 if block.error is None else block.error, target)
            number += 1

    async def _join_action(self, block: Any, target: object, invoke: int) -> bytes:
        joined, number = bytearray(), 1
        while True:
            check_block(block, number, len(joined), self._exchange.most_octets)
            joined += block.data
            if block.last:
                return bytes(joined)
            request = ActionRequestNextPblock(invoke, number)
            block = await self._go_on(request, ActionResponsePblock, ActionResponseNormal)
            if type(block) is ActionResponseNormal:
                raise action_refused(block.result, target)
            number += 1

    async def _send_set_blocks(self, first: Callable[[bool, bytes], Apdu], octets: bytes, invoke: int) -> Any:
        final = (SetResponseLastBlock, SetResponseLastBlockWithList, SetResponseNormal)
        answer: Any = None
        for number, last, block in self._blocks(first, octets):
            request = first(last, block) if number == 1 else SetRequestBlock(invoke, last, number, block)
            answer = await (self._ask if number == 1 else self._go_on)(request, SetResponseBlock, *final)
            if type(answer) is not SetResponseBlock:  # after the last block it can be no other
                break
        return answer

    async def _send_action_blocks(self, first: Callable[[bool, bytes], Apdu], octets: bytes, invoke: int) -> Any:
        final = (ActionResponseNormal, ActionResponseWithList, ActionResponsePblock)
        answer: Any = None
        for number, last, block in self._blocks(first, octets):
            request = first(last, block) if number == 1 else ActionRequestPblock(invoke, last, number, block)
            answer = await (self._ask if number == 1 else self._go_on)(request, ActionResponseNextPblock, *final)
            if type(answer) is not ActionResponseNextPblock:  # after the last block it can be no other
                break
        return answer

    def _blocks(self, first: Callable[[bool, bytes], Apdu], octets: bytes) -> Iterator[tuple[int, bool, bytes]]:
        """Block number, is it the last, raw data: each request fits the meter's PDU."""
        room = self._max_pdu - self._exchange.overhead
        size = max(1, room - len(first(False, b"").encode()) - 4)
        at, number = 0, 1
        while True:
            block = octets[at : at + size]
            at += size
            yield number, at >= len(octets), block
            number, size = number + 1, max(1, room - _BLOCK_OVERHEAD)


def _check(code: int, target: object) -> None:
    if code:
        raise access_refused(code, target, "write")


def check_block(block: Any, expected: int, size: int, most: int) -> None:
    """The next block of an answer of which ``size`` octets are there, and ``most`` may be. RemoteProtocolError."""
    if block.block_number != expected:
        raise OutOfTurn(f"the meter sent block {block.block_number} where block {expected} was due")
    if not block.data and not block.last:
        raise RemoteProtocolError(
            f"the meter sent an empty block ({expected}) and says that more will come",
            hint="It may not be able to cut its answer so small: a larger --max-pdu may help.",
        )
    if size > most:
        raise RemoteProtocolError(
            f"the meter sends more than {most} octets in one answer", hint="Ask for less at once, such as fewer days."
        )


def _returned(value: Data | int | None, method: MethodDescriptor) -> Data | None:
    """The get-data-result of an action: data, nothing, or a refusal of the return parameters alone."""
    if value is None or isinstance(value, Data):
        return value
    if value == 0:  # some meters write "nothing is returned" as the access result success
        return None
    raise action_refused(int(value), method)


def _accessed(done: AccessSpecification, value: Data, outcome: AccessOutcome) -> Data | AccessRefused | None:
    if outcome.result:
        if done.kind is AccessKind.ACTION:
            return action_refused(outcome.result, done.target)
        return access_refused(outcome.result, done.target, "write" if done.kind is AccessKind.SET else "read")
    return None if value.type is DataType.NULL_DATA and done.kind is not AccessKind.GET else value


def _outcome(outcome: ActionOutcome, method: MethodDescriptor) -> Data | ActionRefused | None:
    if not outcome.ok:
        return action_refused(outcome.result, method)
    return outcome.returned if isinstance(outcome.returned, Data) else None
