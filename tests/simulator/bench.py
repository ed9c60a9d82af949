"""Our simulated meter in a thread, for clients that block; and a frozen clock, so that answers can be compared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

from dlms_mqtt.simulator import Meter, serve_pty, serve_tcp, serve_udp
from dlms_mqtt.simulator.household.household import household
from tests.fake_clock import FakeClock

TITLE = b"TST\x00\x00\x00\x00\x07"
START = 1767614400.0  # 2026-01-05 12:00 UTC, a Monday


def frozen_meter(**options: Any) -> Meter:
    """A household meter whose time stands still (``meter.clock.step`` moves it)."""
    return household(clock=FakeClock(START), **options)


@contextmanager
def running(meter: Meter, framing: str = "wrapper", *, udp: bool = False, **options: Any) -> Iterator[int]:
    """The meter on a port of this machine."""
    server = serve_udp(meter, **options) if udp else serve_tcp(meter, framing=framing, **options)
    with in_a_thread(server) as served:
        yield served[1] if udp else served.port


@contextmanager
def on_a_pty(meter: Meter, **options: Any) -> Iterator[str]:
    """The meter on a pseudo-terminal; its name."""
    with in_a_thread(serve_pty(meter, **options)) as line:
        yield line.device


@contextmanager
def in_a_thread(server: AbstractAsyncContextManager[Any]) -> Iterator[Any]:
    """Run an async server on a loop of its own, and yield what it yields."""
    ready: dict[str, Any] = {}
    started = threading.Event()

    async def serve() -> None:
        ready["loop"], ready["end"] = asyncio.get_running_loop(), asyncio.Event()
        async with server as ready["served"]:
            started.set()
            await ready["end"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(60)
    try:
        yield ready["served"]
    finally:
        ready["loop"].call_soon_threadsafe(ready["end"].set)
        thread.join()
