"""Our encoders beside other people's decoders: what we send, they read and encode to the same octets."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.acse.messages import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    Diagnostic,
    Mechanism,
)
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
from dlms_mqtt.protocol.apdu.descriptors import (
    AttributeDescriptor,
    CaptureObject,
    MethodDescriptor,
    entry_access,
    range_access,
)
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
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
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

I = 0xC1  # noqa: E741 - the invoke octet of all of these
ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
BUFFER = AttributeDescriptor(7, Obis.parse("1.0.99.1.0.255"), 2)
SWITCH = MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)
SEVEN, TEXT = Data(DataType.UNSIGNED, 7), Data(DataType.VISIBLE_STRING, "ground floor" * 20)
NOTHING, ZERO = Data(DataType.NULL_DATA, None), Data(DataType.INTEGER, 0)
TIME = bytes.fromhex("07e60810ff0f211bff800000")
RANGE = range_access(CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2), SEVEN, SEVEN)
CONFORMANCE = Conformance.GET | Conformance.SET | Conformance.ACTION
INITIATE = InitiateRequest(conformance=CONFORMANCE, max_pdu_size=1024)

XDLMS: list[Apdu] = [
    GetRequestNormal(I, ENERGY),
    GetRequestNormal(I, BUFFER, RANGE),
    GetRequestNormal(I, BUFFER, entry_access(1, 50)),
    GetRequestNext(I, 2),
    GetRequestWithList(I, ((ENERGY, None), (BUFFER, RANGE))),
    GetResponseNormal(I, None, encode(TEXT)),
    GetResponseNormal(I, 4, b""),
    GetResponseBlock(I, False, 1, None, bytes(150)),
    GetResponseBlock(I, True, 2, 19, b""),
    GetResponseWithList(I, (SEVEN, 4, TEXT)),  # type: ignore[arg-type]
    SetRequestNormal(I, ENERGY, None, encode(TEXT)),
    SetRequestFirstBlock(I, ENERGY, None, False, 1, bytes(150)),
    SetRequestBlock(I, True, 2, b"\x01\x02"),
    SetRequestWithList(I, ((ENERGY, None), (BUFFER, None)), (SEVEN, TEXT)),
    SetRequestWithListFirstBlock(I, ((ENERGY, None), (BUFFER, None)), False, 1, bytes(20)),
    SetResponseNormal(I, 0),
    SetResponseBlock(I, 1),
    SetResponseLastBlock(I, 0, 2),
    SetResponseLastBlockWithList(I, (0, 3), 2),
    SetResponseWithList(I, (0, 3)),
    ActionRequestNormal(I, SWITCH, encode(ZERO)),
    ActionRequestNormal(I, SWITCH, None),
    ActionRequestNextPblock(I, 1),
    ActionRequestWithList(I, (SWITCH, SWITCH), (ZERO, NOTHING)),
    ActionRequestFirstPblock(I, SWITCH, False, 1, bytes(20)),
    ActionRequestWithListFirstPblock(I, (SWITCH,), False, 1, bytes(20)),
    ActionRequestPblock(I, True, 2, bytes(20)),
    ActionResponseNormal(I, 0),
    ActionResponseNormal(I, 0, None, encode(TEXT)),
    ActionResponsePblock(I, False, 1, bytes(20)),
    ActionResponseWithList(I, (ActionOutcome(0), ActionOutcome(0, SEVEN), ActionOutcome(3))),
    ActionResponseNextPblock(I, 1),
    AccessRequest(
        0x40000001,
        None,
        (
            AccessSpecification(AccessKind.GET, ENERGY),
            AccessSpecification(AccessKind.GET, BUFFER, RANGE),
            AccessSpecification(AccessKind.SET, ENERGY),
            AccessSpecification(AccessKind.ACTION, SWITCH),
        ),
        (NOTHING, NOTHING, SEVEN, ZERO),
    ),
    AccessResponse(
        0x40000001,
        None,
        None,
        (SEVEN, NOTHING),
        (AccessOutcome(AccessKind.GET, 0), AccessOutcome(AccessKind.ACTION, 250)),
    ),
    DataNotification(0x40000001, None, encode(TEXT)),
    DataNotification(0x40000001, TIME, encode(SEVEN)),
    EventNotification(TIME, ENERGY, encode(SEVEN)),
    ExceptionResponse(1, 2),
    ExceptionResponse(1, 6, 500),
    ConfirmedServiceError(1, 6, 1),
    INITIATE,
    InitiateRequest(Secret(bytes(16)), True, None, 6, CONFORMANCE, 1024),
    InitiateResponse(None, 6, CONFORMANCE, 1024),
]
SHORT_NAME: list[Apdu] = [
    ReadRequest((VariableName(0xFA08), ParameterisedAccess(0x0C10, *RANGE))),
    ReadRequest((BlockNumberAccess(1),)),
    ReadRequest((ReadDataBlockAccess(False, 1, bytes(20)),)),
    ReadResponse((SEVEN, 4)),  # type: ignore[arg-type]
    ReadResponse((DataBlockResult(False, 1, bytes(20)),)),
    WriteRequest((VariableName(0xFA08),), (TEXT,)),
    WriteRequest((WriteDataBlockAccess(False, 1),), (Data(DataType.OCTET_STRING, bytes(20)),)),
    WriteResponse((0, 3)),
    WriteResponse((BlockNumber(1),)),
    UnconfirmedWriteRequest((VariableName(0xFA08),), (SEVEN,)),
    InformationReportRequest(None, (VariableName(0xFA08),), (SEVEN,)),
]
ACSE: list[Apdu] = [
    Aarq(ApplicationContext.LN, user_information=INITIATE.encode()),
    Aarq(
        ApplicationContext.LN_CIPHERED,
        b"MEL\0\0\0\0\x01",
        AUTHENTICATION_REQUIREMENT,
        Mechanism.HLS_GMAC,
        Secret(b"challenge"),
        INITIATE.encode(),
    ),
    Aare(
        ApplicationContext.LN,
        result=0,
        diagnostic=Diagnostic(1, 0),
        user_information=InitiateResponse(None, 6, CONFORMANCE, 1024).encode(),
    ),
]
BLOCK = GeneralBlockTransfer(True, False, 5, 3, 2, bytes(150))


def _name(message: Apdu) -> str:
    return message.NAME


@pytest.mark.parametrize("message", XDLMS, ids=_name)
def test_pydlms(message: Apdu) -> None:
    xdlms = pytest.importorskip("pydlms.apdu.xdlms")
    assert xdlms.decode_apdu(message.encode()).to_bytes() == message.encode()


@pytest.mark.parametrize("message", SHORT_NAME, ids=_name)
def test_pydlms_short_name(message: Apdu) -> None:
    sn = pytest.importorskip("pydlms.apdu.sn")
    assert sn.decode_sn_apdu(message.encode()).to_bytes() == message.encode()


@pytest.mark.parametrize("message", ACSE, ids=_name)
def test_pydlms_association(message: Apdu) -> None:
    acse = pytest.importorskip("pydlms.apdu.acse")
    assert acse.decode_acse(message.encode()).to_bytes() == message.encode()


def test_pydlms_general_block() -> None:
    gbt = pytest.importorskip("pydlms.apdu.gbt")
    assert gbt.encode_gbt(gbt.decode_gbt(BLOCK.encode())) == BLOCK.encode()


# What these two can both read and write of it; the rest they refuse or garble.
DLMS_COSEM = [
    "get-request-next",
    "get-response-with-datablock",
    "set-request-normal",
    "set-response-normal",
    "action-request-normal",
    "action-response-normal",
    "confirmed-service-error",
    "initiate-request",
    "initiate-response",
    "aarq",
    "aare",
]
GURUX = [
    "get-request-normal",
    "get-request-next",
    "get-response-normal",
    "set-request-normal",
    "set-request-with-first-datablock",
    "set-request-with-datablock",
    "set-request-with-list",
    "set-response-normal",
    "set-response-datablock",
    "action-request-normal",
    "information-report-request",
]


@pytest.mark.parametrize("message", [one for one in XDLMS + ACSE if one.NAME in DLMS_COSEM], ids=_name)
def test_dlms_cosem(message: Apdu) -> None:
    factory = pytest.importorskip("dlms_cosem.connection").XDlmsApduFactory
    assert factory.apdu_from_bytes(message.encode()).to_bytes() == message.encode()


@pytest.mark.parametrize("message", [one for one in XDLMS + SHORT_NAME if one.NAME in GURUX], ids=_name)
def test_gurux(message: Apdu) -> None:
    translator = pytest.importorskip("gurux_dlms.GXDLMSTranslator").GXDLMSTranslator(0)
    xml = translator.pduToXml(bytearray(message.encode()))
    assert bytes(translator.xmlToPdu(xml).array()) == message.encode()
