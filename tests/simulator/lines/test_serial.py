"""Our meter on lines: pseudo-terminal and RFC 2217 with and without sign-on, UDP, a line at the wrong speed; pushes."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.framing.programming import Command
from dlms_mqtt.protocol.framing.sign_on import BREAK
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    PASSWORD,
    Faults,
    SignOnOptions,
    serve_memory,
    serve_pty,
    serve_rfc2217,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines import serial
from dlms_mqtt.simulator.lines.serial import CLEAR_TEXT, READOUT_ONLY, serve_bridged
from dlms_mqtt.transport import make_transport
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
SIGN_ON = SerialFormat(300, 7, "even")
READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_a_serial_device_on_both_sides() -> None:
    """The meter opens a device as the client does; two pseudo-terminals make the cable."""
    masters, slaves = zip(*(os.openpty() for _ in range(2)), strict=True)
    loop = asyncio.get_running_loop()
    for slave in slaves:
        tty.setraw(slave)
    for near, far in (masters, masters[::-1]):
        loop.add_reader(near, lambda near=near, far=far: os.write(far, os.read(near, 4096)))
    port = make_transport(os.ttyname(slaves[0]))
    async with serve_memory(household(clock=FakeClock()), port):
        assert await energy(serial=os.ttyname(slaves[1])) > 1_000_000
    for master in masters:
        loop.remove_reader(master)
    for descriptor in (*slaves, *masters):
        os.close(descriptor)


async def test_sign_on_over_a_pseudo_terminal_twice() -> None:
    async with serve_pty(household(clock=FakeClock()), sign_on=SignOnOptions()) as line:
        for _ in range(2):  # the meter is back at 300 baud when the link is closed
            assert await energy(serial=line.device, opening="sign-on") > 1_000_000


async def test_rfc2217_with_sign_on() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), sign_on=SignOnOptions()) as (host, port):
        assert await energy(serial=f"rfc2217://{host}:{port}", opening="sign-on") > 1_000_000


async def test_silence_after_the_sign_on_takes_the_meter_back(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat(300, 7, "even"))
    meter = household(clock=clock)
    async with serve_memory(meter, far, "hdlc", sign_on=SignOnOptions(inactivity=5)):
        client = DlmsClient(ConnectionSettings(**READER, opening="sign-on", serial="memory"), transport=near)
        await client.open()
        assert far.format == SerialFormat(9600)
        await asyncio.sleep(6)
        assert far.format == SerialFormat(300, 7, "even")
        await client.close()
        client = DlmsClient(ConnectionSettings(**READER, opening="sign-on", serial="memory"), transport=near)
        async with client:
            await client.get(ENERGY)


@pytest.mark.parametrize(("fault", "share"), [("echo", 1.0), ("echo:0.5", 0.5)])
async def test_a_line_with_echo_gives_back_the_sign_on_too(clock: FakeClock, fault: str, share: float) -> None:
    near, far = memory_pair(line=SerialFormat(300, 7, "even"), latency=0.03)
    await near.open()
    async with serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions(), faults=Faults([fault])):
        near.write(b"/?!\r\n")
        await asyncio.sleep(3)
        received = near.discard()
    # The line hands octets over one by one; of each its share, rounded up, comes back.
    assert received.count(b"/") == 2
    assert b"DMQ5" in received
    assert Faults([fault]).echo(b"12345678") == b"12345678"[: int(8 * share)]
    assert Faults().echo(b"1") == b""
    await near.close()


async def test_a_meter_that_fails_at_its_end_is_told_but_not_to_who_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **_options: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("broken")

    async def use(wait: asyncio.Event) -> None:
        async with serve_memory(household(clock=FakeClock()), memory_pair()[1]):
            await asyncio.sleep(0)  # the meter has begun
            begun.set()
            await wait.wait()

    begun, at_once = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(serial, "serve_transport", fail)
    used = asyncio.create_task(use(asyncio.Event()))
    await begun.wait()
    used.cancel()
    await asyncio.wait([used])
    assert used.cancelled()
    at_once.set()
    with pytest.raises(OSError, match="broken"):
        await use(at_once)


@asynccontextmanager
async def signing_on(clock: FakeClock, options: SignOnOptions, *faults: str) -> AsyncIterator[MemoryTransport]:
    """The reader's end of a line at 300 baud."""
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    await near.open()
    async with serve_memory(household(clock=clock), far, sign_on=options, faults=Faults(faults)):
        yield near
    await near.close()


async def until(near: MemoryTransport, end: bytes) -> bytes:
    received = b""
    while end not in received:
        received += await near.read(60)
    return received


