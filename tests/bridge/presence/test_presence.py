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
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import house, kept_by, one_meter, running, write_config

ROOT = "dlms_mqtt/meter/house"
OLD = "2000-01-01T00:00:00+00:00"


@pytest.fixture
async def meter():
    async with serve_tcp(household(1)) as server:
        yield server


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
            await end_all([task])


@pytest.mark.expect_log("held by the bridge 'other'", "no other bridge holds the meter id any more")
async def test_of_two_that_started_together_the_younger_gives_the_meter_up(mosquitto, tmp_path, meter, monkeypatch):
    """And takes it again when the other bridge is gone."""
    monkeypatch.setattr(bridge_bridge, "_CLAIM_AGAIN", 0.5)
    text = one_meter(meter) + one_meter(meter, name="flat")
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
        home.path.write_text(home.path.read_text().replace("meters: {}", f"meters:{one_meter(meter)}"))
        await home.until(lambda: home.app.bridge.presence.claims.contested(["house"]))
        assert await home.app.reload() == ["house"]
        await home.until(lambda: "house" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        assert home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == []
        assert not [topic for topic, _, _ in home.seen.all if topic.startswith(ROOT)]


async def test_whatever_is_overwritten_is_put_right(mosquitto, tmp_path, meter):
    """Also what is not published again for an hour."""
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
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
    async with house(mosquitto, tmp_path, one_meter(meter)) as home, watching(mosquitto.port, topic) as rival:
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
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
        await home.until(lambda: home.meter("value/power"))
        home.path.write_text(home.path.read_text() + "    enabled: false\n")
        assert await home.app.reload() == ["house"]
        await home.until(lambda: home.meter("value/power") == "")
        await home.until(lambda: (home.meter("availability"), home.meter("state")) == ("offline", '{"_time": {}}'))
        components = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        assert "sensor_power" in components


@pytest.mark.expect_log("it is tried again", "No line to the broker", "is there again", "held by an older bridge")
async def test_two_that_cannot_ask_each_other_make_no_storm(mosquitto, tmp_path, meter, monkeypatch, caplog):
    """Under one client id each throws the other off the broker; what stands on our topic tells that it is alive."""

    async def nobody_answers(self):
        return False

    monkeypatch.setattr(Claims, "bridge_is_taken", nobody_answers)
    async with house(mosquitto, tmp_path, one_meter(meter), mqtt="protocol: '3.1.1'") as home:
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


async def test_a_meter_that_another_bridge_has_by_now_is_no_ghost(mosquitto, tmp_path, meter):
    """It moved, and the state directory of its former bridge was lost: that is the other one's now."""
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        info = home.seen.json("dlms_mqtt/bridge/main/info")
    async with _other_bridge(mosquitto.port, "house"):
        claims = Claims(Topics("dlms_mqtt", "main"), "now", mock.AsyncMock())
        claims.seen("dlms_mqtt/bridge/main/info", json.dumps(info).encode())
        assert claims.announced_as_ours(()) == {"house": False}
        claims.seen("dlms_mqtt/bridge/main/state", b"online")
        assert claims.announced_as_ours(()) == {}, "somebody with our id may be there, and slow to answer"
        shutil.rmtree(tmp_path / "state")
        async with house(mosquitto, tmp_path, "") as home:
            await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/info")["meters"] == [])
            await home.ask("bridge/main/request/ping")
        assert await _stands(mosquitto.port, "house") == {"house"}


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
    seen._leftovers.clear_lost.return_value = set()
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
