"""Brokers that drop us or show the wrong papers: told once, tried again with growing pauses, nothing lost or sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise

import aiomqtt
import pytest

from dlms_mqtt.bridge import tasks
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.config.sections.bridge import Tls
from dlms_mqtt.bridge.mqtt import broker as bridge_mqtt
from dlms_mqtt.bridge.mqtt import client as mqtt_client
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.authority import Authority, secured
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.house import house
from tests.bridge.running_broker import at_work, put, until

CONNACK = {5: b"\x20\x03\x00\x00\x00", 4: b"\x20\x02\x00\x00"}


@pytest.mark.expect_log("No line to the broker", "is there again")
async def test_a_broker_that_falls_silent_and_drops_us_later(monkeypatch):
    """asyncio logs an exception that nobody asked for when it is collected, and no such line may appear."""
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(mqtt_client, "_ANSWER", 0.2)
    dropped: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(1000)
        writer.write(CONNACK[connect[connect.index(b"MQTT") + 4]])
        if len(dropped) % 2:  # silent until we have given up, or gone before we have read that we are welcome
            await asyncio.sleep(0.8)
        writer.transport.abort() if len(dropped) % 3 else writer.close()
        dropped.append(1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with at_work(server.sockets[0].getsockname()[1]) as broker:
        broker.retain("base/a", "1")
        put(broker.outbox, 1)
        await until(lambda: len(dropped) >= 6)
    server.close()
    gc.collect()
    await asyncio.sleep(0.1)
    assert len(broker.outbox) == 1


async def test_it_ends_where_the_line_breaks_in_the_same_moment(mosquitto, monkeypatch):
    """aiomqtt tells that the line broke in place of our end."""

    async def breaks(client, *error):
        await leave(client, *error)
        raise aiomqtt.MqttError("the line broke")

    leave = Client.__aexit__
    monkeypatch.setattr(Client, "__aexit__", breaks)
    async with at_work(mosquitto.port) as broker:
        await until(lambda: broker.connected)
        broker.task.cancel()
        done, _ = await asyncio.wait([broker.task], timeout=PATIENCE)
        assert done and broker.task.cancelled() and not broker.connected


async def test_it_ends_where_a_wait_of_aiomqtt_swallows_that(mosquitto, monkeypatch):
    """``asyncio.wait_for`` of Python 3.11 does where the broker's answer comes in the same moment."""

    async def swallows():
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    asked = asyncio.Event()
    monkeypatch.setattr(tasks, "_CANCEL_AGAIN", 3600.0)
    async with at_work(mosquitto.port) as broker:
        broker.handler.broker_connected = swallows
        await asked.wait()
        broker.task.cancel()
        done, _ = await asyncio.wait([broker.task], timeout=PATIENCE)
        assert done and broker.task.cancelled()


@contextlib.asynccontextmanager
async def dropping() -> AsyncIterator[tuple[int, list[float]]]:
    """A broker that accepts the connection and hangs up at the first thing asked; when it did."""
    calls: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            connect = await reader.read(1000)
            writer.write(CONNACK[connect[connect.index(b"MQTT") + 4]])
            await reader.read(1000)
        writer.close()
        calls.append(asyncio.get_running_loop().time())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], calls
    finally:
        server.close()


@pytest.mark.expect_log("No line to the broker")
async def test_a_broker_that_accepts_and_drops(monkeypatch):
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    async with dropping() as (port, calls), at_work(port) as broker:
        broker.retain("base/a", "1")
        await broker.subscribe(["base/request/#"])
        put(broker.outbox, 1)
        await until(lambda: len(calls) >= 6 and broker._client is None)
        pauses = [later - sooner for sooner, later in pairwise(calls)]
        assert all(pause > 0.04 * 2**number for number, pause in enumerate(pauses)), pauses
        assert len(broker.outbox) == 1


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path, "ours")


async def test_our_certificates(mosquitto_factory, ours):
    port = secured(mosquitto_factory, ours, "127.0.0.1", clients=True)
    certificate, key = ours.issue("bridge")
    async with at_work(port, tls=Tls(ca=ours.file, certificate=certificate, key=key)) as broker:
        broker.retain("base/a", "1")
        await until(lambda: broker.connected)
        await broker.flush(PATIENCE)
        broker.renew()
        await until(lambda: broker.handler.connections == 2 and broker.connected)
        assert not broker.trouble


@pytest.mark.expect_log("No line to the broker")
async def test_an_authority_that_the_system_does_not_know(mosquitto_factory, ours):
    port = secured(mosquitto_factory, ours, "127.0.0.1")
    async with at_work(port, tls=Tls()) as broker:
        await until(lambda: broker.trouble)
        assert "certificate" in broker.trouble.lower()


