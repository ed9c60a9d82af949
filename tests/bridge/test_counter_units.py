"""The bound of a counter in its own unit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.bridge.config.sections.meter import Supply
from dlms_mqtt.bridge.reading.counter_units import Bound, bound_of, converted, most_of

SUPPLY = Supply(amperes=63.0)


@pytest.mark.parametrize(
    ("unit", "watts", "an_hour"),
    [
        ("kWh", 43_000, 43),
        ("Wh", 43_000, 43_000),
        ("MWh", 43_000, "0.043"),
        ("MJ", 43_000, 360),
        ("GJ", 200_000, "0.72"),
    ],
)
def test_what_an_hour_can_bring(unit, watts, an_hour):
    assert abs(bound_of(unit, watts).an_hour - Decimal(an_hour)) < Decimal("1e-9")


def test_heat_is_not_bound_by_the_electric_supply():
    assert round(bound_of("kWh", 5_000, electric=False).an_hour) == 100


def test_nobody_knows_the_bound_of_pulses():
    assert bound_of("imp", 43_000) is None


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [("1.5", "kWh", "Wh", 1500), ("1500", "L", "m³", "1.5"), ("1", "imp", "imp", 1), ("1", "kWh", "kvarh", None)],
)
def test_the_same_in_another_unit(value, unit, wanted, expected):
    assert converted(Decimal(value), unit, wanted) == (None if expected is None else Decimal(expected))


def test_two_units_that_nobody_knows_are_not_the_same():
    assert converted(Decimal(1), "a", "b") is None


@pytest.mark.parametrize(
    ("seconds", "value", "most"),
    [
        (3600, "1000", "44"),
        (1800, "1000.5", "22.5"),
        (0, "1000", "1"),
        (0, "1.00E+6", "10000"),  # it moves in steps of ten thousand
        (3600, "NaN", "44"),
    ],
)
def test_how_far_a_counter_gets(seconds, value, most):
    assert Bound(Decimal(43), Decimal(1)).most(seconds, Decimal(value)) == Decimal(most)


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("W", SUPPLY.watts * 1.6),
        ("kW", SUPPLY.watts * 1.6 / 1000),
        ("kvar", SUPPLY.watts * 1.6 / 1000),
        ("V", SUPPLY.volts * 2.5),
        ("mV", SUPPLY.volts * 2500),
        ("A", SUPPLY.amperes * 2.0),
    ],
)
def test_the_most_of_a_moment(unit, most):
    assert float(most_of(unit, SUPPLY)) == pytest.approx(most)


def test_nobody_knows_the_most_of_a_frequency():
    assert most_of("Hz", SUPPLY) is None
