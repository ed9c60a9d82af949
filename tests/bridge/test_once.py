"""One meter read once, as the bridge would read it: what was asked, read, computed and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.bridge.meters.once import Once, offered, read_once
from dlms_mqtt.bridge.reading.plan import WELL_KNOWN
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused, ConfigError
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock

ZONE = ZoneInfo("Europe/Vienna")
CONNECTION = {"tcp": "memory", "client": 17, "retries": 0}


@asynccontextmanager
async def opened(clock: FakeClock, *faults: str) -> AsyncIterator[DlmsClient]:
    near, far = memory_pair()
    _, settings = parse_meter("h", {"connection": CONNECTION}, lambda name: {})
    trouble = Faults(faults)
    meter = household(1, clock=clock, faults=trouble)
    async with serve_memory(meter, far, "wrapper", faults=trouble), DlmsClient(settings, transport=near) as client:
        yield client


async def once(clock: FakeClock, *faults: str, **config: Any) -> Once:
    meter, _ = parse_meter("h", {"connection": CONNECTION, **config}, lambda name: {})
    async with opened(clock, *faults) as client:
        return await read_once(meter, client, Store(), ZONE)


async def test_the_core_set_and_what_follows_from_it(clock: FakeClock) -> None:
    found = await once(clock)
    values = {reading.key: reading.value for reading in found.readings}
    assert {"energy_import", "power", "voltage_l1"} <= set(values)
    assert set(found.sent) == set(found.requested) <= set(values)
    assert found.refused == {}


async def test_what_is_computed_and_what_cannot_be(clock: FakeClock) -> None:
    read = [{"obis": "1.0.1.8.0.255", "key": "energy"}]
    found = await once(clock, read=read, derive={"twice": {"value": "energy * 2"}, "broken": {"value": "energy / 0"}})
    values = {reading.key: reading.value for reading in found.readings}
    assert values["twice"] == Decimal(2) * values["energy"]  # type: ignore[operator]
    assert "broken" not in values
    assert all(isinstance(error, ConfigError) for error in found.refused.values())


async def test_a_refused_object_does_not_cost_the_others(clock: FakeClock) -> None:
    read = [{"obis": "1.0.1.8.0.255"}, {"obis": "1.0.99.77.0.255", "class": 3, "key": "missing"}]
    found = await once(clock, read=read)
    assert [reading.key for reading in found.readings] == ["energy_import"]
    assert isinstance(found.refused["missing"], AccessRefused)
    assert "missing" in found.requested and "missing" not in found.sent


async def test_the_meters_list_is_offered_else_what_nearly_every_meter_has(clock: FakeClock) -> None:
    async with opened(clock) as client:
        objects, why = await offered(client, Store(), fresh=True)
        assert len(objects) > 50 and why == ""
    async with opened(clock, "wrong-rights:0.0.40.0.0.255,times=100") as client:
        objects, why = await offered(client, Store())
        if why:
            assert objects is WELL_KNOWN


@pytest.mark.parametrize("fault", ["exception,after=3,times=1000"])
async def test_a_list_that_is_refused(clock: FakeClock, fault: str) -> None:
    async with opened(clock, fault) as client:
        for _ in range(3):
            objects, why = await offered(client, Store(), fresh=True)
        assert objects is WELL_KNOWN and why
