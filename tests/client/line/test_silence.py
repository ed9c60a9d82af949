"""Why no answer came: each cause by what came instead, which of two is told, and what helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.client.line.question import Question
from dlms_mqtt.client.line.silence import Silence, link_lost, link_refused, no_answer
from dlms_mqtt.protocol.framing.link import LinkDown

SENT = b"\x7e\xa0\x07\x03\x21\x93\x0f\x01\x7e"


def silence(received: bytes = b"", **facts: Any) -> Silence:
    """Over HDLC at a serial port; ``facts`` of the question or of what is known."""
    question = Question(300.0, 20.0, 0.0, 0.0, received=received)
    for name in ("parts", "signs", "strays", "pushes"):
        setattr(question, name, facts.pop(name, 0))
    question.broken = facts.pop("broken", set())
    plain = Silence("line", 16, question, SENT, signed_on=False, answered=False, framed=True, local=True)
    return replace(plain, **facts)


@pytest.mark.parametrize(
    ("it", "reason", "words"),
    [
        (silence(), "", "no answer from line"),
        (silence(answered=True), "", "no answer from line"),
        (silence(signed_on=True), "wrong-address", "answers the sign-on, but not at this address"),
        (silence(SENT, signed_on=True), "wrong-address", "answers the sign-on"),
        (silence(b"xx", broken={"address"}), "wrong-address", "a meter on line answers from another address"),
        (silence(b"xx", broken={"client"}), "wrong-address", "another client address than ours (16)"),
        (silence(SENT * 3), "echo", "only our own octets come back"),
        (silence(SENT, broken={"address", "client"}), "echo", "only our own octets come back"),
        (silence(b"xx", strays=1), "invoke-id", "another invoke id"),
        (silence(b"xx", strays=1, pushes=1), "invoke-id", "another invoke id"),
        (silence(b"xx", pushes=2), "pushes", "sends by itself"),
        (silence(b"xx", broken={"push"}), "pushes", "sends by itself"),
        (silence(b"xx", pushes=2, answered=True), "", "no answer from line"),
        (silence(b"xx", pushes=2, signs=1), "unanswered", "says that it is there"),
        (silence(b"xx", signs=1), "unanswered", "says that it is there"),
        (silence(b"xx", parts=3), "unfinished", "has answered in part, and does not come to the end"),
        (silence(b"xx", parts=3, signs=1), "unfinished", "has answered in part"),
        (silence(b"xx", parts=3, broken={"check"}), "garbled", "2 octets came"),
        (silence(b"xx", broken={"check"}), "garbled", "2 octets came from line, but no valid answer"),
        (silence(b"xx", broken={"push"}, answered=True), "garbled", "2 octets came"),
    ],
)
def test_the_likeliest_cause_is_told(it: Silence, reason: str, words: str) -> None:
    error = no_answer(it, "; it took 5 s")
    assert error.reason == reason
    assert words in error.message and error.message.endswith("; it took 5 s")
    assert error.received == it.question.received
    assert error.hint


@pytest.mark.parametrize(
    ("it", "words"),
    [
        (silence(b"x", framed=False), "--framing hdlc"),
        (silence(b"x", local=False), "of the converter"),
        (silence(b"x", broken={"rubbish"}), "position of the optical head; `dlms-mqtt find`"),
        (silence(b"x", broken={"rubbish"}, answered=True), "Frames come damaged"),
        (silence(b"x", broken={"rubbish", "check"}), "Frames come damaged"),
    ],
)
def test_what_helps_against_garbled_octets(it: Silence, words: str) -> None:
    assert words in str(no_answer(it).hint)


@pytest.mark.parametrize(
    ("it", "words", "has_speed"),
    [
        (silence(), "Check wiring, speed", True),
        (silence(local=False), "Check host and port, the converter's wiring", False),
        (silence(local=False, framed=False), "Check host and port, framing, addresses (client, server);", False),
    ],
    ids=["serial port", "HDLC on a converter", "wrapper"],
)
def test_what_helps_where_nothing_came_is_of_the_line_that_there_is(it: Silence, words: str, has_speed: bool) -> None:
    hint = str(no_answer(it).hint)
    assert hint.startswith(words)
    assert ("speed" in hint) is has_speed


def test_a_meter_that_has_answered_is_not_looked_for() -> None:
    assert "leave this one out" in str(no_answer(silence(answered=True)).hint)
    assert "dlms-mqtt find" in str(no_answer(silence()).hint)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (LinkDown("dm"), "dropped the link (DM)"),
        (LinkDown("frmr"), "refused a frame"),
        (LinkDown("disc"), "closed the link"),
        (LinkDown("snrm"), "the link went down (snrm)"),
        (LinkDown("frmr", "in its own words"), "in its own words"),
    ],
)
def test_a_lost_link_says_how(event: LinkDown, words: str) -> None:
    assert words in link_lost(event).message


def test_a_refused_link_is_about_the_address() -> None:
    error = link_refused("line")
    assert (error.name, error.reason) == ("disconnected-mode", "wrong-address")
