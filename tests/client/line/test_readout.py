"""Meters in clear text: modes A to D over lines that are as slow as real ones, damage, silence, and other clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify, read_objects
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused, FramingError, ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.sign_on import Identification, encode_readout
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Faults, SignOnOptions, household, serve_memory
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY, serve_bridged
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.line import SIGN_ON

IMPORT = AttributeDescriptor(3, Obis.parse("1.8.0"), 2)
POWER = AttributeDescriptor(3, Obis.parse("1.7.0"), 2)
LINES = b"0.0.0(12345678)\r\nF.F(00)\r\n1.8.0(014864.1*kWh)\r\n1.7.0(01.250*kW)\r\n"
OTHERS = b"0.0.0(12345678)\r\nF.F(00)\r\n1.8.0(014864.2*kWh)\r\n1.7.0(900*W)\r\n"


def ident(baud: str, *escapes: str) -> Identification:
    return Identification("ISk", baud, escapes, "MT174-0001")


def settings(**values: Any) -> ConnectionSettings:
    return ConnectionSettings(**{"opening": "readout", **values})


@asynccontextmanager
async def meter_at(
    options: SignOnOptions, *faults: str, line: SerialFormat | None = SIGN_ON, **values: Any
) -> AsyncIterator[MemoryTransport]:
    """The client's end of a line with a meter that signs on so."""
    client, meter = memory_pair(line=line, latency=0.03)
    async with serve_memory(household(**values), meter, sign_on=options, faults=Faults(faults)):
        yield client


def clear(baud: str = "5", readout: bytes | None = LINES) -> SignOnOptions:
    return SignOnOptions(identification=ident(baud), readout=readout, hdlc=False)


def values(answers: list[Any]) -> list[Any]:
    return [answer.value if isinstance(answer, Measured) else answer.name for answer in answers]


@pytest.mark.parametrize("baud", ["5", "0", "D", " ", "X"], ids=["C", "C-300", "B", "A", "A-letter"])
async def test_modes_a_to_c(clock: FakeClock, baud: str) -> None:
    async with meter_at(clear(baud)) as line, DlmsClient(settings(), transport=line) as client:
        assert values(await client.read([IMPORT, POWER])) == [Decimal("14864100"), Decimal("1250")]
        assert client.figures.frames == 1
        assert client.figures.damaged == 0
        assert client.figures.signed_on


async def test_mode_c_is_as_fast_as_it_may_be(clock: FakeClock) -> None:
    """At the speed that the meter offers, or at most at the one that the user allows."""
    taken = []
    for most in (None, 300):
        async with meter_at(clear()) as line:
            before = clock.monotonic()
            async with DlmsClient(settings(max_baud=most), transport=line) as client:
                await client.read([IMPORT])
            taken.append(clock.monotonic() - before)
    octets = len(encode_readout(LINES))
    assert taken[1] - taken[0] == pytest.approx(octets * 10 / 300 - octets * 10 / 9600, abs=0.2)


async def test_mode_d_speaks_by_itself(clock: FakeClock) -> None:
    client_end, meter = memory_pair(line=SerialFormat(2400, 7, "even"))
    await meter.open()

    async def speak() -> None:
        while True:
            await asyncio.sleep(9)
            meter.write(b"/ABC3METER\r\n\r\n" + LINES + b"!\r\n")

    task = asyncio.create_task(speak())
    async with DlmsClient(settings(retries=0), transport=client_end) as client:
        assert values(await client.read([IMPORT])) == [Decimal("14864100")]
        assert (await identify(client)).logical_device_name == "ABC12345678"
    task.cancel()


async def test_who_the_meter_is_and_what_it_has(clock: FakeClock) -> None:
    async with meter_at(clear()) as line, DlmsClient(settings(), transport=line) as client:
        assert (await identify(client)).logical_device_name == "ISK12345678"
        with Store(":memory:") as store:
            listed = {str(item.obis): item.class_id for item in await read_objects(client, store)}
    assert listed == {
        "0.0.42.0.0.255": 1,
        "0.0.97.97.0.255": 1,
        "1.0.0.0.0.255": 1,
        "1.0.1.7.0.255": 3,
        "1.0.1.8.0.255": 3,
    }


async def test_what_is_not_there_and_what_cannot_be(clock: FakeClock) -> None:
    async with meter_at(clear()) as line, DlmsClient(settings(), transport=line) as client:
        (missing,) = await client.read([AttributeDescriptor(3, Obis.parse("2.8.0"), 2)])
        assert isinstance(missing, AccessRefused)
        assert missing.name == "object-undefined"
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await client.set(IMPORT, Data(DataType.DOUBLE_LONG_UNSIGNED, 0))


async def test_the_simulated_meter_tells_its_registers(clock: FakeClock) -> None:
    async with meter_at(READOUT_ONLY, clock=clock) as line, DlmsClient(settings(), transport=line) as client:
        (energy, shown) = await client.read([IMPORT, AttributeDescriptor(8, Obis.parse("0-0:1.0.0"), 2)])
        assert isinstance(energy, Measured)
        assert isinstance(shown, Measured)
        assert energy.value > 0
        assert energy.unit == "Wh"


