"""What an earlier run left at the broker: cleared, later if need be, and forgotten only when that is done."""

from __future__ import annotations

import asyncio
import shutil
from unittest import mock

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.config.sections.bridge import Discovery, Mqtt
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.presence.leftovers import Leftovers
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import house, kept_by, one_meter, running, write_config
from tests.fake_clock import FakeClock

ROOT = "dlms_mqtt/meter/house"
OLD = "2000-01-01T00:00:00+00:00"


async def _stands(port, *meters):
    """What of these meters stands at the broker."""
    kept = await kept_by(port, "dlms_mqtt/meter/#", "homeassistant/#")
    return {name for name in meters if any(f"/{name}/" in topic or f"_{name}/" in topic for topic in kept)}


async def test_a_meter_switched_off_while_the_bridge_was_killed(mosquitto, tmp_path, meter):
    def is_kept(topic):
        return "house" in topic and not topic.endswith("/reading")

    async with watching(mosquitto.port) as seen:  # what a killed bridge leaves
        for name, payload in (("availability", "online"), ("state", '{"power": 5}'), ("value/power", "5")):
            await seen.publish(f"{ROOT}/{name}", payload, retain=True)
    text = one_meter(meter, "enabled: false")
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.seen.of(f"{ROOT}/value/power") == ["5", ""])
        await home.until(lambda: home.meter("availability") == "offline")
        await home.until(lambda: home.meter("state") == '{"_time": {}}')
        home.path.write_text(home.path.read_text().replace("enabled: false", "enabled: true"))
        await home.app.reload()
        await home.until(lambda: home.meter("availability") == "online")
        home.path.write_text(home.path.read_text().replace("enabled: true", "enabled: false"))
        await home.app.reload()
        await home.until(lambda: home.meter("availability") == "offline")
        home.path.write_text(home.path.read_text().partition("meters:")[0] + "meters: {}\n")
        await home.app.reload()
        await home.until(lambda: not any(home.seen.latest[name] for name in home.seen.latest if is_kept(name)))
        async with watching(mosquitto.port) as fresh:
            await fresh.publish("the/end", "of what is retained")
            await fresh.until(lambda: "the/end" in fresh.latest)
            assert not [topic for topic in fresh.latest if "house" in topic]


async def test_discovery_switched_off_or_under_another_prefix(mosquitto, tmp_path, meter):
    names = "homeassistant/device/dlms_mqtt_house/config", "homeassistant/device/dlms_mqtt_bridge_main/config"
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
        await home.until(lambda: all(home.seen.latest.get(name) for name in names))
    async with house(mosquitto, tmp_path, one_meter(meter), mqtt="discovery: {prefix: other}") as home:
        await home.until(lambda: all(home.seen.of(name)[-1:] == [""] for name in names))
        others = [name.replace("homeassistant", "other") for name in names]
        await home.until(lambda: all(home.seen.latest.get(name) for name in others))
    async with house(mosquitto, tmp_path, one_meter(meter), mqtt="discovery: {enabled: false}") as home:
        await home.until(lambda: all(home.seen.of(name)[-1:] == [""] for name in others))
    async with house(mosquitto, tmp_path, one_meter(meter), mqtt="discovery: {enabled: false}") as home:
        await home.until(lambda: home.meter("availability") == "online")
        assert not [topic for topic, _, _ in home.seen.all if topic.startswith(("homeassistant", "other"))]


@pytest.mark.expect_log("No line to the broker")
async def test_what_could_not_be_cleared_is_cleared_later(mosquitto_factory, tmp_path):
    """The meter was removed while the broker was away, and that run never saw the broker."""
    broker = mosquitto_factory(persistence=True)
    async with serve_tcp(household(1)) as server, house(broker, tmp_path, one_meter(server)) as home:
        await home.until(lambda: home.meter("availability") == "online" and home.meter("value/power"))
    broker.stop()
    app = App(write_config(tmp_path, broker.port, ""), environment={})
    async with running(app):
        async with asyncio.timeout(60):
            while not (app.bridge and app.bridge.broker.trouble):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    broker.start()
    async with house(broker, tmp_path, "") as home:
        gone = f"{ROOT}/", "homeassistant/device/dlms_mqtt_house/"
        await home.until(lambda: any(payload == "" for topic, payload, *_ in home.seen.all if topic.startswith(gone)))
        async with asyncio.timeout(60):
            while home.app.bridge.broker.clearing or home.app.bridge.leftovers._owed:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with watching(broker.port) as fresh:
            await fresh.publish("the/end", "of what is retained")
            await fresh.until(lambda: "the/end" in fresh.latest)
            assert not [topic for topic in fresh.latest if topic.startswith(gone)]
        assert home.app.bridge.store.get("bridge", "meters") == []


