"""A clock and an event loop whose time stands still while any task can run and jumps to the next timer when all wait.

Plain ``asyncio.sleep`` and ``asyncio.timeout`` obey them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from dlms_mqtt.transport.clock import Clock

T = TypeVar("T")

#: Longest real time (s) a fake loop waits for a thread or a socket while no timer is set; then the test hangs for ever.
PATIENCE = 20.0


class FakeClock(Clock):
    """Virtual time that moves by itself when everyone waits; starts at ``start`` (seconds since 1970)."""

    def __init__(self, start: float = 1767614400.0) -> None:  # 2026-01-05 12:00 UTC, a Monday
        self.elapsed = 0.0
        self.start = start

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return self.elapsed

    def time(self) -> float:
        """Virtual wall clock time."""
        return self.start + self.elapsed

    def step(self, seconds: float) -> None:
        """Move the wall clock only, as NTP or a user does."""
        self.start += seconds

    def new_loop(self) -> FakeLoop:
        """A fresh event loop that runs on this clock."""
        return FakeLoop(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on a fresh loop of this clock."""
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(coroutine)


class FakeLoop(asyncio.SelectorEventLoop):
    """An event loop on a ``FakeClock``. Real sockets work, but their waiting takes no virtual time."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self._in_threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self.clock.elapsed

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run in a thread; virtual time stands still until all of these are done."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Virtual time stands still for this too: it waits for a thread, with a time limit."""
        self._in_threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._in_threads -= 1

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def jump(self, timeout: float | None) -> float | None:
        """Move to the next timer and return 0, or return the real time to wait for a thread or a socket."""
        if self._in_threads or timeout is None:
            return PATIENCE
        self.clock.elapsed += timeout
        return 0.0


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that never sleeps while a timer is pending."""

    def __init__(self, loop: FakeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        wait = self._loop.jump(timeout)
        ready = super().select(wait)
        if not ready and wait:
            raise RuntimeError("every task waits, no timer is set and nothing arrives: this would hang for ever")
        return ready
