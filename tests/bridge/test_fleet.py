"""The meters at work: on lines of their own and shared ones, asked, and only listened to."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.simulator import PASSWORD
from tests.bridge.house import house, one_meter
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


async def test_meters_on_one_line_are_polled_and_pause_together(mosquitto, tmp_path, meter):
    low = f"connection: {{tcp: '127.0.0.1:{meter.port}', client: 32, authentication: low, password: 'PASSWORD'}}"
    low = low.replace("PASSWORD", f"text:{PASSWORD.decode()}")
    rows = one_meter(meter) + f"\n  flat:\n    {low}\n    every: 1h\n"
    async with house(mosquitto, tmp_path, rows) as home:
        for name in ("house", "flat"):
            await home.until(lambda name=name: home.meter("value/power", name))
        assert (await home.ask("meter/house/request/pause", {"minutes": 5}))["status"] == "ok"
        fleet = home.app.bridge.fleet
        assert {name for name, meter in fleet.meters.items() if meter.session.paused_until} == {"house", "flat"}
        trial = fleet.new_session("house", home.app.bridge.loaded.connections["house"])
        assert trial.line is fleet.meters["flat"].session.line
        tried = asyncio.Event()

        def full(_store):
            tried.set()
            raise StoreError("the disk is full")

        with mock.patch.object(Store, "write_soon", full):
            await tried.wait()  # that ends nothing
        assert fleet.running.keys() == {"house", "flat"}


async def test_a_meter_with_a_secret_is_not_asked_where_nothing_can_be_kept(mosquitto, tmp_path, meter, monkeypatch):
    """Neither its counter nor that its password was refused."""
    async with house(mosquitto, tmp_path, one_meter(meter)) as home:
        await home.until(lambda: home.meter("value/power"))
        fleet = home.app.bridge.fleet
        settings = ConnectionSettings(tcp=("127.0.0.1", meter.port), client=32, authentication="low", password=PASSWORD)
        make = fleet._clients(None)
        assert make(settings).settings is settings
        with Store(MEMORY) as store:
            with monkeypatch.context() as patch:
                patch.setattr(fleet._context, "store", store)
                make = fleet._clients(None)
            with pytest.raises(StoreError, match="no secret is used"):
                make(settings)
