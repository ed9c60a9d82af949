from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.reading.latest_values import MeterState, Value, lifetime
from dlms_mqtt.bridge.reading.schedule import At, Every, Timetable, phase

VIENNA = ZoneInfo("Europe/Vienna")


def _wall(*parts: int) -> float:
    return datetime(*parts, tzinfo=VIENNA).timestamp()


def _run(schedules, start, hours):
    """24 simulated hours and more, as a loop that sleeps until the next thing is due."""
    table = Timetable(schedules, start)
    elapsed, runs = 0.0, []
    while elapsed < hours * 3600:
        due = table.due(elapsed, start + elapsed)
        runs += [(item, datetime.fromtimestamp(start + elapsed, VIENNA)) for item in due]
        wait = table.wait(elapsed, start + elapsed)
        assert wait > 0
        elapsed += wait
    return runs


def test_a_day_of_reading():
    runs = _run({"fast": Every(10), "slow": Every(30), "daily": At(((0, 5),), VIENNA)}, _wall(2026, 6, 1, 12), 24)
    count = {item: sum(1 for name, _ in runs if name == item) for item in ("fast", "slow", "daily")}
    assert count == {"fast": 8640, "slow": 2880, "daily": 1}
    assert [moment for item, moment in runs if item == "daily"] == [datetime(2026, 6, 2, 0, 5, tzinfo=VIENNA)]


def test_items_due_together_come_together():
    start = _wall(2026, 6, 1)
    table = Timetable({"a": Every(10), "b": Every(30)}, start)
    assert table.due(0, start) == ["a", "b"]
    assert table.due(10, start + 10) == ["a"]
    assert table.wait(12.5, start + 12.5) == 7.5
    assert table.due(20, start + 20) == ["a"]
    assert table.due(30.01, start + 30.01) == ["a", "b"]


def test_what_could_not_be_read_is_due_still_and_its_times_stay():
    start = _wall(2026, 6, 1, 12)
    table = Timetable({"a": Every(600), "daily": At(((12, 5),), VIENNA)}, start)
    assert table.due(301, start + 301) == ["a", "daily"]
    table.put_back(["a", "daily"])
    assert table.wait(305, start + 305) == 0
    assert table.due(306, start + 306) == ["a", "daily"]
    assert table.due(307, start + 307) == []
    assert table.wait(307, start + 307) == 293


@pytest.mark.parametrize(
    ("day", "times", "expected"),
    [
        # clocks go forward at 02:00: 02:30 is skipped and comes once, an hour later on the wall
        ((2026, 3, 29), ((2, 30), (3, 30)), ["03:30+02:00"]),
        ((2026, 3, 29), ((2, 30),), ["03:30+02:00"]),
        ((2026, 3, 29), ((0, 5), (12, 0)), ["00:05+01:00", "12:00+02:00"]),
        # clocks go back at 03:00: 02:30 is there twice and comes once
        ((2026, 10, 25), ((2, 30),), ["02:30+02:00"]),
        ((2026, 10, 25), ((1, 0), (3, 0)), ["01:00+02:00", "03:00+01:00"]),
    ],
)
def test_both_daylight_saving_days(day, times, expected):
    start = _wall(*day) - 60
    hours = {3: 23, 10: 25}[day[1]] + 0.01
    runs = _run({"item": At(times, VIENNA)}, start, hours)
    assert [moment.isoformat()[11:16] + moment.isoformat()[19:] for _, moment in runs] == expected


def test_every_hour_is_every_hour_on_those_days():
    for day, hours in (((2026, 3, 29), 23), ((2026, 10, 25), 25)):
        assert len(_run({"item": Every(3600)}, _wall(*day), hours)) == hours


def test_a_late_cycle_runs_once():
    table = Timetable({"a": Every(10)}, 0)
    assert table.due(0, 0) == ["a"]
    assert table.due(45, 45) == ["a"]
    assert table.due(49, 49) == []
    assert table.due(50, 50) == ["a"]


def test_a_wall_clock_that_steps():
    table = Timetable({"a": At(((0, 5),), VIENNA)}, _wall(2026, 6, 1, 12))
    assert table.due(10, _wall(2026, 6, 1, 11)) == []  # an hour back: nothing twice
    assert table.due(20, _wall(2026, 6, 2, 0, 6)) == ["a"]
    assert table.due(30, _wall(2026, 6, 1, 23)) == []
    assert table.due(40, _wall(2026, 6, 2, 0, 6)) == []
    far = Timetable({"a": At(((0, 5),), VIENNA)}, _wall(2036, 6, 1, 12))
    assert far.due(0, _wall(2026, 6, 1, 12)) == []
    assert far.wait(0, _wall(2026, 6, 1, 12)) == 12 * 3600 + 300


@given(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=5), st.integers(0, 370 * 24))
def test_the_next_moment_is_within_a_day(times, hours):
    wall = _wall(2026, 1, 1) + hours * 3600
    moment = At(tuple(times), VIENNA).next_moment(wall)
    assert wall < moment <= wall + 26 * 3600


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (Every(10), 120),
        (Every(300), 900),
        (At(((0, 5),), VIENNA), 86400 + 3600),
        (At(((0, 0), (6, 0), (12, 0)), VIENNA), 12 * 3600 + 3600),
    ],
)
def test_how_long_a_value_lives(schedule, seconds):
    assert lifetime(schedule) == seconds


def test_state_holds_what_is_fresh_and_nothing_else():
    state, moment = MeterState(), datetime(2026, 1, 1, tzinfo=VIENNA)
    assert state.payload(0) == {"_time": {}}
    state.update("power", Value(0, moment, 120))
    state.update("energy", Value(5, moment + timedelta(seconds=1), 900))
    assert state.payload(119) == {
        "power": 0,
        "energy": 5,
        "_time": {"power": "2026-01-01T00:00:00+01:00", "energy": "2026-01-01T00:00:01+01:00"},
    }
    assert "power" not in state.payload(120)
    assert state.expire(120) == ["power"]
    assert set(state.fresh(0)) == {"energy"}


def test_meters_that_start_together_are_spread_over_all_of_their_interval():
    phases = sorted(phase(f"meter_{n}", [Every(30), At(((0, 5),), VIENNA)]) for n in range(400))
    assert all(0 <= one < 30 for one in phases)
    busiest = max(sum(start <= one < start + 1 for one in phases) for start in range(30))
    assert busiest < 3 * 400 / 30  # nearly as many in each second
    assert phase("meter_3", [Every(30)]) == phase("meter_3", [Every(30)])  # the same after every start
    assert phase("meter_3", [Every(60)]) * 60 == pytest.approx(phase("meter_3", [Every(3600)]))
    assert phase("meter_3", [Every(2), Every(60)]) == phase("meter_3", [Every(60)])  # not over the short one alone
    assert phase("meter_3", [At(((0, 5),), VIENNA)]) == phase("meter_3", []) == 0
