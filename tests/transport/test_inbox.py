"""The box that every transport reads from: one timer serves all reads, and each waits as long as it said."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.transport.base import Inbox
from tests.fake_clock import FakeClock


@pytest.mark.parametrize("first", [0.5, 2.0, 60.0])
@pytest.mark.parametrize("second", [0.5, 2.0, 60.0])
async def test_each_read_waits_as_long_as_it_says(clock: FakeClock, first: float, second: float) -> None:
    inbox = Inbox()
    asyncio.get_running_loop().call_later(0.25, inbox.feed, b"early")
    assert await inbox.read(first) == b"early"
    with pytest.raises(ResponseTimeout, match=f"nothing came within {second:g} s"):
        await inbox.read(second)
    assert clock.elapsed == pytest.approx(0.25 + second)


async def test_a_read_without_a_limit_outlives_the_timer_of_the_one_before(clock: FakeClock) -> None:
    inbox = Inbox()
    inbox.feed(b"1")
    asyncio.get_running_loop().call_later(1, inbox.feed, b"2")
    asyncio.get_running_loop().call_later(100, inbox.feed, b"3")
    assert [await inbox.read(5), await inbox.read(5), await inbox.read(None)] == [b"1", b"2", b"3"]
    assert clock.elapsed == pytest.approx(100)


async def test_a_cancelled_read_leaves_the_box_in_order(clock: FakeClock) -> None:
    inbox = Inbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await inbox.read(5)
    asyncio.get_running_loop().call_later(10, inbox.feed, b"later")
    assert await inbox.read(20) == b"later"
    assert clock.elapsed == pytest.approx(11)
