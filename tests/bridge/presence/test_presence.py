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
from tests.bridge.conftest import watching
from tests.bridge.house import house, kept_by, one_meter, running, write_config

ROOT = "dlms_mqtt/meter/house"
OLD = "2000-01-01T00:00:00+00:00"


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


def _presence(clock, *, connected=False, taken=True, ghosts=()):
    topics, broker, given_way = Topics("dlms_mqtt", "main"), mock.Mock(), []
    broker.connected, broker.has_taken.return_value = connected, taken
    fleet = mock.Mock(running={}, meters={})
    former = mock.Mock(base="dlms_mqtt", **{"clear.return_value": set(ghosts)})
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


def test_home_assistant_that_has_started_is_told_everything_again():
    presence, _ = _presence(None)
    for payload, times in ((b"offline", 0), (b"online", 1), (b"online", 2)):
        presence.home_assistant_spoke(Message("homeassistant/status", payload))
        assert presence._broker.send_again.call_count == times


DEVICE = "homeassistant/device/dlms_mqtt_house/config"
THEIRS = b'{"origin": {"name": "dlms-mqtt"}, "availability_topic": "another/meter/house/availability"}'
OURS = b'{"origin": {"name": "dlms-mqtt"}, "availability_topic": "dlms_mqtt/meter/house/availability"}'
STRANGE = b'{"availability_topic": "another/meter/house/availability"}'
TOLD = pytest.mark.expect_log("the device 'dlms_mqtt_house' is announced by another program too")


@pytest.mark.parametrize(
    ("topic", "payload", "put_right", "told"),
    [
        (DEVICE, b"ours", False, False),
        (DEVICE, OURS, True, False),  # an older instance
        (DEVICE, STRANGE, True, False),
        pytest.param(DEVICE, THEIRS, False, True, marks=TOLD),
        (f"{ROOT}/availability", THEIRS, True, False),
    ],
)
async def test_whose_announcement_it_is(clock, topic, payload, put_right, told):
    """A bridge with another base topic may announce the same device: neither writes over the other's, that is told."""
    presence, _ = _presence(clock)
    presence.ready, presence._broker.retained.return_value = True, "ours"
    for _ in range(2):
        presence.retained_came(Message(topic, payload, retained=True))
        await asyncio.sleep(5)
    assert presence._broker.send_again.call_args_list == [mock.call(topic)] * (2 if put_right else 0)
    assert list(presence.collisions) == (["dlms_mqtt_house"] if told else [])


LEFT = [  # topic, payload, retained: is it cleared?
    ("dlms_mqtt/meter/gone/value/power", b"5", True, True),
    ("dlms_mqtt/meter/gone/availability", b"online", True, True),
    ("dlms_mqtt/meter/gone/value/power", b"", True, False),
    ("dlms_mqtt/meter/gone/value/power", b"5", False, False),
    ("dlms_mqtt/meter/goner/value/power", b"5", True, False),
    ("dlms_mqtt/meter/asleep/value/power", b"5", True, True),
    ("dlms_mqtt/meter/asleep/availability", b"offline", True, False),
]


@pytest.mark.parametrize(("topic", "payload", "retained", "cleared"), LEFT)
def test_what_meters_have_left_that_are_gone_or_switched_off(topic, payload, retained, cleared):
    presence, _ = _presence(None, ghosts={"gone"})
    presence._broker.retained.return_value = None
    presence.asleep.add("asleep")
    presence.retained_came(Message(topic, payload, retained))
    assert presence._broker.retain.call_args_list == ([mock.call(topic, "")] if cleared else [])


def test_a_value_that_a_running_meter_has_not_is_the_meters_to_judge():
    presence, _ = _presence(None)
    presence._broker.retained.return_value = None
    house = presence._fleet.running["house"] = mock.Mock()
    for topic in (f"{ROOT}/value/old", f"{ROOT}/availability", "dlms_mqtt/meter/other/value/old"):
        presence.retained_came(Message(topic, b"5", True))
    assert house.meter.output.clear_stranger.call_args_list == [mock.call(f"{ROOT}/value/old")]


class Heard:
    """A broker that keeps words of others, and lets us hear them as soon as they are subscribed to."""

    def __init__(self, presence, *kept):
        self.filters, self.kept, self.presence = [], kept, presence
        presence._broker.subscribe = self.subscribe
        presence._broker.unsubscribe = mock.AsyncMock()
        presence._fleet.complete.wait = mock.AsyncMock()

    async def subscribe(self, filters):
        self.filters += filters
        for topic, payload in self.kept:
            if not isinstance(payload, bytes):
                payload = json.dumps(payload).encode()
            self.presence.bridge_spoke(Message(topic, payload, True))
        self.kept = ()


INFO = {"api": 1, "bridge": "main", "started": OLD, "meters": [{"id": "lost"}, {"id": "house"}]}


async def test_an_id_that_somebody_holds_is_given_up_before_anything_is_published(clock):
    presence, given_way = _presence(clock)
    Heard(presence, ("dlms_mqtt/bridge/main/state", b"online"), ("dlms_mqtt/bridge/main/info", INFO))

    async def answers(topic, payload):
        response = {"id": json.loads(payload)["id"], "status": "ok", "data": {"started": OLD}}
        presence.bridge_spoke(Message("dlms_mqtt/bridge/main/response/ping", json.dumps(response).encode()))

    presence.claims._send = answers
    looking = asyncio.create_task(presence.look_around())
    await asyncio.sleep(3600)
    assert given_way == ["the bridge id 'main' is held by another bridge on this broker"]
    assert not looking.done() and not presence.ready and not presence._broker.retain.called
    await end_all([looking])


async def test_what_our_id_had_and_neither_configuration_nor_memory_knows_is_cleared(clock):
    """The state directory was lost, and a meter of it is not in the configuration any more."""
    presence, _ = _presence(clock)
    presence._broker.retained.return_value = None
    presence._fleet.running["house"] = mock.Mock()
    presence._leftovers.clear_lost.side_effect = set
    heard = Heard(presence, ("dlms_mqtt/bridge/main/info", INFO))
    await presence.look_around()
    presence._leftovers.clear_lost.assert_called_once_with({"lost": False})
    lost = Topics("dlms_mqtt", "main").meter("lost").retained
    assert presence.ready and set(lost) <= set(heard.filters)
    assert set(lost) <= set(presence._broker.unsubscribe.call_args.args[0])
    presence.retained_came(Message("dlms_mqtt/meter/lost/value/power", b"5", True))
    assert presence._broker.retain.call_args_list == [mock.call("dlms_mqtt/meter/lost/value/power", "")]
