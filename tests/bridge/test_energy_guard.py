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


def test_another_serial_number_seen_twice_is_another_meter(guard):
    guard.identify({"serial_number": "1"}, 0)
    assert not guard.check("energy", Decimal(5), 30)
    assert guard.identify({"serial_number": "1"}, 30) is None
    assert guard.identify({"serial_number": "2"}, 60) is None
    assert guard.held
    change = guard.identify({"serial_number": "2"}, 90)
    assert (change.key, change.old, change.new, change.time) == ("serial_number", "1", "2", 90)
    assert guard.change == change and not guard.held
    assert guard.starts_anew("energy")
    assert guard.check("energy", Decimal(5), 90)
    assert not guard.starts_anew("energy")


@pytest.mark.parametrize(
    ("first", "value", "rising", "offset"),
    [
        ("1000", "20000", True, "-19000"),  # higher: 19,000 kWh would be consumption
        ("1000", "500", True, "500"),  # lower: whoever counts takes it for a new cycle, and 500 kWh with it
        ("1000", "1", True, None),  # a new meter: a new cycle
        ("1000", "0", True, None),
        ("1000", "1.001", True, "998.999"),
        ("1000", "0", False, "1000"),  # a net counter has no cycles
    ],
)
def test_the_first_value_of_another_meter_is_a_new_start(first, value, rising, offset):
    guard = EnergyGuard(43_000)
    guard.identify({"serial_number": "1"}, 0)
    assert guard.check("energy", Decimal(first), 0, rising=rising)
    for now in (30, 60):
        guard.identify({"serial_number": "2"}, now)
    assert guard.check("energy", Decimal(value), 60, rising=rising)
    assert guard.offsets == ({"energy": Decimal(offset)} if offset else {})
    assert guard.check("energy", Decimal(value) + 1, 90, rising=rising)


def test_a_meter_that_comes_back_goes_on_where_the_other_ended(guard):
    for serial, value in (("1", "1000"), ("2", "20000"), ("1", "1000.5")):
        for now in (30, 60):
            guard.identify({"serial_number": serial}, now)
        assert guard.check("energy", Decimal(value), 60)
    assert guard.offsets == {"energy": Decimal("-0.5")}


def test_the_offset_of_a_meter_ends_with_the_next_one(guard):
    """The third begins near 0, so whoever counts sees a new cycle; a restart between them forgets no offset."""
    for serial, value, offsets in (("1", "1000", {}), ("2", "500", {"energy": Decimal(500)}), ("3", "0.5", {})):
        for now in (30, 60):
            guard.identify({"serial_number": serial}, now)
        assert guard.check("energy", Decimal(value), 60)
        guard.restore(guard.dump())
        assert guard.offsets == offsets


def test_a_meter_that_counts_something_else_has_no_offset(guard):
    for serial in ("1", "2"):
        for now in (30, 60):
            guard.identify({"serial_number": serial}, now)
    assert guard.starts_anew("energy")
    assert guard.check("energy", Decimal(700), 60, unit="m³")
    assert guard.offsets == {}


def test_what_was_restored_between_the_change_and_the_first_value_is_a_new_start_too(guard):
    guard.identify({"serial_number": "1"})
    for _ in range(2):
        guard.identify({"serial_number": "2"}, 5)
    again = EnergyGuard(43_000)
    again.restore(guard.dump())
    assert again.knows("energy") and again.change.new == "2"
    assert again.check("energy", Decimal(20000), 60)
    assert again.offsets == {"energy": Decimal(-19000)}


def test_a_change_is_told_for_a_week_or_until_it_is_accepted(guard):
    def change(now):
        guard.identify({"serial_number": f"{now}"}, now)
        guard.identify({"serial_number": f"{now}"}, now)

    change(1), change(2)
    assert guard.change
    guard.identify({}, 7 * 86400)
    assert guard.change
    guard.identify({}, 7 * 86400 + 2)
    assert guard.change is None
    change(3)
    guard.accept()
    assert guard.change is None


