"""AARQ, AARE, RLRQ and RLRE: published vectors, and everything that real meters leave out, add or spell differently."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.protocol.acse.messages import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    ServiceProviderDiagnostic,
    ServiceUserDiagnostic,
)
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError
from dlms_mqtt.protocol.apdu.general import CipheredApdu
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.secret import Secret
from tests.frames_data import entries, entry, entry_id
from tests.octets import strip_llc
from tests.protocol.apdu.drive import drive


def describe(message: Any) -> dict[str, Any]:
    """A message in the words of the published entries."""
    facts: dict[str, Any] = {"service": message.NAME}
    for name in message.__match_args__:
        value = getattr(message, name)
        if value is not None and value not in ((), b"") and name not in ("diagnostic", "user_information"):
            text = name in ("application_context", "mechanism")
            facts[name] = value.text if text else value.hex() if isinstance(value, bytes) else value
    if getattr(message, "diagnostic", None):
        facts |= {"diagnostic_source": message.diagnostic.source.text, "diagnostic": message.diagnostic.code}
    return facts | (_user_information(message.user_information) if message.user_information else {})


def _user_information(data: bytes) -> dict[str, Any]:
    inside = decode_apdu(data)
    if isinstance(inside, InitiateRequest):
        return {"initiate_request": initiate(inside)}
    if isinstance(inside, InitiateResponse):
        return {"initiate_response": initiate(inside)}
    if isinstance(inside, ConfirmedServiceError):
        return {"confirmed_service_error": [inside.service, inside.category, inside.value]}
    assert isinstance(inside, CipheredApdu)
    return {"ciphered_initiate": _ciphered(inside)}


def _ciphered(inside: CipheredApdu) -> dict[str, Any]:
    control, body = inside.body[0], inside.body
    return {
        "tag": f"{inside.tag:02x}",
        "length": len(body),
        "security_control": f"{control:02x}",
        "security_suite": control & 0x0F,
        "authenticated": bool(control & 0x10),
        "encrypted": bool(control & 0x20),
        "broadcast": bool(control & 0x40),
        "compressed": bool(control & 0x80),
        "invocation_counter": int.from_bytes(body[1:5], "big"),
        "ciphertext": body[5:-12].hex(),
        "tag_value": body[-12:].hex(),
    }


def initiate(message: InitiateRequest | InitiateResponse) -> dict[str, Any]:
    facts: dict[str, Any] = {"dlms_version": message.dlms_version, "conformance": message.conformance.names()}
    if message.quality_of_service is not None:
        facts["quality_of_service"] = message.quality_of_service
    if isinstance(message, InitiateResponse):
        return facts | {"server_max_receive_pdu_size": message.max_pdu_size, "vaa_name": f"{message.vaa:04x}"}
    if message.dedicated_key is not None:
        facts["dedicated_key"] = message.dedicated_key.hex()
    sizes = {"client_max_receive_pdu_size": message.max_pdu_size}
    return facts | sizes | {"response_allowed": message.response_allowed}


@pytest.mark.parametrize("vector", entries("vectors_association", group="association"), ids=entry_id)
def test_association_vector(vector: dict[str, Any]) -> None:
    message = drive(bytes.fromhex(vector["apdu"]))
    expected = dict(vector["expected"])
    information = expected.pop("user_information", "")
    assert (message.user_information or b"").hex() == information
    assert describe(message) == expected


@pytest.mark.parametrize("vector", entries("vectors_association", group="initiate"), ids=entry_id)
def test_initiate_vector(vector: dict[str, Any]) -> None:
    message = drive(bytes.fromhex(vector["apdu"]))
    assert initiate(message) | {"service": message.NAME} == vector["expected"]


def published(name: str) -> bytes:
    return bytes.fromhex(entry("vectors_association", name)["apdu"])


def test_aarq_from_its_fields_is_the_published_one() -> None:
    services = [
        "priority-mgmt-supported",
        "attribute0-supported-with-get",
        "block-transfer-with-get-or-read",
        "block-transfer-with-set-or-write",
        "block-transfer-with-action",
        "multiple-references",
        "get",
        "set",
        "selective-access",
        "event-notification",
        "action",
    ]
    information = InitiateRequest(conformance=Conformance.from_names(services), max_pdu_size=1200).encode()
    plain = Aarq(ApplicationContext.LN, user_information=information)
    assert plain.encode() == published("u9n-aarq-1")
    password = Aarq(
        ApplicationContext.LN,
        acse_requirements=AUTHENTICATION_REQUIREMENT,
        mechanism=Mechanism.LLS,
        authentication_value=Secret(b"12345678"),
        user_information=information,
    )
    assert password.encode() == published("u9n-aarq-2")


def test_every_field_of_an_aarq() -> None:
    message = Aarq(
        application_context=ApplicationContext.SN_CIPHERED,
        calling_ap_title=b"MEL\0\0\0\0\x01",
        acse_requirements=AUTHENTICATION_REQUIREMENT,
        mechanism=Mechanism.HLS_ECDSA,
        authentication_value=Secret(b"x" * 64),
        user_information=b"\x01",
        calling_ae_invocation_id=200,
        calling_ap_invocation_id=1,
        calling_ae_qualifier=b"certificate" * 30,
        called_ap_title=b"LGZ\0\0\0\0\x02",
        called_ae_qualifier=b"q",
        called_ap_invocation_id=-1,
        called_ae_invocation_id=70000,
        protocol_version=b"\x02\x84",
        implementation_information=b"me",
    )
    data = message.encode()
    assert drive(data) == message
    assert "a904020200c8" in data.hex()  # 200 needs two octets: an INTEGER has a sign
    tags = [data.index(bytes((tag,)) + start) for tag, start in ((0x80, b"\x02\x02\x84"), (0xA1, b"\x09"), (0xBD, b""))]
    assert tags == sorted(tags)


def test_a_password_is_not_in_the_text() -> None:
    message = decode_apdu(published("u9n-aarq-2"))
    assert "12345678" not in repr(message)
    assert "3132333435363738" not in repr(message)


AARE = published("u9n-aare-1")


@pytest.mark.parametrize("version", ["80020780", "80020284"])
def test_protocol_version_spelled_out(version: str) -> None:
    field = bytes.fromhex(version)
    message = decode_apdu(bytes((0x61, AARE[1] + 4)) + field + AARE[2:])
    assert isinstance(message, Aare)
    assert message.accepted
    assert message.protocol_version == field[2:]
    assert message.encode()[2:6] == field


def test_unknown_fields_are_kept_in_order() -> None:
    extra = bytes.fromhex("9e0141" + "bf03020501")
    message = decode_apdu(bytes((0x61, AARE[1] + len(extra))) + AARE[2:] + extra)
    assert isinstance(message, Aare)
    assert message.unknown == ((0x9E, b"A"), (0xBF03, bytes.fromhex("0501"))), "the second tag has two octets"
    assert message.accepted
    assert message.encode()[2:] == AARE[2:] + extra


def test_an_unknown_field_goes_back_to_its_place() -> None:
    field = bytes.fromhex("a80302012a")  # in an AARE the standard has nothing with number 8 but 88
    at = AARE.index(bytes.fromhex("be10"))
    octets = bytes((0x61, AARE[1] + len(field))) + AARE[2:at] + field + AARE[at:]
    message = decode_apdu(octets)
    assert isinstance(message, Aare)
    assert message.unknown == ((0xA8, bytes.fromhex("02012a")),)
    assert message.encode() == octets


def test_a_field_that_comes_twice_is_kept() -> None:
    again = bytes.fromhex("a203020101")
    message = decode_apdu(bytes((0x61, AARE[1] + len(again))) + AARE[2:] + again)
    assert isinstance(message, Aare)
    assert message.result is AssociationResult.ACCEPTED
    assert message.unknown == ((0xA2, bytes.fromhex("020101")),)


def test_octets_after_the_message_are_kept_and_not_sent() -> None:
    message = decode_apdu(AARE + b"\0\0\0")
    assert isinstance(message, Aare)
    assert message.trailing == b"\0\0\0"
    assert message.encode() == AARE


def test_a_meter_that_counts_one_octet_too_few() -> None:
    """Published (short names): the lengths of the AARE and of all in it leave the last octet outside."""
    vector = entry("vectors_hdlc", "hdlc-jdlms-i-aare-sn")
    message = Aare.decode(strip_llc(bytes.fromhex(vector["expected"]["information"])))
    assert message.user_information is not None
    with pytest.raises(DecodeError):
        decode_apdu(message.user_information)
    response = decode_apdu(message.initiate or b"")
    assert isinstance(response, InitiateResponse)
    assert (response.max_pdu_size, response.vaa, message.trailing) == (0x0960, 0xFA00, b"\0")


def test_refusal_without_user_information() -> None:
    message = decode_apdu(bytes.fromhex("6117a109060760857405080101a203020101a305a10302010d"))
    assert isinstance(message, Aare)
    assert not message.accepted
    assert message.user_information is None
    assert message.text == "rejected-permanent: authentication-failure"


def test_empty_aare() -> None:
    message = drive(bytes.fromhex("6100"))
    assert isinstance(message, Aare)
    assert not message.accepted
    assert message.text == "no result"


def test_diagnostics_in_words() -> None:
    user = ServiceUserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED
    assert user.text == "calling-AP-title-not-recognized"
    assert ServiceProviderDiagnostic.NO_COMMON_ACSE_VERSION.text == "no-common-acse-version"
    assert AssociationResult.REJECTED_TRANSIENT.text == "rejected-transient"
    assert Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, 99).text == "code 99"
    assert Mechanism.NONE.text == "none"
    assert Mechanism.HLS_SHA256.text == "HLS-SHA256"
    assert ReleaseResponseReason.NOT_FINISHED.text == "not-finished"


def test_provider_diagnostic_and_numbers_out_of_the_standard() -> None:
    provider = Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, ServiceProviderDiagnostic.NO_COMMON_ACSE_VERSION)
    assert drive(Aare(result=1, diagnostic=provider).encode()).diagnostic == provider
    odd = Aare(result=7, diagnostic=Diagnostic(3, 200), application_context=9, mechanism=77)
    message = drive(odd.encode())
    assert message == odd
    assert message.text == "code 7: code 200"


def test_foreign_object_identifiers_stay_bytes() -> None:
    message = Aarq(application_context=b"\x2a\x03", mechanism=b"\x2a\x04")
    assert drive(message.encode()) == message


def test_contexts() -> None:
    assert [context.text for context in ApplicationContext] == ["LN", "SN", "LN-ciphered", "SN-ciphered"]
    assert [context.ciphered for context in ApplicationContext] == [False, False, True, True]
    assert [context.logical_names for context in ApplicationContext] == [True, False, True, False]


@pytest.mark.parametrize("choice", [0x80, 0x81, 0xA2, 0xA3])
def test_authentication_value_in_any_choice(choice: int) -> None:
    message = decode_apdu(bytes((0x60, 6, 0xAC, 4, choice, 2)) + b"pw")
    assert isinstance(message, Aarq)
    assert message.authentication_value == b"pw"


def test_release_without_a_reason() -> None:
    assert drive(bytes.fromhex("6200")) == Rlrq(reason=None)
    assert drive(bytes.fromhex("6300")) == Rlre(reason=None)
    assert Rlrq().encode() == bytes.fromhex("6203800100")


@pytest.mark.parametrize(
    "hex_text",
    [
        "6005a103020101",  # the context is no object identifier
        "6104a2020200",  # an integer without octets
        "610ba209020900000000000000000001"[:26],  # an integer of nine octets
        "6103be0205",  # user-information is cut inside its field
        "60847fffffff",  # a length beyond the bytes
        "6080",  # indefinite length
    ],
)
def test_broken_fields(hex_text: str) -> None:
    with pytest.raises(DecodeError):
        decode_apdu(bytes.fromhex(hex_text))


def test_a_value_that_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="aarq"):
        Aarq(application_context=300).encode()


OPTIONAL = st.none() | st.binary(max_size=40)
NUMBER = st.none() | st.integers(-(2**31), 2**31)
CONTEXT = st.none() | st.sampled_from(ApplicationContext)
MECHANISM = st.none() | st.sampled_from(Mechanism)
AARQS = st.builds(
    Aarq,
    CONTEXT,
    OPTIONAL,
    OPTIONAL,
    MECHANISM,
    st.none() | st.binary(max_size=200).map(Secret),
    OPTIONAL,
    NUMBER,
    NUMBER,
    OPTIONAL,
    OPTIONAL,
    OPTIONAL,
    NUMBER,
    NUMBER,
    OPTIONAL,
    OPTIONAL,
)
DIAGNOSTICS = st.builds(Diagnostic, st.just(DiagnosticSource.ACSE_SERVICE_USER), st.sampled_from(ServiceUserDiagnostic))
AARES = st.builds(
    Aare,
    CONTEXT,
    st.none() | st.sampled_from(AssociationResult),
    st.none() | DIAGNOSTICS,
    OPTIONAL,
    OPTIONAL,
    MECHANISM,
    st.none() | st.binary(max_size=200).map(Secret),
    OPTIONAL,
    NUMBER,
    NUMBER,
    OPTIONAL,
    OPTIONAL,
    OPTIONAL,
    st.lists(st.tuples(st.just(0x9D), st.binary(max_size=5)), max_size=2).map(tuple),
)
RELEASES = st.builds(Rlrq, NUMBER, OPTIONAL) | st.builds(Rlre, NUMBER, OPTIONAL)


@given(AARQS | AARES | RELEASES)
def test_round_trip(message: Aarq | Aare | Rlrq | Rlre) -> None:
    assert decode_apdu(message.encode()) == message


@given(st.sampled_from([0x60, 0x61, 0x62, 0x63]), st.binary(max_size=120))
def test_any_octets_decode_or_raise(tag: int, data: bytes) -> None:
    try:
        message = decode_apdu(bytes((tag, len(data))) + data)
    except DecodeError:
        return
    assert isinstance(message, Aarq | Aare | Rlrq | Rlre)
    message.encode()
