from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.meter.clock_care import MARGIN, ClockKeeper, ClockRules, crosses_edge

VIENNA = ZoneInfo("Europe/Vienna")
NOON = datetime(2026, 6, 10, 12, 0, tzinfo=VIENNA)
RULES = ClockRules(sync=True, tolerance=30, per_day=2)


def keeper(rules: ClockRules = RULES) -> ClockKeeper:
    return ClockKeeper(rules, VIENNA)


@pytest.mark.parametrize(
    ("drift", "word"),
    [(0.0, "right"), (30.0, "right"), (-30.0, "right"), (31.0, None), (-500.0, None), (None, "unknown")],
)
def test_the_bound(drift: float | None, word: str | None) -> None:
    assert keeper().obstacle(drift, NOON) == word


def test_nothing_happens_unless_it_is_asked_for() -> None:
    assert keeper(ClockRules()).obstacle(500.0, NOON) == "off"


def test_at_most_so_often_in_a_day_and_over_restarts() -> None:
    care = keeper()
    for hours in (0, 1):
        moment = NOON + timedelta(hours=hours)
        assert care.obstacle(60, moment) is None
        care.was_set(moment)
    later = NOON + timedelta(hours=2)
    assert care.obstacle(60, later) == "often"
    assert ClockKeeper.restore(RULES, VIENNA, care.keep()).obstacle(60, later) == "often"
    assert care.obstacle(60, NOON + timedelta(hours=24, seconds=1)) is None
    assert ClockKeeper.restore(RULES, VIENNA, None).obstacle(60, later) is None


@pytest.mark.parametrize(
    ("now", "drift", "crossed"),
    [
        # the end of a day, from both sides
        ("2026-06-10T23:59:30", 60, True),
        ("2026-06-11T00:00:30", -60, True),
        ("2026-06-10T23:57:00", 120, True),
        ("2026-06-10T23:50:00", 60, False),
        ("2026-06-11T00:10:00", -60, False),
        # the end of a month is the end of a day
        ("2026-06-30T23:59:00", 45, True),
        # daylight saving begins at 02:00 on 2026-03-29
        ("2026-03-29T01:59:30", 60, True),
        ("2026-03-29T03:00:30", -60, True),
        ("2026-03-29T01:50:00", 60, False),
        ("2026-03-29T03:10:00", 60, False),
    ],
)
def test_edges(now: str, drift: float, crossed: bool) -> None:
    assert crosses_edge(datetime.fromisoformat(now).replace(tzinfo=VIENNA), drift, VIENNA) is crossed


@pytest.mark.parametrize(
    ("minutes", "word"), [(-70, None), (-50, "edge"), (-1, "edge"), (0, "edge"), (1, "edge"), (50, "edge"), (70, None)]
)
def test_the_hour_that_comes_twice(minutes: int, word: str | None) -> None:
    """Daylight saving ends at 01:00 UTC on 2026-10-25; an hour before and after, wall times are ambiguous."""
    now = datetime(2026, 10, 25, 1, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    assert keeper().obstacle(-60, now) == word


def test_a_clock_that_lost_its_time_is_left_to_a_person() -> None:
    assert keeper().obstacle(-800_000_000.0, NOON) == "edge"


@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)), st.floats(-3600, 3600))
def test_where_no_edge_is_both_times_have_one_day_and_one_offset(moment: datetime, drift: float) -> None:
    now = moment.replace(tzinfo=UTC)
    if crosses_edge(now, drift, VIENNA):
        return
    local = [(now + timedelta(seconds=shift)).astimezone(VIENNA) for shift in (0, drift)]
    assert local[0].date() == local[1].date()
    assert local[0].utcoffset() == local[1].utcoffset()
    assert timedelta(0) < MARGIN


@pytest.mark.parametrize("halves", [-26, -4, -3, -2, -1, 1, 2, 3, 11])
@pytest.mark.parametrize("off", [0, 20, -200, 300])
def test_half_hours_are_left_alone_where_nobody_has_told_the_zone(halves: int, off: int) -> None:
    """A container is in UTC: it set a right clock back by an hour."""
    drift = halves * 1800.0 + off
    assert keeper(ClockRules(True, 30, 2, zone_known=False)).obstacle(drift, NOON) == "zone"
    assert keeper(ClockRules(True, 30, 2, zone_known=True)).obstacle(drift, NOON) in (None, "edge")


@pytest.mark.parametrize("hours", [5.75, 8.75, 12.75, 13.75])
@pytest.mark.parametrize("off", [-299, 0, 299])
def test_quarters_are_left_alone_where_a_zone_has_them(hours: float, off: int) -> None:
    """A right clock in Nepal, seen by a container in UTC, was set back by 5:45."""
    unknown = keeper(ClockRules(True, 30, 2, zone_known=False))
    assert unknown.obstacle(hours * 3600 + off, NOON) == "zone"
    assert unknown.obstacle(-hours * 3600 + off, NOON) == "zone", "a meter in UTC beside a system in Nepal"
    assert unknown.obstacle(2700, NOON) is None


@pytest.mark.parametrize("drift", [31.0, -299.0, 600.0, 1499.0, 2101.0, -1000.0, 3901.0])
def test_what_is_no_number_of_half_hours_is_set(drift: float) -> None:
    assert keeper(ClockRules(True, 30, 2, zone_known=False)).obstacle(drift, NOON) is None
