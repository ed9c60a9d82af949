"""What time it is, passed in wherever it matters, so that a day of meter reading can be tested in a second.

Rule: code asks the event loop or a ``Clock`` for the time, never the ``time`` module (tests bring a clock and a loop of
their own: ``tests/fake_clock.py``).
"""

from __future__ import annotations

import asyncio
import time


class Clock:
    """The system's clocks."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC on the wall clock, which may step."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)
