"""Lines that exist in software only: pseudo-terminal, RFC 2217, converter; each knows what speed the client has set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    PASSWORD,
    serve_pty,
    serve_rfc2217,
)
from dlms_mqtt.simulator.household.household import household
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_pseudo_terminal() -> None:
    meter = household(clock=FakeClock())
    async with serve_pty(meter) as line:
        assert await energy(serial=line.device) == await energy(serial=line.device)
        assert line.client_format.baud == 9600


async def test_a_pseudo_terminal_at_another_speed_gives_rubbish() -> None:
    async with serve_pty(household(clock=FakeClock()), paced=False) as line:
        with pytest.raises(ResponseTimeout):
            await energy(serial=line.device, baud=2400, retries=0, timeout=0.2)
        assert line.client_format.baud == 2400


async def test_rfc2217_with_the_wrong_parity_gives_rubbish() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        with pytest.raises(ResponseTimeout):
            await energy(serial=f"rfc2217://{host}:{port}", parity="even", retries=0, timeout=0.3)


async def test_nonsense_ends_only_its_own_connection() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(bytes.fromhex("fff0"))
        while await reader.read(100):
            pass
        writer.close()
        assert await energy(serial=f"rfc2217://{host}:{port}") > 1_000_000
