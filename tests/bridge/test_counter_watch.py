"""Counters on their way to the broker: every unit and transform is watched, and a new meter is a new start."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.meters.health import bridge_health, meter_health
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.server.objects import CosemObject
from tests.bridge.rig import Rig

ENERGY, SERIAL = Obis.parse("1.0.1.8.0.255"), Obis.parse("0.0.96.1.0.255")
SERIAL_ITEM = {"obis": str(SERIAL), "class": 1, "key": "serial_number"}
NUMBER = DataType.DOUBLE_LONG_UNSIGNED


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


class Bench:
    """A meter with one counter that a test sets; ``said`` are the user's own words about it."""

    def __init__(self, clock, store, said=None, **more):
        also = [{"obis": str(ENERGY), **(said or {})}, SERIAL_ITEM]
        self.rig = Rig(clock, store, {"every": "10s", "read": {"set": "none", "also": also}, **more})
        self.set(12_345_678)
        self.name(b"12345")

    def set(self, value, data_type=NUMBER):
        self.rig.simulated.objects[3, ENERGY].values[2] = Data(data_type, value)

    def name(self, octets):
        self.rig.simulated.objects[1, SERIAL].values[2] = Data(DataType.OCTET_STRING, octets)

    def history(self, key="energy_import"):
        return [payload for topic, payload in self.rig.publisher.history if topic == f"value/{key}"]


@pytest.mark.expect_log("is held back: it turned zero")
@pytest.mark.parametrize("serial", [b"", b"\0\0\0\0\0", b"00000", b"    ", b"????????", None])
async def test_a_zero_while_the_serial_number_is_missing(clock, store, serial):
    """A meter that boots has neither counted nor a name yet: the two come together (issue of many integrations)."""
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(35)
        bench.set(0)
        if serial is None:
            del bench.rig.simulated.objects[1, SERIAL]
        else:
            bench.name(serial)
        await asyncio.sleep(60)
        assert set(bench.history()) == {"12345.678"}
        bench.set(12_345_778)
        await asyncio.sleep(20)
        assert bench.history()[-1] == "12345.778" and "0" not in bench.history()


@pytest.mark.expect_log("is held back: it turned zero")
async def test_a_poll_of_the_device_name_alone_releases_nothing(clock, store):
    also = {"obis": "0.0.42.0.0.255", "class": 1, "every": "1h"}
    bench = Bench(clock, store)
    bench.rig.task.config = bench.rig.output.config = _with(bench.rig.output.config, also)
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.set(0)
        for _ in range(3):
            await bench.rig.task.poll_now(["logical_device_name"])
            await asyncio.sleep(10)
        assert set(bench.history()) == {"12345.678"}


def _with(config, item):
    from dlms_mqtt.bridge.config.load import parse_meter

    more, _ = parse_meter("h", {"connection": {"tcp": "memory"}, "read": [item]}, lambda name: {})
    return replace(config, read=replace(config.read, also=(*config.read.also, *more.read.also)))


@pytest.mark.expect_log("is held back: it turned zero")
@pytest.mark.parametrize(
    ("said", "good", "unit"),
    [
        ({"unit": "Wh", "transform": "value * 1000"}, "12345678", "Wh"),
        ({"unit": "MWh", "transform": "value / 1000"}, "12.345678", "MWh"),
        ({"unit": "GJ", "transform": "value * 0.0036"}, "44.4444408", "GJ"),
        ({"unit": "m³", "device_class": "gas"}, "12345.678", "m³"),
        ({"unit": "pulses"}, "12345.678", "pulses"),
    ],
)
async def test_every_unit_and_transform_is_watched(clock, store, said, good, unit):
    bench = Bench(clock, store, said)
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.set(0)
        await asyncio.sleep(60)
    assert set(bench.history()) == {good}
    assert bench.rig.output.guard.held["energy_import"].unit == unit


