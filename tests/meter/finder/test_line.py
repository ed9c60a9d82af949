"""The line while a meter is looked for: late and unasked answers, echoes, noise, octets without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.meter.finder.line import Line
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
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


QUESTION = encode_frame(Kind.SNRM | POLL, encode_address(1), encode_address(16))
ANSWER = encode_frame(Kind.UA | POLL, encode_address(16), encode_address(1))


@asynccontextmanager
async def lines() -> AsyncIterator[tuple[Line, Any]]:
    """Our end of a serial line, and the other one."""
    near, far = memory_pair(line=SerialFormat())
    await near.open()
    await far.open()
    yield Line(near), far
    await near.close()
    await far.close()


async def later(far: Any, *pieces: tuple[float, bytes]) -> None:
    for pause, octets in pieces:
        await asyncio.sleep(pause)
        far.write(octets)


async def test_a_whole_answer_ends_the_wait(clock: FakeClock) -> None:
    async with lines() as (line, far), background(later(far, (0.5, ANSWER[:5]), (0.1, ANSWER[5:]))):
        seen = await line.ask(QUESTION, 3.0)
        assert (seen.evidence, line.took) == (Evidence.UA, pytest.approx(0.6, abs=0.05))
        assert line.seen == {Evidence.UA: 1}


async def test_what_comes_before_the_question_answers_the_one_before(clock: FakeClock) -> None:
    """Cut in two as well: the first half is there, the second on its way."""
    async with lines() as (line, far):
        far.write(ANSWER[:4])
        await asyncio.sleep(1)
        async with background(later(far, (0.05, ANSWER[4:]))):
            seen = await line.ask(QUESTION, 3.0)
        assert (seen.evidence, line.took, line.unasked) == (Evidence.UA, float("inf"), ANSWER)
        assert far.discard() == b""  # nothing was sent


async def test_a_half_that_stays_one_is_unasked_and_the_question_goes_out(clock: FakeClock) -> None:
    async with lines() as (line, far):
        far.write(b"\x55\x55")
        await asyncio.sleep(1)
        assert (await line.ask(QUESTION, 0.5)).evidence is Evidence.NOTHING
        assert line.unasked == b"\x55\x55" and await far.read(1) == QUESTION


async def test_octets_that_dribble_are_waited_for_and_not_for_ever(clock: FakeClock) -> None:
    async with lines() as (line, far), background(later(far, *[(0.1, b"\x55")] * 1000)):
        assert (await line.ask(QUESTION, 0.3)).evidence is Evidence.GARBLED
        assert line.took == pytest.approx(3.3, abs=0.2)


async def test_listening_ends_behind_something_long(clock: FakeClock) -> None:
    async with lines() as (line, far), background(later(far, (1.0, b"x" * 40), (1.0, b"y" * 40), (9.0, b"late"))):
        assert await line.listen(60) == b"x" * 40 + b"y" * 40
        assert clock.monotonic() < 4
    async with lines() as (line, far), background(later(far, (1.0, b"x" * 40), (1.0, b"y"))):
        began = clock.monotonic()
        assert await line.listen(5) == b"x" * 40 + b"y"
        assert clock.monotonic() - began == pytest.approx(5)


async def test_other_settings_forget_what_came(clock: FakeClock) -> None:
    async with lines() as (line, far):
        far.write(b"\x55")
        await asyncio.sleep(0.1)
        await line.set_speed(300, "even", 7)
        assert line.unasked == b"\x55" and line.transport.format is not None and line.transport.format.baud == 300
