"""A meter with faults on command, the client's end of its line, and some work to do there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import KEYS, PASSWORD, Faults, Meter, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock

CLOCK = AttributeDescriptor(8, Obis.parse("0.0.1.0.0.255"), 2)
DAILY = Obis.parse("1.0.99.2.0.255")


async def value(client: DlmsClient, obis: str, class_id: int = 3) -> Any:
    return (await client.get(AttributeDescriptor(class_id, Obis.parse(obis), 2))).value


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


EXPORT = AttributeDescriptor(3, Obis.parse("1.0.2.8.0.255"), 2)


READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


CIPHERED: dict[str, Any] = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption,
    "authentication_key": KEYS.authentication,
}


@dataclass
class Bench:
    """One meter and the client's end of its line."""

    meter: Meter
    near: MemoryTransport
    framing: str
    clock: FakeClock

    def client(self, **options: Any) -> DlmsClient:
        chosen = ConnectionSettings(framing=self.framing, **(options or READER))
        return DlmsClient(chosen, transport=self.near, random=Random(5).randbytes)


@asynccontextmanager
async def bench(
    clock: FakeClock,
    *faults: str,
    framing: str = "hdlc",
    line: SerialFormat | None = None,
    datagram: bool = False,
    **options: Any,
) -> AsyncIterator[Bench]:
    trouble = Faults(faults)
    meter = household(clock=clock, faults=trouble)
    near, far = memory_pair(line=line, datagram=datagram)
    async with serve_memory(meter, far, framing, faults=trouble, **options):
        yield Bench(meter, near, framing, clock)


async def work(client: DlmsClient) -> tuple[Decimal, int, int]:
    """A list of registers, a profile by range, the object list."""
    values = await client.read([ENERGY, CLOCK, EXPORT])
    (energy,) = [value for value in values[:1] if isinstance(value, Measured)] or [None]
    if energy is None:
        raise AssertionError(values[0])
    now = datetime.fromtimestamp(1767614400, UTC)
    profile = await read_profile(client, DAILY, Selection(start=now - timedelta(days=3)))
    return energy.value, len(profile.rows), len(await read_objects(client))
