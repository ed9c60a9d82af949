"""What a meter's values become: state, availability, events, discovery, and counters that are held."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from unittest import mock

import pytest

from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.bridge.meters.output.publisher import clear_meter, put_to_sleep
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import Rig

ENERGY = Obis.parse("1.0.1.8.0.255")
SERIAL = Obis.parse("0.0.96.1.0.255")
VALUES = ("value/energy_import", "value/power")


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


def _components(rig):
    return json.loads(rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])["components"]


@pytest.mark.expect_log("h: ")
async def test_home_assistant_never_takes_a_value_for_expired_while_the_bridge_lives(clock, store):
    """Read, computed, with the meter gone and back: each is said again, or cleared, before its time is up."""
    also = [
        "3/1.0.16.7.0.255",
        {"obis": "1.0.2.8.0.255", "class": 3, "every": "15m"},
        {"obis": "1.0.1.8.0.255", "class": 3, "at": ["06:00"]},
    ]
    derive = {"twice": {"value": "power + energy_export", "unit": "W"}}
    rig = Rig(clock, store, {"every": "1m", "read": {"set": "none", "also": also}, "derive": derive})
    said, retain = {}, rig.publisher.retain

    def timed(topic, payload, lifetime=None):
        if "/value/" in topic:
            said.setdefault(topic.rpartition("/")[2], []).append((clock.monotonic(), payload))
        retain(topic, payload, lifetime)

    with mock.patch.object(rig.publisher, "retain", timed):
        async with rig.run():
            for hours, dead in ((30, True), (1, False), (3, False)):
                await asyncio.sleep(hours * 3600)
                rig.dead = dead
                await rig.task.session.close()
            components, end = _components(rig), clock.monotonic()
    expiries = {key: components[f"sensor_{key}"]["expire_after"] for key in said}
    assert expiries == {"power": 240, "energy_export": 2760, "energy_import": 25 * 3600 + 60, "twice": 2760}
    for key, rows in said.items():
        moments = [*(moment for moment, _ in rows), end]
        late = [a for (a, payload), b in zip(rows, moments[1:], strict=True) if payload and b - a >= expiries[key]]
        assert len(rows) > 1 and not late, (key, late)
    assert components["sensor_status"]["expire_after"] == 240
    assert {"button_read_now", "switch_pause"} <= set(components)
    assert not any("expire_after" in row for name, row in components.items() if not name.startswith("sensor_"))


async def test_values_are_said_once_more_after_entities_that_home_assistant_had_were_told_anew(clock, store):
    """It takes what expires for expired then, and a value of a time of day would be missing for a day."""
    config = {"read": {"set": "none", "also": [{"obis": "1.0.1.8.0.255", "class": 3, "at": ["00:05"]}]}}
    rig = Rig(clock, store, config)
    async with rig.run():
        await asyncio.sleep(600)
        rig.output._context.discovery = replace(rig.output._context.discovery, language="de")
        rig.output.announce_again()
        announced = len(rig.publisher.history)
        await asyncio.sleep(60)
    again = [text for topic, text in rig.publisher.history[announced:] if topic == "value/energy_import" and text]
    assert again == [text for topic, text in rig.publisher.history[:announced] if topic == "value/energy_import"]
    assert len(again) == len(rig.readings) == 1  # it is no reading


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
        rig.simulated.objects[3, ENERGY].values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, 0)
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
        register = rig.simulated.objects[1, Obis.parse("0.0.97.98.0.255")]
        for value in (9, 8):
            register.values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, value)
            await asyncio.sleep(30)
    events = [(m["event_type"], m["name"]) for topic, m in rig.publisher.messages if topic == "event"]
    assert events == [("alarm", "cover"), ("alarm", "magnet"), ("alarm_cleared", "cover")]
    key = next(iter(rig.task.plan.by_key))
    assert rig.publisher.retained[f"value/{key}_magnet"] == "on"
    assert rig.publisher.retained[f"value/{key}_cover"] == "off"


def _read(*items):
    return {"every": "10s", "read": {"set": "none", "also": list(items)}}


async def test_what_is_too_old_leaves_every_topic(clock, store):
    """And what says that the meter lives is renewed before the broker forgets it."""
    async with Rig(clock, store, _read("3/1.0.1.8.0.255", "1.0.16.7.0.255")).run() as rig:
        await asyncio.sleep(15)
        assert all(rig.publisher.retained[topic] for topic in VALUES)
        assert set(rig.output.fresh_rows) == set(rig.output.last) == {"energy_import", "power"}
        rig.publisher.history.clear()
        await asyncio.sleep(200)
        rig.output.expire()
        assert rig.publisher.history.count(("availability", "online")) == 5
    await asyncio.sleep(24 * 3600)
    rig.output.online = False
    rig.output.expire()
    assert [rig.publisher.retained[topic] for topic in VALUES] == ["", ""]
    assert json.loads(rig.publisher.retained["state"]) == {"_time": {}} and rig.output.fresh_rows == {}
    rig.publisher.history.clear()
    rig.output.expire()
    assert rig.publisher.history == []


async def test_a_value_of_an_earlier_run_is_cleared_unless_it_is_fresh_now(clock, store):
    async with Rig(clock, store, _read("3/1.0.1.8.0.255")).run() as rig:
        await asyncio.sleep(15)
        good = rig.publisher.retained["value/energy_import"]
        rig.output.clear_stranger(rig.output.topics.value("energy_import"))
        rig.output.clear_stranger(rig.output.topics.value("long_gone"))
        assert rig.publisher.retained["value/energy_import"] == good
        assert rig.publisher.retained["value/long_gone"] == ""


async def test_what_was_read_at_its_time_of_day_is_shown_again_after_a_restart(clock, store):
    config = _read("3/1.0.1.8.0.255", {"obis": "1.0.2.8.0.255", "at": ["13:10"]}) | {"every": "6h"}
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(20 * 60)
        shown = rig.publisher.retained["value/energy_export"]
        items = rig.task.plan.items
    assert shown
    fresh = Rig(clock, store, config)
    fresh.output.restore(fresh.output.kept(items, rig.task.now()))
    assert fresh.publisher.retained["value/energy_export"] == shown
    assert "value/energy_import" not in fresh.publisher.retained
    fresh.publisher.history.clear()
    fresh.output.restore(fresh.output.kept(items, rig.task.now()))
    assert fresh.publisher.history == []


@pytest.mark.expect_log("another meter")
async def test_another_meter_on_the_line_is_told_and_nothing_of_the_old_one_is_taken_for_its(clock, store):
    serial = {"obis": str(SERIAL), "class": 1, "key": "serial_number"}
    rig = Rig(clock, store, _read("3/1.0.1.8.0.255", serial))
    number = rig.simulated.objects[1, SERIAL].values
    async with rig.run():
        await asyncio.sleep(15)
        old = rig.publisher.retained["value/serial_number"]
        number[2] = Data(DataType.OCTET_STRING, b"87654321")
        rig.simulated.objects[3, ENERGY].values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, 5)
        await asyncio.sleep(20)
    (event,) = [message for topic, message in rig.publisher.messages if topic == "event"]
    assert (event["event_type"], event["old"], event["new"]) == ("meter_changed", old, "87654321")
    starts = [reading["value"] for reading in rig.readings if reading.get("start")]
    assert len(starts) == 1 and rig.publisher.retained["value/energy_import"] == str(starts[0])


async def test_rows_of_a_profile_go_out_with_the_meters_id(clock, store):
    rig = Rig(clock, store, _read("3/1.0.1.8.0.255"))
    rig.output.profile("profile_1", {"columns": [], "rows": []})
    assert rig.publisher.messages == [("profile/profile_1", {"meter": "h", "columns": [], "rows": []})]
    await rig.output.room()
    rig.output.flush_readings()
    assert rig.publisher.waits == 1


async def test_a_bridge_that_ends_leaves_no_value_that_looks_fresh(clock, store):
    async with Rig(clock, store, _read("3/1.0.1.8.0.255", "1.0.16.7.0.255")).run() as rig:
        await asyncio.sleep(15)
    rig.output.leave()
    rig.output.close()
    assert [rig.publisher.retained[topic] for topic in VALUES] == ["", ""]


@pytest.mark.parametrize("full", [False, True], ids=["", "with a store that fails"])
async def test_a_meter_that_is_no_more_leaves_nothing_at_the_broker(clock, store, full):
    async with Rig(clock, store, _read("3/1.0.1.8.0.255")).run() as rig:
        await asyncio.sleep(15)
        rig.output.announce_again()
    store.set("lockout", "h", {"refusals": 2})
    failing = mock.Mock(side_effect=StoreError("the disk is full"))
    with mock.patch.multiple(Store, get=failing, forget=failing) if full else nullcontext():
        rig.output.remove()
    retained = rig.publisher.retained
    assert {topic for topic in retained if retained[topic]} == set()
    assert rig.output.online is None
    assert (store.get("discovery", "h") is None) is not full
    assert store.get("lockout", "h"), "it may come back with the same wrong password"


async def test_a_meter_that_is_switched_off_is_offline_and_without_values(clock, store):
    rig = Rig(clock, store, _read("3/1.0.1.8.0.255"))
    put_to_sleep("h", rig.output._context)
    assert rig.publisher.retained == {"availability": "offline", "state": '{"_time": {}}'}
    clear_meter("h", rig.output._context, ["power"])
    assert not any(rig.publisher.retained.values())
