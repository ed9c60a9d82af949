"""Asking stations: who answers is who is found, its link is taken down, and a late answer is given to its question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Fixed, Speed, Station
from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.finder.station_search import StationSearch
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Frame, Kind, encode_frame
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.transport.memory import MemoryTransport
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

OPTIONS = {"baud": 9600, "parity": "none", "client": 16}
ONE, FAR, WIDE = Station(1, None, 1, 1.0, ""), Station(1, 17, 2, 1.0, ""), Station(1, 17, 4, 1.0, "")


@asynccontextmanager
async def searching(bench: Bench, clock: FakeClock, fault: Any = None, **path: Any) -> AsyncIterator[StationSearch]:
    """``fault`` shapes what the meter sends, ``path`` the equipment on the way."""
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = fault
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
        asked = Probe("direct", {"client": 16}, 1.0, 1.0, (ONE,))  # the speed is the converter's
        assert await search.direct(asked) == {"client": 16, "server": 1, "framing": "hdlc"}
        await search.close()


async def test_a_plan_of_direct_questions_finds_it_too(clock: FakeClock) -> None:
    async with searching(Bench(station=(1, 17, 2)), clock) as search:
        for one in plan.direct([Speed(9600, "none", 1.0)], Fixed()):
            if (found := await search.direct(one)) is not None:
                break
    assert found == {**OPTIONS, "server": 1, "physical": 17}


# -- the line ----------------------------------------------------------------------------------------------------------


async def test_a_line_that_cannot_be_made_ready_is_left(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise ConnectFailed("the adapter was pulled out")

    async with on_line(Bench(), clock) as (open_line, near):
        monkeypatch.setattr(near, "lines", gone)
        search = StationSearch(ConnectionSettings(serial="bench"), open_line, Facts(), lambda _more: None)
        with pytest.raises(ConnectFailed, match="pulled out"):
            await search.direct(probe(ONE))
        assert search.line is None
        assert near._inbox is None  # the port is free for who comes next
        await search.close()


async def test_modem_lines_that_are_so_already_cost_no_time(clock: FakeClock) -> None:
    async with searching(Bench(), clock) as search:
        assert await search.powered({"dtr": True})
        assert search.line is None
        assert clock.elapsed == 0


async def test_a_port_without_modem_lines_says_so(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_self: object, dtr: bool | None = None, rts: bool | None = None) -> None:
        if not (dtr is None and rts is None):
            raise ConnectFailed("this port has no modem lines")

    monkeypatch.setattr(MemoryTransport, "lines", refused)
    async with searching(Bench(), clock) as search:
        assert not await search.powered({"dtr": False})
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}  # asked as the line is


async def test_an_echo_is_noted_when_the_line_is_left(clock: FakeClock) -> None:
    async with searching(Bench(echo=True), clock) as search:
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}
    assert "echo" in search.facts.oddities


# -- answers that are not what they seem -------------------------------------------------------------------------------


async def test_a_late_answer_is_given_to_the_parity_that_it_was_asked_with(clock: FakeClock) -> None:
    """The port hands characters with a wrong parity on: only another question tells under which one the meter hears."""
    async with searching(Bench(parity="even", latency=0.4), clock) as search:
        assert await search.direct(replace(probe(ONE, parity="even"), wait=plan.FAST)) is None
        assert await search.direct(probe(ONE, parity="odd")) == {**OPTIONS, "parity": "even", "server": 1}
    assert search.facts.answered_late


async def test_who_falls_silent_before_its_settings_are_certain_keeps_those_it_was_asked_with(clock: FakeClock) -> None:
    answers: list[bytes] = []

    def twice(data: bytes) -> Iterator[tuple[float, bytes]]:
        answers.append(data)
        yield from [(0.0, data)] if len(answers) < 3 else []

    async with searching(Bench(), clock, twice) as search:
        assert await search.direct(replace(probe(FAR, parity="even"), wait=plan.FAST)) is None
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}
    assert len(answers) > 3


async def test_answers_that_spoil_each_other_are_asked_for_one_by_one(clock: FakeClock) -> None:
    """Two stations of a burst speak at once: what comes is no frame, and each is asked alone then."""
    damaged: list[bytes] = []

    def spoilt(data: bytes) -> Iterator[tuple[float, bytes]]:
        if not damaged:
            damaged.append(data)
            data = data[:6] + b"\x55" + data[7:]
        yield 0.0, data

    async with searching(Bench(station=(3, None, 1)), clock, spoilt) as search:
        burst = replace(probe(ONE, Station(2, None, 1, 1.0, ""), Station(3, None, 1, 1.0, "")), burst=3)
        assert await search.direct(burst) == {**OPTIONS, "server": 3}
    assert search.facts.seen[Evidence.DAMAGED] == 1


async def test_a_damaged_answer_in_a_sweep_may_be_one_to_the_burst_before(clock: FakeClock) -> None:
    sent: list[bytes] = []

    def late_and_spoilt(data: bytes) -> Iterator[tuple[float, bytes]]:
        sent.append(data)
        yield (0.9, data[:6] + b"\x55" + data[7:]) if len(sent) == 1 else (0.0, data)

    stations = tuple(Station(number, None, 1, 1.0, "") for number in range(2, 6))
    async with searching(Bench(station=(2, None, 1)), clock, late_and_spoilt) as search:
        sweep = replace(probe(*stations), kind="sweep", burst=2, wait=0.5)
        assert await search.direct(sweep) == {**OPTIONS, "server": 2}


async def test_a_sweep_waits_for_who_is_late_at_its_end(clock: FakeClock) -> None:
    stations = tuple(Station(number, None, 1, 1.0, "") for number in range(2, 6))
    async with searching(Bench(station=(5, None, 1), latency=1.0), clock) as search:
        sweep = replace(probe(*stations), kind="sweep", burst=2, wait=plan.FAST)
        assert await search.direct(sweep) == {**OPTIONS, "server": 5}
    assert search.facts.answered_late


async def test_a_sweep_that_meets_nobody(clock: FakeClock) -> None:
    async with searching(Bench(station=(60, None, 1)), clock) as search:
        assert await search.direct(replace(probe(ONE, FAR), kind="sweep", burst=1)) is None


async def test_only_damage_comes_whomever_is_asked(clock: FakeClock) -> None:
    async with searching(Bench(), clock, lambda data: [(0.0, data[:-4] + b"\x55" + data[-3:])]) as search:
        assert await search.direct(probe(ONE, FAR)) is None
    assert search.facts.seen[Evidence.DAMAGED] == 2  # the burst, and the one that answers
    assert not search.facts.linked


async def test_a_disconnection_that_is_answered_late_is_a_late_answer(clock: FakeClock) -> None:
    def slow_to_leave(data: bytes) -> Iterator[tuple[float, bytes]]:
        began.append(data)
        yield (1.0 if len(began) == 2 else 0.0), data  # the answer to DISC

    began: list[bytes] = []
    async with searching(Bench(), clock, slow_to_leave) as search:
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}
    assert search.facts.answered_late


async def test_an_acceptance_without_parameters_is_odd(clock: FakeClock) -> None:
    bare = encode_frame(Kind.UA | POLL, b"\x21", b"\x03")
    async with searching(Bench(), clock, lambda _data: [(0.0, bare)]) as search:
        assert await search.direct(probe(ONE)) == {**OPTIONS, "server": 1}
    assert "odd-ua" in search.facts.oddities


# -- other things than answers -----------------------------------------------------------------------------------------

READOUT = b"1.8.0(000123.4*kWh)\r\n2.8.0(000000.0*kWh)\r\n!\r\n"


@pytest.mark.parametrize("signed_on", [False, True])
async def test_text_is_no_answer_but_what_a_sign_on_has_brought(clock: FakeClock, signed_on: bool) -> None:
    news: list[float] = []
    async with searching(Bench(), clock, lambda _data: [(0.0, READOUT)]) as search:
        search.news = news.append
        search.facts.identification = Identification("ISK", "5", (), "ME371") if signed_on else None
        assert await search.direct(probe(ONE)) is None
        assert search.line is not None
        assert search.line.unasked == READOUT
    assert search.clear_text == ({} if signed_on else None)
    assert news == ([0.0] if signed_on else [])


async def test_a_way_that_cuts_the_eighth_bit_is_named(clock: FakeClock) -> None:
    async with searching(Bench(), clock, back=lambda data: bytes(octet & 0x7F for octet in data)) as search:
        assert await search.direct(probe(ONE)) is None
    assert search.facts.path_faults == {str(Evidence.SEVEN_BITS)}


@pytest.mark.parametrize(("fixed", "heard"), [(False, {"baud": 9600, "parity": "none"}), (True, {})])
async def test_a_push_tells_the_line_that_it_was_heard_on(clock: FakeClock, fixed: bool, heard: dict[str, Any]) -> None:
    push = Frame(Kind.UI, b"\x67", b"\x02\x23", b"\xe6\xe7\x00\x0f\x00\x00\x00\x01", False).encode()
    async with searching(Bench(), clock, lambda _data: [(0.0, push)], fixed=fixed) as search:
        assert await search.direct(probe(ONE)) is None
        assert await search.direct(probe(FAR)) is None
    assert search.pushed == heard


async def test_who_has_signed_on_will_want_it_again(clock: FakeClock) -> None:
    async with searching(Bench(), clock) as search:
        search.facts.identification = Identification("ISK", "5", (), "ME371")
        assert await search.direct(probe(ONE)) == {"opening": "sign-on", "client": 16, "server": 1}
