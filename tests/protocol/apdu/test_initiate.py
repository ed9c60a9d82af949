"""InitiateRequest and -Response: the standard's octets, defaults that are left out, sizes and names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.initiate import LN_VAA, SN_VAA, InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.secret import Secret
from tests.protocol.apdu.drive import drive

# Green Book, example of an AARQ with logical names: proposed conformance 00 7E 1F, client-max-receive-pdu-size 04 B0.
REQUEST = "01 00 00 00 06 5f 1f 04 00 00 7e 1f 04 b0"
RESPONSE = "08 00 06 5f 1f 04 00 00 50 1f 01 f4 00 07"


def test_the_standards_octets() -> None:
    request = decode_apdu(bytes.fromhex(REQUEST))
    assert isinstance(request, InitiateRequest)
    assert (request.max_pdu_size, request.response_allowed, request.dedicated_key) == (1200, True, None)
    assert request.conformance & Conformance.GET
    assert request.encode() == bytes.fromhex(REQUEST)
    response = decode_apdu(bytes.fromhex(RESPONSE))
    assert isinstance(response, InitiateResponse)
    assert (response.max_pdu_size, response.vaa) == (500, LN_VAA)
    assert response.encode() == bytes.fromhex(RESPONSE)


@given(
    st.none() | st.binary(min_size=16, max_size=32).map(Secret),
    st.booleans(),
    st.none() | st.integers(-128, 127),
    st.integers(0, 0xFFFF),
)
def test_requests_go_round(key: Secret | None, allowed: bool, quality: int | None, size: int) -> None:
    request = InitiateRequest(key, allowed, quality, 6, Conformance.GET | Conformance.SET, size)
    assert decode_apdu(request.encode()) == request


@given(st.none() | st.integers(-128, 127), st.integers(0, 255), st.sampled_from([LN_VAA, SN_VAA, 0, 0xFFFF]))
def test_responses_go_round(quality: int | None, version: int, vaa: int) -> None:
    response = InitiateResponse(quality, version, Conformance.READ, 0, vaa)
    assert decode_apdu(response.encode()) == response


def test_a_key_is_not_shown() -> None:
    assert "41" not in repr(InitiateRequest(Secret(b"A" * 16)).dedicated_key)


@pytest.mark.parametrize("octets", [REQUEST, RESPONSE])
def test_cut_ones_are_none(octets: str) -> None:
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        with pytest.raises(DecodeError):
            decode_apdu(whole[:size])


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
