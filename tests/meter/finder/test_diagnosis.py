"""Each fault of the quirks list (probe and serial line; addressing and session) ends in the words that name it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.finder import Found, Limits, diagnosis, find
from dlms_mqtt.meter.finder.evidence import Evidence, judge
from dlms_mqtt.meter.finder.path_faults import path_fault
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import encode_parameters
from dlms_mqtt.protocol.framing.link import LinkParameters
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.frames_data import entries
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


# -- optical probe, serial, mode E (4.1) -------------------------------------------------------------------------------


# -- what is told while the search goes on ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"tcp": "bench:1"}, "from this network address. Is it the meter's own port"),
        ({"serial": "socket://bench:1"}, "Is the head in its place"),
    ],
    ids=["meter", "converter"],
)
async def test_silence_has_the_causes_of_its_kind_of_line(clock: FakeClock, line: dict[str, Any], told: str) -> None:
    """Nobody looks for a head at a meter in the network; behind a serial server it is what is looked for first."""
    found = await find(line, open_line=lambda _: memory_pair()[0], limits=Limits(seconds=600))
    assert told in found.diagnosis
    assert len([name for name in found.names if name == "silent"]) == 1


FF, LF = b"\xff", b"\n"


@pytest.mark.parametrize("chance", [0.0, 0.3])
async def test_10_frames_are_damaged_but_it_works(clock: FakeClock, chance: float) -> None:
    found = await search(Bench(faults=(f"wrong-check,p={chance},times=10000",)), clock, Limits(seconds=400))
    assert found.complete
    assert ("damaged-frames" in found.names) is bool(chance)


@pytest.mark.parametrize("parity", ["even", "none"])
async def test_13_a_setting_is_taken_only_with_a_valid_check_sequence(clock: FakeClock, parity: str) -> None:
    found = await search(Bench(baud=9600, parity=parity), clock)
    assert found.complete
    assert found.connection["parity"] == parity


# -- addressing and session (4.2) --------------------------------------------------------------------------------------


async def test_14_the_address_is_none_of_the_common_ones(clock: FakeClock) -> None:
    found = await search(sign_on_meter(station=(1, 9000, 4)), clock, Limits(seconds=200))
    assert not found.complete
    assert found.names[0] == "address"
    assert "--number" in found.diagnosis


async def test_14_nor_does_silence_tell_a_wrong_address_from_a_dead_head(clock: FakeClock) -> None:
    found = await search(Bench(station=(1, 9000, 4)), clock, Limits(seconds=100))
    assert found.names[0] == "silent"
    assert "--physical and --address-size" in found.diagnosis


@pytest.mark.parametrize("kind", ["dm", "frmr"])
async def test_16_the_meter_wants_to_start_over(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(**{f"{kind}_first": 1}), clock)
    assert found.complete
    assert kind in found.names


@pytest.mark.parametrize("odd", ["empty", "short", "long", "window-only", "reversed"])
async def test_19_odd_ua(clock: FakeClock, odd: str) -> None:
    found = await search(Bench(faults=(f"odd-ua:{odd}",)), clock)
    assert found.complete
    assert "odd-ua" in found.names
    assert "window in one octet" in found.diagnosis


async def test_only_other_devices_speak(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    question = encode_frame(0x10, b"\x23", b"\x21", bytes.fromhex("e6e600c001c100"))

    async def chatter() -> None:
        while True:
            far.write(question)
            await asyncio.sleep(0.3)

    async with background(chatter()):
        found = await find({"serial": "bench", "baud": 9600}, open_line=lambda _: near, limits=Limits(seconds=60))
    assert "other-station" in found.names, found
    assert "silent" not in found.names
    await far.close()


# -- pushing meters ----------------------------------------------------------------------------------------------------


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


PUSHES = [(entries("push_kamstrup", framing="hdlc")[0], "even"), (entries("push_kaifa", framing="mbus")[0], "even")]


@pytest.mark.parametrize(("entry", "parity"), PUSHES, ids=lambda value: value["id"] if isinstance(value, dict) else "")
async def test_a_meter_that_pushes(clock: FakeClock, entry: dict[str, Any], parity: str) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    await far.configure(baud=2400, parity=parity)
    async with background(push(far, bytes.fromhex(entry["hex"]), 5.0)):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=200))
    assert not found.found
    assert found.names[0] == "push"
    assert found.connection["baud"] == 2400
    assert "listen" in found.diagnosis
    assert found.seconds < 60  # what it is is known when it has spoken: it is not asked any more
    await far.close()


@pytest.mark.parametrize("go_on", [True, False])
async def test_a_meter_that_pushes_and_answers(clock: FakeClock, go_on: bool) -> None:
    """Who speaks by itself is asked on request only."""
    bench = Bench(baud=2400, parity="even", station=(1, 80, 2))
    octets = bytes.fromhex(entries("push_kamstrup", framing="hdlc")[0]["hex"])
    async with on_line(bench, clock) as (open_line, near):
        pushing = asyncio.create_task(push(near.peer, octets, 6.0))
        found = await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=200, go_on=go_on))
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    assert found.complete == go_on, found
    if go_on:
        assert found.connection["physical"] == 80
    else:
        assert found.names[0] == "push"


def test_another_master_on_the_bus_is_no_push() -> None:
    answer = encode_frame(0x30, b"\x21", b"\x23", bytes.fromhex("e6e700c401c1001200e6"))
    assert judge(b"", answer).evidence is Evidence.OTHER_STATION


async def push(end: MemoryTransport, octets: bytes, every: float) -> None:
    while True:
        end.write(octets)
        await end.drain()
        await asyncio.sleep(every)


@pytest.mark.parametrize(("baud", "seven_bits"), [(115200, False), (9600, True)])
async def test_a_telegram_in_clear_text(clock: FakeClock, baud: int, seven_bits: bool) -> None:
    """At 7E1 (before DSMR 4) it is heard at 8N1, with the parity in bit 7, and `listen` reads it so."""
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    await far.configure(baud=baud)
    telegram = b"/ISK5 MT\r\n\r\n" + READOUT + (b"!\r\n" if seven_bits else b"!1234\r\n")
    async with background(push(far, add_parity(telegram) if seven_bits else telegram, 5.0)):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=300))
    assert not found.found
    assert found.names[0] == "telegram"
    assert found.connection == {"serial": "bench", "baud": baud, "parity": "none"}
    assert "listen" in found.diagnosis
    await far.close()


# -- the pieces --------------------------------------------------------------------------------------------------------


def ua(number: int) -> bytes:
    parameters = encode_parameters(LinkParameters(number, number))
    return encode_frame(0x73, b"\x21", b"\x03", parameters)


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (ua(255).replace(FF, b"", 1), "swallows-ff"),
        (ua(255).replace(FF, b""), "swallows-ff"),
        (ua(266).replace(LF, b"\r\n"), "expands-lf"),
        (ua(273).replace(b"\x11", b"", 1), "swallows-xon"),
        (ua(128), None),
        (b"\x55" * 30, None),
    ],
)
def test_path_faults_are_proved_by_undoing_them(octets: bytes, fault: str | None) -> None:
    assert path_fault(octets) == fault or fault is None


def test_every_case_has_words() -> None:
    names = [case.name for case in diagnosis.CAUSES]
    assert {name for name in names if names.count(name) > 1} == {"silent"}  # of a network and of a head
    assert all(case.sentence and case.step for case in diagnosis.CAUSES)
    assert all(case.sentence for case in diagnosis.REMARKS)


def test_settings_are_what_find_returns() -> None:
    assert ConnectionSettings(serial="x").line == "x"