@pytest.mark.expect_log("is held back: it turned zero")
async def test_a_counter_that_no_catalogue_knows_is_watched(clock, store):
    obis = Obis.parse("1.0.128.8.0.255")
    bench = Bench(clock, store)
    objects = bench.rig.simulated.objects
    objects[3, obis] = objects[3, ENERGY].copy() if hasattr(objects[3, ENERGY], "copy") else objects[3, ENERGY]
    bench.rig.task.config = bench.rig.output.config = _with(bench.rig.output.config, {"obis": str(obis), "class": 3})
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.set(0)
        await asyncio.sleep(60)
    assert set(bench.history("obis_1_0_128_8_0_255_2")) == {"12345.678"}


async def test_a_guard_that_is_off_watches_nothing(clock, store):
    bench = Bench(clock, store, guard=False)
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.set(0)
        await asyncio.sleep(20)
    assert bench.history()[-1] == "0"


async def test_a_first_zero_waits_for_the_register(clock, store, caplog):
    caplog.set_level(logging.INFO)
    bench = Bench(clock, store)
    bench.set(0)
    async with bench.rig.run():
        await asyncio.sleep(45)
        assert not bench.history()
        assert meter_health(bench.rig.task)["held"]["energy_import"] == {"value": 0, "last": None, "reason": "zero"}
        bench.set(12_345_678)
        await asyncio.sleep(10)
    assert bench.history() == ["12345.678"]
    assert caplog.text.count("starts with 0 and is held back") == 1


@pytest.mark.expect_log("this is another meter: serial_number was 12345 and is 99999")
async def test_another_meter_is_told_and_is_a_new_start(clock, store):
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(35)
        bench.name(b"99999")
        bench.set(20_000_000)
        await asyncio.sleep(25)
        assert bench.history()[-1] == "20000"
        events = [message for topic, message in bench.rig.publisher.messages if topic == "event"]
        assert [(e["event_type"], e["key"], e["old"], e["new"]) for e in events] == [
            ("meter_changed", "serial_number", "12345", "99999")
        ]
        starts = [row for row in bench.rig.readings if row.get("start")]
        assert [(row["key"], row["value"]) for row in starts] == [("energy_import", 20000)]
        health = meter_health(bench.rig.task)
        assert health["meter_changed"]["new"] == "99999"
        assert health["meter_changed"]["offsets"] == {"energy_import": -7654.322}
        assert any("another meter" in text for text in bridge_health({"h": health}, [], {})["reasons"])
        component = json.loads(bench.rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])["components"][
            "sensor_energy_import"
        ]
        assert component["value_template"] == "{{ (value | float + -7654.322) | round(6) if value else None }}"
        bench.rig.output.accept_held()
        assert meter_health(bench.rig.task)["meter_changed"] is None
    again = Bench(clock, store)  # a restart keeps the offset
    assert again.rig.output.guard.offsets == bench.rig.output.guard.offsets != {}


@pytest.mark.expect_log("this is another meter: serial_number was 12345 and is 99999")
async def test_another_meter_whose_register_would_pass_is_no_consumption_either(clock, store):
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.name(b"99999")
        bench.set(12_345_900)
        await asyncio.sleep(25)
    told = [(row["value"], row.get("start")) for row in bench.rig.readings if row["key"] == "energy_import"]
    assert next(row for row in told if row[0] == 12345.9) == (12345.9, True)
    assert bench.rig.output.guard.offsets == {"energy_import": Decimal("-0.222")}


async def test_a_number_that_is_another_one_each_time_keeps_nothing_back_for_ever(clock, store):
    bench = Bench(clock, store)
    async with bench.rig.run():
        for number in range(5):
            await asyncio.sleep(10)
            bench.name(b"%d" % (10 + number))
            bench.set(12_345_679 + number)
        await asyncio.sleep(10)
    assert bench.history()[-1] == "12345.683"


async def test_a_first_zero_beside_what_is_not_delivered_waits_too(clock, store):
    """A meter that boots remembers how often the power failed, and how long it ran."""
    bench = Bench(clock, store)
    outages = Obis.parse("0.0.96.7.21.255")
    bench.rig.simulated.add(CosemObject(1, outages, values={2: Data(NUMBER, 12)}))
    bench.rig.task.config = bench.rig.output.config = _with(bench.rig.output.config, {"obis": str(outages), "class": 1})
    bench.set(0)
    async with bench.rig.run():
        await asyncio.sleep(25)
    assert bench.history("outages") and not bench.history()