@pytest.mark.parametrize("fault", ["wrong-check", "garbled", "cut", "lost"])
async def test_damage_is_seen_and_read_again(clock: FakeClock, fault: str) -> None:
    async with meter_at(clear(), fault) as line, DlmsClient(settings(), transport=line) as client:
        assert values(await client.read([IMPORT])) == [Decimal("14864100")]
        assert client.figures.repeats == 1


async def test_damage_without_end_is_an_error_that_says_so(clock: FakeClock) -> None:
    async with meter_at(clear(), "wrong-check,times=99") as line:
        client = DlmsClient(settings(), transport=line)
        with pytest.raises(FramingError, match="check character"):
            await client.open()
        assert client.figures.bad_check == 3


async def test_a_readout_that_is_always_cut(clock: FakeClock) -> None:
    async with meter_at(clear(), "cut,times=99") as line:
        with pytest.raises(ResponseTimeout, match="ended in the middle"):
            await DlmsClient(settings(), transport=line).open()


async def test_nobody_there(clock: FakeClock) -> None:
    line, _far = memory_pair(line=SIGN_ON)
    with pytest.raises(ResponseTimeout, match="nothing answers the sign-on"):
        await DlmsClient(settings(retries=1), transport=line).open()


async def test_what_is_old_is_read_again_with_its_own_unit(clock: FakeClock) -> None:
    """A meter may tell a value in kW now and in W the next time; the scaler that was learned goes with it."""
    client_end, meter = memory_pair(line=SIGN_ON, latency=0.03)
    memory = Memory()
    for lines, watts in ((LINES, 1250), (OTHERS, 900)):
        async with (
            serve_memory(household(), meter, sign_on=clear(readout=lines)),
            DlmsClient(settings(), transport=client_end, memory=memory) as client,
        ):
            assert values(await client.read([POWER])) == [Decimal(watts)]


async def test_one_readout_answers_what_is_asked_at_once_and_no_more(clock: FakeClock) -> None:
    async with meter_at(clear()) as line, DlmsClient(settings(), transport=line) as client:
        await client.read([IMPORT])
        sent = line.count.octets[0]
        await client.read([POWER])
        assert line.count.octets[0] == sent
        await asyncio.sleep(30)
        await client.read([POWER])
        assert line.count.octets[0] == 2 * sent


async def test_the_meter_goes_away_between_two_readouts(clock: FakeClock) -> None:
    client_end, meter = memory_pair(line=SIGN_ON, latency=0.03)
    async with serve_memory(household(), meter, sign_on=clear()):
        client = DlmsClient(settings(retries=0), transport=client_end)
        await client.open()
    await asyncio.sleep(30)
    before = clock.monotonic()
    with pytest.raises(ResponseTimeout):
        await client.read([IMPORT, POWER])
    assert clock.monotonic() - before < 60  # one try, not one for each attribute
    await client.close()


@pytest.mark.parametrize("escapes", [(), ("2",)], ids=["plain", "announces-hdlc"])
async def test_auto_falls_to_the_readout(clock: FakeClock, escapes: tuple[str, ...]) -> None:
    options = SignOnOptions(identification=ident("5", *escapes), readout=LINES, hdlc=False)
    memory = Memory()
    async with meter_at(options) as line:
        async with DlmsClient(settings(opening="auto", framing="hdlc"), transport=line, memory=memory) as client:
            assert values(await client.read([IMPORT])) == [Decimal("14864100")]
            assert client.reads_out
        assert memory.reads_out == (not escapes)
        async with DlmsClient(settings(opening="auto", framing="hdlc"), transport=line, memory=memory) as client:
            assert values(await client.read([IMPORT])) == [Decimal("14864100")]


async def test_auto_prefers_hdlc(clock: FakeClock) -> None:
    wish = settings(opening="auto", framing="hdlc")
    async with meter_at(SignOnOptions(), clock=clock) as line, DlmsClient(wish, transport=line) as client:
        assert not client.reads_out


async def test_a_converter_that_keeps_its_speed(clock: FakeClock) -> None:
    """Over plain TCP nobody can change the speed, so the first one is kept."""
    async with (
        serve_bridged(household(), sign_on=clear()) as address,
        DlmsClient(settings(tcp=address)) as client,
    ):
        assert values(await client.read([IMPORT])) == [Decimal("14864100")]


async def test_a_converter_that_keeps_its_speed_spoils_hdlc_and_is_named(clock: FakeClock) -> None:
    """The two ways out are told, and the first one works."""
    meter = household(clock=clock)
    async with serve_bridged(meter, sign_on=SignOnOptions(), kept=SerialFormat(300, 8, "none")) as address:
        plain = {"tcp": address, "framing": "hdlc", "opening": "sign-on", "retries": 1, "parity": "none"}
        with pytest.raises(ResponseTimeout, match="change of speed") as caught:
            await DlmsClient(settings(**plain)).open()
        assert "max_baud: 300" in caught.value.hint
        assert "opening: direct" in caught.value.hint


async def test_a_converter_that_was_told_another_speed(clock: FakeClock) -> None:
    async with serve_bridged(household(), sign_on=clear()) as (host, port):
        with pytest.raises(ResponseTimeout, match="mean nothing") as caught:
            await DlmsClient(settings(tcp=(host, port), max_baud=9600, retries=0)).open()
    assert "max_baud: 300" in caught.value.hint
