"""Our simulated meter in a thread, for clients that block; and a frozen clock, so that answers can be compared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlms_mqtt.simulator import Meter, household, serve_tcp, serve_udp
from dlms_mqtt.transport.clock import FakeClock

TITLE = b"TST\x00\x00\x00\x00\x07"
START = 1767614400.0  # 2026-01-05 12:00 UTC, a Monday


def frozen_meter(**options: Any) -> Meter:
    """A household meter whose time stands still (``meter.clock.step`` moves it)."""
    return household(clock=FakeClock(START), **options)


@contextmanager
def running(meter: Meter, framing: str = "wrapper", *, udp: bool = False, **options: Any) -> Iterator[int]:
    """The meter on a port of this machine."""
    ready: dict[str, Any] = {}
    started = threading.Event()

    async def serve() -> None:
        ready["loop"], ready["end"] = asyncio.get_running_loop(), asyncio.Event()
        if udp:
            async with serve_udp(meter, **options) as address:
                ready["port"] = address[1]
                started.set()
                await ready["end"].wait()
        else:
            async with serve_tcp(meter, framing=framing, **options) as server:
                ready["port"] = server.port
                started.set()
                await ready["end"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield ready["port"]
    finally:
        ready["loop"].call_soon_threadsafe(ready["end"].set)
        thread.join()
