"""Devices in Home Assistant that two bridges cannot share, and meters that keep theirs under another id."""

from __future__ import annotations

import asyncio
import json

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.presence.device_ids import aliases, device_tag, tag_of, take_over
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import house, running, write_config


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def test_no_two_base_topics_have_the_same_tag():
    bases = ["dlms_mqtt", "home", "Home", "home/dlms", "home-dlms", "home_dlms", "höme", "h-me", "a", "dlms-mqtt"]
    assert len({tag_of(base) for base in bases}) == len(bases)
    assert tag_of("dlms_mqtt") == "dlms_mqtt" and tag_of("home") == "dlms_mqtt-home"
    assert all(tag.replace("_", "").replace("-", "").isalnum() and tag.isascii() for tag in map(tag_of, bases))


def test_the_identifiers_of_two_bases_never_meet():
    """Meter ids have no underscores, and a tag has nothing but hyphens behind the first one."""
    plain, other = Topics("dlms_mqtt", "main"), Topics("home", "main", devices="dlms_mqtt-home")
    assert plain.device("house") == "dlms_mqtt_house" and other.device("house") == "dlms_mqtt-home_house"
    assert other.bridge_device == "dlms_mqtt-home_bridge_main"
    assert plain.device("home") != other.device("house") and not plain.device("x").startswith("dlms_mqtt-")


def test_a_new_bridge_carries_its_base_and_keeps_it(store):
    assert device_tag("home", store) == "dlms_mqtt-home"
    assert device_tag("shed", store) == "dlms_mqtt-home"  # another base topic later: the same devices


@pytest.mark.parametrize("damaged", ["", "a/b", "x" * 301, 5, None])
def test_what_is_damaged_is_no_tag(store, damaged):
    """Brokers take no topic of 70,000 characters, and hang up."""
    store.set("bridge", "devices", damaged)
    assert device_tag("home", store) == "dlms_mqtt-home"


def test_what_an_earlier_version_announced_keeps_its_identifiers(store):
    store.set("bridge", "name", ["home", "main"])
    assert device_tag("home", store) == "dlms_mqtt"
    assert device_tag("home", store) == "dlms_mqtt"


def test_a_renamed_meter_remembers_its_counters(store):
    store.set("guard", "old", {"good": 1})
    store.set("scalers", "old", {"a": [0, 30]})
    store.set("scalers", "new", {"b": [0, 30]})
    refused = {"settings": "s", "refusals": 2, "until": 9e8, "worked": ""}
    store.set("lockout", "old", refused)
    store.set("peer counters", "old", {"pushes": 7})
    store.set("peer counters", "old association", {"answers": 8})
    take_over(store, [("new", "old"), ("other", "nothing")])
    assert store.get("guard", "new") == {"good": 1}
    assert store.get("scalers", "new") == {"b": [0, 30]}
    assert store.get("lockout", "new") == refused
    assert store.get("peer counters", "new") == {"pushes": 7}
    assert store.get("peer counters", "new association") == {"answers": 8}
    assert store.get("guard", "other") is None


def test_a_meter_that_is_renamed_again_keeps_its_first_identifiers(store):
    """It had those of its second name, and the device of the first stood in Home Assistant for ever."""
    for meters, known in (
        ({"a": ""}, {}),
        ({"b": "a"}, {"b": "a"}),
        ({"c": "b"}, {"c": "a"}),
        ({"c": "b"}, {"c": "a"}),  # the next start
        ({"d": "c", "e": "f"}, {"d": "a", "e": "f"}),
        ({}, {"d": "a", "e": "f"}),  # their devices are still to be cleared
        ({"g": "d", "a": ""}, {"g": "d", "e": "f"}),  # what was the first id is another meter's by now
        ({"e": "", "g": ""}, {}),
    ):
        assert aliases({name: Meter(replaces=before) for name, before in meters.items()}, store) == known


@pytest.mark.parametrize("kept", [5, ["a"], {"b": 7}, {"b": "A/#"}])
def test_a_damaged_memory_of_renamed_meters_is_none(store, kept):
    store.set("bridge", "aliases", kept)
    assert aliases({"c": Meter(replaces="b")}, store) == {"c": "b"}


@pytest.fixture
async def meter():
    async with serve_tcp(household(1)) as server:
        yield server


def _meters(server, name, *more):
    rows = [f"connection: {{tcp: '127.0.0.1:{server.port}', client: 17}}", "every: 1s", *more]
    return f"\n  {name}:\n" + "".join(f"    {row}\n" for row in rows)


