"""A TCP connection to a meter or a serial converter."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from contextlib import suppress
from time import monotonic
from typing import cast

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.base import Inbox, Transport, closed, format_address
from dlms_mqtt.transport.network import connect_failed

#: A connection that is dead (cable pulled, router restarted) is noticed after idle + count * interval seconds.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_CLOSE_PATIENCE = 1.0
_NEXT_ADDRESS = 0.25
#: Seconds for which reads are served without the event loop: after these every other task has its turn.
_TURN = 0.01
#: A meter whose last answer took no longer (ms) is waited for in place: a turn of the loop costs more CPU than that.
_QUICK = 2
#: Octets that are read at once, and that may wait to be taken: what pours in faster is left to the system.
_CHUNK = 65536
_CLOSED_HINT = "Check framing (hdlc, wrapper) and addresses; many meters and converters serve one client at a time."


class TcpTransport(Transport):
    """Bytes over TCP; ``connect_timeout`` in seconds."""

    def __init__(self, host: str, port: int, *, connect_timeout: float = 5.0) -> None:
        self.host = host
        self.port = port
        self.name = format_address(host, port)
        self._connect_timeout = connect_timeout
        self._connection: _Connection | None = None

    async def open(self) -> None:
        """Connect, if not connected; ConnectFailed."""
        if self._connection is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, self._connection = await loop.create_connection(
                    lambda: _Connection(self.name), self.host, self.port, happy_eyeballs_delay=_race(self.host)
                )
        except OSError as error:
            raise connect_failed(error, self.name) from error

    async def close(self) -> None:
        """Send what is queued, close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.finish()

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        (self._connection or self._open()).send(data)

    async def drain(self) -> None:
        """Wait until the system has taken everything."""
        await self._open().sent.wait()

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        connection = self._open()
        data = await connection.inbox.read(timeout)
        connection.go_on()
        return data

    def at_once(self) -> bytes:
        """What a quick meter says, past the event loop, which takes longer than such a meter; b"" where nothing is."""
        return self._connection.at_once() if self._connection is not None else b""

    def discard(self) -> bytes:
        """Throw away and return what was received."""
        return self._connection.discard() if self._connection else b""

    def _open(self) -> _Connection:
        if self._connection is None:
            raise closed(self.name)
        return self._connection


class _Connection(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox = Inbox()
        self.sent = asyncio.Event()
        self.sent.set()
        self._transport: asyncio.Transport
        self._gone = asyncio.Event()
        self._direct: socket.socket | None = None
        self._queued = False  # the loop has something to send
        self._yielded = 0.0  # when a read was last left to the loop
        self._quick = False
        self._full = False  # nothing is read until what is in the inbox has been taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.max_size = _CHUNK  # type: ignore[attr-defined]
        self._transport.set_write_buffer_limits(high=0)  # so that `sent` means: nothing is left in this process
        _tune(transport.get_extra_info("socket"))
        if sys.platform != "win32":  # whose loop reads ahead by itself
            self._direct = transport.get_extra_info("socket").dup()
            self._poll = select.poll()
            self._poll.register(self._direct, select.POLLIN)

    def at_once(self) -> bytes:
        """What a quick meter says, past the event loop, which takes longer than such a meter; empty where nothing is.

        An end or an error shows empty too: the loop finds it and says it.
        """
        now = monotonic()
        if self._direct is None or not self._quick or self.inbox.chunks or now > self._yielded + _TURN:
            self._yielded = now
            return b""
        try:
            data = self._direct.recv(_CHUNK) if self._poll.poll(_QUICK) else b""
        except OSError:
            data = b""
        self._quick = bool(data)
        return data

    def discard(self) -> bytes:
        """What the loop has read, and what it has had no turn to read."""
        data = self.inbox.discard()
        with suppress(OSError):
            data += self._direct.recv(_CHUNK) if self._direct is not None else b""
        self.go_on()
        return data

    def data_received(self, data: bytes) -> None:
        self._quick = monotonic() - self._yielded < _QUICK / 1000
        self.inbox.feed(data)
        if self.inbox.octets >= _CHUNK:
            self._full = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """The inbox was emptied."""
        if self._full:
            self._full = False
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f": {getattr(exc, 'strerror', None) or exc}" if exc else ""
        self._close_direct()
        self.inbox.fail(ConnectionLost(f"{self.name} closed the connection{reason}", hint=_CLOSED_HINT))
        self._gone.set()
        self.sent.set()

    def pause_writing(self) -> None:
        self._queued = True
        self.sent.clear()

    def resume_writing(self) -> None:
        self._queued = False
        self.sent.set()

    def send(self, data: bytes) -> None:
        """Past the event loop as well; what the system does not take at once is left to it, and so are errors."""
        taken = 0
        if self._direct is not None and not self._queued:
            try:
                taken = self._direct.send(data)
            except OSError:
                taken = 0
        if taken < len(data):
            self._send_later(data[taken:])

    def _send_later(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionLost(f"{self.name} closed the connection", hint=_CLOSED_HINT)
        self._transport.write(data)

    def _close_direct(self) -> None:
        """The connection ends only when both of its descriptors are closed."""
        if self._direct is not None:
            self._direct.close()
            self._direct = None

    async def finish(self) -> None:
        self._close_direct()
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await self._gone.wait()
        except TimeoutError:
            pass
        finally:
            if not self._gone.is_set():  # a transport that has ended can no longer be aborted
                self._transport.abort()


def _race(host: str) -> float | None:
    """Seconds until a name's next address is tried. asyncio's race leaves a socket open when it is cancelled, and an
    address needs none.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return None
    return _NEXT_ADDRESS


def _tune(sock: socket.socket) -> None:
    """asyncio has set TCP_NODELAY; what a system does not know is left out."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
