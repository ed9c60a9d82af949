"""Values that a meter does not have: computed out of what was read, as old and as long-lived as their parts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.bridge.reading.derived import Readings, derive
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.bridge.reading.schedule import Every
from dlms_mqtt.meter.catalogue.lookup import derived, quantity
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis

ROWS = derived(["power_import", "power_export"])
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def read(life: float = 60.0, **values: Any) -> Readings:
    found: Readings = {}
    for number, (key, value) in enumerate(values.items(), 1):
        attribute = AttributeDescriptor(3, Obis.parse(f"1.0.{number}.7.0.255"), 2)
        item = PlanItem(attribute, quantity(attribute.obis), Every(10))
        found[key] = (item, Reading(attribute.obis, 3, 2, key, 1, 0, value, "W", NOW), life * number)
    return found


def test_a_difference_lives_as_long_as_the_slower_of_its_parts() -> None:
    found = derive(read(power_import=Decimal(300), power_export=Decimal(50)), ROWS, ["power_import", "power_export"])
    item, reading, life = found["power"]
    assert (reading.key, reading.value, reading.raw, reading.unit, reading.time) == (
        "power",
        Decimal(250),
        Decimal(250),
        "W",
        NOW,
    )
    assert (item.key, item.schedule, life) == ("power", Every(10), 120.0)


def test_a_part_that_the_meter_does_not_have_counts_as_nothing() -> None:
    _, reading, life = derive(read(power_import=Decimal(300)), ROWS, ["power_import"])["power"]
    assert (reading.value, life) == (Decimal(300), 60.0)


@pytest.mark.parametrize("value", [None, "n/a"])
def test_without_a_part_that_the_meter_has_there_is_no_result(value: Any) -> None:
    readings = read(power_import=value)
    assert derive(readings, ROWS, ["power_import", "power_export"]) == {}
    assert derive(read(power_export=Decimal(5)), ROWS, ["power_import", "power_export"]) == {}


def test_a_text_is_no_number() -> None:
    assert derive(read(power_import="n/a"), ROWS, ["power_import"]) == {}
    assert derive({}, ROWS, []) == {}
