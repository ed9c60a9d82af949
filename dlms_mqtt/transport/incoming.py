"""Meters that connect to us and want to be asked on that connection: a transport whose line the meter opens.

The meter's connection outlives the transport: it is the meter that dials, and it may not do so again for hours.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from dlms_mqtt.errors import ConnectFailed, ConnectionLost
from dlms_mqtt.transport.base import Inbox, Transport, closed
from dlms_mqtt.transport.listen import Listener, listen

_HINT = "The meter must be told this machine's address and port, and connect by itself; a firewall may be between."
_ENDED = "The meter connects again when it likes."


class Call(Protocol):
    """A connection that somebody has made to a port of ours."""

    @property
    def origin(self) -> str:
        """Who it is: host:port."""

    def write(self, data: bytes) -> None:
        """Queue bytes; nothing happens where the connection has ended."""


class Incoming:
    """The newest connection of one meter, and what comes over it while somebody asks."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self._inbox: Inbox | None = None
        self._there = asyncio.Event()

    def connected(self, call: Call) -> None:
        """The meter has connected; an earlier connection of its is gone, whether it was closed or not."""
        self._end("has connected anew")
        self.call = call
        self._there.set()

    def received(self, origin: str, data: bytes) -> None:
        """Bytes of a connection, none at its end; those of others are not ours."""
        if self.call is None or self.call.origin != origin:
            return
        if not data:
            self._end("closed the connection")
        elif self._inbox is not None:
            self._inbox.feed(data)

    def _end(self, why: str) -> None:
        if self.call is not None and self._inbox is not None:
            self._inbox.fail(ConnectionLost(f"{self.call.origin} {why}", hint=_ENDED))
        self.call = None
        self._there.clear()

    async def wait(self, seconds: float) -> Call | None:
        """The connection, as soon as there is one; None: none came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._there.wait()
        except TimeoutError:
            return None
        return self.call

    def hand_to(self, inbox: Inbox | None) -> None:
        """From now on what comes goes there; None: nobody asks, so it is not kept."""
        self._inbox = inbox


class IncomingTransport(Transport):
    """``port`` in words; ``wait``: seconds in which the meter must have connected when the line is opened."""

    def __init__(self, incoming: Incoming, port: str, wait: float) -> None:
        self.name = port
        self._incoming, self._wait = incoming, wait
        self._inbox: Inbox | None = None
        self._call: Call | None = None

    async def open(self) -> None:
        """Take over the meter's connection. ConnectFailed: it has not connected."""
        if self._inbox is not None:
            return
        self._call = await self._incoming.wait(self._wait)
        if self._call is None:
            raise ConnectFailed(f"no meter has connected to {self.name}", hint=_HINT)
        self._inbox = Inbox()
        self._incoming.hand_to(self._inbox)

    async def close(self) -> None:
        """Leave the connection to the meter."""
        self._inbox = self._call = None
        self._incoming.hand_to(None)

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        inbox = self._box()
        if inbox.error is not None:
            raise ConnectionLost(inbox.error.message, hint=inbox.error.hint)
        assert self._call is not None  # noqa: S101
        self._call.write(data)

    async def drain(self) -> None:
        """A network takes what it is given."""

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        return await self._box().read(timeout)

    def discard(self) -> bytes:
        """Throw away, and return, what was received and not read."""
        return self._inbox.discard() if self._inbox else b""

    def _box(self) -> Inbox:
        if self._inbox is None:
            raise closed(self.name)
        return self._inbox


class PortTransport(IncomingTransport):
    """A port of our own for one meter: it is open as long as the transport."""

    def __init__(self, url: str, wait: float) -> None:
        super().__init__(Incoming(), url, wait)
        self._url = url
        self._listener: Listener | None = None

    async def open(self) -> None:
        """Open the port and wait for the meter. ConnectFailed."""
        if self._listener is None:
            self._listener = await listen(
                self._url,
                lambda origin, data, _: self._incoming.received(origin, data),
                on_call=self._incoming.connected,
            )
            self.name = self._listener.name
        await super().open()

    async def close(self) -> None:
        """Close the port and the connection, once what was written has left."""
        await super().close()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.finish()
            await listener.wait_closed()
