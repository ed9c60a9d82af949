"""One question, one answer: drives a connection over a transport, with timers and repeats.

Three timers: the first octet of an answer, silence inside a frame, the whole question with all its blocks. On silence
the same frame is sent again; nothing is sent twice that the protocol does not number or the line does not lose.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, ResponseTimeout
from dlms_mqtt.protocol.acse import Aarq
from dlms_mqtt.protocol.connection import Connection, Event
from dlms_mqtt.protocol.framing.link import Activity, Broken, LinkDown, LinkParameters, LinkUp
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.states import ANY_TIME
from dlms_mqtt.transport.base import Transport

log = logging.getLogger("dlms_mqtt.client")

_DISCONNECT_WAIT = 1.5  # s: a meter that does not answer DISC has nothing to release

_CIPHERING = (22, 31)  # octets: tag, length, control, counter, tag of 12; the general form adds the system title

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
        self._hide = False  # a password is on its way: trace lengths only
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._last = b""

    @property
    def overhead(self) -> int:
        """Octets that ciphering adds to an APDU, at most."""
        cipher = self.connection.cipher
        return 0 if cipher is None else _CIPHERING[cipher.form.startswith("general")]

    async def connect(self) -> LinkParameters:
        """Set the link up. Silence, DM and FRMR are met with DISC and another SNRM, as often as ``retries`` says."""
        failure: Exception | None = None
        for attempt in range(self.settings.retries + 1):
            if attempt:
                await self.disconnect()
            self.connection.connect()
            self._start_timer()
            try:
                event = await self._link_event(repeats=0)
            except ResponseTimeout as error:
                failure = error
                continue
            if type(event) is LinkUp:
                return event.parameters
            failure = LinkLost(_lost(event))
        raise failure or ResponseTimeout("the meter does not answer")

    async def disconnect(self) -> None:
        """Take the link down; no answer is no error."""
        self.connection.disconnect()
        self._start_timer()
        try:
            while type(await self._link_event(repeats=0, wait=_DISCONNECT_WAIT)) is not LinkDown:
                pass
        except ResponseTimeout:
            log.debug("%s: no answer to the disconnect", self.transport.name)

    async def ask(self, message: Apdu) -> Apdu:
        """Send a message and return its answer, whatever it says. TransportError, RemoteProtocolError."""
        self._start_timer()
        self._hide = type(message) is Aarq
        self.connection.send(message)
        try:
            while True:
                event = await self._event(self.settings.retries, self.settings.timeout)
                kind = type(event)
                if kind is LinkDown:
                    raise LinkLost(_lost(event))
                if kind not in ANY_TIME:
                    return event  # type: ignore[return-value]
                self.on_notification(event)  # type: ignore[arg-type]
        except BaseException:
            self.connection.abandon()
            raise

    async def tell(self, message: Apdu) -> None:
        """Send a message that has no answer."""
        self.connection.send(message)
        self._flush()
        await self.transport.drain()

    def _start_timer(self) -> None:
        self._deadline = self._loop.time() + self.settings.exchange_timeout

    async def _link_event(self, repeats: int, wait: float | None = None) -> Event:
        while True:
            event = await self._event(
                repeats, self.settings.timeout if wait is None else min(wait, self.settings.timeout)
            )
            if type(event) in (LinkUp, LinkDown):
                return event

    async def _event(self, repeats: int, timeout: float) -> Event:
        """The next event that is more than a sign of life; frames are repeated on silence."""
        connection, transport = self.connection, self.transport
        received = bytearray()
        left, wait = repeats, timeout
        self._flush()
        while True:
            event = connection.next_event()
            kind = type(event)
            if kind is Activity:
                left, wait = repeats, timeout
            elif event is not None and kind is not Broken:
                return event
            self._flush()
            if event is not None:
                continue
            patience = self._patience(wait)
            try:
                data = await transport.read(patience)
            except ResponseTimeout:
                if not left or not self._repeat():
                    raise self._silence(bytes(received)) from None
                left, wait = left - 1, timeout
                continue
            if self._trace:
                log.debug("%s < %s", transport.name, data.hex())
            received = (received + data)[-512:] if len(received) < 512 else received
            connection.receive(data)
            wait = self.settings.octet_timeout

    def _patience(self, wait: float) -> float:
        left = self._deadline - self._loop.time()
        if left <= 0:
            raise ResponseTimeout(f"the exchange took longer than {self.settings.exchange_timeout:g} s")
        return min(wait, left)

    def _repeat(self) -> bool:
        self.connection.link.quiet()
        if self.connection.repeat():
            self._flush()
            return True
        if self.transport.datagram and self._last:
            self.transport.write(self._last)
            return True
        return False

    def _flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            if self._trace:
                shown = f"({len(data)} octets, hidden: they hold a password)" if self._hide else data.hex()
                log.debug("%s > %s", self.transport.name, shown)
            self._last = data
            self.transport.write(data)

    def _silence(self, received: bytes) -> ResponseTimeout:
        if received:
            return ResponseTimeout(
                f"{len(received)} octets came from {self.transport.name}, but no valid answer",
                received=received,
                hint="Check speed, parity and the position of the optical head; `dlms-mqtt find` tries them all.",
            )
        return ResponseTimeout(
            f"no answer from {self.transport.name}",
            hint="Check wiring, addresses (client, server, physical) and opening; `dlms-mqtt find` tries them all.",
        )


def _lost(event: Any) -> str:
    return event.detail or _LOST.get(event.reason, f"the link went down ({event.reason})")


def _ignore(_message: Apdu) -> None:
    """Nobody listens to what the meter pushes while we poll."""