@pytest.mark.expect_log("this is another meter: serial_number was 12345 and is 99999")
async def test_another_meter_is_seen_whatever_the_user_calls_its_number(clock, store):
    bench = Bench(clock, store)
    own = _with(bench.rig.output.config, {**SERIAL_ITEM, "key": "zaehlernummer"})
    bench.rig.task.config = bench.rig.output.config = replace(own, read=replace(own.read, also=own.read.also[::2]))
    async with bench.rig.run():
        await asyncio.sleep(15)
        assert bench.rig.publisher.retained["value/zaehlernummer"] == "12345"
        bench.name(b"99999")
        bench.set(20_000_000)
        await asyncio.sleep(25)
    assert bench.history()[-1] == "20000"
    assert [row["value"] for row in bench.rig.readings if row.get("start")] == [20000]


async def test_a_number_that_the_user_writes_is_a_note(clock, store):
    bench = Bench(clock, store)
    own = _with(bench.rig.output.config, {**SERIAL_ITEM, "key": "mine", "writable": True, "max_length": 20})
    bench.rig.task.config = bench.rig.output.config = replace(own, read=replace(own.read, also=own.read.also[::2]))
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.name(b"99999")
        await asyncio.sleep(35)
    assert bench.rig.publisher.retained["value/mine"] == "99999" and bench.rig.output.guard.change is None


@pytest.mark.parametrize("refused", [True, False])
async def test_the_scaler_of_before_is_used_while_it_is_refused(clock, store, refused):
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(15)
    assert bench.history() == ["12345.678", "12345.678"]
    again = Bench(clock, store)
    again.set(12_345_679)
    if refused:
        del again.rig.simulated.objects[3, ENERGY].values[3]
    async with again.rig.run():
        await asyncio.sleep(15)
    assert set(again.history()) == {"12345.679"}


async def test_no_number_without_a_scale_stands_where_one_had_it(clock, store):
    """Of the version before there is no scaler on the disk, but the guard's memory of the counter."""
    store.set("guard", "h", {"serial": "12345", "good": {"energy_import": ["12345.678", clock.time()]}})
    bench = Bench(clock, store)
    del bench.rig.simulated.objects[3, ENERGY].values[3]
    async with bench.rig.run():
        await asyncio.sleep(15)
        assert not bench.history()
        assert "energy_import" in "".join(meter_health(bench.rig.task)["reasons"])


async def test_a_counter_of_which_nobody_knows_the_scale_is_read_as_it_is_sent(clock, store):
    """After its first value it was never published again; and the right value was held back as one that fell."""
    bench = Bench(clock, store)
    del bench.rig.simulated.objects[3, ENERGY].values[3]
    async with bench.rig.run():
        await asyncio.sleep(25)
    again = Bench(clock, store)
    del again.rig.simulated.objects[3, ENERGY].values[3]
    async with again.rig.run():
        await asyncio.sleep(15)
        again.set(12_345_679)
        await asyncio.sleep(20)
    assert set(bench.history()) == {"12345678"} and len(bench.history()) == 3
    assert [*dict.fromkeys(again.history())] == ["12345678", "12345679"]
    scaled = Bench(clock, store)
    async with scaled.rig.run():
        await asyncio.sleep(15)
        assert meter_health(scaled.rig.task)["held"] == {}
    assert set(scaled.history()) == {"12345.678"}


@pytest.mark.expect_log("energy_import 12345670 is held back: it fell from 12345678")
async def test_a_counter_without_a_scale_may_not_fall_either(clock, store):
    bench = Bench(clock, store)
    del bench.rig.simulated.objects[3, ENERGY].values[3]
    async with bench.rig.run():
        await asyncio.sleep(15)
        bench.set(12_345_670)
        await asyncio.sleep(30)
    assert set(bench.history()) == {"12345678"}


async def test_the_scalers_of_another_meter_are_not_used(clock, store):
    store.set("scalers", "h", {f"3/{ENERGY}:2": [0, 30]})
    bench = Bench(clock, store)
    bench.rig.output.scalers.forget()
    del bench.rig.simulated.objects[3, ENERGY].values[3]
    async with bench.rig.run():
        await asyncio.sleep(5)
    assert {row["quality"] for row in bench.rig.readings if row["key"] == "energy_import"} == {"unscaled"}


