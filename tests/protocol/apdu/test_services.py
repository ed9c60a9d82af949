"""What is particular to a service: selectors, joined blocks, tag tables, words, and the tolerances."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.access import (
    AccessKind,
    AccessOutcome,
    AccessRequest,
    AccessResponse,
    AccessSpecification,
)
from dlms_mqtt.protocol.apdu.action import (
    ActionOutcome,
    ActionResponseNormal,
    ActionResponseWithList,
    decode_outcomes,
    encode_outcomes,
)
from dlms_mqtt.protocol.apdu.descriptors import (
    AttributeDescriptor,
    CaptureObject,
    MethodDescriptor,
    entry_access,
    range_access,
)
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse, ServiceError
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS, PLAIN_TAGS, CipheredApdu, GeneralGloCiphering
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetResponseNormal
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.apdu.results import (
    ActionResult,
    DataAccessResult,
    code_text,
    decode_results,
    encode_results,
)
from dlms_mqtt.protocol.apdu.set import decode_values, encode_values
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumberAccess,
    DataBlockResult,
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
    decode_read_blocks,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from tests.frames_data import entry
from tests.protocol.apdu.drive import drive

CLOCK = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2)
PROFILE = AttributeDescriptor(7, Obis.parse("1.0.99.1.0.255"), 2)
SEVEN = Data(DataType.UNSIGNED, 7)
TEXT = Data(DataType.VISIBLE_STRING, "x" * 200)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_range_as_published(number: int) -> None:
    data = bytes.fromhex(entry("vectors_services", f"u9n-get-range-selection-{number}")["apdu"])
    published = GetRequestNormal.decode(data)
    assert published.access is not None
    _, start, end, _ = published.access[1].value
    assert GetRequestNormal(0xC1, PROFILE, range_access(CLOCK, start, end)).encode() == data


def test_range_with_columns() -> None:
    energy = CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2)
    selector, parameters = range_access(CLOCK, SEVEN, SEVEN, [CLOCK, energy])
    assert selector == 1
    assert [len(column.value) for column in parameters.value[3].value] == [4, 4]
    drive(GetRequestNormal(0xC1, PROFILE, (selector, parameters)).encode())


def test_entries() -> None:
    data = GetRequestNormal(0xC1, PROFILE, entry_access(1, 10)).encode()
    assert data.hex().endswith("01" + "02" + "0204" + "0600000001" + "060000000a" + "120001" + "120000")
    drive(data)


def test_descriptors_in_words() -> None:
    assert str(PROFILE) == "7/1.0.99.1.0.255:2"
    assert str(MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), -1)) == "70/0.0.96.3.10.255:-1"


def test_fast_and_slow_answers_are_the_same() -> None:
    fast = decode_apdu(bytes.fromhex("c401c1000600001391"))
    assert fast == GetResponseNormal.decode(bytes.fromhex("c401c1000600001391"))
    assert isinstance(fast, GetResponseNormal)
    assert fast.value == Data(DataType.DOUBLE_LONG_UNSIGNED, 5009)
    assert fast.trailing == b""


def test_octets_after_a_value() -> None:
    message = decode_apdu(bytes.fromhex("c401c1001107" + "00000000"))
    assert isinstance(message, GetResponseNormal)
    assert message.value == SEVEN
    assert message.trailing == bytes(4)


def test_unknown_codes_stay_numbers() -> None:
    message = decode_apdu(bytes.fromhex("c401c10163"))
    assert isinstance(message, GetResponseNormal)
    assert message.error == 0x63
    assert code_text(message.error) == "code 99"
    assert code_text(DataAccessResult.OBJECT_UNDEFINED) == "object-undefined"
    assert ActionResult.of(250) is ActionResult.OTHER_REASON


def test_joined_lists() -> None:
    results = (TEXT, DataAccessResult.READ_WRITE_DENIED, 77, SEVEN)
    assert decode_results(encode_results(results)) == results
    assert decode_values(encode_values((TEXT, SEVEN))) == (TEXT, SEVEN)
    outcomes = (ActionOutcome(ActionResult.SUCCESS), ActionOutcome(ActionResult.HARDWARE_FAULT, SEVEN))
    assert decode_outcomes(encode_outcomes(outcomes)) == outcomes
    assert [outcome.ok for outcome in outcomes] == [True, False]
    with pytest.raises(DecodeError):
        decode_results(encode_results(results)[:-1])


def test_action_answer_without_presence_flag() -> None:
    assert decode_apdu(bytes.fromhex("c701c100")) == ActionResponseNormal(0xC1, ActionResult.SUCCESS)


def test_action_answer_without_choice_octet() -> None:
    message = decode_apdu(bytes.fromhex("c701c100" + "01" + "0902abcd"))
    assert isinstance(message, ActionResponseNormal)
    assert message.value == Data(DataType.OCTET_STRING, b"\xab\xcd")
    assert message.encode().hex() == "c701c10001000902abcd"


def test_action_list() -> None:
    message = drive(bytes.fromhex("c703c103" + "0000" + "00010011 07" + "030101fa"))
    assert isinstance(message, ActionResponseWithList)
    assert message.results == (
        ActionOutcome(ActionResult.SUCCESS),
        ActionOutcome(ActionResult.SUCCESS, SEVEN),
        ActionOutcome(ActionResult.READ_WRITE_DENIED, DataAccessResult.OTHER_REASON),
    )


def test_tag_tables() -> None:
    assert (GLO_TAGS[192], DED_TAGS[192], GLO_TAGS[1], GLO_TAGS[8], DED_TAGS[5]) == (200, 208, 33, 40, 69)
    assert (GLO_TAGS[199], DED_TAGS[199], GLO_TAGS[14], DED_TAGS[24]) == (207, 215, 46, 88)
    assert len(PLAIN_TAGS) == 2 * len(GLO_TAGS)
    glo, ded = CipheredApdu(0xC8, b"\x30"), CipheredApdu(0xD4, b"\x30")
    assert (glo.plain_tag, glo.dedicated) == (0xC0, False)
    assert (ded.plain_tag, ded.dedicated) == (0xC4, True)


def test_envelopes_as_published() -> None:
    for name in ("gb-get-request-authenticated", "gb-get-request-encrypted", "gb-initiate-request-ciphered"):
        vector = entry("vectors_ciphered_apdus", name)
        message = drive(bytes.fromhex(vector["apdu"]))
        assert isinstance(message, CipheredApdu)
        assert len(message.body) == vector["expected"]["length"]
    untitled = drive(bytes.fromhex(entry("vectors_ciphered_apdus", "general-glo-empty-system-title")["apdu"]))
    assert isinstance(untitled, GeneralGloCiphering)
    assert untitled.system_title == b""
    text = bytes.fromhex(entry("vectors_ciphered_apdus", "p1-luxembourg-authenticated")["hex"])
    assert len(decode_apdu(text).body) == 1502  # type: ignore[attr-defined]


def test_exception_response() -> None:
    assert drive(bytes.fromhex("d80102")) == ExceptionResponse(1, 2)
    counted = drive(bytes.fromhex("d8010600000102"))
    assert isinstance(counted, ExceptionResponse)
    assert counted.service is ServiceError.INVOCATION_COUNTER_ERROR
    assert counted.invocation_counter == 0x102
    assert counted.text == "service-not-allowed, invocation-counter-error"
    assert decode_apdu(bytes.fromhex("d80106")) == ExceptionResponse(1, 6)
    assert ExceptionResponse(9, 9).text == "code 9, code 9"


def test_confirmed_service_error() -> None:
    error = drive(bytes.fromhex("0e010604"))
    assert isinstance(error, ConfirmedServiceError)
    assert error.text == "initiate-error: initiate: refused-by-the-VDE-handler"
    assert ConfirmedServiceError(5, 5, 2).text == "read: access: object-access-violated"
    assert ConfirmedServiceError(6, 99, 3).text == "write: category 99: code 3"
    assert ConfirmedServiceError(0, 0, 99).text == "service 0: application-reference: code 99"


def test_initiate_with_every_option() -> None:
    request = InitiateRequest(Secret(b"k" * 16), False, -1, 5, Conformance.GET, 0)
    assert drive(request.encode()) == request
    assert "kkkk" not in repr(request)


def test_response_allowed_spelled_out() -> None:
    message = decode_apdu(bytes.fromhex("01000101" + "00065f1f040000001d0000"))
    assert isinstance(message, InitiateRequest)
    assert message.response_allowed


def test_old_form_of_the_conformance_tag() -> None:
    message = decode_apdu(bytes.fromhex("0800065f0400" + "00001d" + "01900007"))
    assert isinstance(message, InitiateResponse)
    assert message.max_pdu_size == 400


def test_short_name_read() -> None:
    request = drive(bytes.fromhex("05" + "02" + "02fa08" + "04fa0801" + "1107"))
    assert request == ReadRequest((VariableName(0xFA08), ParameterisedAccess(0xFA08, 1, SEVEN)))
    answer = drive(bytes.fromhex("0c" + "03" + "001107" + "0104" + "0201000102abcd"))
    assert answer == ReadResponse((SEVEN, DataAccessResult.OBJECT_UNDEFINED, DataBlockResult(True, 1, b"\xab\xcd")))
    assert drive(bytes.fromhex("0501050001")) == ReadRequest((BlockNumberAccess(1),))


def test_short_name_write() -> None:
    whole = WriteRequest((VariableName(0xFA08), VariableName(8)), (SEVEN, TEXT))
    part = Data(DataType.OCTET_STRING, whole.encode_body()[:50])
    assert drive(WriteRequest((WriteDataBlockAccess(False, 1),), (part,)).encode())
    assert drive(bytes.fromhex("0d02000103")) == WriteResponse(
        (DataAccessResult.SUCCESS, DataAccessResult.READ_WRITE_DENIED)
    )


def test_short_name_answer_in_blocks() -> None:
    assert decode_read_blocks(bytes.fromhex("1107")) == (SEVEN,)
    assert decode_read_blocks(bytes.fromhex("01001107")) == (SEVEN,)
    assert decode_read_blocks(bytes.fromhex("02001107010b")) == (SEVEN, DataAccessResult.OBJECT_UNAVAILABLE)
    with pytest.raises(DecodeError):
        decode_read_blocks(bytes.fromhex("0100110700"))


def test_access() -> None:
    get, switch = AttributeDescriptor(3, Obis(6), 2), MethodDescriptor(70, Obis(6), 1)
    specifications = (
        AccessSpecification(AccessKind.GET, get),
        AccessSpecification(AccessKind.SET, get, (1, SEVEN)),
        AccessSpecification(AccessKind.ACTION, switch),
    )
    nothing = Data(DataType.NULL_DATA, None)
    request = AccessRequest(0x40000001, None, specifications, (nothing, TEXT, SEVEN))
    octets = drive(request.encode()).encode()
    assert octets[:7].hex() == "d9400000010003"
    assert (octets[7], octets[17]) == (1, 5)
    results = (AccessOutcome(AccessKind.GET, 0), AccessOutcome(AccessKind.ACTION, ActionResult.OTHER_REASON))
    drive(AccessResponse(1, bytes(12), None, (TEXT, nothing), results).encode())
    drive(AccessResponse(1, None, specifications, (), ()).encode())
