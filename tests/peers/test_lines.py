"""Our client and pydlms-client's meter: everything a session does, over every line, and what it costs on a slow one.

The slow line: 9600 baud, 30 ms turn-round, information field 128, window 1, PDU 1024. Its figures are counted on the
fake clock, so they are exact and hold on every machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.simulator import MeterSimulator, example_meter

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.object_list import decode_object_list
from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.client.pydlms_meter import PydlmsMeter
from tests.client.some_objects import CUT_OFF, ENERGY, MISSING, PROFILE, SERIAL, VOLTAGE, attribute
from tests.fake_clock import FakeClock
from tests.line import PacedPty, Rfc2217Server
from tests.peers.lines import ISKRA, answering

Session = Callable[[MeterSimulator], AbstractAsyncContextManager[DlmsClient]]


@asynccontextmanager
async def wrapper(sim: MeterSimulator) -> AsyncIterator[DlmsClient]:
    async with PydlmsMeter(sim) as meter, meter.client() as client:
        yield client


def hdlc(window: int) -> Session:
    @asynccontextmanager
    async def session(sim: MeterSimulator) -> AsyncIterator[DlmsClient]:
        async with PydlmsMeter(sim, hdlc=True, window=window) as meter, meter.client(window=window) as client:
            yield client

    return session


@asynccontextmanager
async def pseudo_terminal(sim: MeterSimulator) -> AsyncIterator[DlmsClient]:
    """300 baud sign-on, then HDLC at the meter's speed: really paced, so the meter is a quick one."""
    async with PacedPty(latency=0.0) as line, answering(line.meter, sim, sign_on=True):
        settings = ConnectionSettings(serial=line.device, opening="sign-on")
        async with DlmsClient(settings) as client:
            assert line.baud == 9600
            yield client


@asynccontextmanager
async def rfc2217(sim: MeterSimulator) -> AsyncIterator[DlmsClient]:
    """Parity too: seven bits and even parity for the sign-on, eight and none behind it."""
    async with Rfc2217Server(latency=0.0) as line, answering(line.meter, sim, sign_on=True):
        settings = ConnectionSettings(serial=line.url, opening="sign-on")
        async with DlmsClient(settings) as client:
            port = line.port
            assert (port.baudrate, port.bytesize, port.parity) == (9600, 8, "N")
            yield client


QUICK: dict[str, Session] = {"wrapper": wrapper, "hdlc 1": hdlc(1), "hdlc 3": hdlc(3)}
SLOW: dict[str, Session] = {"pseudo-terminal": pseudo_terminal, "rfc2217": rfc2217}


def household() -> MeterSimulator:
    sim = example_meter()
    sim.add_object(1, "0.0.96.2.0.255", {2: DlmsData.octet_string(b"")})
    return sim


async def go_through(client: DlmsClient, sim: MeterSimulator, *, long: int) -> None:
    """Read, write, invoke and fetch profile rows. ``long``: octets of the longest write."""
    answers = await client.read([ENERGY, VOLTAGE, SERIAL, MISSING])
    energy, voltage, serial, missing = answers
    assert isinstance(energy, Measured)
    assert (energy.value, energy.unit) == (12345678, "Wh")
    assert isinstance(voltage, Measured)
    assert (str(voltage.value), voltage.unit) == ("230.1", "V")
    assert isinstance(serial, Measured)
    assert serial.value == "PYD0000000001"
    assert isinstance(missing, AccessRefused)
    note = attribute(1, "0.0.96.2.0.255")
    text = bytes(index & 0xFF for index in range(long))
    await client.set(note, Data(DataType.OCTET_STRING, text))
    assert (await client.get(note)).value == text
    await client.invoke(CUT_OFF, Data(DataType.INTEGER, 0))
    assert (await client.get(attribute(70, "0.0.96.3.10.255"))).value is False
    rows = Selection(datetime(2024, 5, 1, 6, tzinfo=UTC), datetime(2024, 5, 1, 7, tzinfo=UTC))
    by_range = await read_profile(client, PROFILE, rows)
    assert [row[1] for row in by_range.rows] == [1168, 1175, 1182, 1189, 1196]
    assert by_range.rows[0][0] == datetime(2024, 5, 1, 6, tzinfo=UTC)
    by_entry = await read_profile(client, PROFILE, Selection(first=95, count=2))
    assert [row[1] for row in by_entry.rows] == [1658, 1665]


@pytest.mark.parametrize("line", QUICK)
async def test_a_session(line: str) -> None:
    sim = household()
    async with QUICK[line](sim) as client:
        await go_through(client, sim, long=5000)
        assert len((await read_profile(client, PROFILE)).rows) == 96
        octets = await client.get_raw(attribute(15, "0.0.40.0.0.255"))
        assert len(decode_object_list(octets)) == len(sim.objects)


