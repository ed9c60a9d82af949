"""The line to the broker: what is sent, heard and asked of it, on one connection after another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from unittest import mock

import aiomqtt
import pytest

from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt import broker as bridge_mqtt
from dlms_mqtt.bridge.mqtt.client import V5, new_client
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.secret import Secret
from tests.bridge.authority import Authority
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.odd_broker import OddBroker
from tests.bridge.running_broker import WILL, at_work, put, until
from tests.free_port import free_port


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_messages_replies_and_readings(mosquitto, protocol):
    async with watching(mosquitto.port) as seen, at_work(mosquitto.port, protocol=protocol) as broker:
        broker.retain("base/a", "1")
        broker.retain("base/a", "2")
        await broker.subscribe(["base/request/#"])
        await until(lambda: broker.connected)
        broker.reply("base/reply", "yes", b"\x01")
        put(broker.outbox, 1, 2, 3)
        broker.outbox_filled()
        await seen.until(lambda: len(seen.of("base/reading")) == 3 and seen.of("base/reply"))
        assert [json.loads(payload)["value"] for payload in seen.of("base/reading")] == [1, 2, 3]
        await seen.until(lambda: seen.latest.get("base/a") == "2")
        await until(lambda: len(broker.outbox) == 0)
        await seen.publish("base/request/x", "hello")
        await until(lambda: broker.handler.messages)
        assert broker.handler.messages[0].payload == b"hello" and not broker.handler.messages[0].retained
        broker.retain("base/a", "")
        await seen.until(lambda: seen.latest["base/a"] == "")
        await until(lambda: broker.retained("base/a") is None)


@pytest.mark.expect_log("No line to the broker")
async def test_the_last_will_is_left_when_the_bridge_dies(mosquitto):
    async with watching(mosquitto.port) as seen:
        async with at_work(mosquitto.port) as broker:
            await until(lambda: broker.connected)
            broker._client._client._sock.shutdown(socket.SHUT_RDWR)  # as kill -9 does
            await until(lambda: broker.trouble)
        await seen.until(lambda: seen.latest.get(WILL.topic) == "offline")


@pytest.mark.expect_log("No line to the broker", "there again")
async def test_start_without_a_broker_and_everything_again_after(mosquitto):
    mosquitto.stop()
    async with at_work(mosquitto.port) as broker:
        broker.retain("base/a", "1")
        broker.reply("base/reply", "late")
        put(broker.outbox, 1)
        await until(lambda: broker.trouble)
        assert not broker.connected
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            await seen.until(lambda: {"base/a", "base/reply", "base/reading"} <= set(seen.latest))
            assert broker.handler.connections == 1


@pytest.mark.expect_log("No line to the broker", "there again")
@pytest.mark.parametrize("persistence", [True, False])
async def test_a_broker_that_restarts(mosquitto_factory, persistence):
    mosquitto = mosquitto_factory(persistence=persistence)
    async with at_work(mosquitto.port) as broker:
        broker.retain("base/a", "1")
        broker.retain("base/gone", "1")
        await broker.subscribe(["base/request/#"])
        await until(lambda: broker.connected)
        await broker.flush(PATIENCE)
        mosquitto.stop()
        await until(lambda: not broker.connected)
        broker.retain("base/a", "2")
        broker.retain("base/gone", "")
        put(broker.outbox, 1, 2)
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            await seen.until(lambda: seen.latest.get("base/a") == "2" and len(seen.of("base/reading")) >= 1)
            await until(lambda: broker.connected)
            await seen.publish("base/request/x", "still")
            await until(lambda: broker.handler.messages)
        async with watching(mosquitto.port) as later:
            await later.until(lambda: "base/a" in later.latest)
            assert not later.latest.get("base/gone")


@pytest.mark.expect_log("refused user name or password")
async def test_a_wrong_password_is_told(mosquitto_factory, tmp_path):
    (tmp_path / "passwords").touch(mode=0o600)
    mosquitto = mosquitto_factory(extra=f"allow_anonymous false\npassword_file {tmp_path}/passwords")
    async with at_work(mosquitto.port, username="a", password=Secret(b"wrong")) as broker:
        await until(lambda: broker.trouble)
        assert "refused user name" in broker.trouble


@pytest.mark.expect_log("No line to the broker", "there again")
async def test_a_broker_that_knows_only_3_1_1():
    """A stand-in that refuses MQTT 5 as old brokers do, and accepts 3.1.1."""
    versions = []

    async def serve(reader, writer):
        head = await reader.readexactly(2)
        body = await reader.readexactly(head[1])
        versions.append(body[6])
        writer.write(b"\x20\x02\x00\x01" if body[6] == 5 else b"\x20\x02\x00\x00")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with at_work(port) as broker:
        await until(lambda: broker.connected)
    server.close()
    assert versions == [5, 4]


@pytest.mark.expect_log("did not take the last messages")
async def test_flush_gives_up(mosquitto):
    async with at_work(mosquitto.port) as broker:
        await until(lambda: broker.connected)
        await broker.flush(PATIENCE)  # has looked for work: nobody but us says from now on whether there is any
        broker._idle.clear()
        await broker.flush(0.05)


@pytest.mark.expect_log("The broker lets nobody hear base/request/#: the broker's access list forbids it")
async def test_refused_subscriptions_are_told():
    odd = OddBroker(heard=135)
    async with odd.serving() as port, at_work(port) as broker:
        await broker.subscribe(["base/request/#"])
        await until(lambda: broker.refusals)
        assert "hearing base/request/#" in broker.refusals[0]


@pytest.mark.expect_log("does not take what is sent to", "again", "lets nobody hear", "lets us hear base/request/#")
async def test_what_is_retained_and_heard_is_tried_again_without_a_new_line(monkeypatch):
    """Somebody mends the access list: nothing has to be started anew."""
    monkeypatch.setattr(Refusals, "again", 0.1)
    odd = OddBroker(heard=135, deny="homeassistant/")
    async with odd.serving() as port, at_work(port) as broker:
        await broker.subscribe(["base/request/#"])
        broker.retain("homeassistant/device/m/config", "{}")
        broker.retain("base/state", "1")
        await until(lambda: len(broker.refusals) == 2 and len(odd.refused) > 2)
        odd.heard, odd.deny = 1, ""
        await until(lambda: not broker.refusals and broker.has_taken("homeassistant/device/m/config"))
        assert odd.lines == 1 and [topic for topic, _, _ in odd.taken].count("base/state") == 1


async def test_what_is_retained_with_a_lifetime_carries_its_expiry():
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        broker.retain("base/a", "1", 120.0)
        broker.retain("base/b", "1")
        broker.retain("base/c", "", 120.0)
        await until(lambda: len(odd.taken) == 3)
        told = {topic: properties for topic, _, properties in odd.taken}
        assert told["base/a"][:1] == b"\x02" and 118 <= struct.unpack(">I", told["base/a"][1:])[0] <= 120
        assert told["base/b"] == told["base/c"] == b""


async def test_who_has_very_much_to_say_waits_for_the_broker_and_nobody_waits_for_one_that_is_away():
    odd = OddBroker(most=1, wait=0.001)
    async with odd.serving() as port, at_work(port) as broker:
        await asyncio.wait_for(broker.room(), PATIENCE)  # no line yet
        await until(lambda: broker.connected)
        for number in range(1000):
            broker.retain(f"base/{number}", "1")
        await asyncio.wait_for(broker.room(), PATIENCE)
        assert 700 < len(odd.taken) < 1000
        for number in range(1000):
            broker.retain(f"base/{number}", "2")
        broker.task.cancel()
        await asyncio.wait_for(broker.room(), PATIENCE)


async def test_what_is_not_ours_is_neither_sent_nor_cleared():
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        await broker.send_now("base/a", "0")  # no line, nothing is sent
        for topic in ("base/a", "base/meter/m/value/power", "base/meter/mine/value/power"):
            broker.retain(topic, "1")
        broker.forget_below("base/meter/m")
        await until(lambda: len(odd.taken) == 2)
        broker.retain("base/a", "")
        assert broker.clearing
        await until(lambda: broker.has_taken("base/a") and not broker.clearing)
        await broker.send_now("base/a", "2")
        broker.silence()
        broker.retain("base/a", "3")
        broker.send_again()
        await broker.flush(PATIENCE)
        assert broker.retained("base/a") is None
        assert [payload for topic, payload, _ in odd.taken if topic == "base/a"] == [b"1", b"", b"2"]
        assert not [topic for topic, _, _ in odd.taken if topic.startswith("base/meter/m/")]


async def test_filters_are_asked_for_once_and_on_each_new_line(monkeypatch):
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.01)
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        await until(lambda: broker.connected)
        await broker.subscribe_at_work(["base/a/#", "base/b/#"])
        await broker.subscribe(["base/b/#"])
        await broker.unsubscribe_at_work(["base/a/#", "base/c/#"])
        broker.renew()
        await until(lambda: odd.lines == 2 and len(odd.asked) == 2)
        assert odd.asked == [["base/a/#", "base/b/#"], ["base/b/#"]] and odd.unasked == [["base/a/#"]]


@pytest.mark.parametrize(("call", "name", "then"), [("subscribe", "c", "abc"), ("unsubscribe", "b", "a")])
async def test_a_broker_that_answers_no_subscription_is_asked_anew(monkeypatch, call, name, then):
    """It is not the fault of the meter that has been added or removed."""
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.01)
    odd = OddBroker()
    async with odd.serving() as port, at_work(port) as broker:
        await broker.subscribe("ab")
        await until(lambda: broker.connected)
        odd.dumb, broker._client.timeout = True, 0.01
        await getattr(broker, f"{call}_at_work")(name)
        odd.dumb = False
        await until(lambda: broker.handler.connections == 2)
        assert "".join(odd.asked[-1]) == then and not broker.trouble


async def test_the_first_look_around_has_an_id_of_its_own_and_takes_nothing_into_use():
    odd = OddBroker()
    async with odd.serving() as port, at_work(port, first="test-first") as broker:
        broker.retain("base/a", "1")
        await until(lambda: odd.taken)
        assert odd.identifiers == ["test-first", "test"] and broker.handler.connections == 2
        assert len(odd.taken) == 1


@pytest.mark.expect_log("TLS files of the broker cannot be used", "No line to the broker")
async def test_tls_files_that_are_being_renewed_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(bridge_mqtt, "_LONGEST_PAUSE", 0.01)
    papers = tmp_path / "ours.pem"
    async with at_work(free_port(), tls=Tls(ca=str(papers))) as broker:
        await until(lambda: "cannot be used" in broker.trouble)
        assert Authority(tmp_path, "ours").file == str(papers)
        await until(lambda: "cannot be used" not in broker.trouble)


@pytest.mark.expect_log("150 octets are more than the broker takes (149), so it is not sent")
async def test_what_the_broker_does_not_take_is_named():
    odd = OddBroker(largest=149)
    async with odd.serving() as port, at_work(port) as broker:
        broker.retain("base/large", "x" * 76)
        broker.retain("base/small", "x")
        await until(lambda: broker.too_large and odd.taken)
        assert broker.too_large == "the broker takes no messages as large as base/large; raise its limit"
        broker.retain("base/large", "x" * 75)
        await until(lambda: not broker.too_large and len(odd.taken) == 2)


@pytest.mark.expect_log("No line to the broker")
async def test_readings_that_nobody_takes_are_written_down(monkeypatch):
    monkeypatch.setattr(bridge_mqtt, "SPILL_EVERY", 0.001)
    async with at_work(free_port()) as broker:
        put(broker.outbox, 1, 2)
        await until(lambda: len(Outbox(broker.outbox._store, 1000)) == 2)


async def test_what_has_come_meanwhile_is_taken_in_the_same_round():
    """One a round was slower than a flood comes: 50,000 messages of a stranger were 300 MB."""
    client = new_client(Mqtt(host="127.0.0.1"), V5, "test", None, None, {})
    for number in range(5):
        client._queue.put_nowait(aiomqtt.Message(f"base/{number}", b"", 0, False, number, None))
    with _idle() as broker:
        handler, rounds = mock.Mock(), asyncio.Event()
        handler.broker_message.side_effect = lambda _: asyncio.get_running_loop().call_soon(rounds.set)
        receiving = asyncio.create_task(broker._receive(client, handler))
        await rounds.wait()
        heard = [call.args[0].topic for call in handler.broker_message.call_args_list]
        assert heard == [f"base/{number}" for number in range(5)]
        await end_all([receiving])


@pytest.mark.parametrize("error", [aiomqtt.MqttError("gone"), OSError(9, "Bad file descriptor"), ValueError("closed")])
async def test_a_question_on_a_line_that_breaks_is_nobodys_error(error):
    """Whoever serves the line learns of it too, and asks again on the next one."""
    with _idle() as broker:
        await broker.send_now("base/bridge/other/request/ping", "{}")
        broker._client = mock.Mock(send=mock.AsyncMock(side_effect=error))
        await broker.send_now("base/bridge/other/request/ping", "{}")
        assert broker._client.send.await_count == 1


@contextlib.contextmanager
def _idle():
    with Store(":memory:") as store:
        yield bridge_mqtt.Broker(Mqtt(host="127.0.0.1"), "test", WILL, Outbox(store, 10))
