"""The JSON shapes that other programs rely on: values, refusals, cells, clocks, writes, methods, objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.client.procedures.clock import ClockReading
from dlms_mqtt.client.procedures.objects import Identity
from dlms_mqtt.client.procedures.profile import Column, Profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.meter import json_shapes as shapes
from dlms_mqtt.meter.catalogue.lookup import select
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
T = DataType


def test_who_answered() -> None:
    assert shapes.meter_json(Identity("", "LDN", "")) == {"system_title": None, "logical_device_name": "LDN"}


@pytest.mark.parametrize(
    ("data", "readable", "raw"),
    [
        (Data(T.LONG_UNSIGNED, 7), 7, 7),
        (Data(T.BOOLEAN, True), True, True),
        (Data(T.NULL_DATA, None), None, None),
        (Data(T.BIT_STRING, "101"), "101", "101"),
        (Data(T.OCTET_STRING, b"AB"), "AB", "4142"),
        (Data(T.OCTET_STRING, b"\x00\xff"), "00ff", "00ff"),
        (Data(T.ARRAY, (Data(T.UNSIGNED, 1),)), [1], ["array", [["unsigned", 1]]]),
    ],
)
def test_values_and_what_was_sent(data: Data, readable: Any, raw: Any) -> None:
    assert (shapes.readable(data), shapes.raw(data)) == (readable, raw)
    measured = shapes.value_json(Measured(ENERGY, data), None)
    assert (measured["value"], measured["raw"], measured["unit"], measured["scaler"]) == (readable, raw, None, None)


def test_a_value_in_the_meters_unit() -> None:
    measured = Measured(ENERGY, Data(T.DOUBLE_LONG_UNSIGNED, 12345), ScalerUnit(1, 30))
    assert shapes.value_json(measured, NOW) == {
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Active energy import",
        "raw": 12345,
        "scaler": 1,
        "value": Decimal(123450),
        "unit": "Wh",
        "type": "double-long-unsigned",
        "time": "2026-11-30T12:00:00+00:00",
    }


def test_refusals_have_the_standards_word() -> None:
    refused = AccessRefused("no", code=3, name="read-write-denied", target="x")
    assert shapes.error_json(ENERGY, refused)["code"] == "read-write-denied"
    assert shapes.error_json(ENERGY, AccessRefused("no", code=99, name="", target="x"))["code"] == "refused"


def test_cells_have_the_time_of_their_row() -> None:
    clock = Column(CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2, 0))
    energy = Column(CaptureObject(*ENERGY, 0), ScalerUnit(-1, 30), T.LONG_UNSIGNED)
    profile = Profile(Obis.parse("1.0.99.1.0.255"), (clock, energy), [(NOW, 15)], 900, 0)
    (cell,) = shapes.cells_json(profile, NOW)
    assert (cell["raw"], cell["value"], cell["unit"], cell["time"], cell["type"]) == (
        15,
        Decimal("1.5"),
        "Wh",
        NOW,
        "long-unsigned",
    )
    timeless = Profile(profile.obis, (Column(clock.source), energy), [(b"AB", None)], 900, None)
    assert [(row["value"], row["time"], row["type"]) for row in shapes.cells_json(timeless, NOW)] == [
        ("AB", NOW, None),
        (None, NOW, "long-unsigned"),
    ]


def test_a_cell_whose_hour_nobody_knows_is_marked() -> None:
    clock = Column(CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2, 0))
    energy = Column(CaptureObject(*ENERGY, 0), ScalerUnit(-1, 30), T.LONG_UNSIGNED)
    rows = [(NOW, 15), (NOW + timedelta(hours=1), 16)]
    profile = Profile(Obis.parse("1.0.99.1.0.255"), (clock, energy), rows, 900, 0, (), frozenset({NOW}))
    assert [cell.get("uncertain") for cell in shapes.cells_json(profile, NOW)] == [True, None]


def test_a_clock() -> None:
    reading = ClockReading(ENERGY.obis, bytes.fromhex("07ea0b1e010c0000 00ffc400"), NOW, -0.04, -1, T.OCTET_STRING)
    assert shapes.clock_json(reading) == {
        "time": NOW.isoformat(),
        "raw": "07ea0b1e010c000000ffc400",
        "deviation": -60,
        "deviation_sense": -1,
        "status": [],
        "drift": 0.0,
    }
    lost = ClockReading(ENERGY.obis, b"\xff" * 12, None, None, 1, T.OCTET_STRING)
    assert (shapes.clock_json(lost)["time"], shapes.clock_json(lost)["drift"]) == (None, None)


def test_writes_and_methods() -> None:
    seven = Data(T.UNSIGNED, 7)
    assert shapes.written_json(ENERGY, seven)["value"] == 7
    assert shapes.read_back_json(None) == {"read_back": None}
    assert shapes.read_back_json(Data(T.OCTET_STRING, b"AB")) == {"read_back": "AB", "read_back_raw": "4142"}
    method = MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)
    assert shapes.invoked_json(method, None)["returned"] is None
    assert shapes.invoked_json(method, seven) == {
        "obis": "0.0.96.3.10.255",
        "class": 70,
        "method": 1,
        "returned": 7,
        "raw": 7,
    }


def test_an_object_with_its_rights_and_one_of_a_class_that_nobody_knows() -> None:
    shown = shapes.object_json(ObjectInfo(3, 0, ENERGY.obis, {2: AttributeAccess(1)}, {1: MethodAccess(1)}))
    assert shown["attributes"] == [{"attribute": 2, "name": "value", "access": "read-only"}]
    assert [row["name"] for row in shown["methods"]] == ["reset"]
    strange = shapes.object_json(ObjectInfo(9999, 0, ENERGY.obis, {2: AttributeAccess(1)}, {}))
    assert strange["attributes"][0]["name"] is None


def test_rows_for_a_form() -> None:
    items = select([ObjectInfo(3, 0, ENERGY.obis, {2: AttributeAccess(1)}, {})])
    (row,) = shapes.value_rows(items, {"energy_import"}, "de")
    assert (row["key"], row["core"], row["unit"]) == ("energy_import", True, "kWh")
    assert row["name"] != "Active energy import"
