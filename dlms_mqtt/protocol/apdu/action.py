"""ACTION: run methods by logical name; parameters and answers may travel in blocks, one method or a list.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import METHOD, METHODS, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import (
    ACTION_RESULT,
    GET_DATA_RESULT,
    ActionResult,
    DataAccessResult,
    GetDataResult,
)
from dlms_mqtt.protocol.apdu.set import BLOCK
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import REST, U8, U32, VALUES, Apdu, LazyValue, optional, record, sequence


class ActionOutcome(NamedTuple):
    """Action-Response-With-Optional-Data: the result of one method and what it returned (None: nothing)."""

    result: int
    returned: GetDataResult | None = None

    @property
    def ok(self) -> bool:
        """Did the method run?"""
        return self.result == ActionResult.SUCCESS


OUTCOMES = sequence(record(ActionOutcome, ACTION_RESULT, optional(GET_DATA_RESULT)))


@dataclass(frozen=True, slots=True)
class ActionRequestNormal(
    LazyValue, Apdu, head=(0xC3, 1), name="action-request-normal", layout=(U8, METHOD, optional(REST))
):
    """Runs one method; ``data`` is the encoding of its parameter, None when it has none."""

    invoke: int
    method: MethodDescriptor
    data: bytes | None


@dataclass(frozen=True, slots=True)
class ActionRequestNextPblock(Apdu, head=(0xC3, 2), name="action-request-next-pblock", layout=(U8, U32)):
    """Acknowledges this block of a long answer and asks for the one after it."""

    invoke: int
    block_number: int


@dataclass(frozen=True, slots=True)
class ActionRequestWithList(Apdu, head=(0xC3, 3), name="action-request-with-list", layout=(U8, METHODS, VALUES)):
    """Runs several methods; a method without a parameter has null-data."""

    invoke: int
    methods: tuple[MethodDescriptor, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class ActionRequestFirstPblock(
    Apdu, head=(0xC3, 4), name="action-request-with-first-pblock", layout=(U8, METHOD, *BLOCK)
):
    """Begins a long parameter; the joined blocks are the encoding of one value."""

    invoke: int
    method: MethodDescriptor
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ActionRequestWithListFirstPblock(
    Apdu, head=(0xC3, 5), name="action-request-with-list-and-first-pblock", layout=(U8, METHODS, *BLOCK)
):
    """Begins the long parameters of several methods; the joined blocks are ``set.encode_values`` of them."""

    invoke: int
    methods: tuple[MethodDescriptor, ...]
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ActionRequestPblock(Apdu, head=(0xC3, 6), name="action-request-with-pblock", layout=(U8, *BLOCK)):
    """Goes on with a long parameter."""

    invoke: int
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ActionResponseNormal(LazyValue, Apdu, head=(0xC7, 1), name="action-response-normal"):
    """How the method went, and what it returned: raw ``data``, an ``error`` in its place, or nothing (both None)."""

    invoke: int
    result: int
    error: int | None = None
    data: bytes | None = None

    def encode_body(self) -> bytes:
        """The octets after the head."""
        start = bytes((self.invoke, self.result))
        if self.error is not None:
            return start + bytes((1, 1, self.error))
        return start + (b"\x00" if self.data is None else b"\x01\x00" + self.data)

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        invoke, result = reader.u8("invoke-id"), ActionResult.of(reader.u8("action-result"))
        # Meters that have nothing to return also leave the presence flag out.
        if not reader.remaining or not reader.u8("presence flag"):
            return cls(invoke, result)
        picked = reader.peek()
        if picked == 1:
            reader.u8()
            return cls(invoke, result, DataAccessResult.of(reader.u8("data-access-result")))
        # Some meters forget the choice octet in front of the answer to an HLS challenge: 09 10 ... follows at once.
        if picked == 0:
            reader.u8()
        if not reader.remaining:
            raise DecodeError("the returned value is missing", offset=reader.offset)
        return cls(invoke, result, None, reader.rest())


@dataclass(frozen=True, slots=True)
class ActionResponsePblock(Apdu, head=(0xC7, 2), name="action-response-with-pblock", layout=(U8, *BLOCK)):
    """One block of a long answer; joined: the returned value, or ``encode_outcomes`` where a list was asked."""

    invoke: int
    last: bool
    block_number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ActionResponseWithList(Apdu, head=(0xC7, 3), name="action-response-with-list", layout=(U8, OUTCOMES)):
    """How the methods went, one outcome each."""

    invoke: int
    results: tuple[ActionOutcome, ...]


@dataclass(frozen=True, slots=True)
class ActionResponseNextPblock(Apdu, head=(0xC7, 4), name="action-response-next-pblock", layout=(U8, U32)):
    """This block has arrived; the next one, please."""

    invoke: int
    block_number: int


def encode_outcomes(outcomes: tuple[ActionOutcome, ...]) -> bytes:
    """The outcomes of a list, ready to be cut into blocks."""
    return OUTCOMES.encode(outcomes)


def decode_outcomes(data: bytes) -> tuple[ActionOutcome, ...]:
    """The outcomes of a list whose blocks were joined; DecodeError."""
    outcomes: tuple[ActionOutcome, ...] = OUTCOMES.read(Reader(data))
    return outcomes


APDUS: tuple[type[Apdu], ...] = (
    ActionRequestNormal,
    ActionRequestNextPblock,
    ActionRequestWithList,
    ActionRequestFirstPblock,
    ActionRequestWithListFirstPblock,
    ActionRequestPblock,
    ActionResponseNormal,
    ActionResponsePblock,
    ActionResponseWithList,
    ActionResponseNextPblock,
)
