"""Errors of the API: a code of the contract, and what the caller can do."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.errors import CODES, LockedOut, RequestError


def test_a_request_that_is_turned_down() -> None:
    error = RequestError("invalid-value", "no", hint="yes", detail={"reason": "seal"})
    assert (error.code, error.message, error.hint, error.detail) == ("invalid-value", "no", "yes", {"reason": "seal"})
    assert RequestError("busy", "no").detail == {}


def test_no_other_code_is_sent() -> None:
    with pytest.raises(AssertionError):
        RequestError("whatever", "no")
    assert {"bad-request", "internal", "locked-out"} <= CODES


def test_a_pause_says_how_long_and_what_ends_it() -> None:
    error = LockedOut(1_800_000_000.0)
    assert error.until == 1_800_000_000.0
    assert "Correct the password" in error.hint
