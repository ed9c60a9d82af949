"""One question, one answer: drives a connection over a transport, with timers and repeats.

Four timers: the first octet of an answer, silence inside a frame, time without any part of an answer, and the whole
question with all its blocks. On silence the same frame is sent again; nothing is sent twice that the protocol does not
number or the line does not lose. What is no part of the answer (pushes, "I am there", answers to other questions)
stops none of the last two timers, and only what a meter says to this question stops the first.

    question                    first octet ... end of frame           next part ...                answer is whole
    |                                |                |                    |                              |
    |-- timeout --> again, ``retries`` times          |                    |                              |
    |                                |- octet timeout -> the frame is cut  |                              |
    |-- patience: one attribute may take this long ---------------------- |-- patience again ------------ |
    |-- exchange timeout: the end, whatever comes ------------------------------------------------------> |

Whether silence is answered with the same again is the link's to say: HDLC numbers its frames, so a meter knows what it
has had; TCP loses nothing, so nothing is sent again; a datagram may be lost, and has no number, so only what does no
harm twice is. The answer is paired with its question by the invoke id of the service. Short names have none: over a
link without numbers a question without answer leaves the next one in doubt, and then the link is opened anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from dlms_mqtt.client.line.question import Question, usual_patience
from dlms_mqtt.client.line.silence import OTHER_INVOKE, LinkLost, Silence, link_lost, link_refused, no_answer
from dlms_mqtt.client.line.trace import Trace
from dlms_mqtt.client.refusals import service_refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError, RemoteProtocolError, ResponseTimeout
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

_STRAYS = 3  # answers to other questions, beyond what repeats may have caused, before this one is given up
_TURNS = 32  # turn-rounds of a session that are remembered

# What may reach the meter twice without harm: it tells something again. A SET or an ACTION would be done twice, an AARQ
# would count as a second try of the password.
_REPEATABLE = frozenset({GetRequestNormal, GetRequestNext, GetRequestWithList, ReadRequest, Rlrq})
# Services without an invoke id: on a link that numbers nothing, a late answer looks like the next one.
_UNPAIRED = frozenset({ReadRequest, WriteRequest})

MOST_OCTETS = 64 << 20  # of one answer in blocks: a meter must not fill our memory
_AT_ONCE = 16  # pushes and other events that are worked on before others have their turn


class Exchange:
    """The line to one meter while it is open. ``warn`` tells the user something once for each meter."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        settings: ConnectionSettings,
        on_notification: Callable[[Apdu], None] | None = None,
        warn: Callable[..., None] | None = None,
    ) -> None:
        """``warn`` takes a sentence, and the kind of fault where the sentence says another thing each time."""
        self.connection = connection
        self.transport = transport
        self.settings = settings
        self.on_notification = on_notification or _ignore
        self._warn = warn or (lambda sentence, kind="": log.warning("%s: %s", transport.name, sentence))
        self._trace = Trace(transport.name, settings.secrets)
        self.most_octets = MOST_OCTETS
        self.hiding = False  # set by the caller while what is said would give a password away
        self._signed_on = False  # the meter has answered a sign-on, so it is there
        self._owed = False  # an answer that cannot be told from the next one may still come
        self._short = False  # this question has had fewer answers than it was sent
        # Three stages of hearing, for the sentence about silence: nothing at all (line, address), octets that are no
        # answer (speed, parity, another meter), an answer before (the meter has gone).
        self.has_received = False  # an octet has come
        self._answered = False  # the meter has answered something since the line was opened
        self.repeated = 0  # what was sent again: of a datagram nobody knows whether the meter had the first
        self.turn_rounds: deque[float] = deque(maxlen=_TURNS)  # s from questions to the first frame that answered
        self._waiting = False  # something was sent, nothing has answered it yet
        # Only a serial line has silence inside a frame; a network may pause for seconds to repeat a packet.
        self._octet_timeout = settings.octet_timeout if connection.link.has_connection else settings.timeout
        # Where answers are paired, late ones are sorted out by their number when they come. Where they are not, what is
        # in the port now must be looked at now: it would be taken for the answer to the next question.
        self._unpaired = settings.referencing == "sn" and not connection.link.numbered
        self._longest, self._patience = settings.exchange_timeout, usual_patience(settings)
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
        # Lists are cut to what fits the meter's APDU with this on top: planned too long they would come back refused.
        return 0 if cipher is None else _CIPHERING[cipher.form.startswith("general")]

    async def connect(self, *, signed_on: bool = False) -> LinkParameters:
        """Set the link up. Silence, DM and FRMR are met with DISC and another SNRM, as often as ``retries`` says.

        ``signed_on``: the meter has answered a sign-on, so silence now is about the address.
        """
        # Silence: SNRM was lost, or the address is wrong. DM: the meter serves another client, or not this address.
        # FRMR: it is still in a link of before. DISC ends what is left of that; where nothing is, it costs one turn.
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
                # A line on which a meter only pushes is not silent; asking it more often does not make it answer.
                if error.reason == "pushes" and attempt:
                    break
                continue
            if isinstance(event, LinkUp):
                self._signed_on = False
                return event.parameters
            failure = link_lost(event) if event.reason != "dm" else link_refused(self.transport.name)
        raise failure or ResponseTimeout("the meter does not answer")

    async def disconnect(self) -> None:
        """Take the link down; no answer is no error."""
        # Until the link is down, not until something comes: what the meter was still sending comes first.
        self.connection.disconnect()
        self._question = self._ask_anew()
        try:
            while type(await self._link_event(repeats=0, wait=_DISCONNECT_WAIT)) is not LinkDown:
                pass
        except ResponseTimeout:
            log.debug("%s: no answer to the disconnect", self.transport.name)

    def ask(self, message: Apdu, *expected: type[Apdu], patient: bool = False) -> Coroutine[Any, Any, Any]:
        """Send a message and return its answer, which is one of the ``expected`` kinds if there are any.

        ``patient``: the answer may take as long as the whole question (rows of a profile, an object list).
        TransportError, RemoteProtocolError; ServiceRefused where the meter refuses the whole request.
        """
        # A write or an action is waited for to the end: giving it up early would only leave open whether it was done.
        patient = patient or type(message) not in _REPEATABLE
        return self._answer(message, expected, self._longest if patient else self._patience)

    def go_on(self, message: Apdu, *expected: type[Apdu]) -> Coroutine[Any, Any, Any]:
        """Send what belongs to the question before (its next block): both have the time of one question."""
        return self._answer(message, expected, None)

    async def _answer(self, message: Apdu, expected: tuple[type[Apdu], ...], patience: float | None) -> Any:
        if self._unpaired or self._owed:
            await self.settle()
        elif (event := self.connection.next_event()) is not None:
            await self._pass_over(event)
        # Patience begins anew with each part, the deadline does not: a meter that always has one more block comes to
        # an end as well.
        now = self._loop.time()
        if patience is None:
            self._question.progress = now
            self._question.parts += 1
        else:
            self._question = Question(now + self._longest, patience, now, now)
        self._trace.hides = self.hiding or (type(message) is Aarq and self.settings.password is not None)
        self.connection.send(message)
        try:
            answer = await self._next_answer(
                self._repeats(message) if self.transport.datagram else self.settings.retries, self.settings.timeout
            )
            if type(answer) is LinkDown:
                raise link_lost(answer)
            if self._trace.on and self._trace.hides:
                self._trace.answered(answer)
        except BaseException:
            # Cancelled too (a poll that took too long): the meter does not know that nobody waits any more, and its
            # answer will come into the next question.
            self._short = True
            self.connection.abandon()
            raise
        finally:
            self._trace.hides = False
            if self._short:
                self._short = False
                self._owed = type(message) in _UNPAIRED and not self.connection.link.numbered
        self._answered = True
        self._tell_oddities()
        if expected and type(answer) not in expected:
            refused = service_refused(answer, unprotected=self.connection.unprotected)
            raise refused or RemoteProtocolError(f"{type(answer).__name__} does not answer the request")
        return answer

    def _ask_anew(self) -> Question:
        now = self._loop.time()
        return Question(now + self._longest, self._patience, now, now)

    def _tell_oddities(self) -> None:
        # What was tolerated is said once: a figure that looks odd later has its explanation in the log.
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
        shown = self._trace.masked(octets)
        log.debug("%s: %d octets are left over behind %s: %s", self.transport.name, len(octets), what, shown[: 2 * 64])
        sentence = f"{len(octets)} octets are left over behind {what} ({shown[: 2 * 8]}...): they are not used"
        self._warn(sentence, "left over")

    async def settle(self) -> None:
        """What came after the last answer answers nothing: late answers, pushes. LinkLost: nothing can be asked now."""
        # LinkLost is repaired above: the session opens a new association, in which nothing of the old one can come.
        if self._owed:
            raise LinkLost("the answer to an earlier question may still come, and nothing would tell it from this one")
        take = self.transport.at_once if self.transport.datagram else self.transport.discard
        while self._unpaired and (late := take()):
            self.connection.receive(late)
        if (event := self.connection.next_event()) is not None:
            await self._pass_over(event)
        if self._unpaired and self.connection.unclaimed:
            raise LinkLost("the meter sent an answer that nobody awaited, and nothing would tell the next one from it")

    async def _pass_over(self, event: Event | None) -> None:
        """This event and those behind it answer nothing any more. LinkLost."""
        count = 0
        while event is not None:
            if type(event) is LinkDown:
                raise link_lost(event)
            self._is_answer(event)
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            event = self.connection.next_event()

    async def overhear(self, timeout: float) -> None:
        """Take what the meter says while nobody asks it anything. ResponseTimeout where it says nothing, LinkLost."""
        self._question = self._ask_anew()
        data = await self.transport.read(timeout)
        self._note(data)
        self._trace.show_received()
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
        self.connection.abandon()  # nothing will answer it, so the next question is allowed at once
        self._flush()
        await self.transport.drain()

    async def _link_event(self, repeats: int, wait: float | None = None) -> LinkUp | LinkDown:
        self._flush()  # before anything that is left from the link that was
        # Events of the link that was before, such as a last answer, are passed over: only up or down counts.
        wait = self.settings.timeout if wait is None else min(wait, self.settings.timeout)
        while True:
            event = await self._next_answer(repeats, wait, self.connection.next_event())
            if isinstance(event, LinkUp | LinkDown):
                return event

    async def _next_answer(self, repeats: int, timeout: float, event: Event | None = None) -> Event:
        """The next event that answers the question; frames are repeated on silence.

        RemoteProtocolError: too many answers to other questions; ResponseTimeout: the question has had its time.
        """
        # ``left``: repeats to go; ``due``: when the next one goes out; ``in_frame``: octets of a frame have come and
        # its end has not, so that the short timer between octets counts. Each turn: sort what has come; say what is to
        # be said (an acknowledgement, the next frame of a window); read; on silence repeat, or give up.
        in_frame, left, due = False, repeats, 0.0
        try:
            while True:
                alive = False
                if event is not None:
                    answer, whole, alive = self._sort_out(event)
                    if answer is not None:
                        return answer
                    in_frame = in_frame and not whole
                    # A meter that is there has all its repeats due for what is still missing.
                    left = self._repeats_now(repeats) if alive else left
                if self._flush():  # the time begins when the last octet is out, which at 300 baud is seconds later
                    due = self.last_used + self.transport.lag + timeout
                elif alive or not due:
                    due = self._loop.time() + timeout
                if event is not None and (event := self.connection.next_event()) is not None:
                    await asyncio.sleep(0)  # a meter that pours out pushes delays no other one
                    continue
                if data := self.transport.at_once() or await self._read(due, in_frame):
                    self._note(data)
                    self.connection.receive(data)
                    in_frame = True
                elif left and self._repeat():
                    left, due, in_frame = left - 1, self._loop.time() + self.transport.lag + timeout, False
                # All that may be asked was asked. An answer under another number than ours is taken now, and not
                # before: the right one could still have come behind it.
                elif (answer := self.connection.take_held()) is not None:
                    return answer
                else:
                    raise self._no_answer()
                event = self.connection.next_event()
        finally:
            self._trace.show_received()

    def _sort_out(self, first: Event) -> tuple[Event | None, bool, bool]:
        """The answer among what has come; did whole messages come, and was one of them a sign of life?"""
        # A sign of life is a frame that is no whole answer: RR, a segment, a block. Pushes are none: a meter that pours
        # them out may have lost the question.
        question = self._question
        signs, others = question.signs, question.pushes + question.strays
        event: Event | None = first
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
        self.has_received = True
        if self._trace.on:
            self._trace.received(data)
        self._question.note(data)

    async def _read(self, due: float, in_frame: bool) -> bytes:
        """What comes until something is due, or until a frame falls silent; b"" for silence.

        ResponseTimeout: the question has had its time.
        """
        question, now = self._question, self._loop.time()
        ends = question.ends
        if now >= ends:
            raise self._no_answer(f"; the exchange took longer than {now - question.began:.0f} s")
        # Silence inside a frame ends it early: it will not be whole any more, and the repeat need not wait for ``due``.
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

    def _note_activity(self, question: Question, progress: bool) -> None:
        # The connection says by its counts what the frame was that came to nothing: a push that cannot be believed, an
        # answer to another question, or (neither has moved) a part of ours.
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
                    hint=OTHER_INVOKE,
                )
        else:
            question.signs += 1
            if progress:
                question.parts, question.progress = question.parts + 1, self._loop.time()

    def _repeat(self) -> bool:
        # From now on two answers may come for one question: over a link without numbers the second stays in the way.
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
            self._trace.sent(data)
            self._last = data
            self.last_used = self._loop.time()
            self._waiting = True
            self.transport.write(data)
            # Of datagrams one at a time: each APDU has its own. A stream has been given all that there is.
            if not self.transport.datagram:
                break
        return sent

    def _warn_dropped(self) -> None:
        protected = self.connection.cipher is not None
        why = "they are not protected as this association is" if protected else "they cannot be read"
        self._warn(f"pushes are dropped: {why}")

    def _no_answer(self, spent: str = "") -> DlmsMqttError:
        """A message that was dropped as a replay tells more than the silence after it."""
        return self.connection.replayed or self._silence(spent)

    def _silence(self, spent: str) -> ResponseTimeout:
        """Why no answer came; ``spent`` ends the sentence."""
        silence = Silence(
            line=self.transport.name,
            client=self.settings.client,
            question=self._question,
            sent=self._last,
            signed_on=self._signed_on,
            answered=self._answered,
            framed=self.has_connection,
            local=self.settings.serial is not None,
        )
        return no_answer(silence, spent)


def _ignore(_message: Apdu) -> None:
    """Nobody listens to what the meter pushes while we poll."""
