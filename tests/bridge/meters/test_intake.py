"""Very many answers of one cycle: others have their turn between them, and nothing is left out."""

from __future__ import annotations

import asyncio
import json

import pytest

from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.reading.plan import make_plan, plan_item
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, AttributeFailed, ResponseTimeout
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import VIENNA, Rig

MANY = 2000
POWER = Obis.parse("1.0.16.7.0.255")


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def _answers(plan, number):
    data, scale = Data(DataType.DOUBLE_LONG_UNSIGNED, number), ScalerUnit(0, 30)
    return {item.attribute: Measured(item.attribute, data, scale) for item in plan.items}


async def test_others_have_their_turn_between_very_many_values(clock, store):
    rig = Rig(clock, store, {"every": "10s", "read": {"set": "all"}})
    objects = [ObjectInfo(3, 0, Obis((1, number >> 8, number & 255, 8, 0, 255))) for number in range(MANY)]
    plan = make_plan(rig.task.config, objects, VIENNA)
    turns = 0

    async def another_meter():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(another_meter())
    await asyncio.sleep(0)
    before = turns
    await rig.task._intake.polled(plan.items, _answers(plan, 42_000), plan, rig.task.now())
    other.cancel()
    assert turns - before >= len(plan.items) // 100, "one of 100 values or so"
    assert rig.publisher.waits >= len(plan.items) // 100, "for the broker, where very much waits for it"
    assert len(rig.readings) == len(plan.items) > 500
    assert {message["value"] for message in rig.readings} == {42}
    assert [topic for topic in rig.publisher.retained if topic == "state"]


def _rig(clock, store, derive, *also, **more):
    read = {"set": "none", "also": list(also)}
    return Rig(clock, store, {"every": "10s", "read": read, "derive": derive, **more})


def _set(rig, obis, value):
    rig.simulated.objects[3, obis].values[2] = Data(DataType.DOUBLE_LONG, value)


async def test_what_is_computed_goes_out_together_and_leaves_others_their_turn(clock, store):
    """Each alone, of a meter of 5,000 values, held everything for half a minute: the state has all of them."""
    sums = {"last": "n7 + first", "first": "n3 * 2"} | {f"n{number}": f"power + {number}" for number in range(500)}
    rig = _rig(clock, store, sums | {"hen": "egg + n1", "egg": "hen + n1"}, f"3/{POWER}")
    plan = make_plan(rig.task.config, [], VIENNA)
    turns = sum(1 for _ in rig.task._intake._polled(plan.items, _answers(plan, 5000), plan, rig.task.now()))
    states = [topic for topic, _ in rig.publisher.history if topic == "state"]
    assert len(states) == 4, "what was read, what is computed of it, and of that, twice"
    assert turns > 2 * len(sums)
    shown = {key: rig.publisher.retained[f"value/{key}"] for key in ("n499", "first", "last")}
    assert shown == {"n499": "504", "first": "16", "last": "28"}
    assert "value/hen" not in rig.publisher.retained


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


async def test_a_part_that_was_lost_is_not_called_refused(clock, store):
    rig = _rig(clock, store, {"odd": "power * 2"}, f"3/{POWER}")
    plan = make_plan(rig.task.config, [], VIENNA)
    lost = AttributeFailed("no answer within 5 s", error=ResponseTimeout(""), target="power")
    refused = AccessRefused("no", code=3, name="read-write-denied")
    for answer, reason in ((lost, "power did not come (no-answer)"), (refused, "the meter refuses power")):
        await rig.task._intake.polled(plan.items, dict.fromkeys(_answers(plan, 0), answer), plan, rig.task.now())
        assert rig.task.status.reasons["part of odd"] == f"odd cannot be told: {reason}"
    assert rig.task.status.refused == {"power": "read-write-denied"}, "as it is now"


async def test_a_value_of_several_meters(clock, store):
    """A sum of two meters stands at one of them, with key, unit and entity; it dies with its slower part."""
    rig = _rig(clock, store, {"both": "power + garage_2.power"}, f"3/{POWER}")
    with Store(":memory:") as other_store:
        other = _rig(clock, other_store, {}, f"3/{POWER}")
        rig.neighbours = {"garage-2": other.task}
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


async def test_a_computed_meter_names_the_meter_that_is_not_there(clock, store):
    rig = Rig(clock, store, {"connection": {}, "derive": {"both": "garage.power"}})
    async with rig.run():
        await asyncio.sleep(15)
        assert "both cannot be told: there is no meter garage" in meter_health(rig.task)["reasons"]


async def test_a_value_that_is_nowhere_is_named(clock, store):
    """A mistyped key, of this meter or another: nothing told why its value never came."""
    rig = _rig(clock, store, {"both": "powr + 1", "other": "garage.powr", "late": "both * 2"}, f"3/{POWER}")
    with Store(":memory:") as other_store:
        other = _rig(clock, other_store, {}, f"3/{POWER}")
        rig.neighbours = {"garage": other.task}
        async with rig.run():
            await asyncio.sleep(15)
            assert meter_health(rig.task)["reasons"] == ["both cannot be told: there is no value powr"]
            async with other.run():
                await asyncio.sleep(25)
                assert "other cannot be told: there is no value garage.powr" in meter_health(rig.task)["reasons"]


async def test_a_meter_that_is_not_there_is_named(clock, store):
    rig = _rig(clock, store, {"both": "power + garage.power"}, f"3/{POWER}")
    async with rig.run():
        await asyncio.sleep(15)
        assert "both cannot be told: there is no meter garage" in meter_health(rig.task)["reasons"]


