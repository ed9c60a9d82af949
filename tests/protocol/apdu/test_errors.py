"""Refusals of whole requests: the standard's octets and words, counters, and numbers that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse, ServiceError, StateError
from tests.protocol.apdu.drive import drive


@pytest.mark.parametrize(
    ("octets", "message", "text"),
    [
        (
            "d80101",
            ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE),
            "service-not-allowed, operation-not-possible",
        ),
        (
            "d8020600000011",
            ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.INVOCATION_COUNTER_ERROR, 17),
            "service-unknown, invocation-counter-error",
        ),
        ("0e010601", ConfirmedServiceError(1, 6, 1), "initiate-error: initiate: dlms-version-too-low"),
        ("0e050500", ConfirmedServiceError(5, 5, 0), "read: access: other"),
    ],
)
def test_the_standards_octets_and_words(
    octets: str, message: ExceptionResponse | ConfirmedServiceError, text: str
) -> None:
    assert decode_apdu(bytes.fromhex(octets)) == message
    assert message.encode().hex() == octets
    assert message.text == text


def test_older_meters_do_not_tell_the_counter() -> None:
    found = decode_apdu(bytes.fromhex("d80106"))
    assert isinstance(found, ExceptionResponse) and found.invocation_counter is None


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_any_numbers_go_round_and_have_words(service: int, category: int, value: int) -> None:
    found = decode_apdu(ConfirmedServiceError(service, category, value).encode())
    assert isinstance(found, ConfirmedServiceError) and found == ConfirmedServiceError(service, category, value)
    assert found.text.count(": ") == 2
    other = decode_apdu(bytes((0xD8, service, category)) + (b"\0\0\0\1" if category == 6 else b""))
    assert isinstance(other, ExceptionResponse) and (other.state, other.service) == (service, category)
    assert ", " in other.text


@pytest.mark.parametrize("octets", ["d8", "d801", "0e", "0e0106"])
def test_cut_ones_are_none(octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_apdu(bytes.fromhex(octets))


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
