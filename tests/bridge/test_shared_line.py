from __future__ import annotations

import asyncio
import contextlib

import pytest

from dlms_mqtt.bridge.meters.shared_line import Line, Priority


@pytest.fixture
def told():
    return []


async def _job(line, told, meter, priority, seconds=10.0):
    async def close():
        told.append(f"close {meter}")

    async with line.turn(meter, priority, close):
        told.append(f"{meter} {priority.name}")
        await asyncio.sleep(seconds)


async def test_commands_before_polls_before_profiles(clock, told):
    line = Line("tcp://a")
    first = asyncio.create_task(_job(line, told, "a", Priority.PROFILE))
    await asyncio.sleep(1)
    rest = [
        asyncio.create_task(_job(line, told, "a", priority))
        for priority in (Priority.PROFILE, Priority.POLL, Priority.COMMAND, Priority.POLL)
    ]
    await asyncio.sleep(1)
    assert line.waiting == 4
    await asyncio.gather(first, *rest)
    assert told == ["a PROFILE", "a COMMAND", "a POLL", "a POLL", "a PROFILE"]
    assert clock.monotonic() == 50


async def test_another_meters_session_is_closed_first(clock, told):
    line = Line("/dev/x")
    for meter in ("a", "a", "b", "a"):
        await _job(line, told, meter, Priority.POLL)
    assert told == ["a POLL", "a POLL", "close a", "b POLL", "close b", "a POLL"]


async def test_two_meters_take_turns_when_there_is_too_much(clock, told):
    line = Line("/dev/x")

    async def poll(meter):
        while clock.monotonic() < 1000:
            await _job(line, told, meter, Priority.POLL, 20)

    await asyncio.gather(poll("a"), poll("b"))
    counts = [told.count(f"{meter} POLL") for meter in "ab"]
    assert abs(counts[0] - counts[1]) <= 1


async def test_whoever_gives_up_waiting_blocks_nobody(clock, told):
    line = Line("/dev/x")
    first = asyncio.create_task(_job(line, told, "a", Priority.POLL))
    await asyncio.sleep(1)
    second = asyncio.create_task(_job(line, told, "b", Priority.POLL))
    third = asyncio.create_task(_job(line, told, "c", Priority.POLL))
    await asyncio.sleep(1)
    second.cancel()
    await first
    third_or_later = await asyncio.gather(second, third, return_exceptions=True)
    assert isinstance(third_or_later[0], asyncio.CancelledError)
    assert told == ["a POLL", "close a", "c POLL"]


async def test_a_turn_given_to_one_who_is_cancelled_goes_on(clock, told):
    line = Line("/dev/x")
    first = asyncio.create_task(_job(line, told, "a", Priority.POLL, 5))
    await asyncio.sleep(1)
    second = asyncio.create_task(_job(line, told, "b", Priority.POLL))
    third = asyncio.create_task(_job(line, told, "c", Priority.POLL))
    await asyncio.sleep(1)
    first.add_done_callback(lambda _: second.cancel())
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert told[-1] == "c POLL"


async def test_an_error_inside_frees_the_line(clock, told):
    line = Line("/dev/x")

    async def fail():
        async with line.turn("a", Priority.POLL, lambda: asyncio.sleep(0)):
            raise ValueError

    with pytest.raises(ValueError):
        await fail()
    await _job(line, told, "a", Priority.POLL)
    assert told == ["a POLL"]


async def test_spare_time_ends_when_somebody_wants_the_line(clock, told):
    line = Line("/dev/x")

    async def listen():
        told.append("listen")
        try:
            await asyncio.sleep(1e6)
        finally:
            told.append("heard")

    async def listen_for_ever():
        while True:
            await line.spare("a", _nothing, listen)

    listening = asyncio.create_task(listen_for_ever())
    await asyncio.sleep(1)
    await asyncio.gather(_job(line, told, "a", Priority.POLL), _job(line, told, "a", Priority.COMMAND))
    await asyncio.sleep(1)
    assert told == ["listen", "heard", "a COMMAND", "a POLL", "listen"]
    assert clock.monotonic() == 22
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert told[-1] == "heard" and line.waiting == 0
    await _job(line, told, "a", Priority.POLL)


async def test_two_that_listen_do_not_chase_each_other_away(clock, told):
    line = Line("/dev/x")

    async def listen():
        told.append("listen")
        await asyncio.sleep(50)

    await asyncio.gather(*(line.spare(meter, _nothing, listen) for meter in "ab"))
    assert told == ["listen", "listen"] and clock.monotonic() == 100


async def test_a_line_that_fails_in_spare_time_says_so(clock, told):
    async def fail():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await Line("/dev/x").spare("a", _nothing, fail)


async def _nothing():
    """No session is open."""


async def test_whoever_listens_is_ended_though_its_line_breaks_in_the_same_moment(clock, told):
    """What the work raises while it is cancelled must not take the place of its owner's own end."""
    line = Line("/dev/x")

    async def break_off():
        try:
            await asyncio.sleep(1e6)
        finally:
            told.append("gone")
            raise OSError("gone")

    async def listen_for_ever():
        while True:
            with contextlib.suppress(OSError):
                await line.spare("a", _nothing, break_off)

    listening = asyncio.create_task(listen_for_ever())
    await asyncio.sleep(1)
    await _job(line, told, "a", Priority.POLL)  # whose turn ends the work, not its owner
    await asyncio.sleep(1)
    listening.cancel()
    await asyncio.wait([listening], timeout=100)
    assert listening.cancelled()
    assert told == ["gone", "a POLL", "gone"] and line.waiting == 0
