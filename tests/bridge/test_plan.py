"""What is read: sets and exceptions from them, the user's own rows, and what they say of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.reading.plan import Plan, make_plan, moment_of, needs_object_list, plan_for, without_energy
from dlms_mqtt.bridge.reading.schedule import At, Every
from dlms_mqtt.cosem.catalogue import default_class
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.catalogue.quantity import Kind
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.obis import Obis
from tests.client.test_mass import MOST, counted

OFFERED = [ObjectInfo(3, 0, Obis((1, 0, c, 8, 0, 255)), {}, {}) for c in (1, 2)]


def keys(*excepted: str) -> list[str]:
    return [item.key for item in make_plan(Meter(read=Read(except_=excepted)), OFFERED, ZoneInfo("UTC")).items]


@pytest.mark.parametrize(
    "text",
    [
        "1-0:1.8.0",
        "1.8.0",
        "0100010800FF",
        "1-0:1.8.0*255",
        "3/1.8.0",
        "1.8.0:2",
        "1.8.0:value",
        "energy_import",
        "3/energy_import",
        "energy_import:2",
        "3/energy_import:value",
    ],
)
def test_what_is_excepted_may_be_written_in_any_way(text: str) -> None:
    assert keys(text) == ["energy_export"]


@pytest.mark.parametrize(
    "text", ["4/1.8.0", "1.8.0:3", "1.8.0:scaler_unit", "1.8.0:nothing", "nothing", "1.8.1", "energy_import:3"]
)
def test_others_are_not(text: str) -> None:
    assert keys(text) == ["energy_import", "energy_export"]


async def test_the_plan_of_very_many_objects_delays_nobody() -> None:
    offered = [ObjectInfo(3, 0, Obis((1, n >> 16, n >> 8 & 255, n & 255, 0, 255)), {}, {}) for n in range(30_000)]
    meter = Meter(read=Read(set="all"))
    async with counted() as turns:
        plan = await plan_for(meter, offered, ZoneInfo("UTC"))
    assert plan == make_plan(meter, offered, ZoneInfo("UTC")) and plan.items
    assert turns.longest < MOST and turns.count > 50


UTC = ZoneInfo("UTC")


def own(code: str, class_id: int | None = None, **more: Any) -> Item:
    return Item(obis=Obis.parse(code), class_=class_id, **more)


def planned(*rows: Item, kind: str = "none", offered: Sequence[ObjectInfo] = (), **read: Any) -> Plan:
    return make_plan(Meter(read=Read(set=kind, also=rows, **read)), offered, UTC)


def test_the_users_row_goes_before_that_of_the_set() -> None:
    plan = planned(own("1.0.1.8.0.255", 3, every=5.0, name="Mine"), kind="core", offered=OFFERED)
    energy = plan.by_key["energy_import"]
    assert [item.key for item in plan.items] == ["energy_import", "energy_export"]
    assert (energy.schedule, energy.quantity.name_in("de")) == (Every(5.0), "Mine")
    assert plan.by_key["energy_export"].schedule == Every(Meter().every)


def test_of_one_key_there_is_one_item_the_users() -> None:
    plan = planned(own("1.0.128.8.0.255", 3, key="energy_import"), kind="core", offered=OFFERED)
    assert plan.by_key["energy_import"].attribute.obis == Obis.parse("1.0.128.8.0.255")
    assert len(plan.items) == 2


def test_a_row_whose_class_nobody_knows_waits_for_the_meters_list() -> None:
    row = own("0.0.94.34.11.255")
    assert default_class(row.obis or b"") is None
    assert planned(row).missing == ("0.0.94.34.11.255",)
    offered = [ObjectInfo(4, 0, Obis.parse("0.0.94.34.11.255"))]
    (item,) = planned(row, offered=offered).items
    assert item.attribute.class_id == 4
    assert needs_object_list(Meter(read=Read(set="none", also=(row,))))


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (Read(), True),
        (Read(set="all"), True),
        (Read(set="none"), False),
        (Read(set="none", also=(own("1.0.1.8.0.255", 3),)), False),
        (Read(set="none", also=(own("0.0.1.0.0.255"),)), False),  # a clock is one everywhere
    ],
)
def test_whether_the_meter_is_asked_what_it_has(read: Read, needed: bool) -> None:
    assert needs_object_list(Meter(read=read)) is needed


@pytest.mark.parametrize(
    ("config", "kind", "moment"),
    [
        ({"bits": {0: "door"}}, Kind.BITS, None),
        ({"values": {1: "day"}}, Kind.ENUM, None),
        ({"max_length": 12}, Kind.TEXT, None),
        ({"type": "date"}, Kind.TEXT, DataType.DATE),
        ({"type": "time"}, Kind.TEXT, DataType.TIME),
        ({"type": "date-time"}, Kind.TIMESTAMP, DataType.DATE_TIME),
    ],
)
def test_what_a_row_says_of_its_value(config: dict[str, Any], kind: Kind, moment: DataType | None) -> None:
    (item,) = planned(own("1.0.128.7.0.255", 3, key="mine", **config)).items
    assert (item.key, item.quantity.kind, moment_of(item.quantity, item.config)) == ("mine", kind, moment)
    assert moment is not DataType.DATE_TIME or item.quantity.device_class == "timestamp"


def test_a_row_that_says_nothing_of_its_value_shares_that_of_the_catalogue() -> None:
    (item,) = planned(own("1.0.1.8.0.255", 3)).items
    assert item.quantity is quantity(item.attribute.obis, 3)
    assert moment_of(item.quantity, None) is None


def test_times_of_day_instead_of_an_interval() -> None:
    (item,) = planned(own("1.0.1.8.0.255", 3, at=((0, 15), (12, 0)))).items
    assert item.schedule == At(((0, 15), (12, 0)), UTC)


@pytest.mark.parametrize(
    ("code", "alarm"),
    [
        ("0.0.97.98.0.255", True),
        ("0.1.97.98.9.255", True),
        ("0.0.97.98.10.255", False),
        ("0.0.97.97.0.255", False),
        ("1.0.97.98.0.255", False),
    ],
)
def test_which_registers_tell_of_alarms(code: str, alarm: bool) -> None:
    (item,) = planned(own(code, 1)).items
    assert item.is_alarm is alarm


def test_power_out_of_both_directions() -> None:
    offered = [ObjectInfo(3, 0, Obis((1, 0, c, 7, 0, 255))) for c in (1, 2)]
    assert "power" in [row.key for row in planned(kind="core", offered=offered).derived]
    assert planned(kind="core", offered=offered, except_=("power",)).derived == ()
    assert planned(*(own(f"1.0.{c}.7.0.255", 3) for c in (1, 2)), offered=offered).derived == ()  # no set, no more


def test_a_client_that_is_shown_no_energy_is_told_of() -> None:
    core, none = Meter(), Meter(read=Read(set="none"))
    assert without_energy(make_plan(core, OFFERED, UTC), core, 16) == ""
    dark = make_plan(core, [ObjectInfo(8, 0, Obis.parse("0.0.1.0.0.255"))], UTC)
    assert "client 16 is shown neither energy nor power" in without_energy(dark, core, 16)
    assert without_energy(dark, none, 16) == ""


def test_one_object_may_have_two_keys() -> None:
    also = (Item(obis=Obis.parse("1.0.1.8.0.255"), key="one"), Item(obis=Obis.parse("1.0.1.8.0.255"), key="two"))
    plan = make_plan(Meter(read=Read(set="none", also=also)), (), ZoneInfo("Europe/Vienna"))
    assert sorted(plan.by_key) == ["one", "two"]


def _objects(*texts: tuple[int, str]) -> list[ObjectInfo]:
    return [ObjectInfo(class_id, 0, Obis.parse(obis), {}, {}) for class_id, obis in texts]


def test_a_plan_of_the_core_set() -> None:
    objects = _objects(
        (3, "1.0.1.8.0.255"),
        (3, "1.0.1.7.0.255"),
        (3, "1.0.2.7.0.255"),
        (8, "0.0.1.0.0.255"),
        (3, "1.0.32.7.0.255"),
        (1, "0.0.96.50.7.255"),
    )
    also = (Item(obis=Obis.parse("1.0.32.7.0.255"), every=10.0), Item(obis=Obis.parse("0.0.1.0.0.255"), at=((0, 5),)))
    plan = make_plan(Meter(read=Read(also=also, except_=("energy_import",))), objects, ZoneInfo("Europe/Vienna"))
    assert set(plan.by_key) == {"power_import", "power_export", "clock", "voltage_l1"}
    assert [row.key for row in plan.derived] == ["power"]
    assert plan.by_key["voltage_l1"].schedule == Every(10)
    assert isinstance(plan.by_key["clock"].schedule, At)
    assert plan.by_key["power_import"].schedule == Every(30)


def test_a_plan_without_an_object_list() -> None:
    meter = Meter(read=Read(set="none", also=(Item(obis=Obis.parse("1.0.1.8.0.255"), key="mine", name="Mine"),)))
    assert not needs_object_list(meter)
    (item,) = make_plan(meter, (), ZoneInfo("Europe/Vienna")).items
    assert (item.key, item.quantity.name, item.attribute.class_id) == ("mine", "Mine", 3)
    assert needs_object_list(Meter())
