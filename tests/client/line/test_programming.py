"""Programming mode: password, registers (R1, R5), load profile P.01 (R5, R6), refusals, damage; meters of others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.programming import REGISTER, read_sets
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.load_profile import parse_load_profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, AuthenticationRefused, ConnectionLost, FramingError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.framing.seven_bit import add_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import BREAK, block_check, encode_readout
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import Faults, household, serve_memory
from dlms_mqtt.simulator.household.clients import PASSWORD
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.frames_data import entries
from tests.line import SIGN_ON

LOAD_PROFILE = Obis.parse("1-0:99.1.0")
#: Runamook/iec_62056-21, test_parser.py: P01_data_1 (EMH) and P01_data_2 (Metcom)
EMH = (
    "P.01(1220823161500)(00000000)(15)(6)(1.5)(kW)(2.5)(kW)(5.5)(kvar)(6.5)(kvar)(7.5)(kvar)(8.5)(kvar)\r\n"
    "(0.18374)(0.00078)(0.00000)(0.00006)(0.00087)(0.02431)\r\n(0.16832)(0.00000)(0.00000)(0.00000)(0.00000)(0.02686)"
)
METCOM = (
    "P.01(1220823150000)(08)(15)(6)(1-0:1.5.0)(kW)(1-0:2.5.0)(kW)(1-0:5.5.0)(kvar)(1-0:6.5.0)(kvar)(1-0:7.5.0)(kvar)"
    "(1-0:8.5.0)(kvar)\r\n(0.00000)(0.12683)(0.00000)(0.11411)(0.00000)(0.00000)\r\n"
    "(0.00028)(0.06188)(0.00059)(0.07409)(0.00000)(0.00000)\r\n"
)
READOUT = b"0.0.0(05939068)\r\n0.9.1(1163000)\r\n0.9.2(1220823)\r\n1.8.0(000123.4*kWh)\r\n"


def framed(content: bytes, head: bytes = b"\x02", end: bytes = b"\x03") -> bytes:
    body = content + end
    return head + body + block_check(body)


class Meter:
    """A meter of mode C with a password: what it was asked, and in what order it answers."""

    def __init__(self, profile: str, *, password: bytes = b"00000000", blocks: int = 1, refuse: str = "") -> None:
        self.profile, self.password, self.blocks, self.refuse = profile.encode(), password, blocks, refuse
        self.requests: list[bytes] = []
        self.passwords: list[bytes] = []
        self._rest: list[bytes] = []

    async def play(self, end: MemoryTransport) -> None:
        received = b""
        while True:
            received += strip_parity(await end.read(None))
            alone = rb"|\x06" if self._rest else b""  # an acknowledgement that asks for the next block
            while message := re.match(
                rb".*?(/\?!\r\n|\x06...\r\n|\x01[^\x03]*\x03." + alone + rb")", received, re.DOTALL
            ):
                received = received[message.end() :]
                await self._answer(end, message[1])

    async def _answer(self, end: MemoryTransport, message: bytes) -> None:
        if message.startswith(b"/?"):
            await end.configure(baud=300, data_bits=7, parity="even")
            await self._say(end, b"/EMH5LZQJ\r\n")
        elif message[:1] == b"\x06" and len(message) > 1:
            await end.configure(baud=9600, data_bits=7, parity="even")
            await asyncio.sleep(0.2)
            readout = message[3:4] == b"0"
            await self._say(end, encode_readout(READOUT) if readout else framed(b"P0\x02(12345678)", b"\x01"))
            if readout:
                await end.configure(baud=300, data_bits=7, parity="even")
        elif message[1:3] == b"P1":
            self.passwords.append(message[5:-3])
            await self._say(end, b"\x06" if self.passwords[-1] == self.password else framed(b"(ER04)"))
        elif message[1:3] == b"R5":
            self.requests.append(message[4:-2])
            await self._blocks(end)
        elif message == b"\x06" and self._rest:
            await self._say(end, self._rest.pop(0))
        elif message == BREAK:
            await end.configure(baud=300, data_bits=7, parity="even")

    async def _blocks(self, end: MemoryTransport) -> None:
        text = self.refuse.encode() or self.profile
        size = -(-len(text) // self.blocks)
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        ends = [b"\x04"] * (len(parts) - 1) + [b"\x03"]
        self._rest = [framed(part, end=mark) for part, mark in zip(parts, ends, strict=True)]
        await self._say(end, self._rest.pop(0))

    async def _say(self, end: MemoryTransport, data: bytes) -> None:
        end.write(data)
        await end.drain()


class Published(Meter):
    """A meter that answers as in a conversation that was published."""

    def __init__(self, case: dict[str, Any]) -> None:
        super().__init__("")
        self.case = case
        self.answers = dict(case["exchanges"])
        self.first = case.get("first", "")

    async def _answer(self, end: MemoryTransport, message: bytes) -> None:
        if message.startswith(b"/?"):
            await end.configure(baud=300, data_bits=7, parity="even")
            await self._say(end, f"{self.case['identification']}\r\n".encode())
        elif message[:1] == b"\x06" and len(message) > 1:
            await end.configure(baud=9600, data_bits=7, parity="even")
            await asyncio.sleep(0.2)
            readout = encode_readout(f"{self.case['readout']}\r\n".encode())
            await self._say(end, readout if message[3:4] == b"0" else self.case["introduction"].encode())
            if message[3:4] == b"0":
                await end.configure(baud=300, data_bits=7, parity="even")
        elif message == BREAK:
            await end.configure(baud=300, data_bits=7, parity="even")
        else:
            self.requests.append(message)
            answer, self.first = self.first or self.answers[message.decode()], ""
            await self._say(end, answer.encode())


@asynccontextmanager
async def reading(meter: Meter, **values: Any) -> AsyncIterator[DlmsClient]:
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    await far.open()
    task = asyncio.create_task(meter.play(far))
    try:
        async with DlmsClient(ConnectionSettings(opening="readout", retries=0, **values), transport=near) as client:
            yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


WITH_PASSWORD = {"authentication": "low", "password": Secret(b"00000000")}


@pytest.mark.parametrize("blocks", [1, 3])
async def test_the_load_profile_is_a_profile(clock: FakeClock, blocks: int) -> None:
    meter = Meter(EMH, blocks=blocks)
    async with reading(meter, **WITH_PASSWORD) as client:
        start, end = datetime(2022, 8, 23, 16, tzinfo=UTC), datetime(2022, 8, 23, 17, tzinfo=UTC)
        found = await read_profile(client, LOAD_PROFILE, Selection(start, end), tz=UTC)
    assert found.period == 900
    assert [str(column.source.obis) for column in found.columns[2:4]] == ["1.0.1.5.0.255", "1.0.2.5.0.255"]
    assert [row[0].strftime("%H:%M") for row in found.rows] == ["16:15", "16:30"]
    scaler = found.columns[2].scaler_unit
    assert scaler is not None
    assert scaler.apply(found.rows[0][2]) == Decimal("183.74")
    assert scaler.unit == "W"
    assert meter.passwords == [b"00000000"] * 2
    assert meter.requests[-1].startswith(b"P.01(0220823")


async def test_without_a_password_none_is_sent(clock: FakeClock) -> None:
    meter = Meter(METCOM)
    async with reading(meter) as client:
        found = await read_profile(client, LOAD_PROFILE, tz=UTC)
    assert len(found.rows) == 2
    assert not meter.passwords


async def test_a_wrong_password_is_sent_once(clock: FakeClock) -> None:
    meter = Meter(EMH, password=b"12345678")
    async with reading(meter, **WITH_PASSWORD) as client:
        with pytest.raises(AuthenticationRefused):
            await read_profile(client, LOAD_PROFILE, tz=UTC)
    assert len(meter.passwords) == 1


async def test_a_meter_without_a_load_profile(clock: FakeClock) -> None:
    async with reading(Meter(EMH, refuse="(ER01)")) as client:
        with pytest.raises(AccessRefused, match="has no"):
            await read_profile(client, LOAD_PROFILE, tz=UTC)


async def test_an_ordinary_reading_needs_no_password(clock: FakeClock) -> None:
    meter = Meter(EMH)
    async with reading(meter, **WITH_PASSWORD) as client:
        assert client.reads_out
    assert not meter.passwords


async def test_a_line_that_goes_away_at_the_farewell_takes_nothing_with_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what was read nor, as here, why it ended: it would have been read again for ever by who was cancelled."""
    meter, begun = Meter(EMH), asyncio.Event()

    def gone(transport: MemoryTransport, data: bytes) -> None:
        if data in (BREAK, add_parity(BREAK)):
            raise ConnectionLost("the port has gone")
        send(transport, data)

    async def silent(self: Meter, end: MemoryTransport, message: bytes) -> None:
        await answer(self, end, message)
        if not message.startswith((b"/?", b"\x06")):
            begun.set()
            await asyncio.Event().wait()

    send, answer = MemoryTransport.write, Meter._answer
    async with reading(meter, **WITH_PASSWORD) as client:
        monkeypatch.setattr(MemoryTransport, "write", gone)
        monkeypatch.setattr(Meter, "_answer", silent)
        profile = asyncio.create_task(read_profile(client, LOAD_PROFILE, tz=UTC))
        await begun.wait()
        profile.cancel()
        await asyncio.wait([profile])
        assert profile.cancelled()


