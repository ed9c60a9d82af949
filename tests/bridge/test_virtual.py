"""``derive``: values of several items, and what is said when a part of one is refused."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import Rig

IMPORT, EXPORT, POWER = (Obis.parse(f"1.0.{c}.7.0.255") for c in (1, 2, 16))
CURRENT, ENERGY = Obis.parse("1.0.31.7.0.255"), Obis.parse("1.0.1.8.0.255")


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def _rig(clock, store, derive, *also, **more):
    read = {"set": "none", "also": list(also)}
    return Rig(clock, store, {"every": "10s", "read": read, "derive": derive, **more})


def _set(rig, obis, value):
    rig.simulated.objects[3, obis].values[2] = Data(DataType.DOUBLE_LONG, value)


async def test_a_signed_current_with_key_unit_and_entity(clock, store):
    derive = {
        "signed_current_l1": {"value": "current_l1 * sign(power)", "unit": "A"},
        "half": {"value": "signed_current_l1 / 2", "decimals": 1},
    }
    rig = _rig(clock, store, derive, f"3/{CURRENT}", f"3/{POWER}")
    _set(rig, POWER, -100)
    _set(rig, CURRENT, 150)
    async with rig.run():
        await asyncio.sleep(15)
    amperes = Decimal(rig.publisher.retained["value/current_l1"])
    assert Decimal(rig.publisher.retained["value/signed_current_l1"]) == -amperes
    assert rig.publisher.retained["value/half"] == str(-(amperes / 2).quantize(Decimal("0.1"), "ROUND_HALF_UP"))
    assert json.loads(rig.publisher.retained["state"])["signed_current_l1"] == -float(amperes)
    row = next(row for row in rig.readings if row["key"] == "signed_current_l1")
    assert row["unit"] == "A" and row["quality"] == "good"
    device = json.loads(rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])["components"]
    entity = device["sensor_signed_current_l1"]
    shown = entity["device_class"], entity["state_class"], entity["unit_of_measurement"]
    assert shown == ("current", "measurement", "A")
    assert entity["name"] == "Signed current l1" and device["sensor_half"]["suggested_display_precision"] == 1


@pytest.mark.expect_log("h: ")
async def test_it_lives_as_long_as_its_slowest_part(clock, store):
    slow = {"obis": str(ENERGY), "class": 3, "every": "1h"}
    rig = _rig(clock, store, {"odd": {"value": "power + energy_import", "unit": ""}}, f"3/{POWER}", slow)
    async with rig.run():
        await asyncio.sleep(1800)
        assert len([row for row in rig.readings if row["key"] == "odd"]) > 150  # with every read of a part
        rig.faults.add("silence")
        await asyncio.sleep(900)
        assert rig.publisher.retained["value/power"] == ""
        assert rig.publisher.retained["value/odd"] != ""  # 3 hours
        await asyncio.sleep(3 * 3600)
        assert rig.publisher.retained["value/odd"] == ""


async def test_nothing_is_computed_of_what_is_not_there(clock, store):
    rig = _rig(clock, store, {"odd": "power + nothing"}, f"3/{POWER}")
    async with rig.run():
        await asyncio.sleep(15)
    assert "value/odd" not in rig.publisher.retained
