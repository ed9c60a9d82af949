"""The configuration at work: taken over, kept where it is wrong, and what leaves with it."""

from __future__ import annotations

import asyncio
import json
import os
import re

import aiomqtt
import pytest

from dlms_mqtt.bridge import app as bridge_app
from tests.bridge.house import METER, house, write_config


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


def _component(home, name):
    return home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"].get(name)


async def test_an_item_that_leaves_and_a_meter_that_is_gone(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(
            lambda: (
                home.meter("value/voltage_l1")
                and "sensor_voltage_l1" in home.seen.latest.get("homeassistant/device/dlms_mqtt_house/config", "")
            )
        )
    excepted = _meter(meter, "    read: {except: [voltage_l1]}\n")
    async with house(mosquitto, tmp_path, excepted) as home:
        await home.until(lambda: home.meter("availability") == "online" and home.meter("value/power"))
        await home.until(lambda: _component(home, "sensor_voltage_l1") == {"platform": "sensor"})
        await home.until(lambda: home.meter("value/voltage_l1") == "")
        assert "voltage_l1" not in json.loads(home.meter("state"))
        # the file changes under way: the meter goes
        home.path.write_text(re.sub(r"meters:.*", "meters: {}\n", home.path.read_text(), flags=re.S))
        await home.until(lambda: home.seen.latest["homeassistant/device/dlms_mqtt_house/config"] == "")
        await home.until(
            lambda: home.meter("availability") == "" and home.meter("state") == "" and home.meter("value/power") == ""
        )


async def test_a_meter_removed_while_the_bridge_was_off(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("value/power"))
    async with house(mosquitto, tmp_path, "") as home:
        await home.until(
            lambda: not any(home.meter(name) for name in ("availability", "state", "value/power", "value/clock"))
        )
        await home.until(lambda: home.seen.latest["homeassistant/device/dlms_mqtt_house/config"] == "")


@pytest.mark.expect_log("not reloaded")
async def test_a_mistake_keeps_the_running_configuration(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meter(meter), "management: true\nwatch_files: false") as home:
        home.path.write_text(home.path.read_text() + "oops: 1\n")
        reply = await home.ask("bridge/main/request/reload")
        assert reply["error"]["code"] == "invalid-value" and "oops" in reply["error"]["message"]
        assert (await home.ask("meter/house/request/read", {"items": ["1.0.1.8.0.255"]}))["status"] == "ok"
        home.path.write_text("")  # as an editor or a full disk may leave it
        reply = await home.ask("bridge/main/request/reload")
        assert reply["error"]["code"] == "invalid-value" and "empty" in reply["error"]["message"]
        assert home.meter("availability") == "online"


async def test_a_file_that_is_still_being_written_waits(mosquitto, tmp_path, meter, monkeypatch):
    monkeypatch.setattr(bridge_app, "_WATCH", 0.3)
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        text = home.path.read_text()
        cut = re.sub(r"meters:.*", "meters: {}\n", text, flags=re.S)
        for step in range(10):  # a slow editor: what is there between two looks is never the whole
            home.path.write_text(cut + f"# {step}\n")
            os.utime(home.path, ns=(step, step))
            await asyncio.sleep(0.1)
        home.path.write_text(text + "# done\n")
        await asyncio.sleep(1)
        assert "" not in home.seen.of("dlms_mqtt/meter/house/availability")
        assert home.meter("availability") == "online" and home.meter("value/power")


async def test_a_meter_is_added_while_the_broker_does_not_answer(mosquitto, tmp_path, meter, monkeypatch):
    """A time-out is no reason to end: the line is made anew, and the meter's commands are heard on it."""
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        first = home.app.bridge.broker._client

        async def silent(filters):
            raise aiomqtt.MqttError("Operation timed out")

        monkeypatch.setattr(first, "subscribe_to", silent)
        write_config(tmp_path, mosquitto.port, _meter(meter) + _meter(meter).replace("house:", "flat:"))
        assert await home.app.reload() == ["flat"]
        await home.until(lambda: home.app.bridge.broker._client not in (None, first))
        assert (await home.ask("meter/flat/request/poll"))["status"] == "ok"