def test_a_first_zero_is_not_believed_at_once():
    guard = EnergyGuard(43_000)
    assert not guard.check("energy", Decimal(0), 0)
    assert guard.held["energy"].reason is Reason.ZERO and guard.held["energy"].last is None
    assert not guard.check("energy", Decimal(0), 300)
    assert not guard.check("energy", Decimal(0), 599)
    assert guard.check("energy", Decimal(0), 600)


def test_a_first_zero_beside_a_counter_that_has_counted_is_one():
    assert EnergyGuard(43_000).check("export", Decimal(0), 0, alive=True)


def test_a_first_zero_gives_way_to_what_the_meter_has_counted():
    guard = EnergyGuard(43_000)
    assert not guard.check("energy", Decimal(0), 0)
    assert guard.check("energy", Decimal(12345), 30)
    assert not guard.held
    assert not guard.check("energy", Decimal(0), 60)


@pytest.mark.parametrize(
    ("unit", "good", "bad"),
    [
        ("Wh", "1044000", "1044001"),  # 43 kW for an hour and a kWh above it
        ("kWh", "44", "44.001"),
        ("MWh", "0.044", "0.0440001"),
        ("kvarh", "44", "44.001"),
        ("kVAh", "44", "44.001"),
        ("MJ", "363.6", "363.601"),  # heat: 100 kW
        ("J", "363600000", "363600001"),
        ("m³", "51", "51.001"),
        ("L", "51000", "51001"),
        ("h", "2", "2.001"),
    ],
)
def test_every_unit_has_its_bound(unit, good, bad):
    """The first value may be an hour old: what an hour (and the slack) carries is no jump, and a little more is one."""
    start = Decimal(1_000_000) if unit == "Wh" else Decimal(0)
    good, bad = (Decimal(good), Decimal(bad)) if start == 0 else (start + 44_000, start + 44_001)
    for value, passes in ((good, True), (bad, False)):
        guard = EnergyGuard(43_000)
        assert guard.check("x", start, 0, unit=unit, alive=True)
        assert guard.check("x", value, 0, unit=unit) is passes


def test_a_unit_that_nobody_knows_still_never_falls():
    guard = EnergyGuard(43_000)
    assert guard.check("x", Decimal(10), 0, unit="imp")
    assert guard.check("x", Decimal(10_000), 1, unit="imp")
    assert not guard.check("x", Decimal(0), 2, unit="imp")


def test_another_unit_of_the_same_counter_is_compared_in_it(guard):
    assert guard.check("energy", Decimal(1_000_100), 30, unit="Wh")
    assert not guard.check("energy", Decimal(0), 60, unit="kWh")
    assert not guard.check("energy", Decimal("999.9"), 60, unit="kWh")
    assert guard.held["energy"].reason is Reason.FELL
    assert guard.check("energy", Decimal("1000.2"), 60, unit="kWh")
    assert guard.check("energy", Decimal(7), 90, unit="m³")  # something else altogether: as if it were new


def test_a_coarse_counter_may_move_by_one_of_its_steps():
    guard = EnergyGuard(43_000)
    assert guard.check("x", Decimal("100E+3"), 0)
    assert guard.check("x", Decimal("101E+3"), 0)
    assert not guard.check("x", Decimal("103E+3"), 0)


def test_a_damaged_float_makes_no_counter_coarse(guard):
    assert not guard.check("energy", Decimal("1E+27"), 10)


def test_a_value_that_stays_keeps_the_time_when_it_was_first_seen(guard):
    """A counter that moves once in six hours: what came together in all that time is no jump."""
    assert guard.check("energy", Decimal(1001), 100)
    assert guard.check("energy", Decimal(1001), 6 * 3600)
    assert guard.check("energy", Decimal(1001 + 6 * 43), 6 * 3600 + 100)
    assert not guard.check("energy", Decimal(1001 + 6 * 43 + 2), 6 * 3600 + 100)


def test_a_value_that_moved_begins_anew(guard):
    assert guard.check("energy", Decimal(1001), 0)
    assert guard.check("energy", Decimal(1002), 6 * 3600)
    assert not guard.check("energy", Decimal(1004), 6 * 3600)


def test_agreement_must_span_its_time_from_the_first_held_value(guard):
    for now, passes in ((10_000, False), (10_300, False), (10_599.9, False), (10_600, True)):
        assert guard.check("energy", Decimal(5), now) is passes


