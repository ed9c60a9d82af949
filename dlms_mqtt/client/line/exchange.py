"""One question, one answer: drives a connection over a transport, with timers and repeats.

Four timers: the first octet of an answer, silence inside a frame, time without any part of an answer, and the whole
question with all its blocks. On silence the same frame is sent again; nothing is sent twice that the protocol does not
number or the line does not lose. What is no part of the answer (pushes, "I am there", answers to other questions)
stops none of the last two timers, and only what a meter says to this question stops the first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dlms_mqtt.client.line.masking import masked
from dlms_mqtt.client.refusals import service_refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AssociationRefused, ConnectionLost, RemoteProtocolError, ResponseTimeout
from dlms_mqtt.protocol.acse.messages import Aarq, Rlrq
from dlms_mqtt.protocol.apdu.get import GetRequestNext, GetRequestNormal, GetRequestWithList
from dlms_mqtt.protocol.apdu.short_name import ReadRequest, WriteRequest
from dlms_mqtt.protocol.connection import Connection, Event
from dlms_mqtt.protocol.framing.link import Activity, Broken, LinkDown, LinkParameters, LinkUp
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.states import ANY_TIME
from dlms_mqtt.transport.base import Transport

log = logging.getLogger("dlms_mqtt.client")

_DISCONNECT_WAIT = 1.5  # s: a meter that does not answer DISC has nothing to release

_CIPHERING = (22, 31)  # octets: tag, length, control, counter, tag of 12; the general form adds the system title

_ELSEWHERE = (
    "Check the server address (1, 16 and the last digits of the serial number are common), the client address and the "
    "physical address; `dlms-mqtt find` tries them."
)

_PATIENCE = 20.0  # s at least for one attribute: meters say that they are there, and need that long now and then
_STRAYS = 3  # answers to other questions, beyond what repeats may have caused, before this one is given up
_OTHER_CLIENT = "Check the client address; another program may be talking to the meter on the same line."
_OTHER_INVOKE = (
    "The meter does not give back the number of the question, or answers late: a longer --timeout helps against the "
    "latter; over HDLC such answers can be taken."
)
_SENDS = (
    "`dlms-mqtt listen` shows what it sends; in a configuration, push: {listen: connection} reads it without asking."
)
_BUSY = "It may be busy with something else (a longer --timeout), or not know what to say: leave this out."
_QUIET = "It has answered other questions: leave this one out, or give it more time (--timeout)."
_NOTHING = "Check wiring, speed, opening, addresses (client, server, physical); `dlms-mqtt find` tries them all."
_TURNS = 32  # turn-rounds of a session that are remembered
_TOLD = 2048  # octets in a line of the trace, at most a chunk more
_KEPT = 512  # octets of an invalid answer, for a diagnosis

# What may reach the meter twice without harm.
_REPEATABLE = frozenset({GetRequestNormal, GetRequestNext, GetRequestWithList, ReadRequest, Rlrq})
# Services without an invoke id: on a link that numbers nothing, a late answer looks like the next one.
_UNPAIRED = frozenset({ReadRequest, WriteRequest})

MOST_OCTETS = 64 << 20  # of one answer in blocks: a meter must not fill our memory
_AT_ONCE = 16  # pushes and other events that are worked on before others have their turn
_SAID = 4  # hidden questions that are known again when they come back

_LOST = {
    "dm": "the meter has dropped the link (DM)",
    "frmr": "the meter refused a frame (FRMR)",
    "disc": "the meter closed the link",
    "stuck": "the link no longer moves",
}


class LinkLost(ConnectionLost):
    """The meter dropped the link while the line still stands: it can be set up again."""


@dataclass(slots=True)
class _Question:
    """One question with all its blocks: until when it is waited for, and what came that was no answer to it."""

    deadline: float
    patience: float  # s that may pass without any part of an answer
    began: float
    progress: float  # when the last part came, or the question went out
    signs: int = 0  # of life: the meter is there, and says nothing else
    strays: int = 0  # answers to other questions
    pushes: int = 0
    received: bytes = b""
    broken: set[str] = field(default_factory=set)

    @property
    def ends(self) -> float:
        """When it is given up, if nothing comes."""
        return min(self.deadline, self.progress + self.patience)


class Exchange:
    """The line to one meter while it is open. ``warn`` tells the user something once for each meter."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        settings: ConnectionSettings,
        on_notification: Callable[[Apdu], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.connection = connection
        self.transport = transport
        self.settings = settings
        self.on_notification = on_notification or _ignore
        self._warn = warn or (lambda sentence: log.warning("%s: %s", transport.name, sentence))
        self._trace = log.isEnabledFor(logging.DEBUG)
        self.most_octets = MOST_OCTETS
        self._untold = b""  # of what came, the trace; a slow line gives an octet at a time
        self.hiding = False  # set by the caller while what is said would give a password away
        self._hide = False  # the same for this question, which the line may reflect: trace lengths only
        self._said: deque[bytes] = deque(maxlen=_SAID)  # what was hidden, as it went out: it may come back late
        self._signed_on = False  # the meter has answered a sign-on, so it is there
        self._owed = False  # an answer that cannot be told from the next one may still come
        self._short = False  # this question has had fewer answers than it was sent
        self.heard = False  # an octet has come
        self._answered = False  # the meter has answered something since the line was opened
        self.repeated = 0  # what was sent again: of a datagram nobody knows whether the meter had the first
        self.turn_rounds: deque[float] = deque(maxlen=_TURNS)  # s from questions to the first frame that answered
        self._waiting = False  # something was sent, nothing has answered it yet
        # Only a serial line has silence inside a frame; a network may pause for seconds to repeat a packet.
        self._octet_timeout = settings.octet_timeout if connection.link.has_connection else settings.timeout
        self._loop = asyncio.get_running_loop()
        self._question = self._ask_anew()
        self._dropped = self._stale = 0  # of the connection's counts, what has been noticed
        self._last = b""
        self.last_used = self._loop.time()  # when something was sent last

    @property
    def has_connection(self) -> bool:
        """Has the link a life of its own (SNRM, DISC)?"""
        return self.connection.link.has_connection

    @property
    def overhead(self) -> int:
        """Octets that ciphering adds to an APDU, at most."""
        cipher = self.connection.cipher
        return 0 if cipher is None else _CIPHERING[cipher.form.startswith("general")]

    async def connect(self, *, signed_on: bool = False) -> LinkParameters:
        """Set the link up. Silence, DM and FRMR are met with DISC and another SNRM, as often as ``retries`` says.

        ``signed_on``: the meter has answered a sign-on, so silence now is about the address.
        """
        self._signed_on = signed_on
        failure: Exception | None = None
        # A DISC may end more than the link: a meter that signed on goes back to its sign-on. So SNRM alone goes first.
        again = int(self.settings.opening != "direct" and self.settings.retries > 0)
        for attempt in range(self.settings.retries + 1 - again):
            if attempt:
                await self.disconnect()
            self.connection.connect()
            self._question = self._ask_anew()
            try:
                event = await self._link_event(repeats=again if not attempt else 0)
            except ResponseTimeout as error:
                failure = error
                if error.reason == "pushes" and attempt:
                    break
                continue
            if isinstance(event, LinkUp):
                self._signed_on = False
                return event.parameters
            failure = LinkLost(_lost(event)) if event.reason != "dm" else _link_refused(self.transport.name)
        raise failure or ResponseTimeout("the meter does not answer")

    async def disconnect(self) -> None:
        """Take the link down; no answer is no error."""
        self.connection.disconnect()
        self._question = self._ask_anew()
        try:
            while type(await self._link_event(repeats=0, wait=_DISCONNECT_WAIT)) is not LinkDown:
                pass
        except ResponseTimeout:
            log.debug("%s: no answer to the disconnect", self.transport.name)

    async def ask(self, message: Apdu, *expected: type[Apdu], patient: bool = False) -> Any:
        """Send a message and return its answer, which is one of the ``expected`` kinds if there are any.

        ``patient``: the answer may take as long as the whole question (rows of a profile, an object list).
        TransportError, RemoteProtocolError; ServiceRefused where the meter refuses the whole request.
        """
        await self.settle()
        self._question = self._ask_anew(patient or type(message) not in _REPEATABLE)
        return await self._answer(message, expected)

    async def go_on(self, message: Apdu, *expected: type[Apdu]) -> Any:
        """Send what belongs to the question before (its next block): both have the time of one question."""
        await self.settle()
        return await self._answer(message, expected)

    async def _answer(self, message: Apdu, expected: tuple[type[Apdu], ...]) -> Any:
        self._hide = self.hiding or (type(message) is Aarq and self.settings.password is not None)
        self.connection.send(message)
        try:
            answer = await self._event(
                self._repeats(message) if self.transport.datagram else self.settings.retries, self.settings.timeout
            )
            if type(answer) is LinkDown:
                raise LinkLost(_lost(answer))
            if self._trace and self._hide:
                log.debug("%s < %s", self.transport.name, answer)
        except BaseException:
            self._short = True
            self.connection.abandon()
            raise
        finally:
            self._hide = False
            if self._short:
                self._short = False
                self._owed = type(message) in _UNPAIRED and not self.connection.link.numbered
        self._answered = True
        self._tell_oddities()
        if expected and type(answer) not in expected:
            refused = service_refused(answer, unprotected=self.connection.unprotected)
            raise refused or RemoteProtocolError(f"{type(answer).__name__} does not answer the request")
        return answer

    def _ask_anew(self, patient: bool = False) -> _Question:
        settings, now = self.settings, self._loop.time()
        quick = max(_PATIENCE, 2 * settings.timeout * (settings.retries + 1))
        longest = settings.exchange_timeout
        return _Question(now + longest, longest if patient else min(quick, longest), now, now)

    def _tell_oddities(self) -> None:
        connection = self.connection
        if connection.left_over:
            self.tell_left_over(connection.left_over, "an answer")
        if connection.constant is not None:
            self._warn(
                "the meter answers with another invoke id than the question has; on this link, which numbers its "
                "frames, such answers are taken"
            )

    def tell_left_over(self, octets: bytes, what: object) -> None:
        """Octets that belong to nothing: told once for each meter, and each time in the trace."""
        log.debug(
            "%s: %d octets are left over behind %s: %s",
            self.transport.name,
            len(octets),
            what,
            self._masked(octets[:64]),
        )
        self._warn(f"{len(octets)} octets are left over behind {what} ({octets[:8].hex()}...): they are not used")

    async def settle(self) -> None:
        """What came after the last answer answers nothing: late answers, pushes. LinkLost: nothing can be asked now."""
        if self._owed:
            raise LinkLost("the answer to an earlier question may still come, and nothing would tell it from this one")
        unpaired = self.settings.referencing == "sn" and not self.connection.link.numbered
        if unpaired and not self.transport.datagram and (late := self.transport.discard()):
            self.connection.receive(late)
        count = 0
        while (event := self.connection.next_event()) is not None:
            if type(event) is LinkDown:
                raise LinkLost(_lost(event))
            self._is_answer(event)
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if unpaired and self._question.strays:
            raise LinkLost("the meter sent an answer that nobody awaited, and nothing would tell the next one from it")

    async def overhear(self, timeout: float) -> None:
        """Take what the meter says while nobody asks it anything. ResponseTimeout where it says nothing, LinkLost."""
        self._question = self._ask_anew()
        data = await self.transport.read(timeout)
        self._note(data)
        self._tell_heard()
        self.connection.receive(data)
        await self.settle()

    def _repeats(self, message: Apdu) -> int:
        """Datagrams have no numbers: there a second copy would write twice, or cost a second try of the password."""
        harmless = type(message) in _REPEATABLE or (isinstance(message, Aarq) and not message.authentication_value)
        blocks = self.connection.blocks  # these have numbers
        harmless = harmless or (blocks is not None and blocks.sending)
        return self.settings.retries if harmless else 0

    async def tell(self, message: Apdu) -> None:
        """Send a message that has no answer."""
        await self.settle()
        self.connection.send(message)
        self.connection.abandon()
        self._flush()
        await self.transport.drain()

    async def _link_event(self, repeats: int, wait: float | None = None) -> LinkUp | LinkDown:
        self._flush()  # before anything that is left from the link that was
        wait = self.settings.timeout if wait is None else min(wait, self.settings.timeout)
        while True:
            event = await self._event(repeats, wait, self.connection.next_event())
            if isinstance(event, LinkUp | LinkDown):
                return event

    async def _event(self, repeats: int, timeout: float, event: Event | None = None) -> Event:
        """The next event that answers the question; frames are repeated on silence.

        RemoteProtocolError: too many answers to other questions; ResponseTimeout: the question has had its time.
        """
        try:
            return await self._next_answer(repeats, timeout, event)
        finally:
            self._tell_heard()

    async def _next_answer(self, repeats: int, timeout: float, event: Event | None) -> Event:
        in_frame, left, due = False, repeats, self._loop.time() + timeout
        while True:
            answer, heard, alive = self._sort_out(event)
            if answer is not None:
                return answer
            in_frame = in_frame and not heard
            if alive:
                left, due = self._repeats_now(repeats), self._loop.time() + timeout
            if self._flush():
                due = self._loop.time() + self.transport.lag + timeout
            if (event := self.connection.next_event()) is not None:
                await asyncio.sleep(0)  # a meter that pours out pushes delays no other one
                continue
            if data := self.transport.at_once() or await self._read(due, in_frame):
                self._note(data)
                self.connection.receive(data)
                in_frame = True
            elif left and self._repeat():
                left, due, in_frame = left - 1, self._loop.time() + self.transport.lag + timeout, False
            elif (answer := self.connection.take_held()) is not None:
                return answer
            else:
                raise self._silence()
            event = self.connection.next_event()

    def _sort_out(self, event: Event | None) -> tuple[Event | None, bool, bool]:
        """The answer among what has come; did whole messages come, and was one of them a sign of life?"""
        question = self._question
        signs, others = question.signs, question.pushes + question.strays
        left = _AT_ONCE
        while event is not None:
            if self._is_answer(event):
                return event, True, True
            left -= 1
            event = self.connection.next_event() if left else None
        alive = question.signs != signs
        held = self.connection.take_held() if alive and question.strays else None
        return held, alive or question.pushes + question.strays != others, alive

    def _note(self, data: bytes) -> None:
        self.heard = True
        if self._trace:
            self._untold += data
            if len(self._untold) > _TOLD:
                self._tell_heard()
        if len(self._question.received) < _KEPT:
            self._question.received += data

    async def _read(self, due: float, in_frame: bool) -> bytes:
        """What comes until something is due, or until a frame falls silent; b"" for silence.

        ResponseTimeout: the question has had its time.
        """
        question, now = self._question, self._loop.time()
        ends = question.ends
        if now >= ends:
            raise self._silence(f"; the exchange took longer than {now - question.began:.0f} s")
        until = now + self._octet_timeout if in_frame else due
        try:
            return await self.transport.read(max(0.0, min(until, ends) - now))
        except ResponseTimeout:
            return b""

    def _repeats_now(self, repeats: int) -> int:
        """Of an answer in blocks only the missing ones are asked for, by their numbers: that carries nothing out."""
        blocks = self.connection.blocks
        return self.settings.retries if blocks is not None and blocks.receiving else repeats

    def _is_answer(self, event: Event) -> bool:
        """False: something that is no answer, which is noted; a push goes to whom it may concern."""
        kind, question = type(event), self._question
        if kind is Broken:
            question.broken.add(event.reason)  # type: ignore[union-attr]
            return False
        if self._waiting:  # any of them shows how quick the meter is
            self._waiting = False
            self.turn_rounds.append(self._loop.time() - self.last_used)
        if kind is Activity:
            self._note_activity(question, event.progress)  # type: ignore[union-attr]
            return False
        if kind in ANY_TIME:
            question.pushes += 1
            self.on_notification(event)  # type: ignore[arg-type]
            return False
        return True

    def _note_activity(self, question: _Question, progress: bool) -> None:
        connection = self.connection
        if connection.dropped_pushes != self._dropped:
            self._dropped = connection.dropped_pushes
            question.pushes += 1
            self._warn_dropped()
        elif connection.stale != self._stale:
            self._stale = connection.stale
            question.strays += 1
            if question.strays > _STRAYS + self.settings.retries:
                raise RemoteProtocolError(
                    f"{question.strays} answers came from {self.transport.name} that answer other questions",
                    hint=_OTHER_INVOKE,
                )
        else:
            question.signs += 1
            if progress:
                question.progress = self._loop.time()

    def _repeat(self) -> bool:
        self.connection.link.quiet()
        self._short = True
        self.repeated += 1
        if self.connection.repeat():
            self._flush()
            return True
        if self.transport.datagram and self._last:
            self.transport.write(self._last)
            return True
        return False

    def _flush(self) -> bool:
        """Send what is to be sent. Was there anything?"""
        sent = False
        while data := self.connection.data_to_send():
            sent = True
            if self._trace:
                self._tell_heard()
                if self._hide:
                    self._said.append(data)
                self._show(">", data)
            self._last = data
            self.last_used = self._loop.time()
            self._waiting = True
            self.transport.write(data)
            if not self.transport.datagram:
                break
        return sent

    def _tell_heard(self) -> None:
        """What has come since the last line of the trace."""
        if self._untold:
            self._show("<", self._untold)
            self._untold = b""

    def _show(self, direction: str, data: bytes) -> None:
        if self._hide:
            shown = f"({len(data)} octets, not shown: a password is among them)"
        else:
            shown = self._masked(data)
        log.debug("%s %s %s", self.transport.name, direction, shown)

    def _masked(self, data: bytes) -> str:
        return masked(data, (*map(bytes, self.settings.secrets), *self._said))

    def _warn_dropped(self) -> None:
        protected = self.connection.cipher is not None
        why = "they are not protected as this association is" if protected else "they cannot be read"
        self._warn(f"pushes are dropped: {why}")

    def _silence(self, spent: str = "") -> ResponseTimeout:
        """Why no answer came, as far as what came instead tells; ``spent`` ends the sentence."""
        question, name = self._question, self.transport.name
        received, broken = question.received, question.broken
        echo = bool(self._last and received and not received.replace(self._last, b""))
        if "address" in broken and not echo:  # a reflected wrapper frame comes from our own address
            return self._timeout(f"a meter on {name} answers from another address{spent}", "wrong-address", _ELSEWHERE)
        if self._signed_on and (echo or not received):
            told = f"a meter on {name} answers the sign-on, but not at this address"
            return self._timeout(told + spent, "wrong-address", _ELSEWHERE)
        if "client" in broken and not echo:
            told = f"the meter on {name} answers another client address than ours ({self.settings.client})"
            return self._timeout(told + spent, "wrong-address", _OTHER_CLIENT)
        if echo:
            told = f"only our own octets come back from {name}, the meter does not answer"
            hint = "The head works but may sit the wrong way round; else `dlms-mqtt find` tries addresses."
            return self._timeout(told + spent, "echo", hint)
        if question.strays:
            told = f"the meter on {name} answers with another invoke id than the question has"
            return self._timeout(told + spent, "invoke-id", _OTHER_INVOKE)
        if (question.pushes or "push" in broken) and not (self._answered or question.signs):
            told = f"this meter sends by itself: what comes from {name} is pushed, nothing answers"
            return self._timeout(told + spent, "pushes", _SENDS)
        if question.signs:
            told = f"the meter on {name} says that it is there, but does not answer the question"
            return self._timeout(told + spent, "unanswered", _BUSY)
        if received and not question.pushes:
            told = f"{len(received)} octets came from {name}, but no valid answer"
            return self._timeout(told + spent, "garbled", self._garbled_hint(broken))
        if self._answered:
            return self._timeout(f"no answer from {name}{spent}", "", _QUIET)
        return self._timeout(f"no answer from {name}{spent}", "", _NOTHING)

    def _garbled_hint(self, broken: set[str]) -> str:
        if not self.has_connection:
            return "It is no wrapper frame: --framing hdlc may fit; `dlms-mqtt find` tries both."
        if self.settings.serial is None:
            return "Check speed and parity of the converter; `dlms-mqtt find` tells more, and tries the wrapper too."
        if broken <= {"rubbish"} and not self._answered:
            return "Check speed, parity and the position of the optical head; `dlms-mqtt find` tries them all."
        return "Frames come damaged: check speed, parity and the position of the optical head, light and cable."

    def _timeout(self, told: str, reason: str, hint: str) -> ResponseTimeout:
        return ResponseTimeout(told, received=self._question.received, reason=reason, hint=hint)


def _link_refused(line: str) -> AssociationRefused:
    return AssociationRefused(
        f"the meter on {line} answers, but refuses the link for this address (DM)",
        name="disconnected-mode",
        reason="wrong-address",
        hint=f"{_ELSEWHERE} Another client that the meter serves now is also met with DM.",
    )


def _lost(event: Any) -> str:
    return event.detail or _LOST.get(event.reason, f"the link went down ({event.reason})")


def _ignore(_message: Apdu) -> None:
    """Nobody listens to what the meter pushes while we poll."""
