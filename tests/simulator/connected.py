"""Our client at a simulated meter in memory, and what it asks there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    KEYS,
    Meter,
    Outcome,
    make,
    serve_memory,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock

O = Obis.parse  # noqa: E741


ENERGY = AttributeDescriptor(3, O("1.0.1.8.0.255"), 2)


MESSAGE = AttributeDescriptor(1, O("0.0.96.13.0.255"), 2)


RATIO = AttributeDescriptor(1, O("1.0.0.4.2.255"), 2)


NAME = AttributeDescriptor(1, O("0.0.42.0.0.255"), 2)


SWITCH = AttributeDescriptor(70, O("0.0.96.3.10.255"), 2)


NOTHING = Data(DataType.INTEGER, 0)


OPEN: dict[str, Any] = {"client": 17}


GMAC: dict[str, Any] = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption,
    "authentication_key": KEYS.authentication,
}


def text(octets: bytes) -> Data:
    return Data(DataType.OCTET_STRING, octets)


def echo_meter(clock: FakeClock, **options: Any) -> Meter:
    """With an object whose method gives back what it is given."""
    meter = household(clock=clock, **options)
    meter.add(make(9999, "0.0.128.9.0.255", methods={1: lambda _context, value: Outcome(0, value)}))
    return meter


@asynccontextmanager
async def connected(meter: Meter, framing: str = "wrapper", **options: Any) -> AsyncIterator[DlmsClient]:
    near, far = memory_pair()
    settings = ConnectionSettings(framing=framing, **(options or OPEN))
    async with serve_memory(meter, far, framing), DlmsClient(settings, transport=near, random=Random(3).randbytes) as c:
        yield c
