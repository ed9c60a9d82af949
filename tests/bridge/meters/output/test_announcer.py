"""Discovery in both styles: which topics, what is cleared, and what becomes of the other style's messages."""

from __future__ import annotations

import asyncio
import json
import re
from unittest import mock

import pytest

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.objects import CosemObject
from tests.bridge.house import METER, house, kept_by
from tests.bridge.rig import Rig


def _announced(seen) -> set[str]:
    return {topic for topic, text in seen.latest.items() if topic.startswith("homeassistant/") and text}


async def test_the_style_is_changed_and_back_and_nothing_is_left(mosquitto, tmp_path):
    """Seen by a client that starts afterwards; a removed meter leaves none of its many messages."""
    whole = {"homeassistant/device/dlms_mqtt_house/config", "homeassistant/device/dlms_mqtt_bridge_main/config"}
    async with serve_tcp(household(1)) as server:
        meters = METER.replace("PORT", str(server.port))
        power = "homeassistant/sensor/dlms_mqtt_house/power/config"
        status = "homeassistant/sensor/dlms_mqtt_bridge_main/status/config"

        def as_one(topics: set[str]) -> bool:
            return topics == whole

        def each(topics: set[str]) -> bool:
            return {power, status} <= topics and not whole & topics

        for style, right in (("device", as_one), ("components", each), ("device", as_one)):
            async with house(mosquitto, tmp_path, meters, mqtt=f"discovery: {{style: {style}}}") as home:
                await home.until(lambda: '"power"' in home.meter("state"))
                await home.until(lambda right=right: right(_announced(home.seen)))
            kept = await kept_by(mosquitto.port, "homeassistant/#")
            assert right(set(kept))
            if style == "device":
                continue
            found = json.loads(kept[power][0])
            assert found["unique_id"] == "dlms_mqtt_house_power" and "platform" not in found
            assert found["device"]["identifiers"] == ["dlms_mqtt_house"] and found["origin"]["name"] == "dlms-mqtt"
            assert all(re.fullmatch(r"homeassistant/[a-z_]+/[\w-]+/[\w-]+/config", name) for name in kept)
        async with house(mosquitto, tmp_path, meters, mqtt="discovery: {style: components}") as home:
            await home.until(lambda: home.seen.latest.get(power))
        async with house(mosquitto, tmp_path, "", mqtt="discovery: {style: components}") as home:
            await home.until(lambda: not {name for name in _announced(home.seen) if "dlms_mqtt_house" in name})
            await home.until(lambda: home.seen.latest.get(status))
        async with house(mosquitto, tmp_path, "", mqtt="discovery: {enabled: false}") as home:
            await home.until(lambda: not _announced(home.seen))


DEVICE = "homeassistant/device/dlms_mqtt_h/config"
READ = {"every": "10s", "read": {"set": "none", "also": ["3/1.0.1.8.0.255"]}}


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def components(rig):
    return json.loads(rig.publisher.retained[DEVICE])["components"]


@pytest.mark.parametrize(
    "kept",
    [
        5,
        [1],
        {"components": 5},
        {"components": ["sensor_x"]},
        {"components": {"sensor_x": 5}},
        {"device": "x", "components": {"sensor_x": {}}},
        {"pushed": 5},
        {"pushed": [[1]]},
    ],
)
async def test_a_damaged_memory_of_what_was_announced_is_none(clock, store, kept):
    """A meter whose entities are announced anew; it was not read any more."""
    async with Rig(clock, store, READ).run():
        await asyncio.sleep(15)
    store.set("discovery", "h", {**store.get("discovery", "h"), **kept} if isinstance(kept, dict) else kept)
    async with Rig(clock, store, READ).run() as rig:
        await asyncio.sleep(15)
    assert rig.publisher.retained["availability"] == "online"
    assert "sensor_energy_import" in components(rig) and "sensor_x" not in components(rig)
    rig.output.remove()


async def test_a_meter_that_is_silent_after_a_restart_keeps_its_entities(clock, store):
    async with Rig(clock, store, READ).run() as rig:
        await asyncio.sleep(15)
        rig.publisher.history.clear()
        rig.output.announce(rig.task.plan)
        assert not rig.publisher.history  # nothing new
    again = Rig(clock, store, READ)
    again.output.announce(None)
    assert set(components(again)) == set(components(rig))
    unknown = Rig(clock, Store(":memory:"), READ)
    unknown.output.announce(None)
    assert "sensor_energy_import" not in components(unknown)


async def test_a_memory_that_cannot_be_read_costs_no_announcement(clock, store, monkeypatch):
    rig = Rig(clock, store, READ)
    monkeypatch.setattr(store, "get", mock.Mock(side_effect=StoreError("damaged")))
    async with rig.run():
        await asyncio.sleep(15)
    assert "sensor_energy_import" in components(rig)


async def test_a_preset_that_is_gone_costs_no_announcement(clock, store):
    async with Rig(clock, store, READ | {"preset": "/nowhere/preset.yaml"}).run() as rig:
        await asyncio.sleep(15)
    assert "sensor_energy_import" in components(rig)


async def test_a_text_that_is_too_long_for_a_state_has_no_entity(clock, store):
    note = {"obis": "0.0.96.13.0.255", "class": 1, "key": "note"}
    rig = Rig(clock, store, READ | {"read": {"set": "none", "also": [note]}})
    text = CosemObject(1, Obis.parse("0.0.96.13.0.255"), 0, {2: Data(DataType.OCTET_STRING, b"x" * 300)})
    rig.simulated.add(text)
    async with rig.run():
        await asyncio.sleep(15)
        assert "sensor_note" not in components(rig)
        text.values[2] = Data(DataType.OCTET_STRING, b"short")
        await asyncio.sleep(15)
        assert "sensor_note" in components(rig)
