"""ACCESS: one request that reads, writes and runs methods in a given order.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import (
    ATTRIBUTE,
    METHOD,
    SELECTOR,
    AccessSelector,
    AttributeDescriptor,
    MethodDescriptor,
)
from dlms_mqtt.protocol.apdu.results import ACCESS_RESULT, ACTION_RESULT
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.layout import OPTIONAL_OCTETS, U32, VALUES, Apdu, Codec, choice, optional, record, sequence


class AccessKind(IntEnum):
    """What one specification does."""

    GET = 1
    SET = 2
    ACTION = 3


class AccessSpecification(NamedTuple):
    """One thing to do; ``access`` only with GET and SET."""

    kind: AccessKind
    target: AttributeDescriptor | MethodDescriptor
    access: AccessSelector | None = None


class AccessOutcome(NamedTuple):
    """How one thing went: a data-access-result, for ACTION an action-result."""

    kind: AccessKind
    result: int


def _specification(kind: AccessKind, *codecs: Codec) -> Codec:
    fields = record(lambda *values: AccessSpecification(kind, *values), *codecs)
    return Codec(fields.read, lambda value: fields.encode(value[1 : 1 + len(codecs)]), fields.least)


def _outcome(kind: AccessKind, codec: Codec) -> Codec:
    return Codec(lambda reader: AccessOutcome(kind, codec.read(reader)), lambda value: codec.encode(value.result))


def _specification_number(value: Any) -> int:
    return int(value.kind) + (3 if value.access is not None else 0)  # 4 get-with-selection, 5 set-with-selection


SPECIFICATIONS = sequence(
    choice(
        {
            1: _specification(AccessKind.GET, ATTRIBUTE),
            2: _specification(AccessKind.SET, ATTRIBUTE),
            3: _specification(AccessKind.ACTION, METHOD),
            4: _specification(AccessKind.GET, ATTRIBUTE, SELECTOR),
            5: _specification(AccessKind.SET, ATTRIBUTE, SELECTOR),
        },
        _specification_number,
        "access-request-specification",
    )
)
OUTCOMES = sequence(
    choice(
        {
            1: _outcome(AccessKind.GET, ACCESS_RESULT),
            2: _outcome(AccessKind.SET, ACCESS_RESULT),
            3: _outcome(AccessKind.ACTION, ACTION_RESULT),
        },
        lambda value: int(value.kind),
        "access-response-specification",
    )
)


@dataclass(frozen=True, slots=True)
class AccessRequest(Apdu, head=(0xD9,), name="access-request", layout=(U32, OPTIONAL_OCTETS, SPECIFICATIONS, VALUES)):
    """Things to do in this order; ``values`` has one entry for each, null-data where there is nothing to send."""

    long_invoke: int
    date_time: bytes | None
    specifications: tuple[AccessSpecification, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class AccessResponse(
    Apdu,
    head=(0xDA,),
    name="access-response",
    layout=(U32, OPTIONAL_OCTETS, optional(SPECIFICATIONS), VALUES, OUTCOMES),
):
    """One value (null-data: none) and one outcome for each; ``specifications`` only if the meter repeats them."""

    long_invoke: int
    date_time: bytes | None
    specifications: tuple[AccessSpecification, ...] | None
    values: tuple[Data, ...]
    results: tuple[AccessOutcome, ...]


APDUS: tuple[type[Apdu], ...] = (AccessRequest, AccessResponse)
