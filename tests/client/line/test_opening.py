"""Opening a line: power for the head, waking, the sign-on or none, and what is done where nobody answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.line.opening import CLEAR_TEXT, open_line
from dlms_mqtt.client.line.sign_on import sign_on
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.framing.mode_e import Action, Send, SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification, OptionSelect, encode_readout
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
    received = b""
    while len(received) < 9:
        received += await far.read(None)
    assert received == b"\0" * 4 + b"/?!\r\n"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("given", "format_"),
    [({}, SerialFormat(9600, 8, "none")), ({"baud": 2400, "parity": "even"}, SerialFormat(2400, 8, "even"))],
)
async def test_a_line_that_is_opened_directly(clock: FakeClock, given: dict[str, Any], format_: SerialFormat) -> None:
    """No sign-on: speed and parity as they are given, the wake-up, and nothing left of what came before."""
    client, meter = await line_pair(latency=0.0)
    meter.write(b"old")
    await asyncio.sleep(1.0)
    assert await open_line(client, ConnectionSettings(opening="direct", wake_up=b"\x55" * 4, **given)) is None
    assert client.format == format_
    await meter.configure(baud=format_.baud, data_bits=8, parity=format_.parity)
    assert client.discard() == b""
    assert client.count.octets[0] == 4


async def test_the_head_has_its_power_and_time_to_start(clock: FakeClock) -> None:
    client, _ = await line_pair()
    began = asyncio.get_running_loop().time()
    await open_line(client, ConnectionSettings(opening="direct", dtr=False, rts=True, opening_delay=2.0))
    assert (client.dtr, client.rts) == (False, True)
    assert asyncio.get_running_loop().time() - began >= 2.0


async def test_nobody_answers_the_sign_on(clock: FakeClock) -> None:
    """Who wants one hears of it; with ``auto`` the line goes on without."""
    client, _ = await line_pair()
    with pytest.raises(ResponseTimeout):
        await open_line(client, settings(retries=0))
    assert await open_line(client, ConnectionSettings(opening="auto", retries=0)) is None
    assert client.format == SerialFormat(9600, 8, "none")


class ReadoutServer(SignOnServer):
    """A meter that answers the acknowledgement with its readout."""

    def _follow(self, choice: OptionSelect) -> list[Action]:
        return [Send(encode_readout(b"1.8.0(000001.2*kWh)\r\n"))]


async def test_a_meter_that_reads_out_is_left_to_the_caller(clock: FakeClock) -> None:
    """Clear text instead of the change to HDLC: no second try on a line that would still be speaking."""
    client, meter = await line_pair()
    async with meter_on(meter, ReadoutServer(ISKRA)):
        with pytest.raises(ResponseTimeout) as caught:
            await open_line(client, ConnectionSettings(opening="auto", retries=1))
    assert caught.value.reason == CLEAR_TEXT
    assert client.format != SerialFormat(9600, 8, "none")
