"""Notifications to systemd, values to write, plans, readings and management: the pure parts."""

from __future__ import annotations

import contextlib
import os
import socket
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.seal import SealKey, seal
from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.bridge.reading.interpret import Moment, bits_of, reading_json, reading_of
from dlms_mqtt.bridge.reading.plan import PlanItem, make_plan, needs_object_list
from dlms_mqtt.bridge.reading.schedule import At, Every
from dlms_mqtt.bridge.requests.written_values import free_data, item_data, type_named
from dlms_mqtt.bridge.systemd import Notifier
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

VIENNA = ZoneInfo("Europe/Vienna")
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


def _item(said, obis="0.0.94.34.11.255", class_id=1):
    attribute = AttributeDescriptor(class_id, Obis.parse(obis), 2)
    plan = make_plan(Meter(read=Read(set="none", also=(said,))), (), VIENNA)
    return plan.items[0] if plan.items else PlanItem(attribute, quantity(attribute.obis, class_id), Every(30), said)


def _said(**more):
    return Item(obis=Obis.parse("0.0.94.34.11.255"), class_=1, writable=True, **more)


@pytest.mark.parametrize(
    ("said", "value", "kind", "scaled", "expected"),
    [
        (_said(values={1: "day", 2: "night"}), "night", T.UNSIGNED, None, 2),
        (_said(values={1: "day", 2: "night"}), "2", T.UNSIGNED, None, 2),
        (_said(), "5", T.LONG, None, 5),
        (_said(min=0, max=10), "10", T.LONG, None, 10),
        (_said(), "21.5", T.LONG, ScalerUnit(-1, 255), 215),
        (_said(scaler=-2), "1.25", T.LONG, None, 125),
        (_said(max_length=8), "abc", T.OCTET_STRING, None, b"abc"),
        (_said(max_length=8), "abc", T.VISIBLE_STRING, None, "abc"),
        (_said(), "2.5", T.FLOAT64, None, 2.5),
        (_said(), "true", T.BOOLEAN, None, True),
    ],
)
def test_values_to_write(said, value, kind, scaled, expected):
    assert item_data(_item(said), value, value, kind, scaled) == Data(kind, expected)


@pytest.mark.parametrize(
    ("said", "value", "kind", "code"),
    [
        (_said(values={1: "day"}), "noon", T.UNSIGNED, "invalid-value"),
        (_said(min=0, max=10), "11", T.LONG, "invalid-value"),
        (_said(), "many", T.LONG, "invalid-value"),
        (_said(), "NaN", T.LONG, "invalid-value"),
        (_said(), "1.5", T.LONG, "invalid-value"),
        (_said(), "70000", T.LONG, "invalid-value"),
        (_said(max_length=2), "abc", T.OCTET_STRING, "invalid-value"),
        (_said(transform=parse_transform("value * 2")), "1", T.LONG, "not-supported"),
    ],
)
def test_values_that_are_not_written(said, value, kind, code):
    with pytest.raises(RequestError) as error:
        item_data(_item(said), value, value, kind, None)
    assert error.value.code == code


def test_free_values():
    assert free_data("0102", T.OCTET_STRING) == Data(T.OCTET_STRING, b"\x01\x02")
    assert free_data(Decimal("1.0"), T.UNSIGNED) == Data(T.UNSIGNED, 1)
    assert free_data([], T.ARRAY) == Data(T.ARRAY, ())
    assert type_named("long-unsigned") is T.LONG_UNSIGNED and type_named(None) is None
    for value, kind in ((300, T.UNSIGNED), ({}, T.LONG), (None, T.LONG)):
        with pytest.raises(RequestError):
            free_data(value, kind)
    with pytest.raises(RequestError):
        type_named("longish")


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
    item = _item(_said(values={2: "night"}))
    reading = reading_of(item, Measured(item.attribute, Data(T.UNSIGNED, 2), None), moment)
    json = reading_json("h", reading)
    assert (json["value"], json["text"]) == (2, "night")
    bits = _item(_said(key="flags", bits={0: "open", 3: "low"}))
    reading = reading_of(bits, Measured(bits.attribute, Data(T.UNSIGNED, 8), None), moment)
    assert bits_of(bits, reading) == {"flags_open": False, "flags_low": True}


def test_secrets_stay_only_on_the_same_line():
    stored = {
        "connection": {"tcp": "a", "password": "text:x"},
        "allow": ["write"],
        "read": {"also": [{"obis": "1.0.1.8.0.255", "writable": True}]},
    }
    same = managed_meters.completed({"connection": {"tcp": "a"}, "read": "core"}, stored)
    assert same["connection"]["password"] == "text:x"
    assert same["allow"] == ["write"]
    assert same["read"] == {"set": "core", "also": [{"obis": "1.0.1.8.0.255", "writable": True}]}
    moved = managed_meters.completed({"connection": {"tcp": "evil"}}, stored)
    assert "password" not in moved["connection"]


@pytest.mark.parametrize("odd", [5, "x", [1], True])
def test_an_odd_connection_is_a_mistake_that_is_told(odd):
    stored = {"connection": {"tcp": "a", "password": "text:x"}}
    assert managed_meters.completed({"connection": odd}, stored)["connection"] == odd
    assert managed_meters.completed({"connection": {"tcp": "a"}}, {"connection": odd})["connection"] == {"tcp": "a"}


PORT, OTHER = "tcp://0.0.0.0:4059", "tcp://0.0.0.0:9999"
ASKED = {"listen": PORT, "ask": True}


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"connection": {"bind": PORT}}, {"connection": {"bind": PORT}}, True),
        ({"connection": {"bind": PORT}}, {"connection": {"bind": OTHER}}, False),
        ({"connection": {"bind": PORT}}, {"push": ASKED}, True),
        ({"push": ASKED}, {"push": ASKED}, True),
        ({"push": ASKED}, {"push": {**ASKED, "listen": OTHER}}, False),
        ({"push": {"listen": PORT}}, {"push": ASKED}, False),
        ({"push": {"listen": PORT}}, {"push": {"listen": OTHER}}, True),  # nothing is sent to whoever calls there
        (
            {"connection": {"tcp": "a"}, "push": {"listen": "connection", "ask": True}},
            {"connection": {"tcp": "a"}},
            True,
        ),
    ],
)
def test_secrets_of_meters_that_call_stay_only_on_the_same_port(before, after, same):
    """Whoever may publish could have the password sent to a port where he calls himself."""
    secret = {"password": "text:x"}
    stored = {**before, "connection": {**before.get("connection", {}), **secret}}
    assert ("password" in managed_meters.completed(after, stored).get("connection", {})) == same
    key = SealKey(bytes(range(32)))
    sealed = {"password": seal("text:x", key.public, os.urandom, "house", managed_meters._line(before))}
    copied = {**after, "connection": {**after.get("connection", {}), **sealed}}
    with contextlib.nullcontext() if same else pytest.raises(RequestError, match="another bridge, meter or line"):
        assert managed_meters.remote_config(copied, key, "house")["connection"]["password"] == "text:x"


def test_meter_ids_of_requests():
    assert managed_meters.meter_id_of({"id": "7", "meter": "flat"}) == "flat"
    assert managed_meters.meter_id_of({"id": "flat"}) == "flat"
    for bad in ({}, {"meter": 5}, {"meter": "../x"}, {"meter": "A"}, {"meter": ""}):
        with pytest.raises(RequestError):
            managed_meters.meter_id_of(bad)
