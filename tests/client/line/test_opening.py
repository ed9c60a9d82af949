"""Opening a line: power for the head, waking, the sign-on or none, and what is done where nobody answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dlms_mqtt.client.line.opening import open_line
from dlms_mqtt.client.line.sign_on import sign_on
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.mode_e import SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.line import SIGN_ON, sign_on_as_meter

ISKRA = Identification("ISK", "5", ("2",), "ME371-2105")


def settings(**values: Any) -> ConnectionSettings:
    return ConnectionSettings(opening="sign-on", **values)


@asynccontextmanager
async def meter_on(
    end: MemoryTransport, server: SignOnServer | None = None, **values: Any
) -> AsyncIterator[asyncio.Task[int]]:
    """A meter that waits for its sign-on at this end of a line."""
    task = asyncio.create_task(sign_on_as_meter(end, server or SignOnServer(ISKRA, **values)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def line_pair(
    latency: float = 0.03, line: SerialFormat | None = SIGN_ON
) -> tuple[MemoryTransport, MemoryTransport]:
    client, meter = memory_pair(line=line, latency=latency)
    await client.open()
    await meter.open()
    return client, meter


async def test_wake_up_goes_first(clock: FakeClock) -> None:
    client, meter = await line_pair()
    sent: list[bytes] = []
    client.fault = lambda data: [(0.0, sent.append(data) or data)]  # type: ignore[func-returns-value]
    async with meter_on(meter):
        await sign_on(client, settings(wake_up=b"\x00" * 20))
    assert sent[:2] == [b"\x00" * 20, b"/?!\r\n"]


async def test_a_break_wakes_the_meter(clock: FakeClock) -> None:
    client, meter = await line_pair()
    async with meter_on(meter):
        began = asyncio.get_running_loop().time()
        assert await open_line(client, settings(wake_up_break=0.25))
        assert asyncio.get_running_loop().time() - began > 0.25 + 1.5
    assert meter.breaks == 1


async def test_a_wake_up_goes_before_the_sign_on(clock: object) -> None:
    """Settings carry the octets; the sign-on sends them first."""
    from dlms_mqtt.transport.memory import memory_pair
    from tests.line import SIGN_ON

    near, far = memory_pair(line=SIGN_ON)
    await near.open()
    await far.open()
    task = asyncio.create_task(sign_on(near, ConnectionSettings(opening="sign-on", wake_up=b"\0" * 4, retries=0)))
    heard = b""
    while len(heard) < 9:
        heard += await far.read(None)
    assert heard == b"\0" * 4 + b"/?!\r\n"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
