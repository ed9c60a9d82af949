"""What the values of a dialogue are: answers labelled by the request before them, long values joined from blocks.

One function for each kind of message that carries values; a message that has none is in no row of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dlms_mqtt.cosem.classes import SCALERS
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DecodeError, DlmsMqttError
from dlms_mqtt.meter.explain.json_shapes import value_json
from dlms_mqtt.meter.push.layouts import PushValue, plain_tree, push_values
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessRequest, AccessResponse
from dlms_mqtt.protocol.apdu.action import (
    ActionRequestFirstPblock,
    ActionRequestNormal,
    ActionRequestPblock,
    ActionResponseNormal,
    ActionResponsePblock,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.results import decode_results
from dlms_mqtt.protocol.apdu.set import SetRequestBlock, SetRequestFirstBlock, SetRequestNormal, SetRequestWithList
from dlms_mqtt.protocol.apdu.short_name import (
    DataBlockResult,
    InformationReportRequest,
    ReadRequest,
    ReadResponse,
    ReadResult,
    UnconfirmedWriteRequest,
    WriteRequest,
    decode_read_blocks,
)
from dlms_mqtt.protocol.axdr.data import Data, decode
from dlms_mqtt.protocol.layout import Apdu

MOST_BLOCKED = 1 << 20  # octets of a value that comes in blocks


class Contents(NamedTuple):
    """The values of a message; ``tree`` where it carries a single one."""

    values: Sequence[dict[str, Any]] = ()
    tree: Data | None = None

    def json(self) -> dict[str, Any]:
        """As parts of a message of ``decode --json``."""
        tree = {} if self.tree is None else {"tree": self.tree.tree()}
        return tree | {"values": list(self.values)}


class Dialogue:
    """Follows requests and answers: which attributes or variables were asked for, which blocks have come."""

    def __init__(self) -> None:
        self._targets: Sequence[Any] = ()
        self._blocks = b""
        self._next_block = 0  # 0: the beginning is missing

    def contents(self, message: Apdu) -> Contents | None:
        """What a message carries, None: nothing (yet). DecodeError where a value is cut or damaged."""
        targets_of = _TARGETS.get(type(message))
        if targets_of is not None:
            self._targets = targets_of(message)
        found = _CONTENTS.get(type(message))
        return None if found is None else found(self, message)

    def joined(self, message: Any) -> bytes | None:
        """The value whose last block this is. None: not the last, an error in its place, or blocks are missing."""
        if message.block_number == 1:
            self._blocks, self._next_block = b"", 1
        if getattr(message, "error", None) is not None or message.block_number != self._next_block:
            self._next_block = 0
            return None
        self._next_block = 0 if message.last else self._next_block + 1
        self._blocks = (self._blocks + message.data)[:MOST_BLOCKED]
        return self._blocks if message.last else None

    @property
    def many(self) -> bool:
        """Whether the last request asked for more than one thing."""
        return len(self._targets) > 1

    def labelled(self, answers: Iterable[Any]) -> list[dict[str, Any]]:
        """The answers that are values, each with what was asked for; without a known request there are none."""
        return labelled(self._targets, answers)


def labelled(targets: Iterable[Any], answers: Iterable[Any]) -> list[dict[str, Any]]:
    """Values with the attribute or variable that each is of; what is neither (a method, an error) is left out."""
    found = [_label(*pair) for pair in zip(targets, answers, strict=False)]
    return [value for value in found if value is not None]


def _label(target: Any, answer: Any) -> dict[str, Any] | None:
    if not isinstance(answer, Data):
        return None
    if isinstance(target, AttributeDescriptor):
        shown = value_json(PushValue(answer, target.obis, None, target.class_id, target.attribute))
        return shown | (_scale(answer) if target.attribute == SCALERS.get(target.class_id) else {})
    name = getattr(target, "name", None)
    return {"variable_name": name, **value_json(PushValue(answer))} if isinstance(name, int) else None


def _scale(answer: Data) -> dict[str, Any]:
    """What an attribute scaler_unit says."""
    try:
        found = ScalerUnit.from_data(answer)
    except DecodeError:
        return {}
    return {"scaler": found.scaler, "unit": found.unit}


def _got(dialogue: Dialogue, message: GetResponseNormal) -> Contents | None:
    return None if message.error is not None else _single(dialogue, message.data)


def _single(dialogue: Dialogue, body: bytes) -> Contents:
    """One value; if more were asked for, that was another request (whose answer, or its successor, was not heard)."""
    value = decode(body)[0]
    return Contents(() if dialogue.many else dialogue.labelled([value]), value)


def _got_block(dialogue: Dialogue, message: GetResponseBlock) -> Contents | None:
    """The answer to a list that came in blocks is a list of results."""
    body = dialogue.joined(message)
    if body is None:
        return None
    return Contents(dialogue.labelled(decode_results(body))) if dialogue.many else _single(dialogue, body)


def _got_list(dialogue: Dialogue, message: GetResponseWithList) -> Contents:
    return Contents(dialogue.labelled(message.results))


def _pushed(_dialogue: Dialogue, message: DataNotification) -> Contents:
    return Contents([value_json(value) for value in push_values(message)], plain_tree(message))


def _reported(_dialogue: Dialogue, message: EventNotification | SetRequestNormal) -> Contents:
    return Contents(labelled([message.attribute], [message.value]), message.value)


def _parameter(_dialogue: Dialogue, message: ActionRequestNormal | ActionResponseNormal) -> Contents | None:
    return None if message.data is None else Contents((), message.value)


def _in_blocks(dialogue: Dialogue, message: Any) -> Contents | None:
    """A long value that is written, or the long parameter or answer of a method."""
    body = dialogue.joined(message)
    if body is None:
        return None
    value = decode(body)[0]
    return Contents(dialogue.labelled([value]), value)


def _set_list(_dialogue: Dialogue, message: SetRequestWithList) -> Contents:
    return Contents(labelled([attribute for attribute, _ in message.items], message.values))


def _variables(_dialogue: Dialogue, message: Any) -> Contents:
    return Contents(labelled(message.variables, message.values))


def _read(dialogue: Dialogue, message: ReadResponse) -> Contents | None:
    results: Sequence[ReadResult] = message.results
    if len(results) == 1 and isinstance(results[0], DataBlockResult):
        body = dialogue.joined(results[0])
        if body is None:
            return None
        results = decode_read_blocks(body)
    single = results[0] if len(results) == 1 else None
    return Contents(dialogue.labelled(results), single if isinstance(single, Data) else None)


def _access_sent(_dialogue: Dialogue, message: AccessRequest) -> Contents:
    """Only a SET sends a value for its attribute."""
    pairs = zip(message.specifications, message.values, strict=False)
    rows = [(entry.target, value) for entry, value in pairs if entry.kind is AccessKind.SET]
    return Contents([shown for row in rows if (shown := _label(*row))])


def _access_got(dialogue: Dialogue, message: AccessResponse) -> Contents:
    pairs = zip(message.results, message.values, strict=False)
    return Contents(dialogue.labelled([value if got.kind is AccessKind.GET else None for got, value in pairs]))


_TARGETS: dict[type, Callable[[Any], Sequence[Any]]] = {
    GetRequestNormal: lambda message: (message.attribute,),
    GetRequestWithList: lambda message: [attribute for attribute, _ in message.items],
    SetRequestFirstBlock: lambda message: (message.attribute,),
    ActionRequestNormal: lambda message: (message.method,),
    ActionRequestFirstPblock: lambda message: (message.method,),
    ReadRequest: lambda message: message.variables,
    AccessRequest: lambda message: [specification.target for specification in message.specifications],
}

_CONTENTS: dict[type, Callable[[Dialogue, Any], Contents | None]] = {
    DataNotification: _pushed,
    EventNotification: _reported,
    GetResponseNormal: _got,
    GetResponseBlock: _got_block,
    GetResponseWithList: _got_list,
    SetRequestNormal: _reported,
    SetRequestFirstBlock: _in_blocks,
    SetRequestBlock: _in_blocks,
    SetRequestWithList: _set_list,
    ActionRequestNormal: _parameter,
    ActionRequestFirstPblock: _in_blocks,
    ActionRequestPblock: _in_blocks,
    ActionResponseNormal: _parameter,
    ActionResponsePblock: _in_blocks,
    ReadResponse: _read,
    WriteRequest: _variables,
    UnconfirmedWriteRequest: _variables,
    InformationReportRequest: _variables,
    AccessRequest: _access_sent,
    AccessResponse: _access_got,
}


def whole_value(data: bytes) -> Contents | None:
    """Octets that are exactly one encoded value (a profile buffer, a list without its message); None: they are not."""
    message = DataNotification(0, None, data)
    value = plain_tree(message) if len(data) > 1 else None
    if value is None:
        return None
    try:
        return Contents([value_json(found) for found in push_values(message)], value)
    except DlmsMqttError:
        return Contents((), value)
