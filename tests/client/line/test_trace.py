"""The trace of a line: gathered, in order, and without a secret."""

from __future__ import annotations

import logging

import pytest

from dlms_mqtt.client.line.trace import Trace
from dlms_mqtt.protocol.axdr.data import Data, DataType

SECRET = b"Zq7hunterX2w"


@pytest.fixture
def trace(caplog: pytest.LogCaptureFixture) -> Trace:
    caplog.set_level(logging.DEBUG, "dlms_mqtt.client")
    return Trace("line", [SECRET])


def test_octets_are_gathered_into_lines(trace: Trace, caplog: pytest.LogCaptureFixture) -> None:
    for octet in b"\x01\x02\x03":
        trace.received(bytes([octet]))
    assert caplog.messages == []
    trace.sent(b"\x04")
    assert caplog.messages == ["line < 010203", "line > 04"]
    trace.show_received()
    assert len(caplog.messages) == 2


def test_a_long_answer_is_shown_in_parts(trace: Trace, caplog: pytest.LogCaptureFixture) -> None:
    trace.received(b"\x00" * 2048)
    assert caplog.messages == []
    trace.received(b"\x01")
    assert caplog.messages == ["line < " + "00" * 2048 + "01"]


def test_a_secret_is_not_shown(trace: Trace, caplog: pytest.LogCaptureFixture) -> None:
    trace.sent(b"\x01" + SECRET)
    assert caplog.messages == ["line > 01" + "**" * len(SECRET)]


def test_what_was_hidden_is_known_again(trace: Trace, caplog: pytest.LogCaptureFixture) -> None:
    """An answer to a challenge is no secret of the settings, and may hold one."""
    trace.hides = True
    trace.sent(b"a proof of it")
    trace.hides = False
    trace.received(b"\x00a proof of it")
    trace.show_received()
    assert caplog.messages == [
        "line > (13 octets, not shown: a password is among them)",
        "line < 00" + "**" * 13,
    ]


@pytest.mark.parametrize("secret", [SECRET, b"it's \x00 \\ it", b'"'])
def test_an_answer_that_says_the_secret_is_not_shown(secret: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dlms_mqtt.client")
    trace = Trace("line", [secret, b""])
    trace.answered(Data(DataType.OCTET_STRING, b"in '" + secret))
    trace.answered(Data(DataType.OCTET_STRING, b"other octets"))
    assert caplog.messages[0] == "line < Data (not shown: a secret is in it)"
    assert "other octets" in caplog.messages[1]


def test_nothing_is_gathered_where_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dlms_mqtt.client")
    trace = Trace("line", [])
    trace.received(b"\x00" * 10_000)
    trace.sent(b"\x01")
    trace.show_received()
    assert (trace.on, caplog.messages) == (False, [])