PAPERS = {  # address in the broker's certificate; who signed ours (None: we show none); whom we trust
    "other authority": ("127.0.0.1", "ours", "other"),
    "other name": ("127.0.0.2", "ours", "ours"),
    "none to show": ("127.0.0.1", None, "ours"),
    "a stranger's": ("127.0.0.1", "other", "ours"),
}


@pytest.mark.expect_log("No line to the broker")
@pytest.mark.parametrize("what", PAPERS)
async def test_papers_that_are_not_in_order(mosquitto_factory, ours, tmp_path, monkeypatch, what):
    monkeypatch.setattr(mqtt_client, "_ANSWER", 1.0)
    authorities = {"ours": ours, "other": Authority(tmp_path, "other")}
    address, signer, trusted = PAPERS[what]
    port = secured(mosquitto_factory, ours, address, clients=True)
    certificate, key = authorities[signer].issue("bridge") if signer else ("", "")
    tls = Tls(ca=authorities[trusted].file, certificate=certificate, key=key)
    async with at_work(port, tls=tls) as broker:
        put(broker.outbox, 1)
        # where the broker hangs up before its alert was read, the next try tells the reason
        await until(lambda: re.search("certificate|unknown_ca", broker.trouble.lower()))
        assert not broker.connected and broker.handler.connections == 0 and len(broker.outbox) == 1


@pytest.mark.expect_log("No line to the broker")
async def test_a_plain_broker_where_tls_is_wanted(mosquitto, ours):
    async with at_work(mosquitto.port, tls=Tls(ca=ours.file)) as broker:
        await until(lambda: broker.trouble)
        assert not broker.connected


@pytest.mark.expect_log("more than the broker takes")
async def test_a_broker_that_takes_small_messages_only(mosquitto_factory, tmp_path):
    """It would hang up at each large one, for ever; so the rest works, and health says what is missing."""
    broker = mosquitto_factory("allow_anonymous true\nmax_packet_size 4000")
    async with serve_tcp(household(1)) as server:
        rows = f"connection: {{tcp: '127.0.0.1:{server.port}', client: 17}}", "every: 1s", "read: [1.0.1.8.0.255]"
        async with house(broker, tmp_path, "\n  house:\n" + "".join(f"    {row}\n" for row in rows)) as home:
            await home.until(lambda: len(home.seen.of("dlms_mqtt/meter/house/reading")) >= 3)
            device = "homeassistant/device/dlms_mqtt_house/config"
            await home.until(lambda: device in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
            assert device not in home.seen.latest
            assert home.seen.json("dlms_mqtt/bridge/main/health")["status"] == "degraded"
            reply = await home.ask("meter/house/request/objects")
            assert reply["error"]["message"] == "The reply is larger than the broker takes in one message"
            assert home.seen.of("dlms_mqtt/bridge/main/state") == ["online"]  # the line has stood all the time


BROKEN = pytest.mark.expect_log("No line to the broker", "is there again")
UNSAID = [pytest.param("3.1.1", "max_packet_size", marks=BROKEN), ("5", "message_size_limit")]


@pytest.mark.expect_log("more than the broker takes")
@pytest.mark.parametrize(("protocol", "limit"), UNSAID)
async def test_a_broker_that_does_not_say_what_it_takes(mosquitto_factory, monkeypatch, protocol, limit):
    """What breaks three lines in a row, or is refused as too large, is left out; the rest stays."""
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    port = mosquitto_factory(f"allow_anonymous true\n{limit} 4000").port
    async with at_work(port, protocol=protocol) as broker, watching(port, "base/#") as seen:
        broker.retain("base/large", "x" * 9000)
        broker.retain("base/less", "x" * 5000)
        broker.retain("base/small", "y" * 3000)
        broker.reply("base/response/objects", dumps({"id": 7, "data": "x" * 6000}))
        put(broker.outbox, 1)
        broker.outbox_filled()
        await until(lambda: "base/large, base/less" in broker.too_large and broker.connected)
        await until(lambda: {"base/small", "base/response/objects", "base/reading"} <= seen.latest.keys())
        await until(lambda: not len(broker.outbox))
        lines = broker.handler.connections
        broker.retain("base/small", "again")
        await until(lambda: seen.latest["base/small"] == "again")
        assert json.loads(seen.latest["base/response/objects"])["error"]["code"] == "internal"
        assert broker.connected and broker.handler.connections == lines
