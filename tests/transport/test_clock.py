from __future__ import annotations

import asyncio
import logging
import time

import pytest

from dlms_mqtt.transport.clock import Clock
from tests import fake_clock as clock_module
from tests.fake_clock import FakeClock


async def test_fake_time_jumps_to_the_next_timer(clock: FakeClock) -> None:
    began = time.monotonic()
    await asyncio.sleep(86_400)
    assert clock.monotonic() == pytest.approx(86_400)
    assert clock.time() == pytest.approx(clock.start + 86_400)
    assert time.monotonic() - began < 600  # however busy the machine is


async def test_sleepers_wake_in_order(clock: FakeClock) -> None:
    woken: list[tuple[float, str]] = []

    async def sleeper(seconds: float, name: str) -> None:
        await clock.sleep(seconds)
        woken.append((clock.monotonic(), name))

    await asyncio.gather(sleeper(3, "c"), sleeper(1, "a"), sleeper(2, "b"))
    assert woken == [(1, "a"), (2, "b"), (3, "c")]


async def test_timeouts_obey_the_fake_clock(clock: FakeClock) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()
    assert clock.monotonic() == 7


async def test_a_thread_holds_the_fake_clock_still(clock: FakeClock) -> None:
    async with asyncio.timeout(0.01):
        await asyncio.to_thread(time.sleep, 0.05)
    assert clock.monotonic() < 0.01


def test_run_from_outside_a_loop(clock: FakeClock) -> None:
    clock.run(asyncio.sleep(5))
    clock.run(asyncio.sleep(6))
    assert clock.monotonic() == 11


def test_a_step_moves_only_the_wall_clock() -> None:
    clock = FakeClock(start=1000)
    clock.step(-400)
    assert (clock.time(), clock.monotonic()) == (600, 0)


def test_waiting_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "PATIENCE", 0.01)

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="hang for ever"):
        FakeClock().run(hang())


async def test_the_real_clock() -> None:
    clock = Clock()
    began = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= began
    assert abs(clock.time() - time.time()) < 1


@pytest.mark.expect_log("the line is bad")
def test_expected_warnings_pass() -> None:
    logging.getLogger("dlms_mqtt.test").warning("the line is bad again")
