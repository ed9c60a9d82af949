"""A line that somebody listens to while it is used: whatever comes is handed to a callback first."""

from __future__ import annotations

from collections.abc import Callable

from dlms_mqtt.transport.base import SerialFormat, Transport

#: The line's name, the bytes, whether they are a whole datagram.
OnReceived = Callable[[str, bytes, bool], object]


class OverheardTransport(Transport):
    """Another transport, of which ``on_received`` gets every octet that is read or thrown away."""

    def __init__(self, line: Transport, on_received: OnReceived) -> None:
        self._line, self._on_received = line, on_received
        self.datagram, self.name = line.datagram, line.name

    def _passed_on(self, data: bytes) -> bytes:
        if data:
            self._on_received(self.name, data, self.datagram)
        return data

    async def open(self) -> None:
        """Open the line; ConnectFailed."""
        await self._line.open()

    async def close(self) -> None:
        """Close the line."""
        await self._line.close()

    def write(self, data: bytes) -> None:
        """Queue bytes; ConnectionLost."""
        self._line.write(data)

    async def drain(self) -> None:
        """Wait until everything written has left."""
        await self._line.drain()

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        return self._passed_on(await self._line.read(timeout))

    def at_once(self) -> bytes:
        """What is there at once."""
        return self._passed_on(self._line.at_once())

    def discard(self) -> bytes:
        """Throw away, and return, what was received and not read."""
        return self._passed_on(self._line.discard())

    @property
    def lag(self) -> float:
        """Seconds until what was written has left."""
        return self._line.lag

    @property
    def format(self) -> SerialFormat | None:
        """Speed and parity in force."""
        return self._line.format

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """Change speed and parity."""
        await self._line.configure(baud=baud, data_bits=data_bits, parity=parity, stop_bits=stop_bits)

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the modem lines that are not None."""
        await self._line.lines(dtr, rts)

    async def send_break(self, seconds: float = 0.3) -> None:
        """Hold the line in the break state."""
        await self._line.send_break(seconds)
