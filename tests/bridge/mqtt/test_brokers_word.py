"""What a broker tells is kept to and told: how much at once, what it refuses, why it hangs up, when it forgets."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt import broker as bridge_mqtt
from dlms_mqtt.bridge.mqtt.client import Will
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.house import METER, house, running, write_config
from tests.bridge.odd_broker import OddBroker
from tests.bridge.running_broker import at_work, put, until
from tests.free_port import free_port


@pytest.fixture
async def meter():
    async with serve_tcp(household(1)) as server:
        yield server


@pytest.mark.parametrize("most", [1, 5, 10])
async def test_receive_maximum_is_kept_to(most):
    odd = OddBroker(most=most, wait=0.005)
    async with odd.serving() as port, at_work(port) as broker:
        for number in range(60):
            broker.retain(f"base/meter/m/value/{number}", str(number))
            broker.reply("base/response/read", str(number))
        put(broker.outbox, *range(60))
        broker.outbox_filled()
        await until(lambda: len(odd.taken) >= 180 and not len(broker.outbox))
        assert odd.lines == 1 and odd.worst == most
        assert not broker.refusals


@pytest.mark.expect_log("base/reading: the broker's access list forbids it", "again")
async def test_a_refused_reading_stays_in_the_outbox_and_goes_out_when_it_may(monkeypatch):
    monkeypatch.setattr(Refusals, "again", 0.3)
    odd = OddBroker(deny="base/reading")
    async with odd.serving() as port, at_work(port) as broker:
        put(broker.outbox, *range(50))
        broker.outbox.put("base/event", lambda seq: "{}")
        broker.outbox_filled()
        await until(lambda: any(topic == "base/event" for topic, _, _ in odd.taken))
        await until(lambda: len(broker.outbox) == 50)  # the event is confirmed after it was seen at the broker
        assert broker.refusals == ["base/reading: the broker's access list forbids it"]
        asked, since = len(odd.refused), time.monotonic()
        await asyncio.sleep(1)
        times = 2 + (time.monotonic() - since) / 0.3
        assert len(odd.refused) <= asked + times * 20  # one batch at a time
        odd.deny = ""
        await until(lambda: not len(broker.outbox))
        assert len([1 for topic, _, _ in odd.taken if topic == "base/reading"]) == 50
        assert not broker.refusals


@pytest.mark.expect_log("not take what is sent to base/meter/m/value/...: the broker's quota is used up")
async def test_refused_values_are_told_once_for_their_neighbours():
    odd = OddBroker(reason=151)
    async with odd.serving() as port, at_work(port) as broker:
        for number in range(30):
            broker.retain(f"base/meter/m/value/{number}", str(number))
        await until(lambda: len(odd.refused) == 30)
        await until(lambda: broker.refusals == ["base/meter/m/value/...: the broker's quota is used up"])
        assert odd.lines == 1


@pytest.mark.expect_log(
    "not take what is sent to base/bridge/main/...", "takes what is sent to base/bridge/main/... again"
)
async def test_what_is_refused_stays_told_while_its_neighbours_are_taken(caplog):
    """It does not come and go with each message of theirs."""
    odd = OddBroker(deny="base/bridge/main/state")
    async with odd.serving() as port, at_work(port) as broker:
        for number in range(5):
            broker.retain("base/bridge/main/state", "online")
            broker.retain("base/bridge/main/health", str(number))
            await until(lambda number=number: len(odd.refused) > number)
            await broker.flush(PATIENCE)
            assert broker.refusals == ["base/bridge/main/...: the broker's access list forbids it"]
        assert len(caplog.records) == 1
        odd.deny = ""
        broker.retain("base/bridge/main/state", "online")
        await until(lambda: not broker.refusals)
        assert len(caplog.records) == 2


@pytest.mark.expect_log("another client uses the same client id")
async def test_a_collision_of_client_ids_is_told_and_makes_no_storm():
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        await until(lambda: broker.connected)
        odd.hang_up(142)
        await until(lambda: "client id" in broker.trouble)
        await asyncio.sleep(2.5)  # longer than the first pause
        assert odd.lines == 1


@pytest.mark.expect_log("No line to the broker", "is there again", "another client may use the client id 'test'")
async def test_a_collision_that_the_broker_does_not_tell_is_guessed(monkeypatch):
    """Mosquitto closes the line of the one before without a word, and each brings the other down for ever."""
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        for line in range(3):
            await until(lambda line=line: broker.connected and odd.lines == line + 1)
            assert "client id" not in broker.trouble
            odd.hang_up(None)
            await until(lambda: not broker.connected)
        assert "client id" in broker.trouble


async def test_a_backlog_is_sent_at_its_rate():
    odd = OddBroker()
    with Store(":memory:") as store:
        outbox = Outbox(store, 1000)
        put(outbox, *range(600))  # left by an earlier run
        async with odd.serving() as port, at_work(port, outbox, backlog_rate=400) as broker:
            await until(lambda: broker.connected)
            began = asyncio.get_running_loop().time()
            await until(lambda: not len(outbox))
            assert asyncio.get_running_loop().time() - began > 0.9  # 500 at 400 a second
        numbers = [json.loads(payload)["seq"] for _, payload, _ in odd.taken]
        assert numbers == sorted(numbers)


@pytest.mark.expect_log("No line to the broker", "is there again")
async def test_what_an_outage_left_is_a_backlog_too(monkeypatch):
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    odd = OddBroker()
    async with odd.serving() as port, at_work(port, backlog_rate=400) as broker:
        await until(lambda: broker.connected)
        began = asyncio.get_running_loop().time()
        odd.hang_up(139)
        put(broker.outbox, *range(600))
        await until(lambda: not len(broker.outbox))
        assert asyncio.get_running_loop().time() - began > 0.9


async def test_many_values_read_at_once_are_no_backlog():
    """At a reading a second they would take ten minutes, and those of other meters behind them too."""
    odd = OddBroker()
    async with odd.serving() as port, at_work(port, backlog_rate=1) as broker:
        await until(lambda: broker.connected)
        put(broker.outbox, 0)
        broker.outbox_filled()
        await until(lambda: odd.taken)
        put(broker.outbox, *range(1, 600))
        broker.outbox_filled()
        await until(lambda: len(odd.taken) == 600 and not len(broker.outbox))


@pytest.mark.expect_log("No line to the broker")
def test_an_outage_is_one_line_unless_somebody_tells_why(tmp_path, caplog):
    with Store(tmp_path / "state.sqlite") as store:
        broker = bridge_mqtt.Broker(Mqtt(host="127.0.0.1"), "test", Will("a", "b"), Outbox(store, 10))
        for words in ("Disconnected", "Connection refused", "Operation timed out", "Connection refused"):
            broker._tell_trouble(words, explained=False)
        broker._tell_trouble("the broker refused user name or password", explained=True)
        broker._tell_trouble("the broker refused user name or password", explained=True)
    lines = [record.getMessage() for record in caplog.records if "No line" in record.getMessage()]
    assert len(lines) == 2 and "Disconnected" in lines[0] and "user name" in lines[1]
    assert broker.trouble == "the broker refused user name or password"


async def test_what_is_read_while_a_backlog_is_sent_is_no_burst_after_it():
    odd = OddBroker()
    async with odd.serving() as port, at_work(port, backlog_rate=400) as broker:
        put(broker.outbox, *range(400))
        broker._readings.pace()  # an outage has left it
        broker.outbox_filled()
        await until(lambda: odd.taken)
        put(broker.outbox, *range(400))
        before = len(odd.taken)
        began = asyncio.get_running_loop().time()
        broker.outbox_filled()
        await until(lambda: not len(broker.outbox))
        assert asyncio.get_running_loop().time() - began > (800 - before - 140) / 400


@pytest.mark.expect_log("not take what is sent to homeassistant")
async def test_mosquitto_with_an_access_list(mosquitto_factory, tmp_path, meter):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite dlms_mqtt/#\ntopic read homeassistant/#\ntopic read #\n")
    acl.chmod(0o600)
    broker = mosquitto_factory(f"allow_anonymous true\nacl_file {acl}")
    async with house(broker, tmp_path, METER.replace("PORT", str(meter.port))) as home:
        health = "dlms_mqtt/bridge/main/health"
        await home.until(lambda: "access list" in home.seen.latest.get(health, ""))
        assert home.seen.json(health)["status"] == "degraded"


async def test_websockets(mosquitto_factory):
    port = free_port()
    plain = mosquitto_factory(f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets")
    async with watching(plain.port) as seen, at_work(port, transport="websockets") as broker:
        broker.retain("base/a", "1")
        await seen.until(lambda: seen.latest.get("base/a") == "1")


@pytest.mark.parametrize("version", [5])
async def test_a_clean_stop_leaves_no_value_that_looks_fresh(mosquitto, tmp_path, meter, version):
    async with house(mosquitto, tmp_path, METER.replace("PORT", str(meter.port))) as home:
        await home.until(lambda: home.meter("value/power"))
    async with watching(mosquitto.port, version=version) as later:
        await later.until(lambda: later.latest.get("dlms_mqtt/meter/house/availability") == "offline")
        await later.until(lambda: later.latest.get("dlms_mqtt/bridge/main/state") == "offline")
        await later.until(lambda: "dlms_mqtt/meter/house/state" in later.latest)
        assert not [topic for topic, payload in later.latest.items() if "/value/" in topic and payload]
        assert later.json("dlms_mqtt/meter/house/state") == {"_time": {}}


async def test_the_client_id_is_the_documented_one(tmp_path):
    odd = OddBroker()
    async with odd.serving() as port:
        for _ in range(2):
            app = App(write_config(tmp_path, port, ""), environment={})
            async with running(app):
                await until(lambda app=app: app.bridge and app.bridge.broker.connected)
    first, then, again, last = odd.identifiers
    assert then == last == "dlms_mqtt-main" and first != again
    assert {first[:15], again[:15]} == {"dlms_mqtt-main-"}
