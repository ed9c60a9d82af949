"""The sign-on in a search: HDLC behind it, clear text instead, a meter that waits for a while only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.plan import WAKE_UP, Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.finder.sign_on_search import SignOnSearch
from dlms_mqtt.meter.finder.station_search import StationSearch
from dlms_mqtt.protocol.framing.sign_on import Identification
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

READOUT = b"1-0:1.8.0(000123.4*kWh)\r\n1-0:2.8.0(000001.0*kWh)\r\n"


@asynccontextmanager
async def searching(
    clock: FakeClock, fixed: Fixed | None = None, **bench: Any
) -> AsyncIterator[tuple[SignOnSearch, list[str]]]:
    words: list[str] = []
    async with on_line(Bench(opening="sign-on", **bench), clock) as (open_line, _):
        stations = StationSearch(ConnectionSettings(serial="bench"), open_line, Facts(), lambda _more: None)
        search = SignOnSearch(stations, fixed or Fixed(), lambda _done, _total, stage: words.append(stage))
        try:
            yield search, words
        finally:
            await stations.close()


def probe(**options: Any) -> Probe:
    return Probe("sign-on", {"opening": "sign-on", **options}, 1.0, 2.0)


async def test_a_station_behind_the_sign_on(clock: FakeClock) -> None:
    async with searching(clock, station=(1, 17, 2)) as (search, words):
        found = await search.run(probe())
    assert found == {"opening": "sign-on", "client": 16, "server": 1, "physical": 17}
    assert search.readout is None
    facts = search.stations.facts
    assert facts.identification is not None
    assert facts.identification.manufacturer == "ISK"
    assert set(words) == {"looking for the address behind the sign-on"}


async def test_nobody_signs_on(clock: FakeClock) -> None:
    async with searching(clock, initial_baud=2400) as (search, _):
        assert await search.run(probe()) is None
        assert search.stations.facts.sign_on["silent"] == 1
        found = await search.run(probe(baud=2400))
    assert found is not None
    assert "sign-on-speed" in search.stations.facts.oddities


async def test_a_meter_that_is_asleep(clock: FakeClock) -> None:
    async with searching(clock, asleep=True) as (search, _):
        assert await search.run(probe(wake_up=WAKE_UP)) is not None
    assert "asleep" in search.stations.facts.oddities


async def test_clear_text_instead_of_hdlc(clock: FakeClock) -> None:
    letter = Identification("ISk", "5", (), "MT174-0001")
    async with searching(clock, identification=letter, readout=READOUT, readout_always=True) as (search, words):
        assert await search.run(probe()) == {"opening": "readout"}
    assert search.readout is not None
    assert "1.8.0" in search.readout.text
    assert "reading out in clear text" in words
    assert search.stations.clear_text is None


async def test_who_wants_a_readout_alone_is_asked_for_nothing_else(clock: FakeClock) -> None:
    fixed = Fixed(opening="readout")
    async with searching(clock, fixed, readout=READOUT, readout_always=True) as (search, _):
        assert await search.run(probe()) == {"opening": "readout"}
    async with searching(clock, fixed, asleep=True) as (search, _):
        assert await search.run(probe()) is None
    async with searching(clock, fixed, readout=b"nothing that is a value\r\n", readout_always=True) as (search, _):
        assert await search.run(probe()) is None


async def test_the_first_frame_behind_the_switch_is_lost(clock: FakeClock) -> None:
    async with searching(clock, deaf_after_switch=0.4) as (search, _):
        assert await search.run(probe()) is not None
    assert "first-frame-lost" in search.stations.facts.oddities


async def test_a_station_that_no_plan_knows(clock: FakeClock) -> None:
    async with searching(clock, station=(77, 99, 4)) as (search, _):
        assert await search.run(probe()) is None
