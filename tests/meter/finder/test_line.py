"""The line while a meter is looked for: late and unasked answers, echoes, noise, octets without end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

QUICK = Limits(seconds=150, patience=20)


async def search(bench: Bench, clock: FakeClock, limits: Limits = QUICK, **options: Any) -> Found:
    path, given = options.pop("path", {}), options.pop("given", {})
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = options.pop("shape", None)
        return await find({"serial": "bench", **given}, open_line=open_line, limits=limits)


def background(coroutine: Any) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def running() -> Any:
        task = asyncio.create_task(coroutine)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return running()


async def test_10_bright_light(clock: FakeClock) -> None:
    found = await search(Bench(faults=("garbled:2,times=1000",)), clock, Limits(seconds=60))
    assert not found.complete
    assert "damaged" in found.names
    assert "head may have moved" in found.diagnosis


async def test_20_octets_without_end(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()

    async def babble() -> None:
        while True:
            far.write(b"\x55\xaa")
            await asyncio.sleep(0.05)

    async with background(babble()):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=60))
    assert found.seconds == pytest.approx(60, abs=1)
    assert {"garbled", "time"} <= set(found.names)
    await far.close()