@pytest.mark.parametrize(
    ("config", "gone", "device"),
    [
        (
            ("id: other", ""),
            ["dlms_mqtt/bridge/other", "homeassistant/device/dlms_mqtt_bridge_other/config"],
            "homeassistant/device/dlms_mqtt_bridge_main/config",
        ),
        # what Home Assistant knows a device by is for ever, also under another base topic
        pytest.param(
            ("", "base_topic: other"),
            ["other/bridge/main"],
            "homeassistant/device/dlms_mqtt-other_bridge_main/config",
        ),
    ],
    ids=["id", "base topic"],
)
async def test_a_bridge_with_another_name_leaves_none_behind(mosquitto, tmp_path, config, gone, device):
    path = write_config(tmp_path, mosquitto.port, "", *config)
    async with watching(mosquitto.port) as seen, running(App(path, environment={})):
        await seen.until(lambda: all(any(topic.startswith(name) for topic in seen.latest) for name in gone))
    async with house(mosquitto, tmp_path, "") as home:
        await home.until(lambda: device in home.seen.latest)
        async with watching(mosquitto.port) as fresh:
            await fresh.publish("the/end", "of what is retained")
            await fresh.until(lambda: "the/end" in fresh.latest)
            assert not [topic for topic in fresh.latest if topic.startswith(tuple(gone))]
            assert fresh.latest["dlms_mqtt/bridge/main/state"] == "online"
            assert '"dlms_mqtt/bridge/main/state"' in fresh.latest[device]


async def test_another_base_topic_of_our_own_is_no_other_program(mosquitto, tmp_path, meter):
    """What the run before announced stands at the broker still; nothing of it is told as a collision."""
    device = "homeassistant/device/dlms_mqtt_house/config"
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
        await home.until(lambda: '"dlms_mqtt/' in home.seen.latest.get(device, ""))
        path = write_config(tmp_path, mosquitto.port, one_meter(meter), mqtt="base_topic: elsewhere")
    async with watching(mosquitto.port) as seen:
        app = App(path, environment={})
        async with running(app):
            await seen.until(lambda: '"elsewhere/' in seen.latest.get(device, ""))
            await seen.until(lambda: seen.latest.get("elsewhere/meter/house/availability") == "online")
            assert not app.bridge.presence.collisions


@pytest.mark.expect_log("flat: this meter was ours and is not configured any more")
async def test_a_lost_state_directory_leaves_no_ghosts(mosquitto, tmp_path, meter):
    """The former bridge's own words at the broker tell what it had."""
    both = one_meter(meter, every="1s") + one_meter(meter, name="flat", every="1s")
    async with house(mosquitto, tmp_path, both) as home:
        await home.until(lambda: "online" == home.meter("availability") == home.meter("availability", "flat"))
        await home.until(lambda: home.meter("value/energy_import", "flat"))
    assert await _stands(mosquitto.port, "house", "flat") == {"house", "flat"}
    shutil.rmtree(tmp_path / "state")
    async with house(mosquitto, tmp_path, one_meter(meter, every="1s")) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await home.until(lambda: home.meter("availability", "flat") == "")
    assert await _stands(mosquitto.port, "house", "flat") == {"house"}


@pytest.mark.expect_log("flat: this meter was added over MQTT, and its file in state_dir/meters is gone")
async def test_managed_meters_and_odd_names_are_left_alone(mosquitto, tmp_path):
    async with watching(mosquitto.port) as seen:
        rows = [{"id": "flat", "managed": True}, *({"id": name} for name in ("flat/availability", "#", "+", "", 5))]
        await seen.publish("dlms_mqtt/bridge/main/info", {"started": OLD, "meters": rows}, retain=True)
        await seen.publish("dlms_mqtt/meter/flat/availability", "online", retain=True)
    async with house(mosquitto, tmp_path, "") as home:
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == [])
        await home.ask("bridge/main/request/ping")
    assert await _stands(mosquitto.port, "flat") == {"flat"}