async def test_two_bridges_that_differ_in_their_base_topic_only(mosquitto, tmp_path, meter):
    """125 discovery messages in 35 s it was once, alternating between two meters without end."""
    apps = []
    for base in ("home", "shed"):
        (tmp_path / base).mkdir()
        text = _meters(meter, "house", f"name: {base.capitalize()}")
        apps.append(App(write_config(tmp_path / base, mosquitto.port, text, "", f"base_topic: {base}"), environment={}))
    async with watching(mosquitto.port, "#") as seen, running(apps[0]), running(apps[1]):
        devices = [f"homeassistant/device/dlms_mqtt-{base}_house/config" for base in ("home", "shed")]
        await seen.until(lambda: all("sensor_energy_import" in seen.latest.get(name, "") for name in devices))
        told = len([topic for topic, _, _ in seen.all if topic.endswith("/config")])
        readings = len(seen.of("shed/meter/house/value/energy_import"))
        await seen.until(lambda: len(seen.of("shed/meter/house/value/energy_import")) > readings + 3)
        assert len([topic for topic, _, _ in seen.all if topic.endswith("/config")]) == told
        unique = [{row["unique_id"] for row in seen.json(name)["components"].values()} for name in devices]
        assert not unique[0] & unique[1]


@pytest.mark.expect_log("announced by another program too")
async def test_two_old_bridges_that_share_identifiers_make_no_storm(mosquitto, tmp_path, meter):
    device = "homeassistant/device/dlms_mqtt_house/config"
    async with house(mosquitto, tmp_path, _meters(meter, "house")) as home:
        await home.until(lambda: "sensor_energy_import" in home.seen.latest.get(device, ""))
        stranger = {"origin": {"name": "dlms-mqtt"}, "components": {"a": {"state_topic": "shed/meter/house/value/a"}}}
        before = len(home.seen.of(device))
        for _ in range(3):
            await home.seen.publish(device, stranger, retain=True)
        await home.until(lambda: "announced by another" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        await home.until(lambda: len(home.seen.of(device)) >= before + 3)
        await asyncio.sleep(1.5)  # what would be put right is put right within a second
        assert len(home.seen.of(device)) == before + 3
        await home.seen.publish(device, "", retain=True)  # cleared by hand: ours again
        await home.until(lambda: "sensor_energy_import" in home.seen.latest[device])


async def test_a_renamed_meter_keeps_its_device_and_entities(mosquitto, tmp_path, meter):
    device = "homeassistant/device/dlms_mqtt_house/config"
    async with house(mosquitto, tmp_path, _meters(meter, "house")) as home:
        await home.until(lambda: "sensor_energy_import" in home.seen.latest.get(device, ""))
        before = home.seen.json(device)
    async with watching(mosquitto.port) as seen:
        path = write_config(tmp_path, mosquitto.port, _meters(meter, "cellar", "replaces: house"))
        async with running(App(path, environment={})):
            await seen.until(lambda: "cellar/value/energy_import" in seen.latest.get(device, ""))
            after = json.loads(seen.latest[device])
            assert "" not in seen.of(device)  # Home Assistant would forget names and areas
            key = "sensor_energy_import"
            assert after["components"][key]["unique_id"] == before["components"][key]["unique_id"]
            assert after["device"]["identifiers"] == before["device"]["identifiers"]
            assert after["components"][key]["state_topic"] == "dlms_mqtt/meter/cellar/value/energy_import"
            await seen.until(lambda: seen.latest.get("dlms_mqtt/meter/house/availability") == "")
            # removed for good: then the device goes too
            write_config(tmp_path, mosquitto.port, "")
            await seen.until(lambda: seen.latest[device] == "")


def failing(*_):
    raise StoreError("the disk is full")


def test_a_state_file_that_cannot_be_used_costs_no_start(store, monkeypatch):
    store.set("discovery", "old", {"said": "x"})
    with monkeypatch.context() as patch:
        patch.setattr(store, "get", failing)
        assert device_tag("home", store) == "dlms_mqtt-home"
        assert aliases({"new": Meter(replaces="old")}, store) == {"new": "old"}
    assert store.get("discovery", "new") is None
    monkeypatch.setattr(store, "set", failing)
    assert device_tag("home", store) == "dlms_mqtt-home"
    take_over(store, [("new", "old")])
