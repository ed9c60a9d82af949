"""The plan at work: likelier things first, what is heard changes the order, and an end where nobody is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.evidence import Evidence, judge
from dlms_mqtt.meter.finder.link_search import LinkSearch
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line

QUICK = Limits(seconds=150, patience=20)

READOUT = b"1-0:1.8.0(000123.4*kWh)\r\n1-0:2.8.0(000001.0*kWh)\r\n"


async def search(bench: Bench, clock: FakeClock, limits: Limits = QUICK, **options: Any) -> Found:
    path, given = options.pop("path", {}), options.pop("given", {})
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = options.pop("shape", None)
        return await find({"serial": "bench", **given}, open_line=open_line, limits=limits)


def sign_on_meter(**options: Any) -> Bench:
    return Bench(opening="sign-on", **options)


def in_pieces(data: bytes) -> list[tuple[float, bytes]]:
    """The confirmation comes octet by octet, with pauses."""
    return [(0.15, bytes((octet,))) for octet in data] if data[:1] == b"\x06" else [(0.0, data)]


async def told_by(bench: Bench, clock: FakeClock) -> tuple[Found, list[tuple[float, str]]]:
    """The sentences, each with the time at which it was told."""
    told: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    async with on_line(bench, clock) as (open_line, _near):
        began = loop.time()
        found = await find(
            {"serial": "bench"},
            open_line=open_line,
            limits=QUICK,
            news=lambda sentence: told.append((loop.time() - began, sentence)),
        )
    return found, told


def broken_copy(data: bytes) -> bytes:
    return b"" if len(data) < 3 else data[:3] + b"\x55" + data[4:]


def background(coroutine: Any) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def running() -> Any:
        task = asyncio.create_task(coroutine)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return running()


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


async def test_1_the_meter_waits_for_a_sign_on(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock)
    assert found.complete
    assert "sign-on" in found.names
    assert "sign-on at 300 baud 7E1" in found.diagnosis


async def test_1_a_sign_on_at_another_speed(clock: FakeClock) -> None:
    found = await search(sign_on_meter(initial_baud=2400), clock)
    assert found.connection["baud"] == 2400
    assert "sign-on-speed" in found.names
    assert "300 baud 7E1" not in found.diagnosis


async def test_2_parity_is_read_as_data(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, path={"eight_bits": True})
    assert found.complete
    assert found.connection["parity"] == "none"
    assert "parity" in found.names
    assert judge(b"", add_parity(b"/ISK5 nothing that ends")).evidence is Evidence.PARITY


async def test_3_a_clear_text_readout_instead_of_hdlc(clock: FakeClock) -> None:
    """It is proposed to be read as it is; a meter that announces HDLC is asked for it first."""
    found = await search(sign_on_meter(readout=READOUT, readout_always=True), clock)
    assert found.complete
    assert found.connection["opening"] == "readout"
    assert "client" not in found.connection
    assert found.learned["energy"]
    assert "clear text" in found.diagnosis
    assert "broken off" not in found.diagnosis


@pytest.mark.parametrize("letter", ["5", "0", "D", " "], ids=["C", "C-300", "B", "A"])
async def test_3_a_meter_that_only_knows_clear_text_is_found_soon(clock: FakeClock, letter: str) -> None:
    said = Identification("ISk", letter, (), "MT174-0001")
    found = await search(sign_on_meter(identification=said, readout=READOUT, readout_always=True), clock)
    assert found.connection["opening"] == "readout"
    assert found.learned["identification"] == said.encode().decode().strip()
    assert found.seconds < 90


async def test_3_a_readout_without_energy(clock: FakeClock) -> None:
    found = await search(sign_on_meter(readout=b"0.0.0(12345678)\r\nF.F(00)\r\n", readout_always=True), clock)
    assert found.complete
    assert "no energy" in found.diagnosis


@pytest.mark.parametrize("form", [SerialFormat(300, 7, "even"), SerialFormat(300, 8, "none")])
async def test_4_the_converter_keeps_its_speed(clock: FakeClock, form: SerialFormat) -> None:
    found = await search(sign_on_meter(), clock, Limits(seconds=400), path={"fixed": True, "start": form})
    assert not found.complete
    assert found.names[0] == "converter-7e1"
    assert "2217" in found.diagnosis


async def test_5_the_first_frame_after_the_switch_is_lost(clock: FakeClock) -> None:
    found = await search(sign_on_meter(deaf_after_switch=0.7), clock)
    assert found.complete
    assert "first-frame-lost" in found.names


async def test_6_the_acknowledgement_is_not_confirmed(clock: FakeClock) -> None:
    found = await search(sign_on_meter(confirm=False), clock)
    assert found.complete
    assert "unconfirmed" in found.names
    assert "does not confirm the acknowledgement" in found.diagnosis


async def test_6_the_confirmation_comes_in_pieces(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, shape=in_pieces)
    assert found.complete
    assert "confirmation-in-pieces" in found.names
    assert "comes in pieces" in found.diagnosis
    assert "unconfirmed" not in found.names


async def test_6_the_confirmation_breaks_off(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, shape=lambda data: [(0.0, data[:3] if data[:1] == b"\x06" else data)])
    assert found.complete
    assert "unconfirmed" in found.names


async def test_6_a_whole_confirmation_is_no_remark(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock)
    assert not {"unconfirmed", "confirmation-in-pieces", "noise-before-identification", "odd-ua"} & set(found.names)


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
async def test_7_our_own_frames_come_back(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(opening=kind, echo=True), clock)
    assert found.complete
    assert "echo" in found.names


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
async def test_5_a_slow_meter_is_not_taken_for_one_that_lost_a_frame(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(opening=kind, faults=("delay:1",)), clock)
    assert found.complete
    assert "slow" in found.names
    assert "first-frame-lost" not in found.names


@pytest.mark.parametrize(("go_on", "least", "most"), [(False, 60, 130), (True, 299, 301)])
async def test_7_only_our_own_frames_come_back(clock: FakeClock, go_on: bool, least: int, most: int) -> None:
    """The search ends there, unless it is asked to go on."""
    found = await search(Bench(echo=True, faults=("silence",)), clock, Limits(seconds=300, go_on=go_on))
    assert found.names[0] == "echo"
    assert least < found.seconds < most


async def test_silence_is_told_early_and_once(clock: FakeClock) -> None:
    found, told = await told_by(Bench(faults=("silence",)), clock)
    ((when, sentence),) = told
    assert 10 <= when < 30
    assert sentence.startswith("Nothing at all has come back so far. Check wiring")
    assert "goes on for at most 1" in sentence  # of 150 s
    assert found.names[0] == "silent"


async def test_an_echo_is_told_early_and_once(clock: FakeClock) -> None:
    _, told = await told_by(Bench(echo=True, faults=("silence",)), clock)
    ((when, sentence),) = told
    assert 10 <= when < 30
    assert sentence.startswith("Only our own octets have come back so far.")
    assert "goes on for at most" in sentence


async def test_a_clear_text_readout_is_told_when_it_comes(clock: FakeClock) -> None:
    said = Identification("ISk", "5", (), "MT174-0001")
    found, told = await told_by(sign_on_meter(identification=said, readout=READOUT, readout_always=True), clock)
    ((when, sentence),) = told
    assert when < found.seconds / 2
    assert sentence.startswith("The meter tells its values in clear text.")
    assert found.connection["opening"] == "readout"


async def test_a_meter_that_is_found_at_once_is_told_by_the_result_alone(clock: FakeClock) -> None:
    found, told = await told_by(Bench(), clock)
    assert found.complete
    assert told == []


@pytest.mark.parametrize("line", [{"tcp": "bench:1"}, {"udp": "bench:1"}, {"serial": "socket://bench:1"}])
async def test_a_silent_network_address_is_left_after_a_minute(clock: FakeClock, line: dict[str, Any]) -> None:
    """Not one octet: rarer clients and addresses are tried on request only."""
    stages: list[tuple[float, float]] = []
    found = await find(
        line,
        open_line=lambda _: memory_pair()[0],
        limits=Limits(seconds=600),
        progress=lambda done, total, _: stages.append((done, total)),
    )
    assert found.names[0] == "silent"
    assert 55 <= found.seconds < 75
    assert all(total == 60 for _, total in stages)  # the ring of Home Assistant comes to its end


async def test_a_silent_network_address_is_searched_to_the_end_on_request(clock: FakeClock) -> None:
    found = await find({"tcp": "bench:1"}, open_line=lambda _: memory_pair()[0], limits=Limits(seconds=600, go_on=True))
    assert found.names[0] == "silent"
    assert 300 <= found.seconds < 600


async def test_7_a_mangled_echo(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()

    async def reflect() -> None:
        while True:
            data = await far.read(None)
            await asyncio.sleep(0.05)
            far.write(broken_copy(data + far.discard()))

    async with background(reflect()):
        found = await find(
            {"serial": "bench", "opening": "direct"}, open_line=lambda _: near, limits=Limits(seconds=30)
        )
    assert "mangled-echo" in found.names
    await far.close()


async def test_8_rubbish_before_the_identification(clock: FakeClock) -> None:
    found = await search(sign_on_meter(sign_on_faults=("noise-before-identification:4",)), clock)
    assert found.complete
    assert "noise-before-identification" in found.names
    assert "rubbish comes before the /" in found.diagnosis.lower()


async def test_9_a_sleeping_meter_is_woken(clock: FakeClock) -> None:
    found = await search(sign_on_meter(asleep=True), clock)
    assert found.complete
    assert found.connection["wake_up"].strip(b"\0") == b""
    assert "asleep" in found.names
    assert "sleeps" in found.diagnosis


@pytest.mark.parametrize("given", [{}, {"wake_up_break": 0.5}], ids=["found out", "known"])
async def test_9_a_sleeping_meter_is_woken_by_a_break(clock: FakeClock, given: dict[str, Any]) -> None:
    found = await search(sign_on_meter(wakes_by_break=True), clock, given=given)
    assert found.complete
    assert found.connection["wake_up_break"] == given.get("wake_up_break", 0.3)
    assert ("asleep" in found.names) is not bool(given)


async def test_9_the_first_request_is_not_heard(clock: FakeClock) -> None:
    bench = sign_on_meter(sign_on_faults=("deaf,times=1",))
    found = await search(bench, clock, given={"opening": "sign-on"})
    assert found.complete
    assert "request-lost" in found.names
    assert "opening_delay" in found.diagnosis


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
@pytest.mark.parametrize("lines", [(True, False), (False, True)])
async def test_9_the_head_takes_its_power_from_one_modem_line(
    clock: FakeClock, kind: str, lines: tuple[bool, bool]
) -> None:
    found = await search(Bench(opening=kind, powered_by=lines), clock)
    assert found.complete
    assert (found.connection.get("dtr", True), found.connection.get("rts", True)) == lines
    assert "modem-lines" in found.names


async def test_9_modem_lines_that_the_user_set_stay(clock: FakeClock) -> None:
    bench = Bench(powered_by=(True, False))
    given = {"rts": True}
    found = await search(bench, clock, Limits(seconds=60), given=given)
    assert not found.found
    found = await search(Bench(powered_by=(True, False)), clock, given={"rts": False})
    assert found.complete
    assert found.seconds < 8
    assert "modem-lines" not in found.names


async def test_9_nothing_at_all(clock: FakeClock) -> None:
    found = await search(Bench(faults=("silence",)), clock, Limits(seconds=60))
    assert found.names[0] == "silent"
    assert "key is pressed" in found.diagnosis


@pytest.mark.parametrize("fault", ["delay:4", "delay:9", "lost,times=1", "lost,times=5", "drop,times=3"])
async def test_20_a_meter_on_tcp_that_takes_its_time(clock: FakeClock, fault: str) -> None:
    """A modem in between may take longer than the first questions of a search wait."""

    def line(_settings: ConnectionSettings) -> MemoryTransport:
        near, far = memory_pair()
        tasks.append(asyncio.ensure_future(served(far)))
        return near

    async def served(far: MemoryTransport) -> None:
        async with serve_memory(meter, far, "wrapper", faults=faults):
            await asyncio.sleep(3600)

    faults, tasks = Faults([fault]), list[asyncio.Task[None]]()
    meter = household(clock=clock)
    found = await find({"tcp": "memory:1"}, open_line=line, limits=Limits(seconds=600))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert found.complete
    slow = fault.startswith("delay")
    assert (found.connection["framing"], found.connection.get("timeout")) == ("wrapper", 15 if slow else None)
    assert ("slow" in found.names) is slow
    assert "release" not in found.names