class Run:
    """What one run of the bridge clears at its start, in a memory that the runs share."""

    def __init__(self, store, base="dlms_mqtt", bridge="main", meters=(), broken=(), **discovery):
        self.broker, self.publisher = mock.Mock(clearing=False), mock.Mock()
        told = Discovery(**discovery)
        config = Config(mqtt=Mqtt(discovery=told), meters=dict.fromkeys(meters, Meter()))
        context = Context(Topics(base, bridge, told.prefix), told, self.publisher, store, FakeClock(), "1")
        self.leftovers = Leftovers(config, context, self.broker, broken)
        self.ghosts = self.leftovers.clear()
        self.leftovers.remember(meters)

    @property
    def cleared(self):
        calls = (*self.broker.retain.call_args_list, *self.publisher.retain.call_args_list)
        assert all(call.args[1] == "" for call in calls)
        return {call.args[0] for call in calls}


BRIDGE = "device/dlms_mqtt_bridge_main/config"
ROOTS = {"dlms_mqtt/bridge/main/info", "dlms_mqtt/bridge/main/health", "dlms_mqtt/bridge/main/state"}
STYLES = "sensor/dlms_mqtt_bridge_main/status/config"
CHANGES = [  # what is other than in the first run; what of the bridge is cleared, and what is not
    ({}, set(), {f"homeassistant/{BRIDGE}"}),
    ({"prefix": "other"}, {f"homeassistant/{BRIDGE}", "homeassistant/device/dlms_mqtt_house/config"}, ROOTS),
    ({"enabled": False}, {f"homeassistant/{BRIDGE}"}, ROOTS),
    ({"base": "home"}, ROOTS, {f"homeassistant/{BRIDGE}"}),
    ({"bridge": "attic"}, {*ROOTS, f"homeassistant/{BRIDGE}"}, {"dlms_mqtt/bridge/attic/info"}),
]


@pytest.mark.parametrize(("change", "cleared", "kept"), CHANGES)
def test_names_of_the_earlier_run_are_cleared_once(change, cleared, kept):
    store = Store(MEMORY)
    first = Run(store, meters=["house"])
    first.leftovers.settle(["house"])
    assert first.cleared == set() and first.leftovers.base == "dlms_mqtt"
    second = Run(store, meters=["house"], **change)
    assert cleared <= second.cleared and not kept & second.cleared
    assert second.leftovers.base == "dlms_mqtt"
    again = Run(store, meters=["house"], **change)
    assert cleared <= again.cleared  # nothing has confirmed it
    again.leftovers.settle(["house"])
    assert Run(store, meters=["house"], **change).cleared == set()


def test_one_by_one_or_as_a_whole_leaves_nothing_of_the_other():
    store = Store(MEMORY)
    first = Run(store, style="components")
    first.leftovers.settle([])
    second = Run(store)
    assert f"homeassistant/{STYLES}" in second.cleared and f"homeassistant/{BRIDGE}" not in second.cleared
    second.leftovers.settle([])
    assert Run(store).cleared == set()


def test_meters_that_are_no_more_are_cleared_until_the_broker_has_confirmed_it():
    store = Store(MEMORY)
    Run(store, meters=["house", "flat", "shed"]).leftovers.settle(["house", "flat", "shed"])
    for _ in range(2):
        run = Run(store, meters=["house"], broken=["shed"])  # one of them cannot be read now
        assert run.ghosts == {"flat"} and "dlms_mqtt/meter/flat/availability" in run.cleared
        assert not any("/shed" in topic or "/house" in topic for topic in run.cleared)
        run.broker.clearing = True
        run.leftovers.settle(["house"])
    run.broker.clearing = False
    run.leftovers.settle(["house"])
    assert Run(store, meters=["house"]).ghosts == {"shed"}  # it can be read again, and is not there


@pytest.mark.expect_log("flat: this meter was ours", "shed: this meter was added over MQTT")
def test_meters_that_only_the_broker_knows_are_cleared_but_for_those_that_were_added_over_mqtt():
    run = Run(Store(MEMORY), meters=["house"])
    assert run.leftovers.clear_lost({"house": False, "flat": False, "shed": True, "no/id": False}) == {"flat"}
    assert "dlms_mqtt/meter/flat/availability" in run.cleared
    assert not any("shed" in topic or "house" in topic for topic in run.cleared)


@pytest.mark.parametrize("part", ["get", "set"])
def test_a_disk_that_fails_costs_no_start(monkeypatch, part):
    store = Store(MEMORY)
    monkeypatch.setattr(store, part, mock.Mock(side_effect=StoreError("the disk is full")))
    run = Run(store, meters=["house"])
    run.leftovers.settle(["house"])
    assert run.ghosts == set() and run.cleared == set()
