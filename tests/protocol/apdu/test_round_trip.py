"""Every APDU class, with any fields: encodes and decodes to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.acse.messages import Aare, Aarq, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import APDUS, TABLE, decode_apdu, decode_prefix
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
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.general import (
    PLAIN_TAGS,
    AgreedKey,
    CipheredApdu,
    GeneralBlockTransfer,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralSigning,
    IdentifiedKey,
    WrappedKey,
)
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.apdu.notification import (
    TAGGED_DATE_TIME,
    DataNotification,
    DataNotificationConfirm,
    EventNotification,
)
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
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
)
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumber,
    BlockNumberAccess,
    DataBlockResult,
    InformationReportRequest,
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
from dlms_mqtt.protocol.axdr.data import encode as encode_data
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from tests.protocol.values_strategy import LEAF

U8 = st.integers(0, 0xFF)
I8 = st.integers(-128, 127)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
FLAG = st.booleans()
OCTETS = st.binary(max_size=200)
TIME = st.none() | st.binary(min_size=12, max_size=12)
OBIS = st.binary(min_size=6, max_size=6).map(Obis)
ATTRIBUTE = st.builds(AttributeDescriptor, U16, OBIS, I8)
METHOD = st.builds(MethodDescriptor, U16, OBIS, I8)
SELECTOR = st.tuples(U8, LEAF)
ACCESS = st.none() | SELECTOR
RAW = LEAF.map(encode_data)
ACCESS_RESULT = U8.map(DataAccessResult.of)
ACTION_RESULT = U8.map(ActionResult.of)
RESULT = LEAF | ACCESS_RESULT
BLOCK = (FLAG, U32, OCTETS)


def some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=4).map(tuple)


ITEMS = some(st.tuples(ATTRIBUTE, ACCESS))
METHODS = some(METHOD)
VALUES = some(LEAF)
VARIABLES = some(
    st.builds(VariableName, U16)
    | st.builds(ParameterisedAccess, U16, U8, LEAF)
    | st.builds(BlockNumberAccess, U16)
    | st.builds(ReadDataBlockAccess, FLAG, U16, OCTETS)
    | st.builds(WriteDataBlockAccess, FLAG, U16)
)
READ_RESULTS = some(RESULT | st.builds(DataBlockResult, FLAG, U16, OCTETS) | st.builds(BlockNumber, U16))
OUTCOMES = some(st.builds(ActionOutcome, ACTION_RESULT, st.none() | RESULT))
SPECIFICATIONS = some(
    st.builds(AccessSpecification, st.sampled_from([AccessKind.GET, AccessKind.SET]), ATTRIBUTE, ACCESS)
    | st.builds(AccessSpecification, st.just(AccessKind.ACTION), METHOD, st.none())
)
ACCESS_OUTCOMES = some(
    st.builds(AccessOutcome, st.sampled_from([AccessKind.GET, AccessKind.SET]), ACCESS_RESULT)
    | st.builds(AccessOutcome, st.just(AccessKind.ACTION), ACTION_RESULT)
)
KEY_INFO = (
    st.none() | st.builds(IdentifiedKey, U8) | st.builds(WrappedKey, U8, OCTETS) | st.builds(AgreedKey, OCTETS, OCTETS)
)
CONFORMANCE = st.integers(0, 0xFFFFFF).map(Conformance)


def _value_or_error(make: Callable[..., Apdu], *fields: Any) -> st.SearchStrategy[Apdu]:
    """A message whose last two fields are an error, or the value in its place."""
    return st.builds(make, *fields, st.none(), RAW) | st.builds(make, *fields, ACCESS_RESULT, st.just(b""))


BUILD: dict[type[Apdu], st.SearchStrategy[Apdu]] = {
    GetRequestNormal: st.builds(GetRequestNormal, U8, ATTRIBUTE, ACCESS),
    GetRequestNext: st.builds(GetRequestNext, U8, U32),
    GetRequestWithList: st.builds(GetRequestWithList, U8, ITEMS),
    GetResponseNormal: _value_or_error(GetResponseNormal, U8),
    GetResponseBlock: _value_or_error(GetResponseBlock, U8, FLAG, U32),
    GetResponseWithList: st.builds(GetResponseWithList, U8, some(RESULT)),
    SetRequestNormal: st.builds(SetRequestNormal, U8, ATTRIBUTE, ACCESS, RAW),
    SetRequestFirstBlock: st.builds(SetRequestFirstBlock, U8, ATTRIBUTE, ACCESS, *BLOCK),
    SetRequestBlock: st.builds(SetRequestBlock, U8, *BLOCK),
    SetRequestWithList: st.builds(SetRequestWithList, U8, ITEMS, VALUES),
    SetRequestWithListFirstBlock: st.builds(SetRequestWithListFirstBlock, U8, ITEMS, *BLOCK),
    SetResponseNormal: st.builds(SetResponseNormal, U8, ACCESS_RESULT),
    SetResponseBlock: st.builds(SetResponseBlock, U8, U32),
    SetResponseLastBlock: st.builds(SetResponseLastBlock, U8, ACCESS_RESULT, U32),
    SetResponseLastBlockWithList: st.builds(SetResponseLastBlockWithList, U8, some(ACCESS_RESULT), U32),
    SetResponseWithList: st.builds(SetResponseWithList, U8, some(ACCESS_RESULT)),
    ActionRequestNormal: st.builds(ActionRequestNormal, U8, METHOD, st.none() | RAW),
    ActionRequestNextPblock: st.builds(ActionRequestNextPblock, U8, U32),
    ActionRequestWithList: st.builds(ActionRequestWithList, U8, METHODS, VALUES),
    ActionRequestFirstPblock: st.builds(ActionRequestFirstPblock, U8, METHOD, *BLOCK),
    ActionRequestWithListFirstPblock: st.builds(ActionRequestWithListFirstPblock, U8, METHODS, *BLOCK),
    ActionRequestPblock: st.builds(ActionRequestPblock, U8, *BLOCK),
    ActionResponseNormal: st.builds(ActionResponseNormal, U8, ACTION_RESULT, st.none(), st.none() | RAW)
    | st.builds(ActionResponseNormal, U8, ACTION_RESULT, ACCESS_RESULT),
    ActionResponsePblock: st.builds(ActionResponsePblock, U8, *BLOCK),
    ActionResponseWithList: st.builds(ActionResponseWithList, U8, OUTCOMES),
    ActionResponseNextPblock: st.builds(ActionResponseNextPblock, U8, U32),
    ReadRequest: st.builds(ReadRequest, VARIABLES),
    ReadResponse: st.builds(ReadResponse, READ_RESULTS),
    WriteRequest: st.builds(WriteRequest, VARIABLES, VALUES),
    WriteResponse: st.builds(WriteResponse, some(ACCESS_RESULT | st.builds(BlockNumber, U16))),
    UnconfirmedWriteRequest: st.builds(UnconfirmedWriteRequest, VARIABLES, VALUES),
    InformationReportRequest: st.builds(InformationReportRequest, st.none() | OCTETS, VARIABLES, VALUES),
    AccessRequest: st.builds(AccessRequest, U32, TIME, SPECIFICATIONS, VALUES),
    AccessResponse: st.builds(AccessResponse, U32, TIME, st.none() | SPECIFICATIONS, VALUES, ACCESS_OUTCOMES),
    GeneralBlockTransfer: st.builds(GeneralBlockTransfer, FLAG, FLAG, st.integers(0, 63), U16, U16, OCTETS),
    GeneralGloCiphering: st.builds(GeneralGloCiphering, OCTETS, OCTETS),
    GeneralDedCiphering: st.builds(GeneralDedCiphering, OCTETS, OCTETS),
    GeneralCiphering: st.builds(GeneralCiphering, OCTETS, OCTETS, OCTETS, OCTETS, OCTETS, KEY_INFO, OCTETS),
    GeneralSigning: st.builds(GeneralSigning, *[OCTETS] * 7),
    CipheredApdu: st.builds(CipheredApdu, st.sampled_from(sorted(PLAIN_TAGS)), OCTETS),
    DataNotification: st.builds(DataNotification, U32, TIME, RAW)
    | st.builds(DataNotification, U32, st.binary(min_size=12, max_size=12), RAW, st.just(TAGGED_DATE_TIME)),
    DataNotificationConfirm: st.builds(DataNotificationConfirm, U32, TIME),
    EventNotification: st.builds(EventNotification, TIME, ATTRIBUTE, RAW),
    ExceptionResponse: st.builds(ExceptionResponse, U8.map(StateError.of), st.integers(0, 5).map(ServiceError.of))
    | st.builds(ExceptionResponse, U8.map(StateError.of), st.just(ServiceError(6)), U32),
    ConfirmedServiceError: st.builds(ConfirmedServiceError, U8, U8, U8),
    InitiateRequest: st.builds(
        InitiateRequest, st.none() | OCTETS.map(Secret), FLAG, st.none() | I8, U8, CONFORMANCE, U16
    ),
    InitiateResponse: st.builds(InitiateResponse, st.none() | I8, U8, CONFORMANCE, U16, U16),
}


@pytest.mark.parametrize("kind", BUILD, ids=lambda kind: kind.__name__)
@settings(max_examples=40)
@given(st.data())
def test_round_trip(kind: type[Apdu], data: st.DataObject) -> None:
    message = data.draw(BUILD[kind])
    octets = message.encode()
    assert decode_apdu(octets) == message
    assert kind.decode(octets) == message
    assert decode_prefix(b"\0" + octets + b"\xff\xff", 1)[1] == 1 + len(octets)
    assert octets[0] == (message.tag if isinstance(message, CipheredApdu) else kind.TAG)


def test_every_class_is_built_here_and_in_the_table() -> None:
    assert set(BUILD) | {Aarq, Aare, Rlrq, Rlre} == set(TABLE.values())
    assert len({row.HEAD for row in APDUS}) == len(APDUS)
    assert len({row.NAME for row in APDUS}) == len(APDUS)
    assert all(row.NAME for row in APDUS)


A, M = AttributeDescriptor(1, Obis(6), 2), MethodDescriptor(1, Obis(6), 1)


@pytest.mark.parametrize(
    "message",
    [
        GetRequestNormal(256, A),
        GetRequestNormal(1, AttributeDescriptor(1, Obis(6), 128)),
        GetRequestNormal(1, A, (1, "no value")),  # type: ignore[arg-type]
        GetRequestNext(1, -1),
        GetRequestWithList(1, ((AttributeDescriptor(1, Obis(5), 2), None),)),
        GetResponseNormal(1, 300, b""),
        GetResponseBlock(1, True, 2**32, None, b""),
        ActionRequestNormal(1, MethodDescriptor(70000, Obis(6), 1), None),
        ReadRequest((VariableName(65536),)),
        ReadRequest(("no variable",)),  # type: ignore[arg-type]
        GeneralBlockTransfer(True, False, 64, 1, 0, b""),
        GeneralBlockTransfer(True, False, 1, 65536, 0, b""),
        ExceptionResponse(1, 6, -1),
        DataNotification(-1, None, b"\0"),
        InitiateRequest(max_pdu_size=65536),
    ],
    ids=repr,
)
def test_what_cannot_be_sent_is_our_own_mistake(message: Apdu) -> None:
    with pytest.raises(LocalProtocolError, match=f"{message.NAME}|a value does not fit"):
        message.encode()
