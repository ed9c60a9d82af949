"""The plan at work: likelier things first, what is heard changes the order, and an end where nobody is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.link_search import LinkSearch
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line


def new(open_line: Any, words: list[str], *, answers: bool = False, go_on: bool = False, **line: Any) -> LinkSearch:
    async def wrapper_answers(_options: dict[str, Any]) -> bool:
        return answers

    return LinkSearch(
        ConnectionSettings(**(line or {"serial": "bench"})),
        open_line,
        Fixed(),
        Facts(),
        lambda _done, _total, stage: words.append(stage),
        wrapper_answers,
        lambda _more: None,
        go_on,
    )


@asynccontextmanager
async def searching(bench: Bench, clock: FakeClock, **path: Any) -> AsyncIterator[tuple[LinkSearch, list[str]]]:
    words: list[str] = []
    async with on_line(bench, clock, **path) as (open_line, _):
        yield new(open_line, words), words


async def test_the_likeliest_is_asked_first(clock: FakeClock) -> None:
    async with searching(Bench(), clock) as (search, words):
        assert await search.run() == {"baud": 9600, "parity": "none", "client": 16, "server": 1}
    assert words[-1] == "direct 9600 baud"
    assert clock.elapsed < 30


async def test_the_next_likely_speed(clock: FakeClock) -> None:
    async with searching(Bench(baud=2400), clock) as (search, _):
        found = await search.run()
    assert found is not None
    assert found["baud"] == 2400


async def test_a_wrapper_on_udp(clock: FakeClock) -> None:
    words: list[str] = []
    search = new(None, words, answers=True, udp=("192.0.2.1", 4059))
    found = await search.run()
    assert found is not None
    assert found["framing"] == "wrapper"
    assert search.facts.has_speed is False
    assert await new(None, words, udp=("192.0.2.1", 4059)).run() is None


@pytest.mark.parametrize("go_on", [False, True])
async def test_a_silent_network_address_is_given_up_in_a_minute(clock: FakeClock, go_on: bool) -> None:
    near, far = memory_pair(line=None)
    await far.open()
    search = new(lambda _settings: near, [], go_on=go_on, tcp=("192.0.2.1", 4059))
    search.facts.network = True
    assert await search.run() is None
    assert (clock.elapsed < 75) != go_on
    await far.close()


async def test_a_meter_that_speaks_by_itself_ends_the_search(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat(2400))
    await far.open()
    await far.configure(baud=2400)
    telegram = b"/ISK5\\2MT382-1000\r\n\r\n1-0:1.8.1(000671.578*kWh)\r\n1-0:2.8.1(000000.000*kWh)\r\n!\r\n"

    async def speak() -> None:
        while True:
            far.write(telegram)
            await asyncio.sleep(2.0)

    task = asyncio.create_task(speak())
    search = new(lambda _settings: near, [])
    assert await search.run() is None
    assert search.pushed is not None
    assert search.pushed["baud"] == 2400
    task.cancel()
    await far.close()


async def test_a_port_that_cannot_be_opened(clock: FakeClock) -> None:
    def gone(_settings: ConnectionSettings) -> Any:
        raise ConnectFailed("there is no such port")

    with pytest.raises(ConnectFailed):
        await new(gone, []).run()
