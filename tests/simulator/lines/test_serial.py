"""Our meter on lines: pseudo-terminal and RFC 2217 with and without sign-on, UDP, a line at the wrong speed; pushes."""

from __future__ import annotations

import asyncio
import os
import tty
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
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
from dlms_mqtt.transport import make_transport
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
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


# -- pushes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "share"), [("echo", 1.0), ("echo:0.5", 0.5)])
async def test_a_line_with_echo_gives_back_the_sign_on_too(clock: FakeClock, fault: str, share: float) -> None:
    near, far = memory_pair(line=SerialFormat(300, 7, "even"), latency=0.03)
    await near.open()
    async with serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions(), faults=Faults([fault])):
        near.write(b"/?!\r\n")
        await asyncio.sleep(3)
        heard = near.discard()
    # The line hands octets over one by one; of each its share, rounded up, comes back.
    assert heard.count(b"/") == 2
    assert b"DMQ5" in heard
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
