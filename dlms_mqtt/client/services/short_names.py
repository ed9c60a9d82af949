"""The services with short names: Read, Write and UnconfirmedWrite address a 16-bit variable name.

The same calls as logical_names.py. A name is the base name of the object, which the meter's object list states, plus
the offset of the attribute or method, which its class states. The list is read when the first name is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dlms_mqtt.client.line.exchange import Exchange
from dlms_mqtt.client.refusals import access_refused, action_refused
from dlms_mqtt.client.services.logical_names import LONG, NULL, WrongList, check_block
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.cosem.classes import RESERVED_BASE_NAMES, find
from dlms_mqtt.cosem.object_list import ObjectInfo, decode_object_list_sn
from dlms_mqtt.errors import (
    AccessRefused,
    ActionRefused,
    ConfigError,
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
)
from dlms_mqtt.protocol.apdu.access import AccessSpecification
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeWithSelection, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumber,
    BlockNumberAccess,
    DataBlockResult,
    ParameterisedAccess,
    ReadDataBlockAccess,
    ReadRequest,
    ReadResponse,
    ReadResult,
    UnconfirmedWriteRequest,
    VariableAccess,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
    WriteResult,
    decode_read_blocks,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole, encode
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis

ASSOCIATION_SN = 12
REPLY_TO_HLS = 8
_CURRENT_ASSOCIATION = next(name for name, (number, _) in RESERVED_BASE_NAMES.items() if number == ASSOCIATION_SN)
_RESERVED = {(number, Obis.parse(obis)): name for name, (number, obis) in RESERVED_BASE_NAMES.items()}
_STEP = 8  # between the names of two attributes
_BLOCK_OVERHEAD = 10  # octets around the raw data of one block of a long request

# Methods that return something are read, the others written (IEC 62056-6-2: services for short names).
RETURNING: dict[int, frozenset[int]] = {
    7: frozenset({3, 4}),
    ASSOCIATION_SN: frozenset({1, 2, 3, 4, REPLY_TO_HLS}),
    30: frozenset({1, 3}),
    64: frozenset({3, 5, 7}),
    123: frozenset({1, 2}),
}


class ShortNames:
    """Attributes and methods by class, OBIS code and number, found through the object list, which ``memory`` keeps.

    ``association``: the OBIS code of the current association, whose base name is reserved.
    """

    def __init__(self, exchange: Exchange, max_pdu: int, memory: Memory, association: Obis) -> None:
        self._exchange = exchange
        self._max_pdu = max_pdu
        self._memory = memory
        self._reserved = _RESERVED | {(ASSOCIATION_SN, association): _CURRENT_ASSOCIATION}

    # -- attributes ---------------------------------------------------------------------------------------------------

    async def get(self, item: AttributeWithSelection) -> bytes:
        """One attribute, as encoded data. AccessRefused, ServiceRefused."""
        (class_id, _, number), access = item
        long = access is not None or (class_id, number) in LONG
        return _octets(await self._read([await self._variable(item)], patient=long), item[0])

    async def get_list(self, items: Sequence[AttributeWithSelection]) -> list[Data | AccessRefused]:
        """Several attributes in one request: data or refusal for each, in order."""
        found = [await self._known(item) for item in items]
        wanted = [variable for variable in found if not isinstance(variable, AccessRefused)]
        answer = await self._read(wanted) if wanted else ()
        came = decode_read_blocks(answer) if isinstance(answer, bytes) else answer
        if len(came) != len(wanted):
            raise WrongList(f"the meter answered {len(came)} of {len(wanted)} variables of a list")
        if self._exchange.connection.left_over:
            raise WrongList(f"{len(self._exchange.connection.left_over)} octets are left over behind a list")
        results = iter(came)
        return [
            variable if isinstance(variable, AccessRefused) else _settled(next(results, None), item[0])
            for variable, item in zip(found, items, strict=True)
        ]

    async def set(self, item: AttributeWithSelection, value: Data) -> None:
        """Write one attribute, in blocks where it is too long. AccessRefused, ServiceRefused."""
        (code,) = await self._write([await self._variable(item)], [value])
        if code:
            raise access_refused(code, item[0], "write")

    async def set_list(
        self, items: Sequence[AttributeWithSelection], values: Sequence[Data]
    ) -> list[AccessRefused | None]:
        """Write several attributes in one request: None or the refusal for each."""
        codes = await self._write([await self._variable(item) for item in items], values)
        return [
            access_refused(code, item[0], "write") if code else None for code, item in zip(codes, items, strict=True)
        ]

    async def tell(self, item: AttributeWithSelection, value: Data) -> None:
        """Write one attribute without an answer (UnconfirmedWrite): whether it worked, only reading shows."""
        await self._exchange.tell(UnconfirmedWriteRequest((await self._variable(item),), (value,)))

    # -- methods ------------------------------------------------------------------------------------------------------

    async def invoke(self, method: MethodDescriptor, argument: Data | None) -> Data | None:
        """Run a method; its return parameters where it has some. ActionRefused, ServiceRefused."""
        name, value = await self._method(method), NULL if argument is None else argument
        if method.method not in RETURNING.get(method.class_id, ()):
            (code,) = await self._write([VariableName(name)], [value])
            if code:
                raise action_refused(code, method)
            return None
        try:
            returned = decode_whole(_octets(await self._read([ParameterisedAccess(name, 0, value)]), method))
        except AccessRefused as error:
            raise action_refused(error.code or DataAccessResult.OTHER_REASON, method) from error
        return None if returned.type is DataType.NULL_DATA else returned

    async def invoke_list(
        self, methods: Sequence[MethodDescriptor], arguments: Sequence[Data | None]
    ) -> list[Data | ActionRefused | None]:
        """Run several methods, one request each: short names have no list of methods."""
        results: list[Data | ActionRefused | None] = []
        for method, argument in zip(methods, arguments, strict=True):
            try:
                results.append(await self.invoke(method, argument))
            except ActionRefused as error:
                results.append(error)
        return results

    async def access(
        self, specifications: Sequence[AccessSpecification], values: Sequence[Data]
    ) -> list[Data | AccessRefused | None]:
        """ACCESS is a service of logical names only."""
        raise LocalProtocolError("there is no ACCESS service with short names", hint="Use referencing ln, or lists.")

    # -- names --------------------------------------------------------------------------------------------------------

    async def _variable(self, item: AttributeWithSelection) -> VariableAccess:
        (class_id, obis, number), access = item
        base, version = await self._base(class_id, obis, item[0])
        row = find(class_id, version)
        attribute = row.attribute(number) if row else None
        if number < 1:
            raise access_refused(DataAccessResult.OBJECT_UNDEFINED, item[0])
        offset = attribute.short_name_offset if attribute else _STEP * (number - 1)
        return _variable(base + offset, access)

    async def _known(self, item: AttributeWithSelection) -> VariableAccess | AccessRefused:
        try:
            return await self._variable(item)
        except AccessRefused as error:
            return error

    async def _method(self, method: MethodDescriptor) -> int:
        base, version = await self._base(method.class_id, method.obis, method)
        row = find(method.class_id, version)
        known = row.method(method.method) if row else None
        if known is None or known.short_name_offset is None:
            raise ConfigError(f"the short name of method {method} is not known", hint="Only logical names reach it.")
        return base + known.short_name_offset

    async def _base(self, class_id: int, obis: Obis, target: object) -> tuple[int, int | None]:
        """Base name and class version. AccessRefused where the object list has no such object."""
        reserved = self._reserved.get((class_id, obis))
        if reserved == _CURRENT_ASSOCIATION:
            return reserved, None
        found = (await self._objects()).get((class_id, obis))
        if found is not None and found.short_name is not None:
            return found.short_name, found.version
        if reserved is not None:
            return reserved, None
        known = any(other == obis for _, other in self._memory.short_names)
        code = DataAccessResult.OBJECT_CLASS_INCONSISTENT if known else DataAccessResult.OBJECT_UNDEFINED
        raise access_refused(code, target)

    async def _objects(self) -> dict[tuple[int, Obis], ObjectInfo]:
        if not self._memory.short_names:
            answer = await self._read([VariableName(_CURRENT_ASSOCIATION + _STEP)], patient=True)
            self._memory.learn_short_names(decode_object_list_sn(_octets(answer, "the object list")))
        return self._memory.short_names

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _read(
        self, variables: Sequence[VariableAccess], *, patient: bool = False
    ) -> tuple[ReadResult, ...] | bytes:
        """The results of a Read; where they came in blocks, the joined octets."""
        request = ReadRequest(tuple(variables))
        answer = await (
            self._send_read_blocks(request) if self._too_long(request) else self._ask(request, patient=patient)
        )
        results: tuple[ReadResult, ...] = answer.results
        if len(results) == 1 and isinstance(results[0], DataBlockResult):
            return await self._join(results[0])
        if len(results) != len(variables):
            raise WrongList(f"the meter answered {len(results)} of {len(variables)} variables")
        return results

    async def _join(self, block: DataBlockResult) -> bytes:
        joined, number = bytearray(), 1
        while True:
            check_block(block, number, len(joined), self._exchange.most_octets)
            joined += block.data
            if block.last:
                return bytes(joined)
            (result,) = (await self._ask(ReadRequest((BlockNumberAccess(number),)), first=False)).results or (None,)
            if not isinstance(result, DataBlockResult):
                raise access_refused(_code(result), "the next block")
            block, number = result, number + 1

    async def _send_read_blocks(self, whole: ReadRequest) -> Any:
        answer: Any = None
        for last, number, part in self._parts(whole.encode_body()):
            request = ReadRequest((ReadDataBlockAccess(last, number, part),))
            answer = await self._ask(request, first=number == 1)
            if last or not _wants_more(answer.results, number):
                break
        return answer

    async def _write(self, variables: Sequence[VariableAccess], values: Sequence[Data]) -> tuple[int, ...]:
        """The data-access-result of each write (0: success)."""
        request = WriteRequest(tuple(variables), tuple(values))
        answer = await (self._send_write_blocks(request) if self._too_long(request) else self._ask(request))
        results: tuple[WriteResult, ...] = answer.results
        if len(results) == 1 < len(variables) and results[0]:  # a meter that refuses the whole list with one result
            results *= len(variables)
        if len(results) != len(variables):
            raise RemoteProtocolError(f"the meter answered {len(results)} of {len(variables)} writes")
        return tuple(map(_code, results))

    async def _send_write_blocks(self, whole: WriteRequest) -> Any:
        answer: Any = None
        for last, number, part in self._parts(whole.encode_body()):
            value = Data(DataType.OCTET_STRING, part)
            request = WriteRequest((WriteDataBlockAccess(last, number),), (value,))
            answer = await self._ask(request, first=number == 1)
            if last or not _wants_more(answer.results, number):
                break
        return answer

    def _parts(self, octets: bytes) -> Iterator[tuple[bool, int, bytes]]:
        """Is it the last, block number, raw data: each request fits the meter's PDU."""
        size = max(1, self._max_pdu - self._exchange.overhead - _BLOCK_OVERHEAD)
        for number, at in enumerate(range(0, len(octets), size), start=1):
            yield at + size >= len(octets), number, octets[at : at + size]

    def _too_long(self, request: Apdu) -> bool:
        if not self._max_pdu or self._exchange.connection.blocks is not None:
            return False
        return len(request.encode()) + self._exchange.overhead > self._max_pdu

    async def _ask(self, request: Apdu, *, first: bool = True, patient: bool = False) -> Any:
        expected = ReadResponse if type(request) is ReadRequest else WriteResponse
        if first:
            return await self._exchange.ask(request, expected, patient=patient)
        return await self._exchange.go_on(request, expected)