def test_a_net_counter_may_fall_and_go_below_zero():
    guard = EnergyGuard(10_000)
    for value, now in ((1, 0), (0, 600), (-1, 1200)):
        assert guard.check("net", Decimal(value), now, rising=False)
    assert not guard.check("net", Decimal(-500), 1800, rising=False)


def test_a_restart_does_not_forget(guard):
    guard.identify({"serial_number": "1"})
    again = EnergyGuard(43_000)
    again.restore(guard.dump())
    assert again.knows("energy") and not again.knows("another") and not again.starts_anew("energy")
    assert not again.check("energy", Decimal(0), 60)
    assert not again.check("energy", Decimal("999.9"), 60)  # no first value, but one that fell
    assert again.held["energy"].last == Decimal(1000)
    assert again.identify({"serial_number": "2"}) is None
    assert again.identify({"serial_number": "2"}).old == "1"
    again.restore({})
    assert again.check("energy", Decimal(5), 60)


def test_the_memory_of_the_version_before_holds():
    """It knew one identity only, and no units: a ``poll`` of the device name alone had made that the identity."""
    guard = EnergyGuard(43_000)
    guard.restore({"serial": "KAM0001", "good": {"energy": ["1000.5", 1000.0]}})
    for _ in range(3):
        assert guard.identify({"serial_number": "4711", "logical_device_name": "KAM0001"}) is None
    assert not guard.check("energy", Decimal(0), 1030)
    assert not guard.check("energy", Decimal("1000.4"), 1030)
    assert guard.check("energy", Decimal("1000.6"), 1060)


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


W = Decimal(40_000)


def test_a_flow_beyond_the_supply_is_held_and_one_within_it_releases_it(guard):
    assert guard.check_flow("power", Decimal(500), 0, W)
    assert guard.check_flow("power", W, 10, W) and guard.check_flow("power", -W, 10, W)
    assert not guard.check_flow("power", Decimal(2147483647), 20, W)
    assert guard.held["power"].reason is Reason.BEYOND and guard.held["power"].last is None
    assert guard.check_flow("power", Decimal(501), 30, W)
    assert not guard.held


def test_flows_that_agree_for_ten_minutes_widen_the_bound_and_are_remembered(guard):
    for now, passes in ((0, False), (300, False), (599, False), (600, True), (610, True)):
        assert guard.check_flow("power", Decimal(100_000 + now), now, W) is passes
    again = EnergyGuard(43_000)
    again.restore(guard.dump())
    assert again.check_flow("power", Decimal(125_000), 620, W)
    assert not again.check_flow("power", Decimal(126_000), 620, W)
    assert guard.landmarks != EnergyGuard(43_000).landmarks


def test_flows_that_disagree_never_get_through(guard):
    for number, value in enumerate((50_000, 200_000, 50_000, 900_000, 100_000) * 6):
        assert not guard.check_flow("power", Decimal(value), 600.0 * number, W)


def test_an_accepted_flow_is_within_the_bound(guard):
    assert not guard.check_flow("power", Decimal(-60_000), 0, W, "W")
    assert guard.accept() == ["power"]
    assert guard.check_flow("power", Decimal(60_000), 10, W)
    assert not guard.knows("power")  # it is no counter


def test_a_killed_bridge_forgets_nothing_that_has_happened(guard):
    """Whatever changes what a restart must know changes the landmarks, at which the memory is written."""

    def happens(what):
        before = guard.landmarks
        what()
        return guard.landmarks != before

    assert happens(lambda: guard.check("export", Decimal(7), 0)), "a counter that was not known"
    assert happens(lambda: guard.identify({"serial_number": "1"}, 10)), "who the meter is"
    assert not happens(lambda: guard.check("energy", Decimal("1000.1"), 60)), "what a counter does all day"
    for now in (100, 400):
        assert not happens(lambda now=now: guard.check("energy", Decimal(5), now)), "what is only held"
    assert happens(lambda: guard.check("energy", Decimal(5), 700)), "a value that was let through"
    guard.identify({"serial_number": "2"}, 800)
    assert happens(lambda: guard.identify({"serial_number": "2"}, 830)), "another meter"
    offsets = len(guard.offsets)
    assert happens(lambda: guard.check("energy", Decimal(9000), 860)) and len(guard.offsets) == offsets + 1
    change = guard.change
    assert change is not None and happens(guard.accept), "a change that was accepted is not told again"


