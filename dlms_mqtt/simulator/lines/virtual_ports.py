"""The meter's end of serial lines that exist in software only: a pseudo-terminal, ports served over RFC 2217 or TCP.

All know the speed (over RFC 2217 the parity too) that the client has set: where it differs from the meter's, what
passes is rubbish, as on a wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import termios
import tty
from typing import cast

from dlms_mqtt.errors import ConnectionLost, RemoteProtocolError
from dlms_mqtt.simulator.lines.telnet import ComPort
from dlms_mqtt.transport.base import Inbox, SerialFormat, Transport, closed
from dlms_mqtt.transport.memory import on_the_wire

log = logging.getLogger("dlms_mqtt.simulator")

_CHUNK = 4096
_BAUDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


class MeterLine(Transport):
    """What both have in common: a format of the meter's own. ``paced``: octets take the time of their bits."""

    def __init__(self, name: str, *, paced: bool = True) -> None:
        self.name = name
        self.paced = paced
        self._format = SerialFormat()
        self._inbox = Inbox()
        self._free_at = 0.0

    @property
    def format(self) -> SerialFormat:
        """Speed and parity of the meter."""
        return self._format

    @property
    def client_format(self) -> SerialFormat:
        """Speed and parity that the client has set."""
        raise NotImplementedError

    def _put(self, data: bytes) -> None:
        raise NotImplementedError

    def from_client(self, data: bytes) -> None:
        """Octets that the client sent, as they arrive here."""
        wire = on_the_wire(data, self.client_format, self._format, checked=True)
        if wire:
            self._inbox.feed(wire)

    def write(self, data: bytes) -> None:
        """Send, each octet in its time."""
        loop = asyncio.get_running_loop()
        wire = on_the_wire(data, self._format, self.client_format)
        begin = max(loop.time(), self._free_at)
        self._free_at = begin + (self._format.seconds(len(data)) if self.paced else 0.0)
        if self._free_at <= loop.time():
            self._put(wire)
        else:
            loop.call_at(self._free_at, self._put, wire)

    async def drain(self) -> None:
        """Wait until the last bit has left."""
        await asyncio.sleep(max(0.0, self._free_at - asyncio.get_running_loop().time()))

    async def read(self, timeout: float | None) -> bytes:
        """At least one octet; ResponseTimeout, ConnectionLost."""
        return await self._inbox.read(timeout)

    def discard(self) -> bytes:
        """Throw away and return what was received."""
        return self._inbox.discard()

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """Change the meter's speed and parity."""
        self._format = SerialFormat(baud, data_bits, parity, stop_bits)


class PtyLine(MeterLine):
    """A pseudo-terminal; clients open ``device`` as a serial port. It carries no parity: ours is taken as agreed."""

    def __init__(self, *, paced: bool = True) -> None:
        super().__init__("pseudo-terminal", paced=paced)
        self._master = -1
        self._slave = -1
        self.device = ""

    async def open(self) -> None:
        """Make the pseudo-terminal; OSError."""
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = self.name = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._pull)

    async def close(self) -> None:
        """Take it away."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = -1
        self._inbox.fail(closed(self.name))

    @property
    def client_format(self) -> SerialFormat:
        """Our own format with the client's speed."""
        if self._master < 0:
            return self._format
        return self._format._replace(baud=_BAUDS.get(termios.tcgetattr(self._master)[5], 0) or self._format.baud)

    def _pull(self) -> None:
        with contextlib.suppress(OSError):
            self.from_client(os.read(self._master, _CHUNK))

    def _put(self, data: bytes) -> None:
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)


class BridgedLine(MeterLine, asyncio.Protocol):
    """One client of a converter to plain TCP, which keeps its speed and parity (``kept``) for ever."""

    KEPT = SerialFormat(300, 7, "even")

    def __init__(self, *, kept: SerialFormat = KEPT, paced: bool = True) -> None:
        super().__init__("converter", paced=paced)
        self._kept = kept
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Everything is the line's."""
        self.from_client(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._inbox.fail(ConnectionLost("the client of the serial port has gone"))

    async def open(self) -> None:
        """The connection is there already."""

    async def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    @property
    def client_format(self) -> SerialFormat:
        """The converter's own."""
        return self._kept

    def _put(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class Rfc2217Line(BridgedLine):
    """One client of a serial port that is served over RFC 2217, who sets its speed."""

    def __init__(self, *, paced: bool = True) -> None:
        super().__init__(paced=paced)
        self.name = "rfc2217"
        self._port = ComPort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        super().connection_made(transport)
        transport.write(self._port.greeting)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Commands are answered, the rest is the line's."""
        transport = self._transport
        if transport is None:
            return
        try:
            plain, answer = self._port.receive(data)
        except RemoteProtocolError as error:
            log.debug("rfc2217: %s", error)
            transport.abort()
            return
        if answer:
            transport.write(answer)
        if plain:
            self.from_client(plain)

    @property
    def client_format(self) -> SerialFormat:
        """As the client has set it."""
        return self._port.format

    def _put(self, data: bytes) -> None:
        super()._put(self._port.escape(data))
