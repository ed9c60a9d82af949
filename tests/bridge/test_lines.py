# ruff: noqa: E501
"""The same bridge over every kind of line, and two meters that share one."""

from __future__ import annotations

import pytest

from dlms_mqtt.simulator import KEYS, serve_pty, serve_tcp, serve_udp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house

READ = "    every: 1s\n    read: [1.0.1.7.0.255, 1.0.1.8.0.255]\n"


async def _first_reading(home, meter="house"):
    await home.until(lambda: home.meter("value/energy_import", meter) and home.meter("availability", meter) == "online")


async def test_a_pseudo_terminal(mosquitto, tmp_path):
    async with serve_pty(household(1), paced=False) as line:
        meters = f"\n  house:\n    connection: {{serial: {line.device}, client: 17, timeout: 20s}}\n{READ}"
        async with house(mosquitto, tmp_path, meters) as home:
            await _first_reading(home)
            reply = await home.ask("meter/house/request/read", {"items": ["1.0.32.7.0.255"]})
            assert reply["data"]["values"][0]["unit"] == "V"


async def test_udp(mosquitto, tmp_path):
    async with serve_udp(household(1)) as address:
        meters = f"\n  house:\n    connection: {{udp: '127.0.0.1:{address[1]}', client: 17}}\n{READ}"
        async with house(mosquitto, tmp_path, meters) as home:
            await _first_reading(home)


async def test_a_ciphered_meter_shows_its_counter(mosquitto, tmp_path):
    async with serve_tcp(household(1), framing="hdlc") as server:
        keys = f"encryption_key: 'hex:{KEYS.encryption.hex()}', authentication_key: 'hex:{KEYS.authentication.hex()}'"
        connection = f"{{tcp: '127.0.0.1:{server.port}', framing: hdlc, client: 1, authentication: gmac, {keys}}}"
        async with house(mosquitto, tmp_path, f"\n  house:\n    connection: {connection}\n{READ}") as home:
            await _first_reading(home)
            health = "dlms_mqtt/bridge/main/health"
            await home.until(lambda: home.seen.json(health)["meters"]["house"]["invocation_counter"])
            everything = "\n".join(payload for _, payload, _ in home.seen.all)
            assert KEYS.encryption.hex() not in everything and KEYS.authentication.hex() not in everything


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_two_meters_on_one_line(mosquitto, tmp_path, framing):
    """Two clients of one meter stand for two meters: their exchanges are queued, never mixed."""
    async with serve_tcp(household(1), framing=framing) as server:
        meters = "".join(
            f"\n  {name}:\n    connection: {{tcp: '127.0.0.1:{server.port}', framing: {framing}, client: {client}}}\n{READ}"
            for name, client in (("one", 17), ("two", 16))
        ).replace("client: 16}", 'client: 32, authentication: low, password: "text:12345678"}')
        async with house(mosquitto, tmp_path, meters) as home:
            await _first_reading(home, "one")
            await _first_reading(home, "two")
            meters = home.app.bridge.meters
            assert meters["one"].session.line is meters["two"].session.line
            await home.ask("meter/one/request/pause", {"minutes": 1})
            await home.until(
                lambda: all(row["paused"] for row in home.seen.json("dlms_mqtt/bridge/main/health")["meters"].values())
            )
            await home.until(lambda: len(server.connections) == 0)  # the port is free for another tool
