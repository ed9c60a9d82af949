from __future__ import annotations

import json
from decimal import Decimal

from tests.bridge.house import METER, house


async def test_the_first_reading(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, METER.replace("PORT", str(meter.port))) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await home.until(lambda: len(home.seen.of("dlms_mqtt/meter/house/reading")) > 20)
        state = json.loads(home.meter("state"), parse_float=Decimal)
        assert {"energy_import", "power", "voltage_l1", "frequency", "clock", "serial_number"} <= set(state)
        assert home.meter("value/energy_import") == str(state["energy_import"])
        assert state["_time"]["power"].endswith(("+01:00", "+02:00"))
        reading = json.loads(home.seen.of("dlms_mqtt/meter/house/reading")[0], parse_float=Decimal)
        assert {"meter", "seq", "time", "key", "obis", "class", "attribute", "unit", "raw", "quality"} <= set(reading)
        assert isinstance(reading["raw"], str)
        info = home.seen.json("dlms_mqtt/bridge/main/info")
        assert info["api"] == 1 and info["meters"] == [
            {"id": "house", "name": "House meter", "managed": False, "device": "dlms_mqtt_house"}
        ]
        device = home.seen.json("homeassistant/device/dlms_mqtt_house/config")
        assert "sensor_energy_import" in device["components"] and "sensor_status" in device["components"]
        assert home.seen.latest["dlms_mqtt/bridge/main/state"] == "online"
        await home.until(lambda: home.seen.json("dlms_mqtt/bridge/main/health")["status"] == "ok")
    seqs = [json.loads(text)["seq"] for text in home.seen.of("dlms_mqtt/meter/house/reading")]
    assert seqs == sorted(set(seqs))
    assert home.seen.latest["dlms_mqtt/bridge/main/state"] == "offline"
    assert home.meter("availability") == "offline"
