"""Others at the broker and leftovers: rivals, overwritten topics, meters switched off, discovery switched off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from unittest import mock

import pytest

from dlms_mqtt.bridge import bridge as bridge_bridge
from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.presence.id_claims import Claims
from dlms_mqtt.bridge.presence.presence import Presence
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import house, kept_by, running, write_config

ROOT = "dlms_mqtt/meter/house"
OLD = "2000-01-01T00:00:00+00:00"


@pytest.fixture
async def meter():
    async with serve_tcp(household(1)) as server:
        yield server


def _meters(server, *more, name="house", every="1h"):
    rows = [f"connection: {{tcp: '127.0.0.1:{server.port}', client: 17}}", f"every: {every}", *more]
    return f"\n  {name}:\n" + "".join(f"    {row}\n" for row in rows)


async def _publish_retained(home, topic, payload):
    await home.seen.publish(topic, payload, retain=True)


@contextlib.asynccontextmanager
async def _other_bridge(port, *meters):
    """Another live bridge, as far as its messages tell."""
    async with watching(port, "dlms_mqtt/bridge/other/request/ping") as ears:

        async def answer():
            done = 0
            while True:
                await ears.until(lambda: len(ears.all) > done, 60)  # noqa: B023
                reply = {"id": json.loads(ears.all[done][1])["id"], "status": "ok", "data": {"started": OLD}}
                await ears.publish("dlms_mqtt/bridge/other/response/ping", reply)
                done += 1

        task = asyncio.create_task(answer())
        info = {"api": 1, "bridge": "other", "started": OLD, "meters": [{"id": name} for name in meters]}
        await ears.publish("dlms_mqtt/bridge/other/state", "online", retain=True)
        await ears.publish("dlms_mqtt/bridge/other/info", info, retain=True)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.expect_log("held by the bridge 'other'", "no other bridge holds the meter id any more")
async def test_of_two_that_started_together_the_younger_gives_the_meter_up(mosquitto, tmp_path, meter, monkeypatch):
    """And takes it again when the other bridge is gone."""
    monkeypatch.setattr(bridge_bridge, "_CLAIM_AGAIN", 0.5)
    text = _meters(meter) + _meters(meter, name="flat")
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("availability") == "online" == home.meter("availability", "flat"))
        async with _other_bridge(mosquitto.port, "house"):
            rows = [{"id": "flat", "name": "flat", "managed": False, "device": "dlms_mqtt_flat"}]
            await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == rows)
            await _publish_retained(home, f"{ROOT}/availability", "theirs")
            await asyncio.sleep(0.5)
            assert home.meter("availability") == "theirs"
            assert home.meter("availability", "flat") == "online"
            await home.seen.publish("dlms_mqtt/bridge/other/state", "offline", retain=True)
            await home.until(lambda: len(home.seen.json("dlms_mqtt/bridge/main/info")["meters"]) == 2)
            await home.until(lambda: home.meter("availability") == "online")


@pytest.mark.expect_log("held by the bridge 'other'")
async def test_a_meter_that_another_bridge_has_is_not_added_by_a_reload(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, "") as home, _other_bridge(mosquitto.port, "house"):
        home.path.write_text(home.path.read_text().replace("meters: {}", f"meters:{_meters(meter)}"))
        await home.until(lambda: home.app.bridge.presence.claims.contested(["house"]))
        assert await home.app.reload() == ["house"]
        await home.until(lambda: "house" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        assert home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == []
        assert not [topic for topic, _, _ in home.seen.all if topic.startswith(ROOT)]


async def test_whatever_is_overwritten_is_put_right(mosquitto, tmp_path, meter):
    """Also what is not published again for an hour."""
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        topics = [
            *(f"{ROOT}/{name}" for name in ("availability", "state", "value/energy_import", "value/power")),
            *(f"dlms_mqtt/bridge/main/{name}" for name in ("state", "info", "health")),
            *(f"homeassistant/device/dlms_mqtt_{name}/config" for name in ("house", "bridge_main")),
        ]
        # the device is told last of all, and once more when its values are known
        await home.until(lambda: set(topics) <= set(home.seen.latest) and "serial" in home.seen.latest[topics[-2]])
        for wrong in ("wrong", ""):
            for topic in topics:
                before, seen = home.seen.latest[topic], len(home.seen.of(topic))
                await _publish_retained(home, topic, wrong)
                await home.until(lambda: wrong in home.seen.of(topic)[seen:-1])  # noqa: B023
                if not topic.endswith("health"):
                    assert home.seen.latest[topic] == before, topic
        await _publish_retained(home, f"{ROOT}/value/made_up", "5")
        await home.until(lambda: home.seen.of(f"{ROOT}/value/made_up") == ["5", ""])


async def test_two_that_put_the_same_topic_right_make_no_storm(mosquitto, tmp_path, meter):
    topic = f"{ROOT}/availability"
    async with house(mosquitto, tmp_path, _meters(meter)) as home, watching(mosquitto.port, topic) as rival:
        await home.until(lambda: home.meter("availability") == "online")

        began, done = asyncio.get_running_loop().time(), 0
        while home.seen.of(topic).count("mine") < 4:
            await rival.until(lambda: rival.all[done:])  # noqa: B023
            done = len(rival.all)
            if rival.all[-1][1] == "online":
                await rival.publish(topic, "mine", retain=True)
        seconds = asyncio.get_running_loop().time() - began
        assert home.seen.of(topic).count("mine") <= 3 + seconds
        await home.until(lambda: home.meter("availability") == "online")


async def test_a_meter_that_is_switched_off(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await home.until(lambda: home.meter("value/power"))
        home.path.write_text(home.path.read_text() + "    enabled: false\n")
        assert await home.app.reload() == ["house"]
        await home.until(lambda: home.meter("value/power") == "")
        await home.until(lambda: (home.meter("availability"), home.meter("state")) == ("offline", '{"_time": {}}'))
        components = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        assert "sensor_power" in components


async def test_a_meter_switched_off_while_the_bridge_was_killed(mosquitto, tmp_path, meter):
    def is_kept(topic):
        return "house" in topic and not topic.endswith("/reading")

    async with watching(mosquitto.port) as seen:  # what a killed bridge leaves
        for name, payload in (("availability", "online"), ("state", '{"power": 5}'), ("value/power", "5")):
            await seen.publish(f"{ROOT}/{name}", payload, retain=True)
    text = _meters(meter, "enabled: false")
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
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await home.until(lambda: all(home.seen.latest.get(name) for name in names))
    async with house(mosquitto, tmp_path, _meters(meter), mqtt="discovery: {prefix: other}") as home:
        await home.until(lambda: all(home.seen.of(name)[-1:] == [""] for name in names))
        others = [name.replace("homeassistant", "other") for name in names]
        await home.until(lambda: all(home.seen.latest.get(name) for name in others))
    async with house(mosquitto, tmp_path, _meters(meter), mqtt="discovery: {enabled: false}") as home:
        await home.until(lambda: all(home.seen.of(name)[-1:] == [""] for name in others))
    async with house(mosquitto, tmp_path, _meters(meter), mqtt="discovery: {enabled: false}") as home:
        await home.until(lambda: home.meter("availability") == "online")
        assert not [topic for topic, _, _ in home.seen.all if topic.startswith(("homeassistant", "other"))]


@pytest.mark.expect_log("No line to the broker")
async def test_what_could_not_be_cleared_is_cleared_later(mosquitto_factory, tmp_path):
    """The meter was removed while the broker was away, and that run never saw the broker."""
    broker = mosquitto_factory(persistence=True)
    async with serve_tcp(household(1)) as server, house(broker, tmp_path, _meters(server)) as home:
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
            while home.app.bridge.broker.clearing or home.app.bridge.former._owed:  # noqa: ASYNC110
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
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await home.until(lambda: '"dlms_mqtt/' in home.seen.latest.get(device, ""))
        path = write_config(tmp_path, mosquitto.port, _meters(meter), mqtt="base_topic: elsewhere")
    async with watching(mosquitto.port) as seen:
        app = App(path, environment={})
        async with running(app):
            await seen.until(lambda: '"elsewhere/' in seen.latest.get(device, ""))
            await seen.until(lambda: seen.latest.get("elsewhere/meter/house/availability") == "online")
            assert not app.bridge.presence.collisions


@pytest.mark.expect_log("it is tried again", "No line to the broker", "is there again", "held by an older bridge")
async def test_two_that_cannot_ask_each_other_make_no_storm(mosquitto, tmp_path, meter, monkeypatch, caplog):
    """Under one client id each throws the other off the broker; what stands on our topic tells that it is alive."""

    async def nobody_answers(self):
        return False

    monkeypatch.setattr(Claims, "bridge_is_taken", nobody_answers)
    async with house(mosquitto, tmp_path, _meters(meter), mqtt="protocol: '3.1.1'") as home:
        (tmp_path / "two").mkdir()
        path = write_config(tmp_path / "two", mosquitto.port, "", mqtt="protocol: '3.1.1'")
        second = App(path, environment={})
        async with running(second):
            await home.until(lambda: "held by an older bridge" in caplog.text)
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] != [])
        assert not home.app.bridge.taken, "the older one stays"


def _presence(clock, *, connected=False, taken=True):
    topics, broker, given_way = Topics("dlms_mqtt", "main"), mock.Mock(), []
    broker.connected, broker.has_taken.return_value = connected, taken
    fleet = mock.Mock(running={}, meters={})
    former = mock.Mock(base="dlms_mqtt", **{"clear.return_value": set()})
    return Presence(topics, "2026-01-02", broker, fleet, former, given_way.append, mock.AsyncMock()), given_way


OLDER = Message("dlms_mqtt/bridge/main/info", b'{"started": "2026-01-01"}', retained=True)


@pytest.mark.parametrize(
    ("pause", "more", "gives_way"),
    [(8, {}, True), (31, {}, False), (8, {"connected": True}, False), (8, {"taken": False}, False)],
)
async def test_an_old_memory_of_the_broker_is_no_rival(clock, pause, more, gives_way):
    presence, given_way = _presence(clock, **more)
    for _ in range(5):
        presence.bridge_spoke(OLDER)
        await asyncio.sleep(pause)
    assert bool(given_way) == gives_way


async def _stands(port, *meters):
    """What of these meters stands at the broker."""
    kept = await kept_by(port, "dlms_mqtt/meter/#", "homeassistant/#")
    return {name for name in meters if any(f"/{name}/" in topic or f"_{name}/" in topic for topic in kept)}


@pytest.mark.expect_log("flat: this meter was ours and is not configured any more")
async def test_a_lost_state_directory_leaves_no_ghosts(mosquitto, tmp_path, meter):
    """The former bridge's own words at the broker tell what it had."""
    both = _meters(meter, every="1s") + _meters(meter, name="flat", every="1s")
    async with house(mosquitto, tmp_path, both) as home:
        await home.until(lambda: "online" == home.meter("availability") == home.meter("availability", "flat"))
        await home.until(lambda: home.meter("value/energy_import", "flat"))
    assert await _stands(mosquitto.port, "house", "flat") == {"house", "flat"}
    shutil.rmtree(tmp_path / "state")
    async with house(mosquitto, tmp_path, _meters(meter, every="1s")) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await home.until(lambda: home.meter("availability", "flat") == "")
    assert await _stands(mosquitto.port, "house", "flat") == {"house"}


