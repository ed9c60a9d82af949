"""One physical line, one conversation at a time: commands before polls before profiles, first come first served.

A turn is short; long work takes many turns, so that live values get between them. The session of another meter is
closed before a turn begins, because two meters cannot hold one port.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count

from dlms_mqtt.bridge.tasks import raise_cancelled

Close = Callable[[], Awaitable[None]]


class Priority(IntEnum):
    """Who goes first."""

    COMMAND = 0
    POLL = 1
    PROFILE = 2
    SPARE = 3  # nobody wants the line


class Line:
    """The queue of one serial port or address; ``owner`` names the meter whose session may be open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._owner = ""
        self._close: Close | None = None
        self._spare: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, meter: str, priority: Priority, close: Close) -> AsyncIterator[None]:
        """The line for one exchange; ``close`` ends this meter's session when another meter's turn comes."""
        await self._acquire(priority)
        try:
            await self._take_over(meter, close)
            yield
        finally:
            self._release()

    async def spare(self, meter: str, close: Close, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` while nobody wants the line: it is cancelled when somebody else's turn is due."""
        async with self.turn(meter, Priority.SPARE, close):
            if self._waiting and self._waiting[0][0] < Priority.SPARE:
                return
            self._spare = asyncio.ensure_future(work())
            try:
                await self._spare
            except asyncio.CancelledError:
                pass
            finally:
                self._spare = None
                raise_cancelled()  # whatever the work has made of it

    async def _acquire(self, priority: Priority) -> None:
        if not self._busy:
            self._busy = True
            return
        if self._spare is not None and priority < Priority.SPARE:
            self._spare.cancel()
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), ticket))
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():  # it was our turn already: pass it on
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            ticket = heapq.heappop(self._waiting)[2]
            if not ticket.done():
                ticket.set_result(None)
                return
        self._busy = False

    async def _take_over(self, meter: str, close: Close) -> None:
        if self._close and self._owner != meter:
            close_other, self._close = self._close, None
            await close_other()
        self._owner, self._close = meter, close
