"""Writes, actions, profiles, pushes, management, restarts and cleaning up, with a real broker and a simulated meter."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from dlms_mqtt.bridge.config.seal import seal
from tests.bridge.house import house
from tests.bridge.pushed import push_of
from tests.free_port import free_port


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_pushes(mosquitto, tmp_path, kind):
    port = free_port()
    text = f"\n  house:\n    push: {{listen: '{kind}://127.0.0.1:{port}', every: 10s}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.send(push_of(0))
            await home.until(lambda: home.meter("value/power_import") == "0")
            sock.send(push_of(750))
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