async def test_a_meter_that_another_bridge_has_by_now_is_no_ghost(mosquitto, tmp_path, meter):
    """It moved, and the state directory of its former bridge was lost: that is the other one's now."""
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        info = home.seen.json("dlms_mqtt/bridge/main/info")
    async with _other_bridge(mosquitto.port, "house"):
        claims = Claims(Topics("dlms_mqtt", "main"), "now", mock.AsyncMock())
        claims.seen("dlms_mqtt/bridge/main/info", json.dumps(info).encode())
        assert claims.said_to_be_ours(()) == {"house": False}
        claims.seen("dlms_mqtt/bridge/main/state", b"online")
        assert claims.said_to_be_ours(()) == {}, "somebody with our id may be there, and slow to answer"
        shutil.rmtree(tmp_path / "state")
        async with house(mosquitto, tmp_path, "") as home:
            await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == [])
            await home.ask("bridge/main/request/ping")
        assert await _stands(mosquitto.port, "house") == {"house"}


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


async def test_a_look_around_lasts_as_long_as_new_topics_come(clock):
    """A broker that keeps much sends it in its own time; what is said again is no news."""
    seen, loop = _looking_around(), asyncio.get_running_loop()
    for number in range(1, 4):
        loop.call_later(0.3 * number, seen.retained_came, _kept(f"{ROOT}/value/{number}"))
    for number in range(100):
        loop.call_later(0.35 + 0.1 * number, seen.retained_came, _kept(f"{ROOT}/value/1"))
    await seen._all_has_come()
    assert clock.elapsed == pytest.approx(0.9 + 0.4)
    assert seen._silence is None


