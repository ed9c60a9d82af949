"""Serial lines without hardware: a pseudo-terminal that takes its time, and a small RFC 2217 server.

Both end in ``line.meter``, a Transport for whoever plays the meter: a test, our simulator, or ``to_tcp`` for a meter of
another project. Octets take the time of the speed that the client set; where the two ends' speeds (over RFC 2217: their
parities too) differ, they arrive as rubbish. A pseudo-terminal knows no parity: the meter's is taken as agreed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import termios
import tty
from collections.abc import Callable
from typing import Any, Self

from serial import rfc2217

from dlms_mqtt.protocol.framing.mode_e import Action, Done, Send, SetSpeed, SignOnServer, Wait
from dlms_mqtt.transport.base import SerialFormat, Transport
from dlms_mqtt.transport.memory import LineCount, MemoryTransport

PARITIES = {"N": "none", "E": "even", "O": "odd"}
SIGN_ON = SerialFormat(300, 7, "even", 1)
BAUDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


class _Near(MemoryTransport):
    """The client's end, whose format is whatever the client has set on the port."""

    def __init__(self, count: LineCount, line: SerialFormat, read_format: Callable[[], SerialFormat]) -> None:
        super().__init__("line", 0, count, line, 0.0)
        self._read_format = read_format
        self._configured_at = math.inf  # the relay is late by its own scheduling: only a whole switch counts

    @property
    def format(self) -> SerialFormat:
        return self._read_format()


class Line:
    """A line with a meter's end; subclasses make the client's end reachable as a serial port."""

    def __init__(self, line: SerialFormat = SIGN_ON, *, latency: float = 0.03) -> None:
        self.count = LineCount()
        self.near = _Near(self.count, line, self._read_format)
        self.meter = MemoryTransport("meter", 1, self.count, line, latency)
        self.near.peer, self.meter.peer = self.meter, self.near
        self._tasks: set[asyncio.Task[None]] = set()

    def _read_format(self) -> SerialFormat:
        raise NotImplementedError

    def _hand_over(self, data: bytes) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.near.open()
        await self.meter.open()
        self._start(self._pump())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.near.close()
        await self.meter.close()

    def _start(self, coroutine: Any) -> None:
        self._tasks.add(asyncio.create_task(coroutine))

    async def _pump(self) -> None:
        while True:
            self._hand_over(await self.near.read(None))

    def to_tcp(self, host: str, port: int, server: SignOnServer | None = None) -> None:
        """Let the meter behind ``host:port`` answer; with ``server`` after a sign-on."""
        self._start(self._serve(host, port, server))

    async def _serve(self, host: str, port: int, server: SignOnServer | None) -> None:
        if server is not None:
            await sign_on_as_meter(self.meter, server)
        await join(self.meter, host, port)


class PacedPty(Line):
    """A pseudo-terminal: open ``device`` as a serial port."""

    async def __aenter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        self._plugged = True
        asyncio.get_running_loop().add_reader(self._master, self._from_client)
        return await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        self.unplug()
        await super().__aexit__(*exc)

    @property
    def baud(self) -> int:
        """The speed that the client has set."""
        return BAUDS[termios.tcgetattr(self._master)[5]]

    def unplug(self) -> None:
        """The device vanishes, as a USB adapter does."""
        if self._plugged:
            self._plugged = False
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._slave)
            os.close(self._master)

    def _read_format(self) -> SerialFormat:
        agreed = self.meter.format or SIGN_ON
        return agreed._replace(baud=self.baud) if self._plugged else agreed

    def _from_client(self) -> None:
        with contextlib.suppress(OSError):
            self.near.write(os.read(self._master, 4096))

    def _hand_over(self, data: bytes) -> None:
        if self._plugged:
            os.write(self._master, data)


class FakePort:
    """What pyserial's PortManager sets when the client asks."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 9600, 8, "N", 1
        self.dtr = self.rts = False
        self.break_condition = self.xonxoff = self.rtscts = False
        self.cts = self.dsr = self.cd = True
        self.ri = False

    def reset_input_buffer(self) -> None:
        """Nothing is kept."""

    def reset_output_buffer(self) -> None:
        """Nothing is kept."""


class Rfc2217Server(Line):
    """A serial port served over the network: open ``url``; ``port`` shows what the client has set."""

    async def __aenter__(self) -> Self:
        self.port = FakePort()
        self._peers: list[_Rfc2217Peer] = []
        self._server = await asyncio.get_running_loop().create_server(self._peer, "127.0.0.1", 0)
        self.url = "rfc2217://{}:{}".format(*self._server.sockets[0].getsockname())
        return await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.unplug()
        await super().__aexit__(*exc)

    def unplug(self) -> None:
        """The server drops the connection."""
        for peer in self._peers:
            peer.transport.abort()

    def _peer(self) -> _Rfc2217Peer:
        self._peers.append(_Rfc2217Peer(self))
        return self._peers[-1]

    def _read_format(self) -> SerialFormat:
        port = self.port
        return SerialFormat(port.baudrate, port.bytesize, PARITIES[port.parity], int(port.stopbits))

    def _hand_over(self, data: bytes) -> None:
        for peer in self._peers:
            peer.send(data)


class _Rfc2217Peer(asyncio.Protocol):
    def __init__(self, server: Rfc2217Server) -> None:
        self._line = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._manager = rfc2217.PortManager(self._line.port, transport)

    def data_received(self, data: bytes) -> None:
        plain = b"".join(self._manager.filter(data))
        if plain:
            self._line.near.write(plain)

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"".join(self._manager.escape(data)))


async def sign_on_as_meter(end: Transport, server: SignOnServer) -> int:
    """Answer requests on a meter's end until the acknowledgement for mode E; the speed that HDLC will have."""
    await carry_out(end, server.start())
    while True:
        for action in server.receive(await end.read(None)):
            if isinstance(action, Done):
                return action.baud
            await carry_out(end, action)


async def carry_out(end: Transport, action: Action) -> None:
    """Do what the meter's side of the sign-on says."""
    if isinstance(action, Send):
        end.write(action.data)
        await end.drain()
    elif isinstance(action, Wait):
        await asyncio.sleep(action.seconds)
    elif isinstance(action, SetSpeed):
        await end.configure(baud=action.baud, data_bits=action.data_bits, parity=action.parity)


async def join(end: Transport, host: str, port: int) -> None:
    """Carry bytes both ways between a transport and a TCP server, until cancelled or the server leaves."""
    reader, writer = await asyncio.open_connection(host, port)

    async def there() -> None:
        while True:
            writer.write(await end.read(None))

    task = asyncio.create_task(there())
    try:
        while data := await reader.read(4096):
            end.write(data)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def discarded(line: Transport, octets: int) -> bytes:
    """What a line throws away until so many octets have come."""
    gone = b""
    async with asyncio.timeout(60):
        while len(gone) < octets:
            await asyncio.sleep(0.01)
            gone += line.discard()
    return gone
