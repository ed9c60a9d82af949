"""Requests to a meter: values, objects, profiles and clocks that are read for somebody."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.bridge.house import METER, house
from tests.bridge.test_codes import _config


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


async def test_requests_that_only_read(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/request/objects")
        assert {"1.0.1.8.0.255"} <= {row["obis"] for row in reply["data"]["objects"]}
        assert any('"progress"' in text for text in home.seen.of("dlms_mqtt/meter/house/response/objects"))
        reply = await home.ask("meter/house/request/clock")
        assert abs(reply["data"]["drift"]) < 5
        assert set(reply["data"]) == {"time", "raw", "deviation", "deviation_sense", "status", "drift"}
        assert (await home.ask("meter/house/request/clock", {"set": True}))["status"] == "ok"
        start = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "from": start})
        assert {row["unit"] for row in reply["data"]["values"]} & {"Wh"}
        assert set(reply["data"]["meter"]) == {"system_title", "logical_device_name"}
        reply = await home.ask("meter/house/request/read", {"items": [{"obis": "1.0.1.8.0.255"}]})
        assert reply["data"]["meter"]["logical_device_name"].startswith("DMQ")
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "first": 1, "count": 2})
        assert reply["status"] == "ok" and reply["data"]["values"]
        reply = await home.ask("meter/house/request/poll", {"keys": ["energy"]})
        assert set(reply["data"]["values"]) == {"energy"}
        assert (await home.ask("meter/house/request/poll", {"keys": ["none"]}))["error"]["code"] == "unknown-key"
        reply = await home.ask("meter/house/request/dump")
        assert reply["status"] == "ok" and "facts" in reply["data"]
        for verb in ("ping", "ports", "presets", "schema", "config"):
            assert (await home.ask(f"bridge/main/request/{verb}"))["status"] == "ok", verb
        presets = (await home.ask("bridge/main/request/presets"))["data"]["presets"]
        push_only = {row["id"]: row["push_only"] for row in presets}
        assert push_only["norway-han"] and not push_only["generic"] and not push_only["kaifa-tcp"]


async def test_profiles_of_the_configuration(mosquitto, tmp_path, meter):
    more = "    profiles:\n      - {obis: 1.0.99.1.0.255, key: load, every: 1h, backfill: 1d}\n"
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        load = "dlms_mqtt/meter/house/profile/load"
        await home.until(lambda: sum(len(json.loads(text)["rows"]) for text in home.seen.of(load)) > 20)
        rows = [row for text in home.seen.of(load) for row in json.loads(text)["rows"]]
        message = json.loads(home.seen.of(load)[0])
        assert message["interval"] in (900, 3600) and message["seq"]
        assert all(set(column) == {"key", "obis", "unit"} for column in message["columns"])
        assert len(rows[0]) == len(message["columns"]) + 2
        times = [row[0] for row in rows]
        assert times == sorted(set(times))
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await asyncio.sleep(0.5)
        again = [row[0] for text in home.seen.of(load) for row in json.loads(text)["rows"]]
        assert not set(again) & set(times)


async def test_a_profile_as_rows(mosquitto, tmp_path, meter):
    """The compact table says what the single values say, in a tenth of the bytes."""
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        ask = {"obis": "1.0.99.1.0.255", "from": (datetime.now() - timedelta(days=2)).isoformat()}
        values = (await home.ask("meter/house/request/profile", ask))["data"]["values"]
        table = (await home.ask("meter/house/request/profile", {**ask, "as": "rows"}))["data"]
        assert table["interval"] in (900, 3600) and table["columns"][0]["unit"] == "kWh"
        times = [row[0] for row in table["rows"]]
        assert times == sorted(set(times)) and times[0] == table["from"] and times[-1] == table["to"]
        column = table["columns"][0]["obis"]
        single = {row["time"]: row["value"] / 1000 for row in values if row["obis"] == column}
        assert {row[0]: row[2] for row in table["rows"]} == pytest.approx(single)
        assert len(json.dumps(table)) * 8 < len(json.dumps(values))
        assert (await home.ask("meter/house/request/profile", {**ask, "as": "x"}))["error"]["code"] == "invalid-value"
