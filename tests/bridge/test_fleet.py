"""The meters at work: on lines of their own and shared ones, asked, and only listened to."""

from __future__ import annotations

import asyncio

from tests.bridge.house import house
from tests.bridge.pushed import push_of


async def test_a_meter_that_pushes_on_its_own_line(mosquitto, tmp_path):
    async def speak(reader, writer):
        for power in (0, 750):
            writer.write(push_of(power))
            await asyncio.sleep(0.3)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"\n  house:\n    connection: {{tcp: '127.0.0.1:{port}'}}\n    push: {{listen: connection, every: 10s}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "750")
        await asyncio.sleep(1.5)
        assert home.meter("availability") == "online"
    server.close()


async def test_a_preset_of_a_meter_that_only_speaks_is_enough(mosquitto, tmp_path):
    heard = bytearray()

    async def speak(reader, writer):
        writer.write(push_of(750))
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"\n  house: {{preset: norway-han, connection: {{tcp: '127.0.0.1:{port}'}}}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "750")
    server.close()
    assert not heard


async def test_what_is_said_of_pushed_values_asks_nothing(mosquitto, tmp_path):
    heard = bytearray()

    async def speak(reader, writer):
        writer.write(push_of(750))
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    text = f"""
  house:
    connection: {{tcp: '127.0.0.1:{server.sockets[0].getsockname()[1]}'}}
    push: {{listen: connection, every: 10s}}
    read:
      also:
        - {{obis: 1.0.1.7.0.255, name: Drawn power, transform: value * 2}}
"""
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "1500")
        device = home.seen.json("homeassistant/device/dlms_mqtt_house/config")
        assert device["components"]["sensor_power_import"]["name"] == "Drawn power"
    server.close()
    assert not heard
