"""Tasks that work side by side, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_CANCEL_AGAIN = 15.0  # s; longer than the last words of a task take


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until one ends; cancel the others; raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_all(tasks)
    for task in done:
        task.result()


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them, and wait until they have ended; what they raise is nobody's concern.

    Again after a while: ``asyncio.wait_for`` of Python 3.11, which aiomqtt waits with, swallows a cancellation that
    comes in the same moment as what it waits for.
    """
    tasks = list(tasks)
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCEL_AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)
