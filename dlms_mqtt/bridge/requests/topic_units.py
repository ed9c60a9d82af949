"""A value that was read on request, in the unit that its topic has: as the plan says, else as the catalogue does."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.reading.interpret import Moment, reading_of
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.readings import convert


def in_topic_unit(row: Mapping[str, Any], answer: Measured, item: PlanItem | None, moment: Moment) -> dict[str, Any]:
    """The row of ``read``: ``value`` and ``unit`` as in topics; ``raw``, ``scaler``, ``raw_unit`` are the meter's."""
    converted = {**row, "raw_unit": row["unit"]}
    if not isinstance(answer.value, Decimal):
        return converted
    value, unit = _planned(answer, item, moment) if item else _by_catalogue(answer)
    return {**converted, "value": value, "unit": unit or None}


def _planned(answer: Measured, item: PlanItem, moment: Moment) -> tuple[Any, str]:
    """With the user's own scaler, unit and transform; an enum stays the number that it is."""
    try:
        reading = reading_of(item, answer, moment)
    except ConfigError:
        return answer.value, answer.unit or ""
    return (reading.value, reading.unit) if isinstance(reading.value, Decimal) else (answer.value, answer.unit or "")


def _by_catalogue(answer: Measured) -> tuple[Decimal, str]:
    at = answer.attribute
    value, unit, _ = convert(answer.value, answer.unit or "", quantity(at.obis, at.class_id, at.attribute).unit)
    return value, unit
