"""One question, one answer: drives a connection over a transport, with timers and repeats.

Three timers: the first octet of an answer, silence inside a frame, the whole question with all its blocks. On silence
the same frame is sent again; nothing is sent twice that the protocol does not number or the line does not lose.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

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

_TURNS = 32  # turn-rounds of a session that are remembered
_KEPT = 512  # octets of an invalid answer, for a diagnosis

# What may reach the meter twice without harm.
_REPEATABLE = frozenset({GetRequestNormal, GetRequestNext, GetRequestWithList, ReadRequest, Rlrq})
# Services without an invoke id: on a link that numbers nothing, a late answer looks like the next one.
_UNPAIRED = frozenset({ReadRequest, WriteRequest})

_LOST = {
    "dm": "the meter has dropped the link (DM)",
    "frmr": "the meter refused a frame (FRMR)",
    "disc": "the meter closed the link",
    "stuck": "the link no longer moves",
}


class LinkLost(ConnectionLost):
    """The meter dropped the link while the line still stands: it can be set up again."""


class Exchange:
    """The line to one meter while it is open."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        settings: ConnectionSettings,
        on_notification: Callable[[Apdu], None] | None = None,
    ) -> None:
        self.connection = connection
        self.transport = transport
        self.settings = settings
        self.on_notification = on_notification or _ignore
        self._trace = log.isEnabledFor(logging.DEBUG)
        self.hiding = False  # set by the caller while what is said would give a password away
        self._hide = False  # the same for this question, which the line may reflect: trace lengths only
        self._signed_on = False  # the meter has answered a sign-on, so it is there
        self._owed = False  # an answer that cannot be told from the next one may still come
        self._short = False  # this question has had fewer answers than it was sent
        self._warned = self.heard = False  # heard: an octet has come
        self.repeated = 0  # what was sent again: of a datagram nobody knows whether the meter had the first
        self.turn_rounds: deque[float] = deque(maxlen=_TURNS)  # s from questions to the first frame that answered
        self._waiting = False  # something was sent, nothing has answered it yet
        # Only a serial line has silence inside a frame; a network may pause for seconds to repeat a packet.
        self._octet_timeout = settings.octet_timeout if settings.link_framing == "hdlc" else settings.timeout
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0  # of the whole question; 0: it counts from the first wait
        self._last = b""
        self.last_used = self._loop.time()  # when something was sent last

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
            self._deadline = 0.0
            try:
                event = await self._link_event(repeats=again if not attempt else 0)
            except ResponseTimeout as error:
                failure = error
                continue
            if isinstance(event, LinkUp):
                self._signed_on = False
                return event.parameters
            failure = LinkLost(_lost(event)) if event.reason != "dm" else _link_refused(self.transport.name)
        raise failure or ResponseTimeout("the meter does not answer")

    async def disconnect(self) -> None:
        """Take the link down; no answer is no error."""
        self.connection.disconnect()
        self._deadline = 0.0
        try:
            while type(await self._link_event(repeats=0, wait=_DISCONNECT_WAIT)) is not LinkDown:
                pass
        except ResponseTimeout:
            log.debug("%s: no answer to the disconnect", self.transport.name)

    async def ask(self, message: Apdu, *expected: type[Apdu]) -> Any:
        """Send a message and return its answer, which is one of the ``expected`` kinds if there are any.

        TransportError, RemoteProtocolError; ServiceRefused where the meter refuses the whole request.
        """
        event = self.connection.next_event()
        if event is not None or self._owed:
            self._settle(event)
        self._deadline = 0.0
        self._hide = self.hiding or type(message) is Aarq
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
                self._owed = type(message) in _UNPAIRED and self.settings.link_framing != "hdlc"
        if expected and type(answer) not in expected:
            refused = service_refused(answer, unprotected=self.connection.unprotected)
            raise refused or RemoteProtocolError(f"{type(answer).__name__} does not answer the request")
        return answer

    def settle(self) -> None:
        """What came after the last answer answers nothing: late answers, pushes. LinkLost: nothing can be asked now."""
        self._settle(self.connection.next_event())

    def _settle(self, event: Event | None) -> None:
        if self._owed:
            raise LinkLost("the answer to an earlier question may still come, and nothing would tell it from this one")
        while event is not None:
            if type(event) is LinkDown:
                raise LinkLost(_lost(event))
            self._is_answer(event)
            event = self.connection.next_event()

    def _repeats(self, message: Apdu) -> int:
        """Datagrams have no numbers: there a second copy would write twice, or cost a second try of the password."""
        harmless = type(message) in _REPEATABLE or (isinstance(message, Aarq) and not message.authentication_value)
        blocks = self.connection.blocks  # these have numbers
        harmless = harmless or (blocks is not None and blocks.sending)
        return self.settings.retries if harmless else 0

    async def tell(self, message: Apdu) -> None:
        """Send a message that has no answer."""
        self.settle()
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
        """The next event that is more than a sign of life or a push; frames are repeated on silence."""
        received, elsewhere = b"", False
        left, wait = repeats, timeout
        while True:
            while event is not None:
                if type(event) is Broken:
                    elsewhere |= event.reason == "address"
                elif self._is_answer(event):
                    return event
                else:
                    left, wait = self._repeats_now(repeats), timeout
                event = self.connection.next_event()
            self._flush()
            data = self.transport.at_once() or await self._read(wait)
            if data:
                if self._trace:
                    self._show("<", data)
                self.heard = True
                if len(received) < _KEPT:
                    received += data
                self.connection.receive(data)
                wait = self._octet_timeout
            elif left and self._repeat():
                left, wait = left - 1, timeout
            else:
                raise self._silence(received, elsewhere)
            event = self.connection.next_event()

    async def _read(self, wait: float) -> bytes:
        """What comes within ``wait`` seconds, b"" for silence. ResponseTimeout: the whole question takes too long."""
        patience = self._patience(wait)
        try:
            return await self.transport.read(patience)
        except ResponseTimeout:
            return b""

    def _repeats_now(self, repeats: int) -> int:
        """Of an answer in blocks only the missing ones are asked for, by their numbers: that carries nothing out."""
        blocks = self.connection.blocks
        return self.settings.retries if blocks is not None and blocks.receiving else repeats

    def _is_answer(self, event: Event) -> bool:
        """False: a sign of life, or a push, which goes to whom it may concern. Either shows how quick the meter is."""
        if self._waiting:
            self._waiting = False
            self.turn_rounds.append(self._loop.time() - self.last_used)
        if type(event) is Activity:
            if self.connection.dropped_pushes:
                self._warn_dropped()
            return False
        if type(event) in ANY_TIME:
            self.on_notification(event)  # type: ignore[arg-type]
            return False
        return True

    def _patience(self, wait: float) -> float:
        if not self._deadline:
            self._deadline = self._loop.time() + self.settings.exchange_timeout
            return min(wait, self.settings.exchange_timeout)
        left = self._deadline - self._loop.time()
        if left <= 0:
            raise ResponseTimeout(f"the exchange took longer than {self.settings.exchange_timeout:g} s")
        return min(wait, left)

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

    def _flush(self) -> None:
        while data := self.connection.data_to_send():
            if self._trace:
                self._show(">", data)
            self._last = data
            self.last_used = self._loop.time()
            self._waiting = True
            self.transport.write(data)
            if not self.transport.datagram:
                return

    def _show(self, direction: str, data: bytes) -> None:
        shown = f"({len(data)} octets, not shown: a password is among them)" if self._hide else data.hex()
        log.debug("%s %s %s", self.transport.name, direction, shown)

    def _warn_dropped(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s: pushes are dropped: they are not protected as this association is", self.transport.name)

    def _silence(self, received: bytes, elsewhere: bool) -> ResponseTimeout:
        echo = bool(self._last and received and not received.replace(self._last, b""))
        elsewhere = elsewhere and not echo  # a reflected wrapper frame comes from our own address
        if elsewhere or (self._signed_on and (echo or not received)):
            seen = "answers from another address" if elsewhere else "answers the sign-on, but not at this address"
            return ResponseTimeout(
                f"a meter on {self.transport.name} {seen}", received=received, reason="wrong-address", hint=_ELSEWHERE
            )
        if echo:
            return ResponseTimeout(
                f"only our own octets come back from {self.transport.name}, the meter does not answer",
                received=received,
                reason="echo",
                hint="The head works but may sit the wrong way round; else `dlms-mqtt find` tries addresses.",
            )
        if received:
            return ResponseTimeout(
                f"{len(received)} octets came from {self.transport.name}, but no valid answer",
                received=received,
                reason="garbled",
                hint="Check speed, parity and the position of the optical head; `dlms-mqtt find` tries them all.",
            )
        return ResponseTimeout(
            f"no answer from {self.transport.name}",
            hint="Check wiring, speed, opening, addresses (client, server, physical); `dlms-mqtt find` tries them all.",
        )


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
