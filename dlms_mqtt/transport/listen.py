"""Waiting for meters that connect by themselves: a TCP or UDP port that hands every chunk of bytes to a callback.

Nobody can use it up: past ``most`` connections the one that was silent longest is closed, of the host that has most of
them, and so is one that has been silent for ``idle`` seconds (meters behind a modem vanish without a word). The octets
of a host are taken at a pace that leaves the machine free: TCP waits, datagrams past it are lost. Nothing is sent
unless whoever was told of a connection writes to it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Self, cast

from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.transport.base import format_address, parse_address

log = logging.getLogger("dlms_mqtt.transport")

#: ``origin`` (host:port), the bytes, whether they are a whole datagram; b"" says that the connection ended.
OnData = Callable[[str, bytes, bool], object]
#: A connection was made, before anything is read of it.
OnCall = Callable[["_Connection"], None]
MOST = 64  # connections
_BACKLOG = 32  # connections that the system takes at once before any of them is looked at
_SLICE = 512  # octets that are handed over at once
_BURST = 256 * 1024  # octets that a host may send at once: thousands of pushes of a concentrator
_PACE = 64 * 1024  # octets a second after that; rubbish of the worst kind takes 5 ms of a core per 1,000
_HOSTS = 256  # whose pace is remembered
_SILENCE = 60.0  # s between two times that the same is told
IDLE = 2 * 3600.0  # s; twice the longest usual interval of pushes

_WORDS: dict[int, tuple[str, str]] = {
    errno.EADDRINUSE: ("the port is in use", "Another program (a running bridge?) listens there; stop it."),
    errno.EACCES: ("the system does not allow it", "Ports below 1024 need permission; take another one."),
    errno.EADDRNOTAVAIL: ("this machine does not have that address", "Write 0.0.0.0 or [::] for all addresses."),
}


class _Paces:
    """How much each host may still send now; of very many the longest silent is forgotten, and may send all again."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # host -> octets, and when that was

    def take(self, host: str, octets: int, now: float) -> float:
        """Take as many; seconds until they are there (0: at once)."""
        left, since = self._left.pop(host, (float(_BURST), now))
        left = min(_BURST, left + (now - since) * _PACE) - octets
        if left < 0:
            self._left[host] = left + octets, now
            return -left / _PACE
        self._left[host] = left, now
        if len(self._left) > _HOSTS:
            del self._left[next(iter(self._left))]  # the longest silent
        return 0.0


class Listener:
    """An open port; ``close`` ends it and every connection to it, after which nothing is handed over any more."""

    def __init__(self, on_data: OnData, *, on_call: OnCall | None = None, most: int = MOST, idle: float = IDLE) -> None:
        self.name = ""  # tcp://127.0.0.1:4059
        self.port = 0
        self.idle = idle
        self._on_data, self._on_call, self._most = on_data, on_call, most
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._connections: dict[_Connection, None] = {}  # the longest silent first
        self._closed = False
        self._logged_at: dict[str, float] = {}  # what -> when it was last told
        self.paces = _Paces()
        self._empty = asyncio.Event()
        self._empty.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    @property
    def connections(self) -> int:
        """How many meters are connected."""
        return len(self._connections)

    def close(self) -> None:
        """Stop listening; twice does no harm."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        if self._datagrams is not None:
            self._datagrams.close()
        for connection in list(self._connections):
            connection.drop()

    def finish(self) -> None:
        """The same, but what was written to the connections still goes out."""
        for connection in list(self._connections):
            connection.finish()
        self._closed = True
        if self._server is not None:
            self._server.close()

    async def wait_closed(self) -> None:
        """Until every connection is gone."""
        await self._empty.wait()

    def hand_over(self, origin: str, data: bytes, whole: bool) -> None:
        """Give bytes to whoever listens."""
        if not self._closed:
            self._on_data(origin, data, whole)

    # -- connections --------------------------------------------------------------------------------------------------

    def add(self, connection: _Connection) -> None:
        """A meter has connected, or has spoken: it is the last to be closed."""
        self._connections.pop(connection, None)
        self._connections[connection] = None
        self._empty.clear()
        if len(self._connections) > self._most:
            silent = self._least_missed()
            del self._connections[silent]  # at once: its end comes later, and a burst before that
            self._tell("closed, %d other connections to %s are open", silent.origin, self._most, self.name)
            silent.drop()

    def _least_missed(self) -> _Connection:
        """The longest silent one of the host that has most of them."""
        (crowd, _), *_ = Counter(connection.host for connection in self._connections).most_common(1)
        return next(connection for connection in self._connections if connection.host == crowd)

    def _tell(self, what: str, origin: str, *words: object) -> None:
        """At most once a minute, however many come."""
        now = asyncio.get_running_loop().time()
        if now - self._logged_at.get(what, -_SILENCE) >= _SILENCE:
            self._logged_at[what] = now
            log.info("%s: " + what, origin, *words)

    def tell_pace(self, origin: str) -> None:
        """That a host sends more than any meter does."""
        self._tell("more than %d kB a second is not taken", origin, _PACE // 1024)

    def called(self, connection: _Connection) -> None:
        """Somebody has connected."""
        if self._on_call is not None and not self._closed:
            self._on_call(connection)

    def remove(self, connection: _Connection) -> None:
        """That one is gone."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()

    # -- opening ------------------------------------------------------------------------------------------------------

    async def open(self, scheme: str, host: str, port: int) -> None:
        """Open the port. OSError."""
        loop = asyncio.get_running_loop()
        if scheme == "tcp":
            self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=_BACKLOG)
            self.port = self._server.sockets[0].getsockname()[1]
        else:
            self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, port))
            self.port = self._datagrams.get_extra_info("sockname")[1]
        self.name = f"{scheme}://{format_address(host, self.port)}"


