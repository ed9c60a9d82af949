"""Asking stations: who answers is who is found, its link is taken down, and a late answer is given to its question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Fixed, Speed, Station
from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.finder.station_search import StationSearch
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

OPTIONS = {"baud": 9600, "parity": "none", "client": 16}
ONE, FAR, WIDE = Station(1, None, 1, 1.0, ""), Station(1, 17, 2, 1.0, ""), Station(1, 17, 4, 1.0, "")


@asynccontextmanager
async def searching(bench: Bench, clock: FakeClock) -> AsyncIterator[StationSearch]:
    async with on_line(bench, clock) as (open_line, _):
        search = StationSearch(ConnectionSettings(serial="bench"), open_line, Facts(), lambda _more: None)
        try:
            yield search
        finally:
            await search.close()


def probe(*stations: Station, **options: object) -> Probe:
    return Probe("direct", {**OPTIONS, **options}, 1.0, 1.0, stations)


async def test_the_station_that_answers(clock: FakeClock) -> None:
    async with searching(Bench(), clock) as search:
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}
        assert search.facts.linked
        assert not search.facts.answered_late
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}  # its link was taken down


async def test_the_address_is_told_by_the_answer_and_not_by_the_question(clock: FakeClock) -> None:
    async with searching(Bench(station=(1, 17, 4)), clock) as search:
        found = await search.direct(probe(ONE, FAR, WIDE))
    assert found == {**OPTIONS, "server": 1, "physical": 17, "address_size": 4}
    assert search.facts.stations == {(1, 17, 4)}


async def test_nobody_there(clock: FakeClock) -> None:
    async with searching(Bench(baud=300), clock) as search:
        began = clock.elapsed
        assert await search.direct(probe(ONE)) is None
        assert clock.elapsed - began >= plan.FAST
    assert not search.facts.linked


async def test_an_old_link_is_ended_and_told(clock: FakeClock) -> None:
    async with searching(Bench(dm_first=1), clock) as search:
        assert await search.direct(probe(ONE)) is not None
    assert str(Evidence.DM) in search.facts.oddities


async def test_a_late_answer_tells_the_station_that_was_asked_before(clock: FakeClock) -> None:
    async with searching(Bench(latency=0.4), clock) as search:
        assert await search.direct(replace(probe(ONE), wait=plan.FAST)) is None
        assert await search.direct(probe(FAR)) == {**OPTIONS, "server": 1}
    assert search.facts.answered_late


async def test_a_sweep_asks_burst_by_burst(clock: FakeClock) -> None:
    stations = tuple(Station(number, None, 1, 1.0, "") for number in range(2, 12))
    async with searching(Bench(station=(9, None, 1)), clock) as search:
        sweep = replace(probe(*stations), kind="sweep", burst=4)
        assert await search.direct(sweep) == {**OPTIONS, "server": 9}


async def test_a_head_that_takes_its_power_from_the_modem_lines(clock: FakeClock) -> None:
    async with searching(Bench(powered_by=(True, False)), clock) as search:
        assert await search.direct(probe(ONE)) is None
        assert await search.powered({"rts": False})
        assert await search.direct(probe(ONE)) is not None


async def test_behind_a_converter_the_framing_is_said(clock: FakeClock) -> None:
    async with on_line(Bench(), clock, fixed=True) as (open_line, _):
        settings = ConnectionSettings(tcp=("192.0.2.1", 1))
        search = StationSearch(settings, open_line, Facts(), lambda _more: None)
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1, "framing": "hdlc"}
        await search.close()


async def test_a_plan_of_direct_questions_finds_it_too(clock: FakeClock) -> None:
    async with searching(Bench(station=(1, 17, 2)), clock) as search:
        for one in plan.direct([Speed(9600, "none", 1.0)], Fixed()):
            if (found := await search.direct(one)) is not None:
                break
    assert found == {**OPTIONS, "server": 1, "physical": 17}
