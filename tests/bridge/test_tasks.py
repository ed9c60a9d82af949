from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.bridge import tasks
from dlms_mqtt.bridge.tasks import end_all, first_to_end, together
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.clock import Clock


async def _deaf(times, told):
    """Swallows so many cancellations, as asyncio.wait_for of Python 3.11 may."""
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            told.append(asyncio.get_running_loop().time())
            if len(told) > times:
                raise


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_swallowed_cancellation_is_repeated(clock, times):
    told = []
    task = asyncio.create_task(_deaf(times, told))
    await asyncio.sleep(1)
    await end_all([task])
    assert task.cancelled() and len(told) == times + 1
    assert clock.monotonic() == 1 + 15 * times


async def test_the_first_to_end_ends_all_and_its_error_is_raised(clock):
    told = []

    async def fails():
        await asyncio.sleep(2)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await first_to_end(fails(), _deaf(1, told))
    assert len(told) == 2


@pytest.mark.expect_log("flaky: no such file", "flaky failed and is started again")
async def test_what_fails_is_told_and_started_again(monkeypatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(tasks.asyncio, "sleep", sleep)
    ends = [ConfigError("no such file"), RuntimeError("a fault"), ValueError("another"), None]

    async def flaky() -> None:
        if end := ends.pop(0):
            raise end

    await tasks.supervised("flaky", flaky, Clock())
    assert pauses == [1.0, 5.0, 30.0] and not ends


async def test_an_error_in_place_of_the_cancellation_is_the_end_all_the_same(clock) -> None:
    """As where a line that breaks while it is closed has the last word."""

    async def closes() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise OSError("it broke while it was closed")

    task = tasks.supervised("closes", closes, clock)
    await asyncio.sleep(1)
    await end_all([task])
    assert task.cancelled() and clock.monotonic() == 1


async def test_whoever_is_cancelled_again_cancels_again(clock):
    """As where the bridge ends and a meter's farewell takes too long."""
    told = []
    task = asyncio.create_task(_deaf(1, told))
    ending = asyncio.create_task(end_all([task]))
    await asyncio.sleep(2)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert task.cancelled()
    assert told == [0, 2]


async def test_side_by_side_each_cancellation_reaches_all(clock):
    told: list[float] = []
    task = asyncio.create_task(together(_deaf(1, told), _deaf(1, told)))
    for _ in range(2):
        await asyncio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == [1, 1, 2]


async def test_side_by_side_a_failure_ends_the_others(clock):
    told: list[float] = []

    async def fails() -> None:
        await asyncio.sleep(2)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await together(_deaf(0, told), fails())
    assert told == [2]
    await together(asyncio.sleep(1), asyncio.sleep(2))
    assert clock.monotonic() == 4