async def acknowledge(near: MemoryTransport, mode: bytes) -> None:
    near.write(b"/?!\r\n")
    await until(near, b"\r\n")
    near.write(b"\x0605" + mode + b"\r\n")
    await near.drain()
    await near.configure(baud=9600, data_bits=7, parity="even")


async def test_a_meter_that_is_read_in_clear_text(clock: FakeClock) -> None:
    async with signing_on(clock, READOUT_ONLY) as near:
        await acknowledge(near, b"0")
        block = await until(near, b"\x03")
        assert block.startswith(b"\x02") and b"1.8.0(" in block
        await near.configure(baud=300, data_bits=7, parity="even")
        await asyncio.sleep(3)
        near.write(b"/?!\r\n")
        assert (await until(near, b"\r\n")).endswith(b"/DMQ5SIM1.4\r\n")


async def test_the_data_block_is_what_it_was_given(clock: FakeClock) -> None:
    async with signing_on(clock, SignOnOptions(identification=CLEAR_TEXT, hdlc=False, readout=b"1.8.0(7)\r\n")) as near:
        await acknowledge(near, b"0")
        assert b"\x021.8.0(7)\r\n!" in await until(near, b"\x03")


@pytest.mark.parametrize("way", ["leaves", "is silent"])
async def test_programming_mode_until_the_reader_leaves_or_is_silent(clock: FakeClock, way: str) -> None:
    async with signing_on(clock, READOUT_ONLY) as near:
        await acknowledge(near, b"1")
        assert b"P0" in await until(near, b"\x03")
        near.write(Command("P1", b"(12345678)").encode())
        assert (await near.read(60)).endswith(b"\x06")
        near.write(Command("R1", b"1.8.0()").encode())
        assert b"1.8.0(" in await until(near, b"\x03")
        if way == "leaves":
            near.write(BREAK)
            await near.drain()
        await near.configure(baud=300, data_bits=7, parity="even")
        await asyncio.sleep(3 if way == "leaves" else READOUT_ONLY.inactivity + 3)
        near.write(b"/?!\r\n")
        assert (await until(near, b"\r\n")).endswith(b"/DMQ5SIM1.4\r\n")


async def test_noise_before_the_identification_and_silence(clock: FakeClock) -> None:
    async with signing_on(clock, SignOnOptions(), "noise-before-identification:4") as near:
        near.write(b"/?!\r\n")
        identification = await until(near, b"\r\n")
        assert identification[4:] == b"/DMQ5\\2SIM1.4\r\n"
    async with signing_on(clock, SignOnOptions(), "silence") as near:
        near.write(b"/?!\r\n")
        with pytest.raises(ResponseTimeout):
            await near.read(60)


@pytest.mark.parametrize("fault", ["drop", "deaf", "lost"])
async def test_a_serial_line_that_loses_one_answer_is_still_there(clock: FakeClock, fault: str) -> None:
    near, far = memory_pair(line=SerialFormat(9600))
    async with (
        serve_memory(household(clock=clock), far, faults=Faults([fault])),
        DlmsClient(ConnectionSettings(**READER, framing="hdlc"), transport=near) as client,
    ):
        assert (await client.get(ENERGY)).value > 1_000_000


async def test_octets_that_trickle(clock: FakeClock) -> None:
    near, far = memory_pair()
    async with (
        serve_memory(household(clock=clock), far, "wrapper", faults=Faults(["trickle:0.5"])),
        DlmsClient(ConnectionSettings(**READER, framing="wrapper", timeout=100), transport=near) as client,
    ):
        before = clock.monotonic()
        assert (await client.get(ENERGY)).value > 1_000_000
        assert clock.monotonic() - before >= 0.5 * 10


async def test_a_client_that_goes_without_a_word_ends_its_session(clock: FakeClock) -> None:
    meter = household(clock=clock)
    near, far = memory_pair()
    async with serve_memory(meter, far):
        client = DlmsClient(ConnectionSettings(**READER, framing="hdlc"), transport=near)
        await client.open()
        assert len(meter.sessions) == 1
        await near.close()
        await asyncio.sleep(1)
        assert not meter.sessions
        await client.close()


async def test_a_converter_that_keeps_the_meters_speed() -> None:
    """Left while a client is connected."""
    async with serve_bridged(household(clock=FakeClock()), kept=SerialFormat(), paced=False) as (host, port):
        client = DlmsClient(ConnectionSettings(**READER, tcp=(host, port), framing="hdlc"))
        await client.open()
        assert (await client.get(ENERGY)).value > 1_000_000
    await client.close()
