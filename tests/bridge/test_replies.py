from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt import errors
from dlms_mqtt.bridge.api.errors import CODES, LockedOut, RequestError
from dlms_mqtt.bridge.api.replies import code_of, error_of, failed, ok, progress

E = errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        *[(RequestError(code, "no"), code) for code in sorted(CODES)],
        (LockedOut(1.0), "locked-out"),
        (E.AuthenticationRefused("no"), "authentication-refused"),
        (E.AssociationRefused("no"), "association-refused"),
        (E.AccessRefused("no", code=1, name="hardware-fault"), "meter-refused"),
        (E.AccessRefused("no", code=2, name="temporary-failure"), "temporary-failure"),
        (E.AccessRefused("no", code=3, name="read-write-denied"), "access-denied"),
        (E.AccessRefused("no", code=4, name="object-undefined"), "object-undefined"),
        (E.AccessRefused("no", code=9, name="object-class-inconsistent"), "meter-refused"),
        (E.AccessRefused("no", code=12, name="type-unmatched"), "type-unmatched"),
        (E.AccessRefused("no", code=13, name="scope-of-access-violated"), "access-denied"),
        (E.AccessRefused("no", code=250, name="other-reason"), "meter-refused"),
        (E.ActionRefused("no", code=3, name="read-write-denied"), "access-denied"),
        (E.ServiceRefused("no", code=2, name="service-not-allowed, service-not-supported"), "not-supported"),
        (E.ServiceRefused("no", code=5, name="service-not-allowed, deciphering-error"), "security-error"),
        (E.ServiceRefused("no", code=6, name="service-not-allowed, invocation-counter-error"), "security-error"),
        (E.ServiceRefused("no", code=3, name="other-reason"), "meter-refused"),
        (E.MeterRefused("no"), "meter-refused"),
        (E.ConnectFailed("no"), "link-down"),
        (E.ConnectionLost("no"), "link-down"),
        (E.ResponseTimeout("no"), "no-answer"),
        (E.FramingError("no"), "no-answer"),
        (E.DecodeError("no"), "no-answer"),
        (E.SecurityError("no"), "security-error"),
        (E.ConfigError("no"), "invalid-value"),
        (E.LocalProtocolError("no"), "internal"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (ValueError("a fault of ours"), "internal"),
    ],
)
def test_each_exception_has_its_code(error, code):
    assert code_of(error) == code
    reply = error_of(error)
    assert reply["code"] == code and reply["message"]
    assert set(reply) == {"code", "message", "hint", "detail"}


def test_a_refusal_carries_the_standards_code():
    error = E.AccessRefused("The meter refused", code=3, name="read-write-denied", target="1.0.1.8.0.255:2")
    assert error_of(error)["detail"] == {"result": 3, "name": "read-write-denied", "target": "1.0.1.8.0.255:2"}


@pytest.mark.parametrize(("word", "reason"), [("deciphering-error", "key"), ("invocation-counter-error", "counter")])
def test_a_meter_that_cannot_decipher_says_why(word, reason):
    error = E.ServiceRefused("no", code=5, name=f"service-not-allowed, {word}")
    assert error_of(error)["detail"]["reason"] == reason


def test_an_echo_is_told_from_silence():
    assert error_of(E.ResponseTimeout("no", reason="echo"))["detail"] == {"reason": "echo"}
    assert error_of(E.ResponseTimeout("no"))["detail"] == {}


def test_a_fault_of_ours_shows_nothing_of_the_inside():
    assert "secret" not in str(error_of(ValueError("secret")))


def test_the_codes_are_those_of_the_api():
    assert len(CODES) == 25
    assert all(code == code.lower() and " " not in code for code in CODES)


def test_the_shapes_of_replies():
    assert ok(None) == {"status": "ok", "data": {}} and ok({"a": 1})["data"] == {"a": 1}
    assert progress(1, 3, "objects") == {"status": "progress", "data": {"done": 1, "total": 3, "stage": "objects"}}
    reply = failed(E.ConnectFailed("no route", hint="Check the cable."))
    assert reply["status"] == "error" and reply["error"]["code"] == "link-down"
    assert (reply["error"]["message"], reply["error"]["hint"]) == ("no route", "Check the cable.")