async def test_a_flood_of_retained_topics_keeps_no_bridge_from_its_work(clock):
    seen, loop = _looking_around(), asyncio.get_running_loop()
    for number in range(1000):
        loop.call_later(0.1 * number, seen.retained_came, _kept(f"{ROOT}/value/{number}"))
    await seen._all_has_come()
    assert clock.elapsed == pytest.approx(20.0)


def _kept(topic):
    return Message(topic, b"1", True)


def _looking_around():
    return Presence(
        Topics("dlms_mqtt", "main"), OLD, mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), print, mock.AsyncMock()
    )


async def test_the_line_that_follows_the_first_look_is_no_news(monkeypatch):
    """The first look has a line of its own; the bridge's own comes at once, and what the broker keeps was seen."""
    looks = []
    seen = _looking_around()
    for place in (seen._broker.subscribe, seen._broker.unsubscribe, seen._fleet.complete.wait):
        place.side_effect = mock.AsyncMock()
    seen._fleet.running, seen._ghosts, seen.claims._infos = {}, set(), {}
    seen._former.clear_lost.return_value = set()
    all_has_come = seen._all_has_come

    async def look():
        looks.append(seen.ready)
        await all_has_come()

    monkeypatch.setattr(seen, "_all_has_come", look)
    monkeypatch.setattr("dlms_mqtt.bridge.presence.presence._SILENCE", 0)
    await seen.look_around()
    await seen.look_around()
    assert looks == [False]
    seen._looked -= 60  # an outage later
    await seen.look_around()
    assert looks == [False, True]