class _Connection(asyncio.Protocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self.origin = self.host = "?"
        self._pending, self._lost = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.origin, self.host = _name(peer), peer[0] if peer else "?"
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._last_received = self._loop.time()
        self._timer = self._loop.call_at(self._last_received + self._listener.idle, self._look)
        self._listener.add(self)
        self._listener.called(self)

    def write(self, data: bytes) -> None:
        """Queue bytes; nothing happens where the connection has ended."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._last_received = self._loop.time()
        self._listener.add(self)
        self._pending = data
        self._hand_over_some()

    def _hand_over_some(self) -> None:
        """A slice at a time: whoever pours out messages delays nobody else."""
        wait = self._listener.paces.take(self.host, len(self._pending[:_SLICE]), self._loop.time())
        if not wait:
            slice_, self._pending = self._pending[:_SLICE], self._pending[_SLICE:]
            if slice_:
                self._listener.hand_over(self.origin, slice_, False)
        if self._pending:
            self._transport.pause_reading()
            self._go_on_in(wait)
        elif self._lost:
            self._listener.hand_over(self.origin, b"", True)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _go_on_in(self, wait: float) -> None:
        if wait:
            self._listener.tell_pace(self.origin)
        self._loop.call_later(wait, self._hand_over_some)

    def _look(self) -> None:
        """Set the timer again only when it has run out: octets must cost nothing."""
        due = self._last_received + self._listener.idle
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._look)
        else:
            log.info("%s: closed, silent for %g s", self.origin, self._listener.idle)
            self.drop()

    def drop(self) -> None:
        """Close it from our side, now: nothing is owed to it."""
        self._transport.abort()

    def finish(self) -> None:
        """Close it when what was written has left."""
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._listener.remove(self)
        self._lost = True
        if not self._pending:
            self._listener.hand_over(self.origin, b"", True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not data:  # an empty datagram would read as the end of a connection
            return
        if self._listener.paces.take(addr[0], len(data), asyncio.get_running_loop().time()):
            self._listener.tell_pace(_name(addr))
        else:
            self._listener.hand_over(_name(addr), data, True)


def _name(address: Any) -> str:
    return format_address(address[0], address[1]) if address else "?"


def listen_address(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of ``tcp://ADDR:PORT`` or ``udp://ADDR:PORT``; port 0 takes any free one. ConfigError."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("tcp", "udp"):
        raise ConfigError(f"'{url}' is no address to listen on", hint="Write tcp://0.0.0.0:4059 or udp://0.0.0.0:4059.")
    any_port = re.fullmatch(r"(\[.*\]|[^:]+):0", rest)
    host, port = parse_address(any_port[1] if any_port else rest)
    return scheme, host, 0 if any_port else port


async def listen(
    url: str, on_data: OnData, *, on_call: OnCall | None = None, most: int = MOST, idle: float = IDLE
) -> Listener:
    """Listen on ``tcp://ADDR:PORT`` or ``udp://ADDR:PORT`` (port 0: any free one). ConfigError, ConnectFailed."""
    scheme, host, port = listen_address(url)
    listener = Listener(on_data, on_call=on_call, most=most, idle=idle)
    try:
        await listener.open(scheme, host, port)
    except OSError as error:
        raise cannot_listen(url, error) from error
    return listener


def cannot_listen(url: str, error: OSError) -> ConnectFailed:
    """Why a port of ours could not be opened, in plain words."""
    if isinstance(error, socket.gaierror):
        return ConnectFailed(
            f"cannot listen on {url}: the name is unknown", hint="Write an IP address of this machine."
        )
    # Since Python 3.13 an address that cannot be bound comes without its number.
    number = error.errno or (errno.EADDRNOTAVAIL if "could not bind" in str(error) else 0)
    words, hint = _WORDS.get(number, (error.strerror or str(error), ""))
    return ConnectFailed(f"cannot listen on {url}: {words}", hint=hint)