def test_an_offset_that_changes_and_a_change_that_is_accepted_are_landmarks_by_themselves(guard):
    guard.identify({"serial_number": "1"}, 0)
    guard.check("energy", Decimal("1000.5"), 10)
    kept = guard.landmarks
    identity, change, agreed, counters, offsets = kept
    assert identity == frozenset({("serial_number", "1")})
    assert (change, agreed, counters, offsets) == (None, 0, frozenset({"energy"}), frozenset())
    for now in (100, 130):
        guard.identify({"serial_number": "2"}, now)
    guard.check("energy", Decimal(9000), 160)
    _, change, _, counters, offsets = guard.landmarks
    assert change is not None and change.new == "2"
    assert counters == frozenset({"energy"}) and offsets == frozenset({("energy", Decimal("-7999.5"))})


@pytest.mark.parametrize(("second", "agrees"), [("50", True), ("49.9", False), ("200", True), ("200.1", False)])
def test_flows_between_half_and_twice_agree(second, agrees):
    guard = EnergyGuard(43_000)
    assert not guard.check_flow("current", Decimal(100), 0, Decimal(40))
    assert not guard.check_flow("current", Decimal(second), 300, Decimal(40))
    assert guard.held["current"].reads == (2 if agrees else 1)
    assert guard.check_flow("current", Decimal(second), 900, Decimal(40)) is agrees
    assert ("current" in guard.held) is not agrees, "what was let through waits no more"
    assert not guard.check_flow("current", -4 * Decimal(second), 930, Decimal(40)), "in either direction"


def test_a_net_counter_may_begin_with_zero():
    assert EnergyGuard(43_000).check("net", Decimal(0), 0, rising=False)


def test_a_first_zero_needs_three_reads_however_long_they_take():
    guard = EnergyGuard(43_000)
    assert [guard.check("energy", Decimal(0), now) for now in (0, 900, 1800)] == [False, False, True]


def test_reads_of_one_moment_agree_too(guard):
    """Two registers of a counter that are read in one list."""
    assert [guard.check("energy", Decimal(5), now) for now in (30, 30, 630)] == [False, False, True]


def test_a_counter_of_the_version_before_goes_on_with_the_meter_that_came_in_its_place(guard):
    """That version kept no units."""
    guard.identify({"serial_number": "1"}, 0)
    saved = guard.dump()
    saved["good"] = {key: row[:2] for key, row in saved["good"].items()}
    guard.restore(saved)
    for now in (30, 60):
        guard.identify({"serial_number": "2"}, now)
    assert guard.check("energy", Decimal(500), 60)
    assert guard.offsets == {"energy": Decimal(500)}


@pytest.mark.parametrize(("first", "offset"), [("0", None), ("0.5", "999.5")])
def test_a_new_meter_with_a_unit_that_nobody_knows(first, offset):
    """Without a bound only 0 is near 0."""
    guard = EnergyGuard(43_000)
    guard.identify({"serial_number": "1"}, 0)
    assert guard.check("x", Decimal(1000), 0, unit="spoons")
    for now in (30, 60):
        guard.identify({"serial_number": "2"}, now)
    assert guard.check("x", Decimal(first), 60, unit="spoons")
    assert guard.offsets == ({"x": Decimal(offset)} if offset else {})


def test_no_time_carries_nothing_but_the_slack(guard):
    assert guard.check("energy", Decimal("1000.5"), 30)
    assert not guard.check("energy", Decimal("1001.501"), 30)
    assert guard.check("energy", Decimal("1001.5"), 30)


def test_a_bound_below_one_holds_too(guard):
    assert not guard.check_flow("current", Decimal("1.2"), 0, Decimal("0.5"))
    assert guard.check_flow("current", Decimal("-0.5"), 30, Decimal("0.5"))
