"""``derive``: values of several items, and what is said when a part of one is refused."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.config.expression import parse_expression
from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import Rig

IMPORT, EXPORT, POWER = (Obis.parse(f"1.0.{c}.7.0.255") for c in (1, 2, 16))
CURRENT, ENERGY = Obis.parse("1.0.31.7.0.255"), Obis.parse("1.0.1.8.0.255")


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("a + b * 2", {"a": 1, "b": 2}, "5"),
        ("a * sign(b)", {"a": "1.5", "b": -3}, "-1.5"),
        ("a * sign(b)", {"a": "1.5", "b": 0}, "0"),
        ("max(a - b, 0)", {"a": 1, "b": 2}, "0"),
        ("min(a, b, 3)", {"a": 5, "b": 4}, "3"),
        ("abs(-a)", {"a": -7}, "7"),
        ("0.1 + 0.2 + a", {"a": 0}, "0.3"),
        ("a - main_house.a", {"a": 5, "main-house.a": 2}, "3"),
    ],
)
def test_arithmetic(text, values, result):
    expression = parse_expression(text)
    assert expression({name: Decimal(value) for name, value in values.items()}) == Decimal(result)
    assert expression.names == set(values)


DOTS = ("a.b.c", "a().b", "a.b()", "a.1")
CALLS = ("open(a)", "min(a)", "abs(a, b)", "abs(x=a)", "__import__('os')")
NONE = ("", "a b", "a[0]", "lambda: 1", "a ** 9", "'a'", "True", "a if b else c", "a < b")


@pytest.mark.parametrize("text", [*DOTS, *CALLS, *NONE, f"{'(' * 500}a{')' * 500}"])
def test_what_is_no_arithmetic(text):
    with pytest.raises(ConfigError, match="expected arithmetic"):
        parse_expression(text)


def test_what_cannot_be_computed_names_its_values():
    with pytest.raises(ConfigError, match=r"a / b cannot be computed for a = 1, b = 0: "):
        parse_expression("a / b")({"a": Decimal(1), "b": Decimal(0)})


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


async def test_what_cannot_be_computed_is_told(clock, store):
    rig = _rig(clock, store, {"odd": "1 / power"}, f"3/{POWER}")
    _set(rig, POWER, 0)
    async with rig.run():
        await asyncio.sleep(5)
        assert "1 / power cannot be computed" in meter_health(rig.task)["refused"]["odd"]
        _set(rig, POWER, 4)
        await asyncio.sleep(10)
        assert "odd" not in meter_health(rig.task)["refused"]
        assert rig.publisher.retained["value/odd"] == "0.25"


async def test_a_refused_part_is_named(clock, store):
    """The power of a phase needs import and export; the meter lists both and refuses one."""
    rig = Rig(clock, store, {"every": "10s", "derive": {"odd": "power_export_l1 * 2"}})
    del rig.simulated.objects[3, Obis.parse("1.0.22.7.0.255")].values[2]
    async with rig.run():
        await asyncio.sleep(15)
        assert "value/power_import_l1" in rig.publisher.retained and "value/power_l1" not in rig.publisher.retained
        reasons = meter_health(rig.task)["reasons"]
        assert "power_l1 cannot be told: the meter refuses power_export_l1" in reasons
        assert "odd cannot be told: the meter refuses power_export_l1" in reasons


async def test_a_value_of_several_meters(clock, store):
    """A sum of two meters stands at one of them, with key, unit and entity; it dies with its slower part."""
    rig = _rig(clock, store, {"both": "power + garage_2.power"}, f"3/{POWER}")
    with Store(":memory:") as other_store:
        other = _rig(clock, other_store, {}, f"3/{POWER}")
        rig.task.neighbours(lambda name: other.task if name == "garage-2" else None)
        _set(rig, POWER, 100)
        _set(other, POWER, 23)
        async with rig.run():
            await asyncio.sleep(15)
            assert "value/both" not in rig.publisher.retained  # the other one has not been read
            async with other.run():
                await asyncio.sleep(25)
                assert rig.publisher.retained["value/both"] == "123"
                _set(other, POWER, 50)
                await asyncio.sleep(25)
                assert rig.publisher.retained["value/both"] == "150"
                device = json.loads(rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])["components"]
                assert device["sensor_both"]["unit_of_measurement"] == "W"
                assert "value/both" not in other.publisher.retained
                del other.simulated.objects[3, POWER]
                await asyncio.sleep(600)
            assert rig.publisher.retained["value/both"] == "" and rig.publisher.retained["value/power"] == "100"
            assert "both cannot be told: the meter refuses garage-2.power" in meter_health(rig.task)["reasons"]


async def no_pause(meter, seconds):
    raise AssertionError("nothing is paused")


def _request(name, body):
    return Request(Address("h", "request", name), body)


async def test_a_meter_that_is_computed_of_others(clock, store):
    """It has no line: a device of its own whose values are as fresh as their parts, offline when those are gone."""
    derive = {"power": "house.power + garage_2.power", "half": "power / 2"}
    rig = Rig(clock, store, {"connection": {}, "every": "10s", "derive": derive})
    with Store(":memory:") as one, Store(":memory:") as two:
        parts = {"house": _rig(clock, one, {}, f"3/{POWER}"), "garage-2": _rig(clock, two, {}, f"3/{POWER}")}
        rig.task.neighbours(lambda name: parts[name].task if name in parts else None)
        for part, watts in zip(parts.values(), (100, 23), strict=True):
            _set(part, POWER, watts)
        async with rig.run():
            await asyncio.sleep(5)
            assert rig.publisher.retained["availability"] == "offline" and rig.task.status.verdict == "waiting"
            async with parts["house"].run(), parts["garage-2"].run():
                await asyncio.sleep(15)
                assert (rig.publisher.retained["value/power"], rig.publisher.retained["value/half"]) == ("123", "61.5")
                assert rig.publisher.retained["availability"] == "online" and meter_health(rig.task)["status"] == "ok"
                assert {row["key"] for row in rig.readings} == {"power", "half"}
                _set(parts["house"], POWER, 200)
                await asyncio.sleep(25)
                assert rig.publisher.retained["value/power"] == "223"
                polled = await rig.task.poll_now(["power"])
                assert {key: row.value for key, row in polled.items()} == {"power": 223}
                with pytest.raises(RequestError, match="no item 'energy'"):
                    await rig.task.poll_now(["energy"])
                for verb, body in (("read", {"items": ["1.0.1.8.0"]}), ("clock", {}), ("dump", {}), ("pause", {})):
                    with pytest.raises(RequestError, match="is computed of others"):
                        await MeterRequests(rig.task, no_pause).find("request", verb)(_request(verb, body))
                device = json.loads(rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])
                power = device["components"]["sensor_power"]
                assert (power["device_class"], power["unit_of_measurement"]) == ("power", "W")
            told = len(rig.readings)
            await asyncio.sleep(600)
            assert len(rig.readings) <= told + 2  # nothing old is said again
        assert rig.publisher.retained["availability"] == "offline" and rig.publisher.retained["value/power"] == ""
        assert rig.task.status.verdict == "no_answer" and rig.connections == 0


async def test_a_computed_meter_names_the_meter_that_is_not_there(clock, store):
    rig = Rig(clock, store, {"connection": {}, "derive": {"both": "garage.power"}})
    async with rig.run():
        await asyncio.sleep(15)
        assert "both cannot be told: there is no meter garage" in meter_health(rig.task)["reasons"]


async def test_a_meter_that_is_not_there_is_named(clock, store):
    rig = _rig(clock, store, {"both": "power + garage.power"}, f"3/{POWER}")
    async with rig.run():
        await asyncio.sleep(15)
        assert "both cannot be told: there is no meter garage" in meter_health(rig.task)["reasons"]
