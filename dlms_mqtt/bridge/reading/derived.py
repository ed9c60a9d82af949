"""Values that a meter does not have, computed out of one read or push; pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from decimal import Decimal

from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.meter.catalogue.lookup import Derived
from dlms_mqtt.meter.readings import Reading

Readings = dict[str, tuple[PlanItem, Reading, float]]  # by key: what it is, what was read, how long it lives (s)


def derive(readings: Readings, rows: Iterable[Derived], offered: Container[str]) -> Readings:
    """What can be computed; ``offered``: keys that the meter has, so that without them there is no result."""
    values = {key: row[1].value for key, row in readings.items()}
    numbers = {key: value for key, value in values.items() if isinstance(value, Decimal)}
    found = {row: row.value(numbers, offered) for row in rows}
    return {row.key: _row(row, readings, value) for row, value in found.items() if value is not None}


def _row(row: Derived, readings: Readings, value: Decimal) -> tuple[PlanItem, Reading, float]:
    """It lives as long as the slower of its parts."""
    item, part, life = readings[row.plus]
    life = max(life, readings[row.minus][2]) if row.minus in readings else life
    reading = replace(part, key=row.key, raw=value, value=value)
    return PlanItem(item.attribute, row.quantity, item.schedule), reading, life
