from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.reading.energy_guard import EnergyGuard, Reason


@pytest.fixture
def guard():
    guard = EnergyGuard(43_000)
    assert guard.check("energy", Decimal("1000"), 0)
    return guard


@pytest.mark.parametrize(
    ("value", "after", "reason"),
    [
        ("999.9", 30, Reason.FELL),
        ("0", 30, Reason.ZERO),
        ("100000", 30, Reason.JUMPED),
        ("1002", 30, None),  # a counter that moves once an hour
        ("1000", 30, None),
        ("1000.3", 30, None),
        ("2000", 86400, None),  # a day with 43 kW: 1032 kWh
        ("2100", 86400, Reason.JUMPED),
    ],
)
def test_what_is_held(guard, value, after, reason):
    passed = guard.check("energy", Decimal(value), after)
    assert passed is (reason is None)
    assert (guard.held["energy"].reason if guard.held else None) is reason


def test_one_wrong_value_passes_by(guard):
    assert not guard.check("energy", Decimal(0), 30)
    assert guard.check("energy", Decimal("1000.1"), 60)
    assert not guard.held


def test_repeated_agreement_lets_through(guard):
    assert not guard.check("energy", Decimal(5), 0)
    assert not guard.check("energy", Decimal(5), 300)
    assert not guard.check("energy", Decimal("5.1"), 599)
    assert guard.check("energy", Decimal("5.1"), 600)
    assert not guard.held
    assert guard.check("energy", Decimal("5.2"), 630)


def test_values_that_disagree_never_get_through(guard):
    for number, value in enumerate((5, 900, 3, 700, 2, 1) * 10):
        assert not guard.check("energy", Decimal(value), 600 * number)


def test_accept(guard):
    guard.check("energy", Decimal(5), 30)
    assert guard.accept() == ["energy"]
    assert guard.check("energy", Decimal(6), 60)
    assert guard.accept() == []


def test_another_serial_number_is_another_meter(guard):
    guard.identify("1")
    assert not guard.check("energy", Decimal(5), 30)
    guard.identify("1")
    assert guard.held
    guard.identify("2")
    assert not guard.held
    assert guard.check("energy", Decimal(5), 60)


def test_a_net_counter_may_fall_and_go_below_zero():
    guard = EnergyGuard(10_000)
    for value, now in ((1, 0), (0, 600), (-1, 1200)):
        assert guard.check("net", Decimal(value), now, rising=False)
    assert not guard.check("net", Decimal(-500), 1800, rising=False)


def test_a_restart_does_not_forget(guard):
    guard.identify("1")
    again = EnergyGuard(43_000)
    again.restore(guard.dump())
    assert not again.check("energy", Decimal(0), 60)
    again.restore({})
    assert again.check("energy", Decimal(0), 60)


@given(st.lists(st.decimals(0, 2, places=3), max_size=40))
def test_honest_consumption_is_never_held(steps):
    guard, total = EnergyGuard(43_000), Decimal(100)
    for number, step in enumerate(steps):
        total += min(step, Decimal(43) / 4)
        assert guard.check("energy", total, number * 900.0)


def test_a_clock_that_is_set_back_makes_nobody_wait_for_years(guard):
    year = 365 * 86400.0
    assert not guard.check("energy", Decimal(5), year)
    assert not guard.check("energy", Decimal(5), 60)
    assert not guard.check("energy", Decimal(5), 400)
    assert guard.check("energy", Decimal(5), 660)


def test_a_good_value_of_a_clock_that_was_ahead_holds_nothing_back(guard):
    assert guard.check("energy", Decimal("1000.5"), 365 * 86400.0)
    assert guard.check("energy", Decimal("1000.6"), 30)
    assert guard.check("energy", Decimal("1000.7"), 60)
