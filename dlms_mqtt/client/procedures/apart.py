"""Long answers are decoded beside the event loop, so that they delay no other meter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_LONG = 1 << 16  # octets: what is shorter takes less than a tenth of a second on a small computer


async def apart(octets: int, work: Callable[[], T]) -> T:
    """What ``work`` returns; in a thread of its own where there are many ``octets`` to work on."""
    return await asyncio.to_thread(work) if octets > _LONG else work()
