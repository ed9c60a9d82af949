"""When a broker has sent all that it keeps: nothing marks that end, so a while without a new topic is taken for it."""

from __future__ import annotations

import asyncio
import math


class Silence:
    """From now on. A bridge at work says the same topics again and again: no news, and no reason to go on waiting."""

    def __init__(self, seconds: float, longest: float = math.inf) -> None:
        """``seconds`` without news are the end, and so are ``longest`` in all, however much is said."""
        self._loop, self._seconds = asyncio.get_running_loop(), seconds
        self._seen: set[str] = set()
        self._latest = self._loop.time() + longest
        self.ends = self._loop.time() + seconds

    def is_news(self, topic: str) -> bool:
        """Has nothing come on this topic so far? Then the end is further away."""
        if topic in self._seen:
            return False
        self._seen.add(topic)
        self.ends = min(self._loop.time() + self._seconds, self._latest)
        return True

    async def wait(self) -> None:
        """Until the end; what comes meanwhile is told by ``is_news``."""
        while (left := self.ends - self._loop.time()) > 0:  # noqa: ASYNC110 - what comes moves the end, and ends nothing
            await asyncio.sleep(left)
