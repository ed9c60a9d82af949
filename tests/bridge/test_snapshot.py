"""Everything that the bridge knows as one object: what MQTT says, in the language asked for, and health."""

from __future__ import annotations

import json
import logging

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house
from tests.bridge.listener import PROFILE, SECRET, get, meters_with_http, until, where_it_is_noon


async def test_what_mqtt_says_stands_there_too(mosquitto, tmp_path):
    async with (
        serve_tcp(household(1)) as server,
        house(mosquitto, tmp_path, meters_with_http(server, where_it_is_noon() + PROFILE)) as home,
    ):
        await home.until(lambda: "power" in json.loads(home.meter("state") or "{}"))
        await home.until(lambda: home.seen.of("dlms_mqtt/meter/house/profile/load"))
        status, text = await get(home, "/state.json")
        state = json.loads(text)
        assert status == 200 and state["status"] in ("ok", "degraded") and state["bridge"]["connected"] is True
        house_ = state["meters"]["house"]
        assert house_["online"] is True and house_["name"] == "House meter"
        assert set(house_["values"]) == set(json.loads(home.meter("state"))) - {"_time"}
        assert house_["values"]["energy_import"]["unit"] == "kWh"
        assert house_["values"]["power"]["topic"] == "dlms_mqtt/meter/house/value/power"
        assert house_["health"]["status"] == "ok"
        assert len(house_["curve"]["import"]) >= 40  # quarters since midnight
        german = json.loads((await get(home, "/state.json?language=de"))[1])
        assert german["meters"]["house"]["values"]["power"]["name"] == "Leistung"
        assert german["texts"]["Voltages"] == "Spannungen"

        status, text = await get(home, "/metrics")
        found = {family.name: family for family in text_string_to_metric_families(text)}
        assert status == 200
        assert found["dlms_energy_import_joules"].type == "counter"
        assert found["dlms_mqtt_meter_up"].samples[0].value == 1
        assert SECRET not in text + json.dumps(state) + (await get(home, "/"))[1]

        status, text = await get(home, "/health")
        assert status == 200 and set(json.loads(text)) == {"status", "reasons"}


@pytest.mark.expect_log("No line to the broker", "The line to the broker is there again")
async def test_without_a_broker_health_is_503_and_says_why(mosquitto, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "mqtt")  # aiomqtt tells the broken line too, where it notices it first
    async with serve_tcp(household(1)) as server, house(mosquitto, tmp_path, meters_with_http(server)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        mosquitto.stop()
        await until(lambda: not home.app.bridge.broker.connected and home.app.bridge.broker.trouble)
        status, text = await get(home, "/health")
        assert status == 503 and json.loads(text)["status"] == "failing"
        assert "no line to the broker: " in json.loads(text)["reasons"][0]
        status, text = await get(home, "/metrics")  # the meter is read all the same
        assert 'dlms_mqtt_connected{bridge="main"} 0' in text and "dlms_power_watts" in text
        mosquitto.start()
        await until(lambda: home.app.bridge.broker.connected)
        assert (await get(home, "/health"))[0] == 200