def _push(rig, *rows, scaler=0, unit=30):
    """Each row: code and number. ``unit``: None: the number comes without scaler and unit."""
    scale = None if unit is None else ScalerUnit(scaler, unit)
    attributes = [AttributeDescriptor(3, Obis.parse(f"1.0.{code}.255"), 2) for code, _ in rows]
    items = [plan_item(attribute, quantity(attribute.obis, 3), None, 60.0, VIENNA) for attribute in attributes]
    values = [Data(DataType.DOUBLE_LONG, number) for _, number in rows]
    measured = [Measured(attribute, value, scale) for attribute, value in zip(attributes, values, strict=True)]
    rig.task.take_pushed(list(zip(items, measured, strict=True)), Moment(rig.task.now(), VIENNA))


PUSHING = {"connection": {}, "push": {"listen": "tcp://127.0.0.1:0", "every": "10m"}}


async def test_a_push_is_published_but_for_what_the_user_leaves_out(clock, store):
    rig = Rig(clock, store, PUSHING | {"read": {"except": ["energy_export"]}})
    _push(rig, ("1.8.0", 5000), ("2.8.0", 7000))
    assert [(row["key"], row["value"], row["unit"]) for row in rig.readings] == [("energy_import", 5, "kWh")]
    await asyncio.sleep(1700)
    rig.output.expire()
    assert rig.publisher.retained["value/energy_import"] == "5"
    await asyncio.sleep(200)  # three of the longest times between two
    rig.output.expire()
    assert rig.publisher.retained["value/energy_import"] == ""


@pytest.mark.parametrize(("codes", "told"), [(("1.7.0", "2.7.0"), "-200"), (("1.7.0",), "100"), (("2.7.0",), None)])
async def test_the_power_of_a_push_is_import_without_export(clock, store, codes, told):
    """A list with the import alone tells it as long as that is above 0."""
    rig = Rig(clock, store, PUSHING)
    _push(rig, *zip(codes, (100, 300), strict=False), unit=27)
    assert rig.publisher.retained.get("value/power") == told


async def test_numbers_without_scaler_and_unit_are_named_until_they_have_them(clock, store):
    rig = Rig(clock, store, PUSHING)
    _push(rig, ("1.8.0", 5000), ("1.7.0", 5), unit=None)
    assert {row["quality"] for row in rig.readings} == {"unscaled"}
    assert "no scaler and unit is known of energy_import, power, power_import;" in rig.task.status.reasons["unscaled"]
    _push(rig, ("1.7.0", 5), unit=27)
    assert "no scaler and unit is known of energy_import;" in rig.task.status.reasons["unscaled"]


async def test_what_the_meter_refuses_and_what_cannot_be_worked_out_costs_no_other(clock, store):
    odd = {"obis": str(POWER), "key": "odd", "transform": "1 / value"}
    rig = Rig(
        clock, store, {"every": "10s", "read": {"set": "none", "also": ["3/1.0.1.8.0.255", "3/1.0.2.8.0.255", odd]}}
    )
    _set(rig, POWER, 0)
    values = rig.simulated.objects[3, Obis.parse("1.0.2.8.0.255")].values
    export = values.pop(2)
    async with rig.run():
        await asyncio.sleep(15)
        assert set(rig.task.status.refused) == {"energy_export", "odd"}
        assert {row["key"] for row in rig.readings} == {"energy_import"}
        values[2] = export
        _set(rig, POWER, 4)
        rig.simulated.views.clear()  # it shows the attribute again
        await rig.task.poll_now(None)
    assert rig.task.status.refused == {}
    assert rig.publisher.retained["value/odd"] == "0.25" and rig.publisher.retained["value/energy_export"]


async def test_a_refusal_that_comes_and_goes_is_one_line(clock, store, caplog):
    """And what a bad line loses is none: of 30 % lost answers came a hundred lines in two minutes."""
    caplog.set_level("INFO", "dlms_mqtt.bridge.meters.intake")
    rig = Rig(clock, store, {"every": "10s", "read": {"set": "none", "also": [f"3/{POWER}"]}})
    plan = make_plan(rig.task.config, [], VIENNA)
    target = plan.items[0].attribute
    lost = AttributeFailed("no answer", error=ResponseTimeout("no answer"), target=str(target))
    refused = AccessRefused("read-write-denied", name="read-write-denied", target=str(target))
    good = _answers(plan, 5)[target]
    for answer in (lost, good, lost, refused, good, refused, good, refused):
        await rig.task._intake.polled(plan.items, {target: answer}, plan, rig.task.now())
        assert ("power" in rig.task.status.refused) is (answer is not good)
    assert [record.getMessage() for record in caplog.records] == ["h: power is not read: read-write-denied"]


async def test_what_is_computed_of_values_of_a_time_of_day_stands_again_after_a_restart(clock, store):
    """Until their time comes they are not read, and so it would not be computed: it was gone for the day."""
    daily = {"obis": str(POWER), "class": 3, "at": ["00:05"]}
    sums = {"twice": "power * 2", "four": "twice * 2", "odd": "1 / (power - 21)", "more": "other.power + power"}
    rig = _rig(clock, store, sums, daily)
    _set(rig, POWER, 21)
    async with rig.run():
        await asyncio.sleep(30)
    again = _rig(clock, store, sums, daily)
    async with again.run():
        await asyncio.sleep(30)
        shown = {key: again.publisher.retained[f"value/{key}"] for key in ("power", "twice", "four")}
        assert shown == {"power": "21", "twice": "42", "four": "84"}
        assert not {"value/odd", "value/more"} & again.publisher.retained.keys()
        assert again.readings == [], "they were published once"
        lives = {key: value.expires for key, value in again.task.output.state.fresh(0).items()}
        assert lives["twice"] == pytest.approx(lives["power"]) == pytest.approx(lives["four"])
