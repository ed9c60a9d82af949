"""The meter said no: each kind of answer as its error, with its code, its words and a next step."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.refusals import about_secrets, access_refused, action_refused, service_refused
from dlms_mqtt.errors import AuthenticationRefused, DlmsMqttError, ResponseTimeout, SecurityError, ServiceRefused
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.get import GetRequestNext


@pytest.mark.parametrize(
    ("code", "name", "hint"),
    [
        (3, "read-write-denied", "higher authentication"),
        (4, "object-undefined", "dlms-mqtt objects"),
        (12, "type-unmatched", "--type"),
        (250, "other-reason", "no reason"),
    ],
)
def test_a_refused_attribute(code: int, name: str, hint: str) -> None:
    error = access_refused(code, "3/1.0.1.8.0.255:2", "write")
    assert (error.code, error.name, error.target) == (code, name, "3/1.0.1.8.0.255:2")
    assert error.message == f"the meter refused to write 3/1.0.1.8.0.255:2: {name}"
    assert hint in str(error.hint)


def test_a_code_that_nobody_knows_is_still_told() -> None:
    error = access_refused(99, "here")
    assert error.code == 99 and "99" in error.name
    assert "its manual" in str(error.hint)


def test_a_transfer_in_blocks_that_was_lost_has_a_next_step_too() -> None:
    assert access_refused(15, "here").message.endswith("long-get-aborted")
    assert "try again" in str(access_refused(15, "here").hint)


def test_a_refused_method() -> None:
    error = action_refused(3, "here")
    assert error.message == "the meter refused to run here: read-write-denied"


def test_a_refused_request() -> None:
    answer = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, 17)
    error = service_refused(answer)
    assert isinstance(error, ServiceRefused)
    assert (error.code, error.invocation_counter) == (6, 17)
    assert "dlms-mqtt counter" in str(error.hint)
    doubtful = service_refused(answer, unprotected=True)
    assert doubtful is not None and doubtful.message.endswith("(unauthenticated: the refusal came in plain)")


def test_a_confirmed_service_error() -> None:
    error = service_refused(ConfirmedServiceError(1, 0, 1))
    assert error is not None and "service error" in error.message


def test_any_other_answer_is_none() -> None:
    assert service_refused(GetRequestNext(1, 1)) is None


def _exception(service: ServiceError) -> DlmsMqttError:
    error = service_refused(ExceptionResponse(StateError.SERVICE_UNKNOWN, service))
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("error", "about"),
    [
        (AuthenticationRefused("x"), True),
        (SecurityError("x", reason="tag"), True),
        (SecurityError("x", reason="key"), True),
        (SecurityError("x", reason="counter"), False),
        (_exception(ServiceError.DECIPHERING_ERROR), True),
        (_exception(ServiceError.OPERATION_NOT_POSSIBLE), False),
        (ResponseTimeout("x"), False),
    ],
)
def test_what_is_about_a_secret_is_not_tried_again(error: DlmsMqttError, about: bool) -> None:
    assert about_secrets(error) is about
