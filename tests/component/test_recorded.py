"""What a meter costs Home Assistant's database in a day, and what of it may not be lost: against the real recorder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from component_fixtures import Broker
from fake_bridge import Message
from homeassistant.components.logbook import DOMAIN as LOGBOOK
from homeassistant.components.logbook.helpers import async_determine_event_types
from homeassistant.components.logbook.models import LogbookConfig
from homeassistant.components.logbook.processor import EventProcessor
from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.db_schema import States, StatesMeta
from homeassistant.components.recorder.util import session_scope
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.homeassistant.discovery import Device, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import Entity, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.bridge.homeassistant.pace import pace_of
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

TOPICS = Topics("dlms_mqtt", "main")
METER = TOPICS.meter("house")
INTERVAL, PERIOD = 30, 300  # s: between two readings, and ``mqtt.discovery.every``
START = datetime(2036, 11, 1, 17, 0, 10, tzinfo=UTC)
OBIS = {
    "energy_import": "1.0.1.8.0.255",
    "energy_import_t1": "1.0.1.8.1.255",
    "energy_import_t2": "1.0.1.8.2.255",
    "energy_export": "1.0.2.8.0.255",
    "power": "1.0.16.7.0.255",
    "power_import": "1.0.1.7.0.255",
    "frequency": "1.0.14.7.0.255",
    "power_factor": "1.0.13.7.0.255",
    **{f"power_l{phase}": f"1.0.{16 + 20 * phase}.7.0.255" for phase in (1, 2, 3)},
    **{f"voltage_l{phase}": f"1.0.{12 + 20 * phase}.7.0.255" for phase in (1, 2, 3)},
    **{f"current_l{phase}": f"1.0.{11 + 20 * phase}.7.0.255" for phase in (1, 2, 3)},
}


def entities() -> list[Entity]:
    """What the bridge announces of a three-phase meter with solar power."""
    found = built_in(("clock", "poll", "events"), "en")
    for key, code in OBIS.items():
        found += value_entities(replace(quantity(Obis.parse(code), 3), key=key), None, "en")
    found += value_entities(quantity(Obis.parse("0.0.1.0.0.255"), 8), None, "en")
    enabled = lean(found, (), {"energy_export": 5})
    return [replace(row, pace=pace_of(row.device_class, row.unit, INTERVAL, PERIOD)) for row in enabled]


def readings(start: datetime) -> Iterator[tuple[datetime, dict[str, float]]]:
    """A house in the evening: every value is another one at every reading, and a stove switches all the time."""
    random = Random(1)
    energy, moment = 14_924.0, start
    while True:
        hours = (moment - start).total_seconds() / 3600
        loads = [random.gauss(250 * phase, 20) for phase in (1, 2, 3)]
        loads[1] += 2000 * (math.sin(hours * 40) > 0) * (math.sin(hours * 2) > 0.3)
        power = sum(loads) + random.gauss(0, 5)
        energy += power * INTERVAL / 3_600_000
        volts = [230 + 3 * math.sin(hours * 3 + phase) + random.gauss(0, 0.6) for phase in range(3)]
        values = {"energy_import": energy, "energy_import_t1": energy - 9000, "energy_import_t2": 9000}
        values |= {"energy_export": 5, "power": power, "power_import": power, "power_factor": random.uniform(0.9, 1)}
        values |= {"frequency": random.gauss(50, 0.02)}
        for phase, (load, voltage) in enumerate(zip(loads, volts, strict=True), 1):
            values |= {f"power_l{phase}": load, f"voltage_l{phase}": voltage, f"current_l{phase}": load / voltage}
        yield moment, values
        moment += timedelta(seconds=INTERVAL)


DECIMALS = {"energy": 3, "power": 0, "voltage": 1, "current": 2, "frequency": 2}


def text(key: str, value: float) -> str:
    decimals = 3 if key == "power_factor" else DECIMALS[key.partition("_")[0]]
    return f"{value:.{decimals}f}"


class House:
    """A meter whose bridge tells Home Assistant its readings at their times."""

    def __init__(self, hass: HomeAssistant, broker: Broker, freezer: Any) -> None:
        self.hass, self.broker, self.freezer = hass, broker, freezer

    async def say(self, topic: str, payload: str) -> None:
        self.broker.fire(Message(topic, payload, False))
        await self.hass.async_block_till_done()

    async def begin(self) -> None:
        self.freezer.move_to(START)
        payload = meter_payload(TOPICS, Device("house", "House"), entities(), "0.2.0")
        await self.say(TOPICS.discovery("dlms_mqtt_house"), json.dumps(payload))
        await self.say(TOPICS.state, "online")
        await self.say(METER.availability, "online")
        await self.say(METER.state, json.dumps(dict.fromkeys(OBIS, 0)))

    async def read(self, moment: datetime, values: dict[str, float]) -> None:
        self.freezer.move_to(moment)
        for key, value in values.items():
            self.broker.fire(Message(METER.value(key), text(key, value), False))
        self.broker.fire(Message(METER.value("clock"), moment.isoformat(), False))
        if moment.second < INTERVAL:
            health = {"status": "ok", "last_success": moment.isoformat(), "clock_drift": moment.minute % 5 / 10}
            self.broker.fire(Message(TOPICS.health, json.dumps({"meters": {"house": health}}), False))
        await self.hass.async_block_till_done()

    def state(self, key: str) -> str:
        state = self.hass.states.get(f"sensor.house_{key}")
        assert state
        return state.state

    async def logbook(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """The lines of the logbook about a meter."""
        await async_wait_recording_done(self.hass)
        self.hass.data[LOGBOOK] = LogbookConfig({}, None, None)
        work = EventProcessor(self.hass, async_determine_event_types(self.hass, None, None))
        found = await get_instance(self.hass).async_add_executor_job(work.get_events, start, end)
        return [row for row in found if "house" in str(row)]

    async def rows(self) -> dict[str, int]:
        """Rows in the table of states by entity."""
        await async_wait_recording_done(self.hass)

        def count() -> dict[str, int]:
            found: dict[str, int] = {}
            with session_scope(hass=self.hass, read_only=True) as session:
                joined = session.query(StatesMeta.entity_id).join(States, States.metadata_id == StatesMeta.metadata_id)
                for (name,) in joined:
                    found[name] = found.get(name, 0) + 1
            return found

        return await get_instance(self.hass).async_add_executor_job(count)


@pytest.fixture
async def house(recorder_mock: Any, hass: HomeAssistant, broker: Broker, freezer: Any) -> House:
    found = House(hass, broker, freezer)
    await found.begin()
    return found


async def test_rows_of_a_day(house: House) -> None:
    """Two hours of the evening cost more than a twelfth of a day; nothing of it is a line of the logbook."""
    seconds = 7200
    before = await house.rows()
    for moment, values in readings(START):
        if (moment - START).total_seconds() >= seconds:
            break
        await house.read(moment, values)
    rows = {name: count - before.get(name, 0) for name, count in (await house.rows()).items()}
    day = {name: count * 86400 // seconds for name, count in sorted(rows.items()) if count}
    assert sum(day.values()) < 10_000, day
    assert day["sensor.house_power"] >= 2800, "power is taken at every reading"
    enabled = [row for row in er.async_get(house.hass).entities.values() if row.disabled_by is None]
    assert 12 <= len(enabled) <= 16, sorted(row.entity_id for row in enabled)
    assert await house.logbook(START + timedelta(minutes=1), moment) == []
    await house.say(TOPICS.health, json.dumps({"meters": {"house": {"status": "no_answer"}}}))
    assert len(await house.logbook(START + timedelta(minutes=1), moment + timedelta(minutes=1))) == 1


async def test_what_statistics_are_made_of_is_the_same(house: House) -> None:
    """At every multiple of five minutes the energy is that of the last reading before."""
    at_boundary: dict[datetime, tuple[str, str]] = {}
    said = ""
    for moment, values in readings(START):
        boundary = moment.replace(minute=moment.minute // 5 * 5, second=0)
        if said and boundary not in at_boundary:
            at_boundary[boundary] = (said, house.state("energy_import"))
        if len(at_boundary) > 4:
            break
        await house.read(moment, values)
        said = text("energy_import", values["energy_import"])
    assert all(told == shown for told, shown in list(at_boundary.values())[1:]), at_boundary
    assert len(set(at_boundary.values())) == len(at_boundary)


async def test_a_jump_is_taken_at_once(house: House) -> None:
    async def read(second: int, **values: float) -> None:
        await house.read(START + timedelta(seconds=second), values)

    await read(0, current_l1=1.0, voltage_l1=230.0, energy_import=5)
    await read(30, current_l1=1.3, voltage_l1=231.0, energy_import=6)
    assert [house.state(key) for key in ("current_l1", "voltage_l1", "energy_import")] == ["1.00", "230.0", "5.000"]
    await read(60, current_l1=1.5, voltage_l1=228.0, energy_import=99)
    assert [house.state(key) for key in ("current_l1", "voltage_l1", "energy_import")] == ["1.50", "228.0", "5.000"]
    await read(270, current_l1=1.51, voltage_l1=228.1, energy_import=100)
    assert [house.state(key) for key in ("current_l1", "voltage_l1", "energy_import")] == ["1.51", "228.1", "100.000"]


async def test_nothing_stale_is_shown(house: House) -> None:
    """A cleared value is gone, and the next one is taken at once."""
    await house.read(START, {"energy_import": 5})
    await house.say(METER.value("energy_import"), "")
    assert house.state("energy_import") == "unknown"
    await house.read(START + timedelta(seconds=30), {"energy_import": 6})
    assert house.state("energy_import") == "6.000"
    await house.say(METER.availability, "offline")
    assert house.state("energy_import") == "unavailable"
    await house.read(START + timedelta(seconds=60), {"energy_import": 7})
    await house.say(METER.availability, "online")
    assert house.state("energy_import") == "7.000"


async def test_another_unit_of_the_users_is_no_harm(house: House) -> None:
    entities = er.async_get(house.hass)
    entities.async_update_entity_options("sensor.house_energy_import", "sensor", {"unit_of_measurement": "Wh"})
    await house.read(START, {"energy_import": 5})
    assert float(house.state("energy_import")) == 5000
    await house.read(START + timedelta(seconds=30), {"energy_import": 6})
    assert float(house.state("energy_import")) == 5000
    await house.read(START + timedelta(seconds=270), {"energy_import": 7})
    assert float(house.state("energy_import")) == 7000
