"""A line in memory that behaves as TCP does: each ``open`` is a new connection, served by a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.base import Transport
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair


class FreshLine(Transport):
    """``serve`` gets the meter's end of each connection; ``sent``: all that the client ever wrote, write by write."""

    name = "memory"

    def __init__(self, serve: Callable[[MemoryTransport], Awaitable[None]], *, datagram: bool = False) -> None:
        self.datagram = datagram
        self.sent: list[bytes] = []
        self.opened = 0
        self.fault: Callable[[bytes], list[tuple[float, bytes]]] | None = None
        self._serve = serve
        self._near: MemoryTransport | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._near is not None

    async def open(self) -> None:
        if self._near is None:
            self.opened += 1
            self._near, far = memory_pair(datagram=self.datagram)
            far.fault = self.fault
            await self._near.open()
            await far.open()
            self._task = asyncio.ensure_future(self._serve(far))

    async def close(self) -> None:
        near, self._near = self._near, None
        if near is not None and self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await near.close()

    def _live(self) -> MemoryTransport:
        if self._near is None:
            raise ConnectionLost("memory is not open")
        return self._near

    def write(self, data: bytes) -> None:
        self.sent.append(data)
        self._live().write(data)

    async def drain(self) -> None:
        await self._live().drain()

    async def read(self, timeout: float | None) -> bytes:
        return await self._live().read(timeout)

    def discard(self) -> bytes:
        return self._near.discard() if self._near else b""

    def at_once(self) -> bytes:
        return self._near.at_once() if self._near else b""
