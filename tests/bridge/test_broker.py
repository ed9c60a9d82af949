"""Brokers that drop us or show the wrong papers: told once, tried again with growing pauses, nothing lost or sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dlms_mqtt.bridge import tasks
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt import broker as bridge_mqtt
from dlms_mqtt.bridge.mqtt import client as mqtt_client
from dlms_mqtt.bridge.mqtt.client import Client, UnderWay, Unsaid, Will, new_client
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.house import house
from tests.bridge.test_client import _put, _running, _until
from tests.free_port import free_port

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
    async with _running(server.sockets[0].getsockname()[1]) as broker:
        broker.retain("base/a", "1")
        _put(broker.outbox, 1)
        await _until(lambda: len(dropped) >= 6)
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
    async with _running(mosquitto.port) as broker:
        await _until(lambda: broker.connected)
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
    async with _running(mosquitto.port) as broker:
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
    async with dropping() as (port, calls), _running(port) as broker:
        broker.retain("base/a", "1")
        await broker.subscribe(["base/request/#"])
        _put(broker.outbox, 1)
        await _until(lambda: len(calls) >= 6 and broker._client is None)
        pauses = [later - sooner for sooner, later in pairwise(calls)]
        assert all(pause > 0.04 * 2**number for number, pause in enumerate(pauses)), pauses
        assert len(broker.outbox) == 1


class Authority:
    """Signs certificates of servers and clients; files in ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._own = self._sign(name, self._key.public_key(), None)
        self.file = self._write(f"{name}.pem", self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *addresses: str) -> tuple[str, str]:
        """Certificate and key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), addresses)
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return (
            self._write(f"{self.name}-{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{self.name}-{name}.key", key.private_bytes(*plain)),
        )

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def _sign(self, name, public_key, addresses):
        now, is_authority = datetime.now(UTC), addresses is None
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, self.name))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.IPAddress(ip_address(address)) for address in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path, "ours")


def _secured(factory, authority, *addresses, clients=None):
    """The port of a broker with a certificate of this authority for these addresses."""
    port = free_port()
    certificate, key = authority.issue("broker", *addresses)
    rows = [f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}", f"cafile {authority.file}"]
    factory("\n".join(["allow_anonymous true", *rows, *(["require_certificate true"] if clients else [])]))
    return port


async def test_our_certificates(mosquitto_factory, ours):
    port = _secured(mosquitto_factory, ours, "127.0.0.1", clients=True)
    certificate, key = ours.issue("bridge")
    async with _running(port, tls=Tls(ca=ours.file, certificate=certificate, key=key)) as broker:
        broker.retain("base/a", "1")
        await _until(lambda: broker.connected)
        await broker.flush(PATIENCE)
        broker.renew()
        await _until(lambda: broker.handler.connections == 2 and broker.connected)
        assert not broker.trouble


@pytest.mark.expect_log("No line to the broker")
async def test_an_authority_that_the_system_does_not_know(mosquitto_factory, ours):
    port = _secured(mosquitto_factory, ours, "127.0.0.1")
    async with _running(port, tls=Tls()) as broker:
        await _until(lambda: broker.trouble)
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
    port = _secured(mosquitto_factory, ours, address, clients=True)
    certificate, key = authorities[signer].issue("bridge") if signer else ("", "")
    tls = Tls(ca=authorities[trusted].file, certificate=certificate, key=key)
    async with _running(port, tls=tls) as broker:
        _put(broker.outbox, 1)
        # where the broker hangs up before its alert was read, the next try tells the reason
        await _until(lambda: re.search("certificate|unknown_ca", broker.trouble.lower()))
        assert not broker.connected and broker.handler.connections == 0 and len(broker.outbox) == 1


@pytest.mark.expect_log("No line to the broker")
async def test_a_plain_broker_where_tls_is_wanted(mosquitto, ours):
    async with _running(mosquitto.port, tls=Tls(ca=ours.file)) as broker:
        await _until(lambda: broker.trouble)
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


@pytest.mark.expect_log("more than the broker takes", "No line to the broker", "is there again")
@pytest.mark.parametrize(("protocol", "limit"), [("3.1.1", "max_packet_size"), ("5", "message_size_limit")])
async def test_a_broker_that_does_not_say_what_it_takes(mosquitto_factory, monkeypatch, protocol, limit):
    """What breaks three lines in a row is left out, the rest stays."""
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.05)
    port = mosquitto_factory(f"allow_anonymous true\n{limit} 4000").port
    async with _running(port, protocol=protocol) as broker, watching(port, "base/#") as seen:
        broker.retain("base/large", "x" * 9000)
        broker.retain("base/less", "x" * 5000)
        broker.retain("base/small", "y" * 3000)
        broker.reply("base/response/objects", dumps({"id": 7, "data": "x" * 6000}))
        _put(broker.outbox, 1)
        await _until(lambda: "base/large, base/less" in broker.too_large and broker.connected)
        await _until(lambda: {"base/small", "base/response/objects", "base/reading"} <= seen.latest.keys())
        await _until(lambda: not len(broker.outbox))
        lines = broker.handler.connections
        broker.retain("base/small", "again")
        await _until(lambda: seen.latest["base/small"] == "again")
        assert json.loads(seen.latest["base/response/objects"])["error"]["code"] == "internal"
        assert broker.connected and broker.handler.connections == lines


def _line_broken_by(size: int, topic: str = "base/large") -> Client:
    client = new_client(Mqtt(), mqtt_client.V311, "test", Will("base/state", "offline"), None, {})
    if size:
        around = UnderWay(topic, "", 0.0, print).octets
        client.under_way[1] = UnderWay(topic, "x" * (size - around), 0.0, print)
    return client


async def test_only_what_breaks_three_lines_in_a_row_is_too_large():
    unsaid = Unsaid()
    for size, topic in ((5000, "base/a"), (5000, "base/a"), (5000, "base/b"), (5000, "base/a"), (0, ""), (0, "")):
        unsaid.broken(_line_broken_by(size, topic), stood=False)
    for _ in range(5):
        unsaid.broken(_line_broken_by(900), stood=False)  # a reading is never left out
    assert unsaid.largest == math.inf


async def test_a_broker_that_may_have_been_restarted_is_tried_afresh():
    unsaid = Unsaid()
    for _ in range(3):
        unsaid.broken(_line_broken_by(5000), stood=False)
    assert unsaid.largest == 4999
    unsaid.broken(_line_broken_by(0, ""), stood=True)
    assert unsaid.largest == math.inf
