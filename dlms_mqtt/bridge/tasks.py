"""Tasks that work side by side, are started again when they fail, and their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_RESTARTS = (1.0, 5.0, 30.0, 120.0, 600.0)  # s before a task that failed is started again
_CANCEL_AGAIN = 15.0  # s; longer than the last words of a task take


def supervised(name: str, run: Callable[[], Awaitable[None]], clock: Clock) -> asyncio.Task[None]:
    """Run it as a task; when it fails, that is told and it is started again after a growing pause, for ever."""
    return asyncio.create_task(_supervise(name, run, clock), name=name)


async def _supervise(name: str, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    failures = 0
    while True:
        began = clock.monotonic()
        try:
            return await run()
        except ConfigError as error:
            _LOG.error("%s: %s", name, error.message)
        except Exception:
            raise_cancelled()
            _LOG.exception("%s failed and is started again", name)
        failures = 0 if clock.monotonic() - began > _RESTARTS[-1] else failures + 1
        await asyncio.sleep(_RESTARTS[min(failures, len(_RESTARTS)) - 1])


def raise_cancelled() -> None:
    """CancelledError where this task has been cancelled and an error of what it was closing took the place of that.

    aiomqtt tells in place of a cancellation that the line broke in the same moment; whoever tries again for ever asks
    here first.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until one ends; cancel the others; raise what it raised."""
    await _until(asyncio.FIRST_COMPLETED, coroutines)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until all have ended; when one fails, the others end too and the error goes on."""
    await _until(asyncio.FIRST_EXCEPTION, coroutines)


async def _until(end: str, coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """No ``asyncio.TaskGroup``: it passes on the first cancellation only; whoever cancels again wants no farewell."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=end)
    finally:
        await end_all(tasks)
    for task in done:
        task.result()


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them, and wait until they have ended; what they raise is nobody's concern.

    Again after a while: ``asyncio.wait_for`` of Python 3.11, which aiomqtt waits with, swallows a cancellation that
    comes in the same moment as what it waits for. And whenever we are cancelled, who want them to end sooner.
    """
    tasks, cancelled = list(tasks), None
    for task in tasks:
        task.add_done_callback(_fetch_exception)
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=_CANCEL_AGAIN)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


def _fetch_exception(task: asyncio.Task[None]) -> None:
    """asyncio logs exceptions that nobody asked for."""
    if not task.cancelled():
        task.exception()
