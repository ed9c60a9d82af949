"""Notifications to systemd, values to write, plans, readings and management: the pure parts."""

from __future__ import annotations

import socket
from datetime import datetime
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.bridge.reading.interpret import Moment, bits_of, reading_json, reading_of
from dlms_mqtt.bridge.reading.plan import make_plan, needs_object_list
from dlms_mqtt.bridge.reading.schedule import At, Every
from dlms_mqtt.bridge.systemd import Notifier
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.planned import VIENNA, item_of, said

T = DataType


def _at(*parts):
    return datetime(*parts, tzinfo=VIENNA)


def test_systemd_is_told(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000"})
        notifier.send("READY=1", "STATUS=2 meters")
        assert server.recv(100) == b"READY=1\nSTATUS=2 meters"
    assert notifier.interval == 5
    notifier.send("READY=1")  # nobody listens any more
    assert Notifier({}).interval is None


async def test_the_watchdog_turns_with_the_loop(clock):
    await Notifier({}).watchdog()


def _objects(*texts):
    return [ObjectInfo(class_id, 0, Obis.parse(obis), {}, {}) for class_id, obis in texts]


def test_one_object_may_have_two_keys():
    also = (Item(obis=Obis.parse("1.0.1.8.0.255"), key="one"), Item(obis=Obis.parse("1.0.1.8.0.255"), key="two"))
    plan = make_plan(Meter(read=Read(set="none", also=also)), (), VIENNA)
    assert sorted(plan.by_key) == ["one", "two"]


def test_a_plan_of_the_core_set():
    objects = _objects(
        (3, "1.0.1.8.0.255"),
        (3, "1.0.1.7.0.255"),
        (3, "1.0.2.7.0.255"),
        (8, "0.0.1.0.0.255"),
        (3, "1.0.32.7.0.255"),
        (1, "0.0.96.50.7.255"),
    )
    also = (Item(obis=Obis.parse("1.0.32.7.0.255"), every=10.0), Item(obis=Obis.parse("0.0.1.0.0.255"), at=((0, 5),)))
    plan = make_plan(Meter(read=Read(also=also, except_=("energy_import",))), objects, VIENNA)
    assert set(plan.by_key) == {"power_import", "power_export", "clock", "voltage_l1"}
    assert [row.key for row in plan.derived] == ["power"]
    assert plan.by_key["voltage_l1"].schedule == Every(10)
    assert isinstance(plan.by_key["clock"].schedule, At)
    assert plan.by_key["power_import"].schedule == Every(30)


def test_a_plan_without_an_object_list():
    meter = Meter(read=Read(set="none", also=(Item(obis=Obis.parse("1.0.1.8.0.255"), key="mine", name="Mine"),)))
    assert not needs_object_list(meter)
    (item,) = make_plan(meter, (), VIENNA).items
    assert (item.key, item.quantity.name, item.attribute.class_id) == ("mine", "Mine", 3)
    assert needs_object_list(Meter())


def test_readings_as_the_user_says():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)
    said = Item(
        obis=Obis.parse("1.0.15.8.0.255"), class_=3, key="odd", transform=parse_transform("value / 1000"), unit="kWh"
    )
    item = make_plan(Meter(read=Read(set="none", also=(said,))), (), VIENNA).items[0]
    reading = reading_of(item, Measured(item.attribute, Data(T.DOUBLE_LONG_UNSIGNED, 1234567), None), moment)
    assert (reading.value, reading.unit) == (Decimal("1234.567"), "kWh")
    json = reading_json("h", reading)
    assert json["raw"] == "1234567" and json["value"] == Decimal("1234.567") and json["key"] == "odd"


def test_a_register_without_scaler_is_called_so_also_where_its_quantity_has_no_unit():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)

    def quality(scaler_unit: ScalerUnit | None = None, **said: Any) -> str:
        code = Obis.parse("1.0.13.7.0.255")  # 980 is a power factor of 0.98
        item = make_plan(Meter(read=Read(set="none", also=(Item(obis=code, **said),))), (), VIENNA).items[0]
        return reading_of(item, Measured(item.attribute, Data(T.LONG, 980), scaler_unit), moment).quality

    assert quality() == "unscaled"
    assert quality(ScalerUnit(-3, 255)) == quality(scaler=-3) == quality(unit="") == "good"
    assert quality(class_=1) == "good"  # plain data has no scaler


def test_words_and_bits():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)
    item = item_of(said(values={2: "night"}))
    reading = reading_of(item, Measured(item.attribute, Data(T.UNSIGNED, 2), None), moment)
    json = reading_json("h", reading)
    assert (json["value"], json["text"]) == (2, "night")
    bits = item_of(said(key="flags", bits={0: "open", 3: "low"}))
    reading = reading_of(bits, Measured(bits.attribute, Data(T.UNSIGNED, 8), None), moment)
    assert bits_of(bits, reading) == {"flags_open": False, "flags_low": True}
