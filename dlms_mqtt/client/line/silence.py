"""Why no answer came, as far as what came instead tells: a row for each cause, the first that applies is told.

The order matters: a reflected frame looks like a meter at another address, a push like damage, and so on; what a meter
has said at all weighs more than what the line has garbled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.client.line.question import Question
from dlms_mqtt.errors import AssociationRefused, ConnectionLost, ResponseTimeout
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.link import LinkDown

_ELSEWHERE = (
    "Check the server address (1, 16 and the last digits of the serial number are common), the client address and the "
    "physical address; `dlms-mqtt find` tries them."
)
_OTHER_CLIENT = "Check the client address; another program may be talking to the meter on the same line."
OTHER_INVOKE = (
    "The meter does not give back the number of the question, or answers late: a longer --timeout helps against the "
    "latter; over HDLC such answers can be taken."
)
_TURNED = "The head works but may sit the wrong way round; else `dlms-mqtt find` tries addresses."
_SENDS = (
    "`dlms-mqtt listen` shows what it sends; in a configuration, push: {listen: connection} reads it without asking."
)
_BUSY = "It may be busy with something else (a longer --timeout), or not know what to say: leave this out."
_LONG = "Ask for less at a time (fewer rows, a shorter time), or give it more (--exchange-timeout)."
_QUIET = "It has answered other questions: leave this one out, or give it more time (--timeout)."
_NOTHING = "Check wiring, speed, opening, addresses (client, server, physical); `dlms-mqtt find` tries them all."
_NOTHING_FAR = (
    "Check host and port, the converter's wiring and settings, addresses (client, server, physical); "
    "`dlms-mqtt find` tries the addresses."
)
_NO_PORT = "Check host and port, framing, addresses (client, server); `dlms-mqtt find` tries the latter two."
_NO_WRAPPER = "It is no wrapper frame: --framing hdlc may fit; `dlms-mqtt find` tries both."
_CONVERTER = "Check speed and parity of the converter; `dlms-mqtt find` tells more, and tries the wrapper too."
_HEAD = "Check speed, parity and the position of the optical head; `dlms-mqtt find` tries them all."
_DROPPED = (
    "Often another program uses the line too, or a run before was broken off: end it, or wait for the meter's "
    "inactivity time."
)
_DAMAGED = "Frames come damaged: check speed, parity and the position of the optical head, light and cable."

_LOST = {
    "dm": "the meter has dropped the link (DM)",
    "frmr": "the meter refused a frame (FRMR)",
    "disc": "the meter closed the link",
    "stuck": "the link no longer moves",
}


class LinkLost(ConnectionLost):
    """The meter dropped the link while the line still stands: it can be set up again."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What is known when a question has had its time."""

    line: str  # its name
    client: int  # our address
    question: Question
    sent: bytes  # what went out last
    signed_on: bool  # the meter has answered a sign-on, and nothing since
    answered: bool  # the meter has answered another question since the line was opened
    framed: bool  # the link has a connection of its own (HDLC)
    local: bool  # a serial port of this machine, not a converter in the network

    @property
    def echo(self) -> bool:
        """Has nothing come but what we said?"""
        received = self.question.received
        return bool(self.sent and received and not received.replace(self.sent, b""))

    @property
    def pushed(self) -> bool:
        """Does it speak by itself, and has never answered anything?"""
        question = self.question
        return bool(question.pushes or "push" in question.broken) and not (self.answered or question.signs)

    @property
    def garbled_hint(self) -> str:
        """What helps against octets that are no valid answer."""
        if not self.framed:
            return _NO_WRAPPER
        if not self.local:
            return _CONVERTER
        return _HEAD if self.question.broken <= {"rubbish"} and not self.answered else _DAMAGED

    @property
    def nothing_hint(self) -> str:
        """What helps where nothing came at all: a wrapper's line has neither speed nor wires of ours."""
        if not self.framed:
            return _NO_PORT
        return _NOTHING if self.local else _NOTHING_FAR


class _Cause(NamedTuple):
    applies: Callable[[Silence], object]
    sentence: str
    reason: str
    hint: str | Callable[[Silence], str]


_CAUSES = (
    # A reflected wrapper frame comes from our own address, so an echo is none of these two.
    _Cause(
        lambda it: "address" in it.question.broken and not it.echo,
        "a meter on {line} answers from another address",
        "wrong-address",
        _ELSEWHERE,
    ),
    _Cause(
        lambda it: it.signed_on and (it.echo or not it.question.received),
        "a meter on {line} answers the sign-on, but not at this address",
        "wrong-address",
        _ELSEWHERE,
    ),
    _Cause(
        lambda it: "client" in it.question.broken and not it.echo,
        "the meter on {line} answers another client address than ours ({client})",
        "wrong-address",
        _OTHER_CLIENT,
    ),
    _Cause(lambda it: it.echo, "only our own octets come back from {line}, the meter does not answer", "echo", _TURNED),
    _Cause(
        lambda it: it.question.strays,
        "the meter on {line} answers with another invoke id than the question has",
        "invoke-id",
        OTHER_INVOKE,
    ),
    _Cause(
        lambda it: it.pushed,
        "this meter sends by itself: what comes from {line} is pushed, nothing answers",
        "pushes",
        _SENDS,
    ),
    _Cause(
        lambda it: it.question.parts and not it.question.broken,
        "the meter on {line} has answered in part, and does not come to the end",
        "unfinished",
        _LONG,
    ),
    _Cause(
        lambda it: it.question.signs,
        "the meter on {line} says that it is there, but does not answer the question",
        "unanswered",
        _BUSY,
    ),
    _Cause(
        lambda it: it.question.received and not it.question.pushes,
        "{octets} octets came from {line}, but no valid answer",
        "garbled",
        lambda it: it.garbled_hint,
    ),
    _Cause(lambda it: it.answered, "no answer from {line}", "", _QUIET),
    _Cause(lambda it: True, "no answer from {line}", "", lambda it: it.nothing_hint),
)


def no_answer(it: Silence, spent: str = "") -> ResponseTimeout:
    """The error that tells the likeliest cause; ``spent`` ends its sentence."""
    cause = next(row for row in _CAUSES if row.applies(it))
    received = it.question.received
    sentence = cause.sentence.format(line=it.line, client=it.client, octets=len(received))
    hint = cause.hint if isinstance(cause.hint, str) else cause.hint(it)
    return ResponseTimeout(sentence + spent, received=received, reason=cause.reason, hint=hint)


def link_refused(line: str) -> AssociationRefused:
    """The meter met SNRM with DM."""
    return AssociationRefused(
        f"the meter on {line} answers, but refuses the link for this address (DM)",
        name="disconnected-mode",
        reason="wrong-address",
        hint=f"{_ELSEWHERE} Another client that the meter serves now is also met with DM.",
    )


def link_lost(event: LinkDown) -> LinkLost:
    """The link that was there is gone."""
    return LinkLost(event.detail or _LOST.get(event.reason, f"the link went down ({event.reason})"), hint=_DROPPED)
