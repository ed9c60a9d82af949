# ruff: noqa: E501
"""Messages nobody should send: each on a command topic gets exactly one reply, and the bridge goes on reading."""

from __future__ import annotations

import asyncio
import json

from tests.bridge.conftest import watching
from tests.bridge.house import house, running, write_config
from tests.bridge.test_codes import METER, _config

LONG = "x" * 60_000
TOPICS = [
    f"set/{LONG}",
    f"request/{LONG}",
    "set/"
    + "a/" * 196
    + "a",  # as many levels as Mosquitto takes: a reply with one more would break the line each time
    "set/" + "x" * 65_500,
    "set/ratio/extra",
    "set/",
    "request//",
    "do/../../bridge/main/state",
    "do/$SYS",
    "set/käse-\u2603-\U0001f600",
    "set/'; DROP TABLE outbox; --",
    "do/ reconnect ",
]
VALUES = [
    "1e999999999", '"1e999999999"', '"\u00b2"', '"-1e-999999999"', "0e999999999", "1e400", "-1e999999999", "1e-999999999", "1" * 5000, "NaN", "Infinity", "null", "true", "[]", "{}",
    '"' + "9" * 8000 + '"', '"\\ud800"', "[" * 3000 + "]" * 3000, '{"a":' * 1000 + "1" + "}" * 1000, "0.1" + "0" * 4000,
]  # fmt: skip
BODIES = [
    *(("set/ratio", f'{{"value": {value}}}') for value in VALUES),
    *(("set/ratio", value) for value in VALUES),
    *(("request/read", f'{{"id": {value}, "items": ["1.0.1.8.0.255"]}}') for value in VALUES),
    *(("request/poll", f'{{"timeout": {value}}}') for value in VALUES),
    *(("request/pause", f'{{"minutes": {value}}}') for value in VALUES),
    *(("request/profile", f'{{"obis": "1.0.99.1.0.255", "first": {value}, "count": 1}}') for value in VALUES),
    *(("request/read", f'{{"items": [{{"obis": {value}, "class": {value}, "attribute": {value}}}]}}') for value in VALUES),
    *(("request/write", f'{{"obis": "1.0.0.4.2.255", "attribute": {value}, "value": 5}}') for value in VALUES),
    *(("request/write", f'{{"obis": "1.0.0.4.2.255", "attribute": 2, "value": {value}}}') for value in VALUES),
    *(("request/invoke", f'{{"obis": "0.0.96.3.10.255", "method": {value}, "confirm": "house"}}') for value in VALUES),
    *(("request/cancel", f'{{"id": {value}}}') for value in VALUES),
    ("request/profile", '{"obis": "1.0.99.1.0.255", "from": "9999-12-31T23:59:59Z", "to": "0001-01-01"}'),
    ("request/profile", '{"obis": "1.0.99.1.0.255", "from": "yesterday"}'),
    ("request/read", json.dumps({"items": ["1.0.1.8.0.255"] * 20_000})),
    ("request/read", json.dumps({"items": ["1.0.1.8.0.255"], "padding": "x" * 1_000_000})),
    ("request/read", '{"items": [], "items": ["1.0.1.8.0.255"], "id": "a", "id": "b"}'),
    ("set/tariff", "\x00\x00"),
    ("set/tariff", "'; rm -rf / #"),
]  # fmt: skip


def _replies(seen) -> int:
    return sum("/response/" in topic and '"progress"' not in payload for topic, payload, _ in seen.all)


async def _settled(home) -> None:
    """What was sent before has been answered: this question came after it."""
    assert (await home.ask("bridge/main/request/ping"))["status"] == "ok"


async def test_hostile_topics(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        await home.until(lambda: home.meter("value/energy"))
        for name in TOPICS:
            before = _replies(home.seen)
            await home.seen.publish(f"dlms_mqtt/meter/house/{name}", b"1")
            await home.until(lambda before=before: _replies(home.seen) > before)
            await _settled(home)
            assert _replies(home.seen) == before + 2, name[:80]  # the ping's is the other
        for name in (f"dlms_mqtt/meter/{LONG}/set/x", "dlms_mqtt/meter//set/x", "dlms_mqtt/bridge/other/request/ping"):
            await home.seen.publish(name, b"1")  # somebody else's
        before = _replies(home.seen)
        await _settled(home)
        assert _replies(home.seen) == before + 1
        assert home.seen.latest["dlms_mqtt/bridge/main/state"] == "online"


async def test_hostile_payloads(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        await home.until(lambda: home.meter("value/energy"))
        for at in range(0, len(BODIES), 10):
            some, before = BODIES[at : at + 10], _replies(home.seen)
            sent = [
                home.seen.publish(f"dlms_mqtt/meter/house/{topic}", payload.encode("utf-8", "surrogatepass"))
                for topic, payload in some
            ]
            await asyncio.gather(*sent)
            await home.until(lambda before=before, some=some: _replies(home.seen) >= before + len(some))
            await home.ask("meter/house/request/resume")
            assert _replies(home.seen) == before + len(some) + 1, some
        bad = [payload for topic, payload, _ in home.seen.all if "/response/" in topic and '"internal"' in payload]
        assert bad == []
        assert (await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]}))["status"] == "ok"
        assert home.meter("availability") == "online"


async def test_nothing_retained_and_nothing_old_is_a_command(mosquitto, tmp_path, meter):
    """Retained, or sent while the bridge was away: not run, not answered."""
    path = write_config(tmp_path, mosquitto.port, _config(meter, text=METER))
    async with watching(mosquitto.port) as seen:
        await seen.publish("dlms_mqtt/meter/house/set/ratio", b"99", retain=True)
        async with running(_app(path)):
            await seen.until(lambda: seen.latest.get("dlms_mqtt/meter/house/value/ratio"))
            first = seen.latest["dlms_mqtt/meter/house/value/ratio"]
            await seen.publish("dlms_mqtt/meter/house/set/ratio", b"98", retain=True)
        await seen.publish("dlms_mqtt/meter/house/set/ratio", b"97")  # nobody is there
        await seen.publish("dlms_mqtt/meter/house/do/reconnect", b"1")
        async with running(_app(path)):
            await seen.until(lambda: seen.latest.get("dlms_mqtt/meter/house/availability") == "online")
            reply = await seen.ask("dlms_mqtt/meter/house/request/poll", {"id": "q", "keys": ["ratio"]})
            assert reply["data"]["values"]["ratio"] == int(first) != 97
            await asyncio.sleep(0.1)
        assert not [topic for topic, *_ in seen.all if topic.startswith("dlms_mqtt/meter/house/response/set")]
        assert not [topic for topic, *_ in seen.all if topic.startswith("dlms_mqtt/meter/house/response/do")]


def _app(path):
    from dlms_mqtt.bridge.app import App

    return App(path, environment={})


async def test_a_flood_of_requests_is_answered_one_by_one(mosquitto_factory, tmp_path):
    broker = mosquitto_factory("allow_anonymous true\nmax_queued_messages 0")  # else the broker itself drops some
    async with house(broker, tmp_path, "") as home:
        topic = "dlms_mqtt/bridge/main/request/ping"
        home.seen.client.pending_calls_threshold = 200  # so many at once are meant
        for start in range(0, 2500, 100):
            await asyncio.gather(*(home.seen.publish(topic, {"id": start + number}) for number in range(100)))
        await home.until(lambda: len(home.seen.of(topic.replace("request", "response"))) >= 2500)
        replies = home.seen.of(topic.replace("request", "response"))
        assert sorted(json.loads(text)["id"] for text in replies) == list(range(2500))
