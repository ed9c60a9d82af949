"""Which message may follow which: the whole application-layer conversation as one table.

Two rules. All transitions of an association live here. This file does not know which side we are: a request moves the
conversation from the client's hands to the server's, a response moves it back, and both sides walk the same table.

A cell is the next state, or a pair (more blocks follow, that was the last block). A message whose cell is missing is
illegal now. Messages in ANY_TIME never move the conversation: meters push while they answer.

Source: IEC 62056-5-3:2017, clause 7 (protocol of the application layer); Green Book ed. 8, clause 9.4.
"""

from __future__ import annotations

from enum import Enum

from dlms_mqtt.protocol.acse.messages import Aare, Aarq, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import action, get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.access import AccessRequest, AccessResponse
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import (
    InformationReportRequest,
    ReadRequest,
    ReadResponse,
    UnconfirmedWriteRequest,
    WriteRequest,
    WriteResponse,
)


class State(Enum):
    """Where the conversation of one association is."""

    NO_LINK = "no link"
    NO_ASSOCIATION = "no association"
    ASSOCIATING = "AARQ sent"
    READY = "ready"
    GET = "GET asked"
    GET_BLOCKS = "GET answer has more blocks"
    SET = "SET asked"
    SET_BLOCK = "SET block sent"
    SET_BLOCKS = "SET wants the next block"
    ACTION = "ACTION asked"
    ACTION_BLOCK = "ACTION block sent"
    ACTION_BLOCKS = "ACTION wants the next block"
    ACTION_ANSWER = "ACTION answer has more blocks"
    READ = "Read asked"
    WRITE = "Write asked"
    ACCESS = "ACCESS asked"
    RELEASING = "RLRQ sent"

    __hash__ = object.__hash__  # Enum's own is written in Python and runs twice for each question


Cell = State | tuple[State, State]

_S = State
_REFUSAL: dict[type, Cell] = {ExceptionResponse: _S.READY, ConfirmedServiceError: _S.READY}

RULES: dict[State, dict[type, Cell]] = {
    _S.NO_LINK: {},
    # The refusals of an association arrive where an AARE is awaited.
    _S.NO_ASSOCIATION: {Aarq: _S.ASSOCIATING},
    _S.ASSOCIATING: {
        Aare: _S.READY,
        ExceptionResponse: _S.NO_ASSOCIATION,
        ConfirmedServiceError: _S.NO_ASSOCIATION,
    },
    _S.READY: {
        Aarq: _S.ASSOCIATING,
        Rlrq: _S.RELEASING,
        get.GetRequestNormal: _S.GET,
        get.GetRequestWithList: _S.GET,
        set_.SetRequestNormal: _S.SET,
        set_.SetRequestWithList: _S.SET,
        set_.SetRequestFirstBlock: (_S.SET_BLOCK, _S.SET),
        set_.SetRequestWithListFirstBlock: (_S.SET_BLOCK, _S.SET),
        action.ActionRequestNormal: _S.ACTION,
        action.ActionRequestWithList: _S.ACTION,
        action.ActionRequestFirstPblock: (_S.ACTION_BLOCK, _S.ACTION),
        action.ActionRequestWithListFirstPblock: (_S.ACTION_BLOCK, _S.ACTION),
        ReadRequest: _S.READ,
        WriteRequest: _S.WRITE,
        UnconfirmedWriteRequest: _S.READY,
        AccessRequest: _S.ACCESS,
    },
    _S.GET: _REFUSAL
    | {
        get.GetResponseNormal: _S.READY,
        get.GetResponseWithList: _S.READY,
        get.GetResponseBlock: (_S.GET_BLOCKS, _S.READY),
    },
    _S.GET_BLOCKS: {get.GetRequestNext: _S.GET},
    _S.SET: _REFUSAL
    | {
        set_.SetResponseNormal: _S.READY,
        set_.SetResponseWithList: _S.READY,
        set_.SetResponseLastBlock: _S.READY,
        set_.SetResponseLastBlockWithList: _S.READY,
    },
    _S.SET_BLOCK: _REFUSAL
    | {
        set_.SetResponseBlock: _S.SET_BLOCKS,
        # A meter may refuse in the middle of the blocks.
        set_.SetResponseNormal: _S.READY,
        set_.SetResponseLastBlock: _S.READY,
        set_.SetResponseLastBlockWithList: _S.READY,
    },
    _S.SET_BLOCKS: {set_.SetRequestBlock: (_S.SET_BLOCK, _S.SET)},
    _S.ACTION: _REFUSAL
    | {
        action.ActionResponseNormal: _S.READY,
        action.ActionResponseWithList: _S.READY,
        action.ActionResponsePblock: (_S.ACTION_ANSWER, _S.READY),
    },
    _S.ACTION_BLOCK: _REFUSAL
    | {
        action.ActionResponseNextPblock: _S.ACTION_BLOCKS,
        action.ActionResponseNormal: _S.READY,
    },
    _S.ACTION_BLOCKS: {action.ActionRequestPblock: (_S.ACTION_BLOCK, _S.ACTION)},
    _S.ACTION_ANSWER: {action.ActionRequestNextPblock: _S.ACTION},
    _S.READ: _REFUSAL | {ReadResponse: _S.READY},
    _S.WRITE: _REFUSAL | {WriteResponse: _S.READY},
    _S.ACCESS: _REFUSAL | {AccessResponse: _S.READY},
    _S.RELEASING: {
        Rlre: _S.NO_ASSOCIATION,
        ExceptionResponse: _S.NO_ASSOCIATION,
        ConfirmedServiceError: _S.NO_ASSOCIATION,
    },
}

ANY_TIME: frozenset[type] = frozenset({DataNotification, EventNotification, InformationReportRequest})

# The client may give up waiting (a time-out) and start over: these states take what READY takes.
_GIVEN_UP = frozenset({_S.GET_BLOCKS, _S.SET_BLOCKS, _S.ACTION_BLOCKS, _S.ACTION_ANSWER})


def next_state(state: State, message: object) -> State | None:
    """The state after ``message``, or None when it is illegal in ``state``."""
    kind = type(message)
    if kind in ANY_TIME:
        return state
    cell = RULES[state].get(kind)
    if cell is None and state in _GIVEN_UP:
        cell = RULES[State.READY].get(kind)
    if cell.__class__ is tuple:
        return cell[bool(message.last)]  # type: ignore[attr-defined]
    return cell  # type: ignore[return-value]
