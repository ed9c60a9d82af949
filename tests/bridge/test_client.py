from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.client import Will, tls_context
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.secret import Secret
from tests.bridge.conftest import PATIENCE, watching

WILL = Will("base/bridge/main/state", "offline")


class Handler:
    def __init__(self):
        self.messages, self.connections = [], 0

    async def broker_connected(self):
        self.connections += 1

    def broker_message(self, message):
        self.messages.append(message)


@contextlib.asynccontextmanager
async def _running(port, outbox=None, **config):
    with Store(":memory:") as store:
        handler = Handler()
        outbox = outbox or Outbox(store, 1000)
        broker = Broker(Mqtt(host="127.0.0.1", port=port, **config), "test", WILL, outbox)
        task = asyncio.create_task(broker.run(handler))
        broker.handler, broker.outbox, broker.task = handler, outbox, task
        try:
            yield broker
        finally:
            await end_all([task])


async def _until(condition, seconds=PATIENCE):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _put(outbox, *values):
    for value in values:
        outbox.put("base/reading", lambda seq, value=value: json.dumps({"seq": seq, "value": value}))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_messages_replies_and_readings(mosquitto, protocol):
    async with watching(mosquitto.port) as seen, _running(mosquitto.port, protocol=protocol) as broker:
        broker.retain("base/a", "1")
        broker.retain("base/a", "2")
        await broker.subscribe(["base/request/#"])
        await _until(lambda: broker.connected)
        broker.reply("base/reply", "yes", b"\x01")
        _put(broker.outbox, 1, 2, 3)
        broker.outbox_filled()
        await seen.until(lambda: len(seen.of("base/reading")) == 3 and seen.of("base/reply"))
        assert [json.loads(payload)["value"] for payload in seen.of("base/reading")] == [1, 2, 3]
        await seen.until(lambda: seen.latest.get("base/a") == "2")
        await _until(lambda: len(broker.outbox) == 0)
        await seen.publish("base/request/x", "hello")
        await _until(lambda: broker.handler.messages)
        assert broker.handler.messages[0].payload == b"hello" and not broker.handler.messages[0].retained
        broker.retain("base/a", "")
        await seen.until(lambda: seen.latest["base/a"] == "")
        await _until(lambda: broker.retained("base/a") is None)


@pytest.mark.expect_log("No line to the broker")
async def test_the_last_will_is_left_when_the_bridge_dies(mosquitto):
    async with watching(mosquitto.port) as seen:
        async with _running(mosquitto.port) as broker:
            await _until(lambda: broker.connected)
            broker._client._client._sock.shutdown(socket.SHUT_RDWR)  # as kill -9 does
            await _until(lambda: broker.trouble)
        await seen.until(lambda: seen.latest.get(WILL.topic) == "offline")


@pytest.mark.expect_log("No line to the broker", "there again")
async def test_start_without_a_broker_and_everything_again_after(mosquitto):
    mosquitto.stop()
    async with _running(mosquitto.port) as broker:
        broker.retain("base/a", "1")
        broker.reply("base/reply", "late")
        _put(broker.outbox, 1)
        await _until(lambda: broker.trouble)
        assert not broker.connected
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            await seen.until(lambda: {"base/a", "base/reply", "base/reading"} <= set(seen.latest))
            assert broker.handler.connections == 1


@pytest.mark.expect_log("No line to the broker", "there again")
@pytest.mark.parametrize("persistence", [True, False])
async def test_a_broker_that_restarts(mosquitto_factory, persistence):
    mosquitto = mosquitto_factory(persistence=persistence)
    async with _running(mosquitto.port) as broker:
        broker.retain("base/a", "1")
        broker.retain("base/gone", "1")
        await broker.subscribe(["base/request/#"])
        await _until(lambda: broker.connected)
        await broker.flush(PATIENCE)
        mosquitto.stop()
        await _until(lambda: not broker.connected)
        broker.retain("base/a", "2")
        broker.retain("base/gone", "")
        _put(broker.outbox, 1, 2)
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            await seen.until(lambda: seen.latest.get("base/a") == "2" and len(seen.of("base/reading")) >= 1)
            await _until(lambda: broker.connected)
            await seen.publish("base/request/x", "still")
            await _until(lambda: broker.handler.messages)
        async with watching(mosquitto.port) as later:
            await later.until(lambda: "base/a" in later.latest)
            assert not later.latest.get("base/gone")


@pytest.mark.expect_log("refused user name or password")
async def test_a_wrong_password_is_told(mosquitto_factory, tmp_path):
    (tmp_path / "passwords").touch(mode=0o600)
    mosquitto = mosquitto_factory(extra=f"allow_anonymous false\npassword_file {tmp_path}/passwords")
    async with _running(mosquitto.port, username="a", password=Secret(b"wrong")) as broker:
        await _until(lambda: broker.trouble)
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
    async with _running(port) as broker:
        await _until(lambda: broker.connected)
    server.close()
    assert versions == [5, 4]


@pytest.mark.expect_log("did not take the last messages")
async def test_flush_gives_up(mosquitto):
    async with _running(mosquitto.port) as broker:
        await _until(lambda: broker.connected)
        await broker.flush(PATIENCE)  # has looked for work: nobody but us says from now on whether there is any
        broker._idle.clear()
        await broker.flush(0.05)


def test_tls_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError):
        tls_context(Tls(ca=str(tmp_path / "none.pem")))
    assert tls_context(Tls()).check_hostname
    assert not tls_context(Tls(verify=False)).check_hostname