# -- registers ---------------------------------------------------------------------------------------------------------

PUBLISHED = entries("programming")
DEMAND = AttributeDescriptor(5, Obis.parse("1.4.0"), 2)
NOWHERE = AttributeDescriptor(3, Obis.parse("9.9.0"), 2)


def register(text: str) -> AttributeDescriptor:
    return AttributeDescriptor(3, Obis.parse(text), 2)


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case["name"])
async def test_registers_of_meters_of_others(clock: FakeClock, case: dict[str, Any]) -> None:
    meter = Published(case)
    secret = {"authentication": "low", "password": Secret(case["password"].encode())} if "password" in case else {}
    async with reading(meter, **secret) as client:
        found = await client.read([register(text) for text in case["values"]])
        assert {
            text: f"{item.value:f} {item.unit}"
            for text, item in zip(case["values"], found, strict=True)
            if isinstance(item, Measured)
        } == case["values"]
    once = set(map(str, meter.requests))
    assert len(once) == len(case["exchanges"])  # each name is asked for once, however many codes it means


@asynccontextmanager
async def simulated(*faults: str, **values: Any) -> AsyncIterator[DlmsClient]:
    """A client of the simulated meter in clear text, with its password."""
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    options = {"opening": "readout", "retries": 0, "authentication": "low", "password": PASSWORD, **values}
    meter = household(faults=Faults(faults))
    async with (
        serve_memory(meter, far, sign_on=READOUT_ONLY, faults=Faults(faults)),
        DlmsClient(ConnectionSettings(**options), transport=near) as client,
    ):
        client.meter = meter  # type: ignore[attr-defined]
        yield client


