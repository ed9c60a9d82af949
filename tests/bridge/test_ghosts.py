"""What stands at a broker of meters that nobody has: found, listed and cleared by ``check --broker``."""

from __future__ import annotations

import asyncio
import json

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.presence import ghosts as module
from dlms_mqtt.bridge.presence.ghosts import ghosts
from dlms_mqtt.cli import main
from tests.bridge.conftest import watching
from tests.bridge.house import house, kept_by, write_config

TOPICS = Topics("power", "main")
DEVICE = "homeassistant/device/dlms_mqtt-power_{}/config"


def _announced(meter, base="power", origin="dlms-mqtt"):
    return json.dumps(
        {"origin": {"name": origin}, "availability": [{"topic": f"{base}/meter/{meter}/availability"}]},
        separators=(",", ":"),
    )


def _info(*meters):
    return json.dumps({"meters": [{"id": name} for name in meters]})


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ({"power/meter/gone/state": "..."}, ["gone"]),
        ({"power/meter/house/state": "..."}, []),
        ({"power/meter/gone/value/a": "...", "power/bridge/other/info": _info("gone")}, []),
        ({"power/meter/gone/value/a": "...", "power/bridge/main/info": _info("gone")}, ["gone"]),
        (
            {
                "power/meter/gone/value/a": "...",
                "power/bridge/main/info": _info("gone"),
                "power/bridge/main/state": "online",
            },
            [],
        ),
        ({DEVICE.format("gone"): _announced("gone")}, ["gone"]),
        ({DEVICE.format("old"): _announced("house")}, []),  # `replaces`: another identifier for a meter that is there
        ({DEVICE.format("gone"): _announced("gone", base="elsewhere")}, []),
        ({DEVICE.format("gone"): _announced("gone", origin="zigbee2mqtt")}, []),
        ({"homeassistant/sensor/dlms_mqtt_gone/power/config": _announced("gone")}, ["gone"]),
        ({"power/bridge/other/info": "rubbish", "power/bridge/third/info": "[1]"}, []),
        ({"power/bridge/other/info": '{"meters": 5}', "power/bridge/third/info": '{"meters": [5, {}]}'}, []),
    ],
)
def test_whose_a_topic_is(kept, found):
    assert list(ghosts(kept, TOPICS, {"house"})) == found


async def test_check_lists_and_clears_them(mosquitto, tmp_path, meter, capsys, monkeypatch):
    monkeypatch.setattr(module, "_SILENCE", 1.0)
    meters = f"""
  house: {{connection: {{tcp: "127.0.0.1:{meter.port}", client: 17}}, every: 1s, read: [1.0.1.7.0.255]}}
"""
    path = str(write_config(tmp_path, mosquitto.port, meters))
    async with watching(mosquitto.port) as seen:
        for topic, text in {
            "dlms_mqtt/meter/gone/value/power": "5",
            "dlms_mqtt/meter/gone/availability": "online",
            "homeassistant/device/dlms_mqtt_gone/config": _announced("gone", "dlms_mqtt"),
            "homeassistant/device/other/config": "{}",
        }.items():
            await seen.publish(topic, text, retain=True)

    async def check(*options):
        status = await asyncio.to_thread(main, ["check", "--config", path, *options])
        assert status == 0
        return capsys.readouterr().out

    async with house(mosquitto, tmp_path, meters) as home:  # it writes all the time, and loses nothing
        await home.until(lambda: home.meter("value/power_import"))
        assert "gone: 3 topics" in await check("--broker")
        document = json.loads(await check("--broker", "--json"))
        assert list(document["left_behind"]["meters"]) == ["gone"] and not document["left_behind"]["cleared"]
        assert "They are cleared." in await check("--broker", "--clear")
        assert "Nothing stands at the broker" in await check("--broker")
        kept = await kept_by(mosquitto.port, "dlms_mqtt/#", "homeassistant/#")
        assert not [topic for topic in kept if "gone" in topic]
        assert {"homeassistant/device/other/config", "homeassistant/device/dlms_mqtt_house/config"} <= kept.keys()
