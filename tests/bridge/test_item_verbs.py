"""Items that are set and actions that are run, confirmed and refused."""

from __future__ import annotations

from tests.bridge.house import house
from tests.bridge.test_codes import _config


async def test_writes_and_actions(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/set/ratio", {"value": 21})
        assert reply["data"] == {"value": 21, "read_back": 21}
        await home.until(lambda: home.meter("value/ratio") == "21")
        reply = await home.ask("meter/house/set/tariff", {"value": "night"})
        assert reply["data"]["read_back"] == "night"
        await home.seen.publish("dlms_mqtt/meter/house/set/tariff", "day")
        await home.until(lambda: home.meter("value/tariff") == "day")
        reply = await home.ask("meter/house/do/reconnect", {"confirm": "house"})
        assert reply["status"] in ("ok", "error")
        body = {"obis": "1.0.0.4.3.255", "attribute": 2, "value": 5}
        data = (await home.ask("meter/house/request/write", body))["data"]
        assert data["read_back"] == data["value"] == 5
        assert data["obis"] == body["obis"]
        body = {"obis": "0.0.96.3.10.255", "method": 1, "confirm": "house"}
        reply = await home.ask("meter/house/request/invoke", body)
        assert reply["data"] == {"obis": body["obis"], "class": 70, "method": 1, "returned": None, "raw": None}
