"""Silence: begins anew with each new topic, not with old ones, and has an end in every case."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.bridge.mqtt.silence import Silence
from tests.fake_clock import FakeClock


async def test_nothing_comes(clock: FakeClock) -> None:
    await Silence(0.4).wait()
    assert clock.elapsed == pytest.approx(0.4)


async def test_what_is_new_moves_the_end_and_what_is_old_does_not(clock: FakeClock) -> None:
    silence, loop, news = Silence(0.4), asyncio.get_running_loop(), list[bool]()
    for at, topic in ((0.1, "a"), (0.3, "a"), (0.4, "b"), (0.7, "a"), (0.79, "b")):
        loop.call_later(at, lambda topic=topic: news.append(silence.is_news(topic)))  # type: ignore[misc]
    await silence.wait()
    assert clock.elapsed == pytest.approx(0.8)
    assert news == [True, False, True, False, False]


async def test_it_ends_however_much_comes(clock: FakeClock) -> None:
    silence, loop = Silence(0.4, 5.0), asyncio.get_running_loop()
    for number in range(1000):
        loop.call_later(0.1 * number, silence.is_news, str(number))
    await silence.wait()
    assert clock.elapsed == pytest.approx(5.0)
