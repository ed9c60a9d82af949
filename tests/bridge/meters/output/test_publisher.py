"""What a meter's values become: state, availability, events, discovery, and counters that are held."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import pytest

from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.client.state.store import Store
from tests.bridge.rig import Rig


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


async def test_a_day_of_reading(clock, store):
    config = {
        "every": "15m",
        "read": {
            "set": "none",
            "also": [
                "3/1.0.1.8.0.255",
                {"obis": "1.0.16.7.0.255", "every": "5m"},
                {"obis": "1.0.2.8.0.255", "at": ["00:05", "12:00"]},
            ],
        },
    }
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(24 * 3600)
    counts = Counter(reading["key"] for reading in rig.readings)
    assert counts == {"energy_import": 96, "power": 288, "energy_export": 3} or counts == {
        "energy_import": 97,
        "power": 289,
        "energy_export": 3,
    }
    times = [datetime.fromisoformat(reading["time"]) for reading in rig.readings if reading["key"] == "energy_export"]
    assert [moment.strftime("%H:%M") for moment in times[1:]] in (["00:05", "12:00"], ["12:00", "00:05"])
    energy = [reading["value"] for reading in rig.readings if reading["key"] == "energy_import"]
    assert energy == sorted(energy) and energy[-1] > energy[0]
    assert rig.task.status.reasons == {}


async def test_nothing_is_stamped_before_the_clock_is_set(clock, store):
    clock.step(-clock.time())
    async with Rig(clock, store, {"every": "10s", "read": ["1.0.1.8.0.255"]}).run() as rig:
        await asyncio.sleep(60)
        assert rig.readings == []
        clock.step(1767614400)
        await asyncio.sleep(30)
        assert rig.readings and rig.readings[0]["time"].startswith("2026")


@pytest.mark.expect_log("held back")
async def test_a_counter_that_turns_zero_is_held_and_shown(clock, store):
    rig = Rig(clock, store, {"every": "30s", "read": ["3/1.0.1.8.0.255"], "supply": {"phases": 1, "amperes": 25}})
    async with rig.run():
        await asyncio.sleep(40)
        good = rig.publisher.retained["value/energy_import"]
        from dlms_mqtt.protocol.axdr.data import Data, DataType
        from dlms_mqtt.protocol.obis import Obis

        rig.simulated.objects[3, Obis.parse("1.0.1.8.0.255")].values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, 0)
        await asyncio.sleep(60)
        assert rig.publisher.retained["value/energy_import"] == good
        assert meter_health(rig.task)["held"]["energy_import"]["reason"] == "zero"
        assert rig.output.accept_held() == ["energy_import"]
        assert rig.publisher.retained["value/energy_import"] == "0"
        assert meter_health(rig.task)["held"] == {}


async def test_alarm_bits_are_events(clock, store):
    rig = Rig(
        clock,
        store,
        {"every": "30s", "read": [{"obis": "0.0.97.98.0.255", "class": 1, "bits": {0: "cover", 3: "magnet"}}]},
    )
    async with rig.run():
        await asyncio.sleep(40)
        from dlms_mqtt.protocol.axdr.data import Data, DataType
        from dlms_mqtt.protocol.obis import Obis

        register = rig.simulated.objects[1, Obis.parse("0.0.97.98.0.255")]
        for value in (9, 8):
            register.values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, value)
            await asyncio.sleep(30)
    events = [(m["event_type"], m["name"]) for topic, m in rig.publisher.messages if topic == "event"]
    assert events == [("alarm", "cover"), ("alarm", "magnet"), ("alarm_cleared", "cover")]
    key = next(iter(rig.task.plan.by_key))
    assert rig.publisher.retained[f"value/{key}_magnet"] == "on"
    assert rig.publisher.retained[f"value/{key}_cover"] == "off"
