"""A transport that writes down what goes through another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dlms_mqtt.client.capture.marks import RECEIVED, SENT
from dlms_mqtt.transport.base import SerialFormat, Transport

Log = list[tuple[float, str, bytes]]
"""Seconds since the start, direction, octets."""


@dataclass(slots=True)
class Recorder(Transport):
    """A transport that writes down what goes through another one: seconds since the start, direction, octets."""

    inner: Transport
    clock: Callable[[], float]
    log: Log = field(default_factory=list)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.name = self.inner.name
        self.datagram = self.inner.datagram
        self.started = self.clock()

    def _note(self, direction: str, data: bytes) -> bytes:
        if data:
            self.log.append((round(self.clock() - self.started, 3), direction, bytes(data)))
        return data

    @property
    def format(self) -> SerialFormat | None:
        """As of the line."""
        return self.inner.format

    async def open(self) -> None:
        """Open the line."""
        await self.inner.open()

    async def close(self) -> None:
        """Close the line."""
        await self.inner.close()

    def write(self, data: bytes) -> None:
        """Write and note it."""
        self.inner.write(self._note(SENT, data))

    async def drain(self) -> None:
        """Wait until it has left."""
        await self.inner.drain()

    @property
    def lag(self) -> float:
        """As of the line."""
        return self.inner.lag

    async def read(self, timeout: float | None) -> bytes:
        """Read and note it."""
        return self._note(RECEIVED, await self.inner.read(timeout))

    def discard(self) -> bytes:
        """Throw away, and note what was thrown away."""
        return self._note(RECEIVED, self.inner.discard())

    async def configure(self, **values: Any) -> None:
        """Change speed and parity."""
        await self.inner.configure(**values)

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the modem lines."""
        await self.inner.lines(dtr, rts)

    async def send_break(self, seconds: float = 0.3) -> None:
        """Hold the line in the break state."""
        await self.inner.send_break(seconds)