async def test_a_register_that_is_in_no_readout(clock: FakeClock) -> None:
    async with simulated() as client:
        demand, energy = await client.read([DEMAND, register("1.8.0")])
        assert isinstance(demand, Measured)
        assert demand.unit == "W"
        assert isinstance(energy, Measured)
        before = client.memory.scalers[AttributeDescriptor(5, Obis.parse("1.4.0"), 4)]
        assert before is not None
        assert (await client.get(DEMAND)).value >= 0  # the same reading, and one by itself


async def test_a_register_that_is_nowhere_is_given_up(clock: FakeClock) -> None:
    async with simulated() as client:
        sent: list[float] = []
        client.before_secret = lambda: sent.append(clock.monotonic())
        for _ in range(6):
            (missing,) = await client.read([NOWHERE])
            assert isinstance(missing, AccessRefused)
            assert missing.name == "object-undefined"
            assert "9.9.0" in missing.message
            await asyncio.sleep(60)
        assert len(sent) == 3


async def test_without_its_password_the_meter_tells_nothing(clock: FakeClock) -> None:
    async with simulated(authentication="none", password=None) as client:
        (missing,) = await client.read([DEMAND])
        assert isinstance(missing, AccessRefused)
        assert "want a password" in missing.hint


async def test_a_wrong_password_for_a_register_is_sent_once(clock: FakeClock) -> None:
    async with simulated(password=Secret(b"00000000")) as client:
        with pytest.raises(AuthenticationRefused):
            await client.read([DEMAND, register("1.8.0")])
        assert client.meter.failures == {32: 1}  # type: ignore[attr-defined]


async def test_a_meter_without_programming_mode(clock: FakeClock) -> None:
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    without = replace(READOUT_ONLY, programming=False)
    async with (
        serve_memory(household(), far, sign_on=without),
        DlmsClient(ConnectionSettings(opening="readout", retries=0), transport=near) as client,
    ):
        missing, energy = await client.read([DEMAND, register("1.8.0")])
        assert isinstance(missing, AccessRefused)
        assert "no programming mode" in missing.message
        assert isinstance(energy, Measured)


@pytest.mark.parametrize("commands", [("R5",), ("R6",)])
async def test_the_load_profile_of_the_simulated_meter(clock: FakeClock, commands: tuple[str, ...]) -> None:
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    settings = ConnectionSettings(opening="readout", authentication="low", password=PASSWORD)
    meter = household(clock=clock)
    now = meter.now().replace(minute=0)
    span = f"{now - timedelta(days=1):0%y%m%d%H%M};{now:0%y%m%d%H%M}"
    async with serve_memory(meter, far, sign_on=READOUT_ONLY):
        (text,) = await read_sets(near, settings, [f"P.01({span})"], commands, None)
        await near.close()
    assert isinstance(text, str)
    assert len(parse_load_profile(text).rows) == 96 + 1


@pytest.mark.parametrize("fault", ["echo", "wrong-check", "garbled", "trickle"])
async def test_faults_of_the_line(clock: FakeClock, fault: str) -> None:
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    settings = ConnectionSettings(opening="readout", authentication="low", password=PASSWORD)
    faults = Faults([f"{fault},after=2" if fault in ("wrong-check", "garbled") else fault])
    async with serve_memory(household(clock=clock), far, sign_on=READOUT_ONLY, faults=faults):
        found = await read_sets(near, settings, ["1.8.0()", "1.4.0()"], REGISTER, None)
        await near.close()
    assert [str(text)[:6] for text in found] == ["1.8.0(", "1.4.0("]


async def test_damage_without_end(clock: FakeClock) -> None:
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    faults = Faults(["wrong-check,after=1,times=99"])
    async with serve_memory(household(clock=clock, associations=()), far, sign_on=READOUT_ONLY, faults=faults):
        with pytest.raises(FramingError):
            await read_sets(near, ConnectionSettings(opening="readout"), ["1.8.0()"], REGISTER, None)
        await near.close()
