"""A household's load: the same for the same seed, energy that is the sum of the power, never back."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.simulator.household.load_curve import DAY, KINDS, MINUTES, Curve, shape

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
TIMES = st.floats(datetime(2024, 1, 2, tzinfo=UTC).timestamp(), datetime(2026, 12, 1, tzinfo=UTC).timestamp())


def test_a_seed_is_a_household() -> None:
    assert Curve(1).now(NOON) == Curve(1).now(NOON) != Curve(2).now(NOON)


@pytest.mark.parametrize("season", [0, 1, 2])
def test_a_typical_day(season: int) -> None:
    found = shape(1, season, 0)
    assert all(len(phase) == MINUTES and min(phase) > 0 for phase in found.load)
    assert found.solar[0] == found.solar[-1] == 0 < max(found.solar)
    for kind in KINDS:
        assert found.sums[kind][MINUTES] == 60 * sum(found.power[kind])
    assert not any(a and b for a, b in zip(found.power["import"], found.power["export"], strict=True))


@given(TIMES, st.floats(0, 3 * DAY), st.sampled_from(KINDS))
def test_energy_never_falls(true: float, later: float, kind: str) -> None:
    curve = Curve(1)
    assert curve.energy(kind, true) <= curve.energy(kind, true + later)


@given(TIMES, st.sampled_from(KINDS))
def test_energy_is_the_sum_of_the_power(true: float, kind: str) -> None:
    curve = Curve(3)
    minute = true // 60 * 60
    gained = curve.energy(kind, minute + 60) - curve.energy(kind, minute)
    assert gained == pytest.approx(60 * curve.power(kind, minute), abs=60)


def test_a_day_ends_where_the_next_begins() -> None:
    curve = Curve(1)
    for number in (curve.first_day, curve.first_day + 400):
        whole = curve.total("import", number) + curve.within("import", number, DAY)
        assert whole == curve.total("import", number + 1)


def test_days_are_of_the_zones_standard_time() -> None:
    assert Curve(1, ZoneInfo("Europe/Vienna")).offset == 3600
    assert Curve(1, ZoneInfo("Australia/Sydney")).offset == 36000
    assert Curve(1, ZoneInfo("Europe/Vienna")).split(0.0) == (0, 3600.0)


def test_scale() -> None:
    small, large = Curve(1), Curve(1, scale=10)
    assert large.power("reactive_import", NOON) == pytest.approx(10 * small.power("reactive_import", NOON), rel=0.05)
