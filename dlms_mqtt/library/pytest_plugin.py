"""A pytest plugin: the fixture ``dlms_meter`` makes simulated meters, so that programs are tested without hardware.

It is loaded in every run of pytest where this package is installed, and imports nothing before the fixture is used.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dlms_mqtt.simulator.description import Described
    from dlms_mqtt.transport import Transport

MeterFactory = Callable[..., "SimulatedMeter"]


class SimulatedMeter:
    """One simulated meter. ``url``: its address on TCP, served by a thread until the test ends.

    ``described.meter`` is the meter itself, ``described.faults`` its faults, which may be added while it runs.
    """

    def __init__(self, described: Described, framing: str, thread: _Server) -> None:
        self.described = described
        self._framing, self._thread = framing, thread
        self._port = 0

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; the meter is served from the first time this is asked for."""
        if not self._port:
            self._port = self._thread.serve(self.described, self._framing)
        return self._port

    @property
    def url(self) -> str:
        """The line for ``Meter`` and ``SyncMeter``: ``tcp://127.0.0.1:PORT``."""
        return f"tcp://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def memory(self) -> AsyncIterator[Transport]:
        """A line inside this process and event loop: ``async with sim.memory() as line, Meter(line) as meter:``."""
        from dlms_mqtt.simulator.lines.serial import serve_memory
        from dlms_mqtt.transport.memory import memory_pair

        near, far = memory_pair()
        async with serve_memory(self.described.meter, far, self._framing, faults=self.described.faults):
            yield near


class _Server:
    """An event loop in a thread, for the meters of one test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: list[Any] = []
        self._thread: threading.Thread | None = None

    def serve(self, described: Described, framing: str) -> int:
        """Serve this meter too; its port."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="dlms_meter", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._start(described, framing), self._loop).result()

    async def _start(self, described: Described, framing: str) -> int:
        ready: asyncio.Future[int] = self._loop.create_future()
        self._tasks.append(self._loop.create_task(self._run(described, framing, ready)))
        return await ready

    async def _run(self, described: Described, framing: str, ready: asyncio.Future[int]) -> None:
        from dlms_mqtt.simulator import serve_tcp

        async with serve_tcp(described.meter, framing=framing, faults=described.faults) as server:
            ready.set_result(server.port)
            await asyncio.Event().wait()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        """End every meter and the thread."""
        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


@pytest.fixture
def dlms_meter() -> Iterator[MeterFactory]:
    """Makes simulated meters: ``meter = dlms_meter({"objects": [...]})``, then ``SyncMeter(meter.url, client=17)``.

    The dict is a description as of ``dlms-mqtt simulate`` (docs/library.md); without one it is a household meter.
    ``framing``: ``wrapper`` or ``hdlc``.
    """
    server = _Server()

    def make(description: Mapping[str, Any] | None = None, *, framing: str = "wrapper") -> SimulatedMeter:
        from dlms_mqtt.simulator.description import describe

        return SimulatedMeter(describe(dict(description or {})), framing, server)

    yield make
    server.close()
