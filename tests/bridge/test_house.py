"""Writes, actions, profiles, pushes, management, restarts and cleaning up, with a real broker and a simulated meter."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.house import house
from tests.free_port import free_port


def _push(power: int) -> bytes:
    items = [
        Data(DataType.STRUCTURE, (Data(DataType.OCTET_STRING, bytes(Obis.parse(obis))), value, unit))
        for obis, value, unit in (
            ("1.0.1.7.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, power), _unit(0, 27)),
            ("1.0.1.8.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, 123456), _unit(0, 30)),
        )
    ]
    body = encode(Data(DataType.ARRAY, tuple(items)))
    apdu = DataNotification(1, None, body).encode()
    return bytes.fromhex("000100010066") + len(apdu).to_bytes(2, "big") + apdu


def _unit(scaler: int, code: int) -> Data:
    return Data(DataType.STRUCTURE, (Data(DataType.INTEGER, scaler), Data(DataType.ENUM, code)))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_pushes(mosquitto, tmp_path, kind):
    port = free_port()
    text = f"\n  house:\n    push: {{listen: '{kind}://127.0.0.1:{port}', every: 10s}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.send(_push(0))
            await home.until(lambda: home.meter("value/power_import") == "0")
            sock.send(_push(750))
            await home.until(lambda: home.meter("value/power_import") == "750")
        assert home.meter("value/energy_import") == "123.456"
        assert home.meter("availability") == "online"
        await home.until(
            lambda: (
                "sensor_energy_import" in home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
            )
        )
        assert home.seen.of("dlms_mqtt/meter/house/event") == []


async def test_a_seal_that_was_seen_on_the_broker_opens_nothing_elsewhere(mosquitto, tmp_path, meter):
    caught = []

    async def evil(reader, writer):
        caught.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(evil, "127.0.0.1", 0) as server:
        elsewhere = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with house(mosquitto, tmp_path, "", "management: true") as home:
            key, line = home.seen.json("dlms_mqtt/bridge/main/info")["seal"], {"tcp": f"127.0.0.1:{meter.port}"}
            secret = seal("text:12345678", key, os.urandom, "flat", line)
            right = {**line, "client": 32, "authentication": "low", "password": secret}

            async def asked(verb, name, connection):
                body = {"meter": name, "config": {"connection": connection}}
                reply = await home.ask(f"bridge/main/request/meter/{verb}", body)
                return reply.get("error", {"detail": {"reason": ""}})["detail"].get("reason")

            assert await asked("validate", "flat", right) == ""
            assert await asked("add", "flat", right) == ""
            for verb in ("validate", "objects", "update"):
                assert await asked(verb, "flat", {**right, "tcp": elsewhere}) == "seal"
            for verb in ("validate", "objects", "add"):
                assert await asked(verb, "mine", right) == "seal"
                assert await asked(verb, "mine", {**right, "tcp": elsewhere}) == "seal"
            reply = await home.ask("bridge/main/request/meter/find", {"line": {"tcp": elsewhere, "password": secret}})
            assert reply["error"]["detail"]["reason"] == "seal"
            # what was taken is taken, though the meter is gone
            assert (await home.ask("bridge/main/request/meter/remove", {"meter": "flat"}))["status"] == "ok"
            reply = await home.ask(
                "bridge/main/request/meter/add", {"meter": "flat", "config": {"connection": right, "every": "1s"}}
            )
            assert "has been used" in reply["error"]["message"]
    assert caught == []
