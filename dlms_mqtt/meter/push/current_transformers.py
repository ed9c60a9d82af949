"""Currents of Kamstrup meters behind current transformers: the same list has them in mA instead of 0.01 A.

Nothing in the message says so, but its own power does: the sum of U times I is the apparent power, or ten times that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit

_LIST = "Kamstrup_V0001"
_PHASES = ((31, 32), (51, 52), (71, 72))  # groups C of current and voltage
_POWERS, _CURRENTS = (1, 2, 3, 4), (31, 51, 71)
_TEN = Decimal(5), Decimal(20)  # between these the quotient is nearer to 10 than to 1


def behind_transformers(list_name: str, rows: list[Measured]) -> list[Measured]:
    """The rows with currents that fit voltage and power, where the list has two ways of writing them."""
    values = {row.attribute.obis[2]: row.value for row in rows if row.attribute.obis[3] == 7 and row.scaler_unit}
    if list_name != _LIST or not _is_ten_times_too_much(values):
        return rows
    return [_in_milliamperes(row) if _is_current(row) else row for row in rows]


def _is_ten_times_too_much(values: Mapping[int, Decimal]) -> bool:
    apparent = sum((values[i] * values[u] for i, u in _PHASES if i in values and u in values), Decimal(0))
    p_in, p_out, q_in, q_out = (values.get(c, Decimal(0)) for c in _POWERS)
    power = ((p_in - p_out) ** 2 + (q_in - q_out) ** 2).sqrt()
    return bool(power) and _TEN[0] < apparent / power < _TEN[1]


def _is_current(row: Measured) -> bool:
    obis = row.attribute.obis
    return obis[0] == 1 and obis[2] in _CURRENTS and obis[3] == 7 and row.scaler_unit is not None


def _in_milliamperes(row: Measured) -> Measured:
    assert row.scaler_unit is not None  # noqa: S101 - _is_current has seen to it
    return replace(row, scaler_unit=ScalerUnit(row.scaler_unit.scaler - 1, row.scaler_unit.unit_code))