@pytest.mark.parametrize("line", SLOW)
async def test_a_session_behind_a_sign_on(line: str) -> None:
    sim = household()
    async with asyncio.timeout(60), SLOW[line](sim) as client:
        await go_through(client, sim, long=200)


async def test_window_3_is_used() -> None:
    sim = household()
    async with PydlmsMeter(sim, hdlc=True, window=3) as meter, meter.client(window=3) as client:
        assert client.link_parameters is not None
        assert client.link_parameters.window_transmit == 3
        await client.set(attribute(1, "0.0.96.2.0.255"), Data(DataType.OCTET_STRING, bytes(600)))


# -- what it costs on a slow line -------------------------------------------------------------------------------------

LINE = SerialFormat(9600)
LATENCY = 0.03
REGISTERS = [Obis((1, 0, c, d, 0, 255)) for c in (1, 2, 3, 4, 21, 22, 41, 42, 61, 62) for d in (7, 8)]
LEAST_OCTETS, LEAST_TURNS = 965, 7
LEAST_SECONDS = LEAST_OCTETS * 10 / 9600 + LEAST_TURNS * LATENCY


def registers() -> MeterSimulator:
    """Twenty registers of 32 bits with scaler and unit, at a PDU of 1024."""
    sim = MeterSimulator(max_pdu=1024)
    for index, obis in enumerate(REGISTERS):
        unit = DlmsData.structure([DlmsData.int8(-1), DlmsData.enum(30)])
        sim.add_object(3, str(obis), {2: DlmsData.uint32(123456 + index), 3: unit})
    return sim


VALUES = [attribute(3, str(obis)) for obis in REGISTERS]


async def slow_line() -> tuple[MemoryTransport, MemoryTransport]:
    near, far = memory_pair(line=LINE, latency=LATENCY)
    await near.open()
    await far.open()
    return near, far


def settings(**options: Any) -> ConnectionSettings:
    return ConnectionSettings(serial="a slow line", **options)


async def poll(client: DlmsClient) -> None:
    answers = await client.read(VALUES)
    assert [answer.data.value for answer in answers if isinstance(answer, Measured)] == [
        123456 + index for index in range(20)
    ]
    assert all(isinstance(answer, Measured) and answer.unit == "Wh" for answer in answers)


async def test_connect_20_registers_disconnect(clock: FakeClock) -> None:
    near, far = await slow_line()
    start = clock.monotonic()
    async with answering(far, registers(), max_info=128):
        async with DlmsClient(settings(), transport=near) as client:
            await poll(client)
        assert sum(near.count.octets) <= LEAST_OCTETS
        assert near.count.turns <= LEAST_TURNS
        assert clock.monotonic() - start <= LEAST_SECONDS * 1.02


async def test_a_second_poll_is_one_question_and_one_answer(clock: FakeClock) -> None:
    near, far = await slow_line()
    async with (
        answering(far, registers(), max_info=1024),
        DlmsClient(settings(max_info=1024), transport=near) as client,
    ):
        await poll(client)
        before = near.count.turns
        await poll(client)
        assert near.count.turns == before + 1


async def test_a_larger_information_field_is_taken_when_it_is_offered(clock: FakeClock) -> None:
    """Connect, one list for values, scalers and units, disconnect."""
    near, far = await slow_line()
    sim = registers()
    async with answering(far, sim, max_info=1024), DlmsClient(settings(max_info=1024), transport=near) as client:
        await poll(client)
        gets = [request for request in sim.requests if request[0] == 0xC0]
        assert [request[1] for request in gets] == [3]
        assert gets[0][3] == 40
    assert near.count.turns == 4


async def test_what_was_learned_makes_the_next_session_shorter(clock: FakeClock) -> None:
    near, far = await slow_line()
    memory = Memory()
    octets = []
    for _ in range(2):
        await near.open()
        async with answering(far, registers(), max_info=128):
            before = sum(near.count.octets)
            async with DlmsClient(settings(), transport=near, memory=memory) as client:
                await poll(client)
            octets.append(sum(near.count.octets) - before)
        far.discard()
    assert octets[1] < octets[0] * 0.7


async def test_sign_on_and_session(clock: FakeClock) -> None:
    """Request, identification, acknowledgement and its confirmation at 300 baud; 200 ms of reaction, 100 to settle."""
    near, far = memory_pair(line=SerialFormat(300, 7, "even", 1), latency=LATENCY)
    await near.open()
    await far.open()
    start = clock.monotonic()
    async with answering(far, registers(), sign_on=True, max_info=128):
        async with DlmsClient(settings(opening="sign-on"), transport=near) as client:
            await poll(client)
        octets = len(b"/?!\r\n") + len(ISKRA.encode()) + 2 * len(b"\x06252\r\n")
        least = octets * 10 / 300 + 2 * LATENCY + 0.2 + 0.1 + LEAST_SECONDS
        assert clock.monotonic() - start <= least * 1.02