def _variable(name: int, access: AccessSelector | None) -> VariableAccess:
    return VariableName(name) if access is None else ParameterisedAccess(name, *access)


def _octets(answer: Sequence[ReadResult] | bytes, target: object) -> bytes:
    """The one value of an answer, encoded. Of blocks some meters make the bare value, others the ReadResponse."""
    if isinstance(answer, bytes):
        try:
            decode_whole(answer)
        except DecodeError:
            answer = decode_read_blocks(answer)
        else:
            return answer
    if len(answer) != 1:
        raise RemoteProtocolError(f"the meter answered {len(answer)} variables where one was asked for")
    return encode(_value(answer[0], target))


def _settled(result: ReadResult | None, target: object) -> Data | AccessRefused:
    return result if isinstance(result, Data) else access_refused(_code(result), target)


def _value(result: ReadResult, target: object) -> Data:
    if isinstance(result, Data):
        return result
    raise access_refused(_code(result), target)


def _code(result: object) -> int:
    """A data-access-result; RemoteProtocolError for a block or nothing in its place."""
    if isinstance(result, int):
        return int(result)
    raise RemoteProtocolError(f"the meter answered with {type(result).__name__} where a result was due")


def _wants_more(results: Sequence[object], number: int) -> bool:
    """Did the meter acknowledge this block? If not, it answered already."""
    if len(results) != 1 or not isinstance(results[0], BlockNumber):
        return False
    if results[0].block_number != number:
        raise RemoteProtocolError(f"the meter acknowledged block {results[0].block_number} instead of {number}")
    return True