@pytest.mark.parametrize("saved", [{"x": 1}, [1], {f"3/{ENERGY}:2": ["a", 1]}, "text"])
async def test_a_damaged_memory_of_scalers_is_none(clock, store, saved):
    store.set("scalers", "h", saved)
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(5)
    assert bench.history() == ["12345.678"]


@pytest.mark.expect_log("the energy guard starts without a memory")
@pytest.mark.parametrize("saved", [{"good": 3}, [1, 2], {"good": {"a": ["x", 1]}}, {"identity": 7}, "text"])
async def test_a_damaged_memory_of_the_guard_is_none(clock, store, saved):
    store.set("guard", "h", saved)
    Bench(clock, store)


@pytest.mark.expect_log(
    "power_import 99999 W is held back: it is beyond", "voltage_l1 655.3 V is held back: it is beyond"
)
async def test_powers_voltages_and_currents_beyond_the_supply_are_held_back(clock, store):
    kinds = {
        "1.0.1.7.0.255": (500, 99_999, -1),
        "1.0.32.7.0.255": (2300, 6553, -1),
        "1.0.31.7.0.255": (200, 0xFFFF, -1),
    }
    rig = Rig(clock, store, {"every": "10s", "supply": {"phases": 3, "amperes": 63}, "read": [f"3/{o}" for o in kinds]})

    def set_to(index):
        for obis, row in kinds.items():
            values = rig.simulated.objects[3, Obis.parse(obis)].values
            kind = DataType.LONG_UNSIGNED if obis.startswith("1.0.3") else DataType.DOUBLE_LONG
            values[2] = Data(kind, row[index])

    async with rig.run():
        set_to(0)
        await asyncio.sleep(15)
        before = {topic: text for topic, text in rig.publisher.retained.items() if topic.startswith("value/")}
        set_to(1)
        await asyncio.sleep(20)
        assert {topic: text for topic, text in rig.publisher.retained.items() if topic.startswith("value/")} == before
        health = meter_health(rig.task)
        assert {key: row["reason"] for key, row in health["held"].items()} == {
            "power_import": "beyond",
            "voltage_l1": "beyond",
        }
        assert health["held_value"] is None  # that is of energies
        set_to(0)
        await asyncio.sleep(10)
        assert meter_health(rig.task)["held"] == {}


@pytest.mark.expect_log("is held back: it turned zero")
async def test_what_accepts_is_there_while_something_is_held(clock, store):
    bench = Bench(clock, store)

    def announced():
        text = bench.rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"]
        rows = json.loads(text)["components"]
        return {name for name in ("sensor_held_value", "button_accept_energy") if rows.get(name, {}).get("unique_id")}

    async with bench.rig.run():
        await asyncio.sleep(15)
        assert announced() == set()
        bench.set(0)
        await asyncio.sleep(20)
        assert announced() == {"sensor_held_value", "button_accept_energy"}
        bench.rig.output.accept_held()
        await asyncio.sleep(10)
        assert announced() == set()


ODD_MEMORIES = [
    *(
        {"good": {"energy_import": odd}}
        for odd in (["1", "x"], ["1", None], ["NaN", 0.0], ["1", float("nan")], ["1"], ["1e9999", 0.0])
    ),
    *({"change": ["a", "b", "c", odd]} for odd in ("x", None, float("inf"))),
    *({"good": {"energy_import": ["9e9", 0.0]}, name: {"energy_import": "NaN"}} for name in ("most", "offsets")),
    {"good": [], "ended": {"energy_import": ["1", "x"]}},
    {"change": ["a"]},
    "x",
]


@pytest.mark.expect_log("the energy guard starts without a memory")
@pytest.mark.parametrize("memory", ODD_MEMORIES)
async def test_a_memory_of_another_shape_is_none_and_keeps_no_value_back(clock, store, memory):
    store.set("guard", "h", memory)
    bench = Bench(clock, store)
    async with bench.rig.run():
        await asyncio.sleep(25)
        assert set(bench.history()) == {"12345.678"} and not bench.rig.output.guard.held
