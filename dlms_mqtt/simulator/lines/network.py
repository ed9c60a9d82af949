"""Simulated meters on the network: TCP and UDP. Serial lines and memory: see ``serve_line``.

Nothing runs while nobody asks: a connection is a protocol object that waits for bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from dlms_mqtt.simulator.server.faults import Faults, Piece
from dlms_mqtt.simulator.server.links import make_link
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.session import Dropped, MeterServer

log = logging.getLogger("dlms_mqtt.simulator")


class _Connection(asyncio.Protocol):
    """One client on TCP."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        self.session = self._server.new_session()
        self.session.write = self.write
        self._waiting: deque[Piece] = deque()  # each with its time
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        faults = self.session.faults
        if faults and faults.strike("deaf"):
            return
        if echo := faults.echo(data):
            self._transport.write(echo)
        try:
            answer = self.session.receive(data)
        except Dropped:
            self._transport.close()
            return
        if not faults:
            if answer:
                self._transport.write(answer)
            return
        pieces = faults.shape(answer)
        if pieces is None:
            self._transport.close()
        else:
            self._send(pieces)

    def _send(self, pieces: list[Piece]) -> None:
        at = max(asyncio.get_running_loop().time(), self._waiting[-1][0] if self._waiting else 0.0)
        for delay, piece in pieces:
            at += delay
            self._waiting.append((at, piece))
        self._write_due()

    def _write_due(self) -> None:
        """In their order, however late this machine is."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] <= loop.time():
            self.write(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._timer = loop.call_at(self._waiting[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._write_due()

    def write(self, data: bytes) -> None:
        """Send, if the client is still there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self.session.close()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


class TcpServer:
    """A meter on TCP; ``address`` is where. Use with ``serve_tcp``."""

    def __init__(self, new_session: Callable[[], MeterServer]) -> None:
        self.new_session = new_session
        self.connections: set[_Connection] = set()
        self.address: tuple[str, int] = ("", 0)

    @property
    def port(self) -> int:
        """The TCP port."""
        return self.address[1]


@asynccontextmanager
async def serve_tcp(
    meter: Meter,
    host: str = "127.0.0.1",
    port: int = 0,
    framing: str = "wrapper",
    *,
    faults: Faults | None = None,
    **hdlc: Any,
) -> AsyncIterator[TcpServer]:
    """Serve as many clients at once as come; port 0 picks a free one. OSError."""
    counter = iter(range(1, 1 << 30))

    def new_session() -> MeterServer:
        own = faults.copy(next(counter)) if faults else None
        return MeterServer(meter, make_link(framing, meter, own, **hdlc), own)

    server = TcpServer(new_session)
    listener = await asyncio.get_running_loop().create_server(lambda: _Connection(server), host, port)
    server.address = listener.sockets[0].getsockname()[:2]
    try:
        yield server
    finally:
        listener.close()
        for connection in list(server.connections):
            connection.close()
        await asyncio.sleep(0)


class _Datagrams(asyncio.DatagramProtocol):
    """All clients on UDP: a session per address."""

    def __init__(self, new_session: Callable[[], MeterServer]) -> None:
        self._new_session = new_session
        self._sessions: dict[Any, MeterServer] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        session = self._sessions.get(addr)
        if session is None:
            session = self._sessions[addr] = self._new_session()
            session.write = lambda data: self._transport.sendto(data, addr)
        if session.faults and session.faults.strike("deaf"):
            return
        try:
            answer = session.receive(data)
        except Dropped:
            self._sessions.pop(addr).close()
            return
        delay = 0.0
        while answer:
            for wait, piece in session.faults.shape(answer) or ():
                delay += wait
                asyncio.get_running_loop().call_later(delay, self._transport.sendto, piece, addr)
            answer = session.connection.data_to_send()  # the next datagram


@asynccontextmanager
async def serve_udp(
    meter: Meter, host: str = "127.0.0.1", port: int = 0, *, faults: Faults | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve the UDP wrapper; yields the address. OSError."""

    def new_session() -> MeterServer:
        own = faults.copy(1) if faults else None
        return MeterServer(meter, make_link("wrapper", meter, own, datagram=True), own)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(new_session), local_addr=(host, port)
    )
    try:
        yield transport.get_extra_info("sockname")[:2]
    finally:
        transport.close()
        await asyncio.sleep(0)
