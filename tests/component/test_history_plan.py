"""The arithmetic of a history: what rows a hole gets, out of registers, increments, falls and doubtful hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custom_components.dlms_mqtt.history_plan import (
    HOUR,
    Gap,
    Row,
    Series,
    absent,
    compiled_until,
    integrate,
    plan,
    read_table,
    repeated,
)

T0 = datetime(2026, 11, 1, tzinfo=UTC)
FAR = T0 + timedelta(days=30)


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def table(*columns: tuple[str, str, str], rows: list[list[Any]], interval: int = 3600) -> dict[str, Any]:
    names = ("key", "obis", "unit")
    return {"interval": interval, "columns": [dict(zip(names, c, strict=True)) for c in columns], "rows": rows}


def series(*tables: dict[str, Any]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for part in tables:
        read_table(found, part)
    return found


IMPORT = ("energy_import", "1.0.1.8.0.255", "kWh")


def test_rows_are_stamped_with_the_end_of_their_interval() -> None:
    rows = [[at(h / 4).isoformat(), 0, 100 + h] for h in range(9)]
    assert series(table(IMPORT, rows=rows))["energy_import"].registers == {at(-1): 100, at(0): 104, at(1): 108}


@pytest.mark.parametrize("status", [1, 2, 4, 7])
def test_rows_whose_status_says_no(status: int) -> None:
    rows = [[at(1).isoformat(), status, 100], [at(2).isoformat(), 0x80 | 0x20 | 0x08, 101]]
    assert series(table(IMPORT, rows=rows))["energy_import"].registers == {at(1): 101}


@pytest.mark.parametrize("status", [None, "0004", True, 0x0104])
def test_status_words_that_nobody_can_read(status: Any) -> None:
    assert series(table(IMPORT, rows=[[at(1).isoformat(), status, 100]]))["energy_import"].registers == {at(0): 100}


@pytest.mark.parametrize("row", [None, [], ["x"], ["x", 0, 1], ["2026-11-01T00:00:00", 0, 1], [None, 0, 1]])
def test_rows_that_are_none(row: Any) -> None:
    assert series(table(IMPORT, rows=[row])) == {}


def test_tables_without_rows() -> None:
    assert series({"columns": None}, {"columns": [{"key": "x"}], "rows": "?"}) == {}


def test_cells_that_are_no_numbers() -> None:
    assert series(table(IMPORT, rows=[[at(1).isoformat(), 0, "?"], [at(1).isoformat(), 0, True]])) == {}


def test_several_columns_and_their_tariffs() -> None:
    night = ("energy_import_t2", "1.0.1.8.2.255", "kWh")
    voltage = ("voltage_l1", "1.0.32.7.0.255", "V")
    found = series(table(IMPORT, voltage, night, rows=[[at(1).isoformat(), 0, 100, 230, 40]]))
    assert {key: part.registers for key, part in found.items()} == {
        "energy_import": {at(0): 100},
        "energy_import_t2": {at(0): 40},
    }


@pytest.mark.parametrize(
    ("column", "cell", "key", "energy"),
    [
        (("energy_import_interval", "1.0.1.29.0.255", "kWh"), 0.25, "energy_import", 0.25),
        (("energy_export_interval", "1.0.2.29.1.255", "kWh"), 0.25, "energy_export_t1", 0.25),
        (("demand_import", "1.0.1.4.0.255", "W"), 1000, "energy_import", 0.25),
        (("demand_last_import", "1.0.1.5.0.255", "W"), 2000, "energy_import", 0.5),
        (("x", "1.0.3.5.0.255", "var"), 400, "reactive_energy_import", 0.1),
    ],
)
def test_intervals_and_averages(column: tuple[str, str, str], cell: float, key: str, energy: float) -> None:
    found = series(table(column, rows=[[at(0.25).isoformat(), 0, cell]], interval=900))
    assert found[key].increments == {at(0.25): pytest.approx(energy)}
    assert not found[key].registers


@pytest.mark.parametrize("obis", ["1.0.31.29.0.255", "1.0.1.7.0.255", "1.0"])
def test_columns_that_hold_no_energy_of_the_meter(obis: str) -> None:
    assert series(table(("x", obis, "kWh"), rows=[[at(1).isoformat(), 0, 1]])) == {}


def test_an_average_without_an_interval() -> None:
    part = {**table(("x", "1.0.1.5.0.255", "W"), rows=[[at(1).isoformat(), 0, 1]]), "interval": None}
    assert series(part) == {}


def test_autumn_with_season_marks() -> None:
    """25 hours, one of them twice by the wall clock: nothing is doubled in UTC."""
    start = datetime(2026, 10, 25, tzinfo=UTC)
    zone = ZoneInfo("Europe/Berlin")
    rows = [[(start + timedelta(minutes=15 * i)).astimezone(zone).isoformat(), 0, i] for i in range(12)]
    assert sorted(series(table(IMPORT, rows=rows))["energy_import"].registers) == [
        start - HOUR,
        start,
        start + HOUR,
    ]


def test_autumn_of_a_clock_without_season_marks() -> None:
    """The doubled hour: the first counts where the register rises, none where it does not."""
    double = [[at(1).isoformat(), 0, 100], [at(1).isoformat(), 0, 101], [at(2).isoformat(), 0, 102]]
    assert series(table(IMPORT, rows=double))["energy_import"].registers == {at(0): 100, at(1): 102}
    falls = [[at(1).isoformat(), 0, 101], [at(1).isoformat(), 0, 100], [at(1).isoformat(), 0, 101]]
    assert series(table(IMPORT, rows=falls))["energy_import"].registers == {}


def test_the_same_row_twice_is_one() -> None:
    part = table(IMPORT, rows=[[at(1).isoformat(), 0, 101]])
    assert series(part, part)["energy_import"].registers == {at(0): 101}


# Hours


def test_the_last_hour_that_is_compiled() -> None:
    assert compiled_until(at(5.2)) == at(3)
    assert compiled_until(at(5.25)) == at(4)


def test_hours_without_a_row_and_with_a_repeated_one() -> None:
    rows = [Row(at(0), 100, 0), Row(at(1), 100, 0), Row(at(3), 101, 1)]
    assert absent(rows, at(0.5), at(4)) == {at(2), at(4)}
    assert repeated(rows) == {at(1)}
    assert absent(rows, at(4), at(2)) == set()


# Plans


def hours(gaps: list[Gap]) -> dict[datetime, tuple[float, float]]:
    return {row.start: (row.state, row.sum) for gap in gaps for row in gap.rows}


def test_nothing_without_a_live_row() -> None:
    assert plan([], {at(0): 100}, None, FAR) == []


def test_before_the_first_live_row() -> None:
    gaps = plan([Row(at(5), 105, 2)], {at(h): 100 + h for h in range(9)}, None, at(5))
    assert hours(gaps) == {at(h): (100 + h, h) for h in range(5)}
    (gap,) = gaps
    assert (gap.after, gap.shift, gap.leads) == (at(5), 3, True)


def test_before_sums_that_began_above_nought() -> None:
    (gap,) = plan([Row(at(2), 105, 50)], {at(0): 100, at(1): 101}, None, at(1))
    assert gap == Gap((Row(at(0), 100, 45), Row(at(1), 101, 46)))


def test_before_the_first_row_that_counts() -> None:
    """A row that only repeats is there all the same: the sums begin with it."""
    existing = [Row(at(0), 100, 0), Row(at(4), 104, 4)]
    gaps = plan(existing, {at(0): 101, at(1): 102}, None, at(4))
    assert [(gap.after, gap.leads) for gap in gaps] == [(None, False)]


def test_only_the_newest_five_minutes_are_live() -> None:
    gaps = plan([], {at(0): 100.0, at(1): 101.0}, Row(at(2.5), 101.5, 0), at(1))
    assert hours(gaps) == {at(0): (100, 0), at(1): (101, 1)}


def test_history_with_a_replaced_meter() -> None:
    gaps = plan([Row(at(3), 2, 2)], {at(0): 499, at(1): 500, at(2): 1}, None, FAR)
    assert hours(gaps) == {at(0): (499, 0), at(1): (500, 1), at(2): (1, 2)}


def test_a_hole() -> None:
    existing = [Row(at(0), 100, 10), Row(at(4), 104, 14)]
    gaps = plan(existing, {at(1): 101, at(2): 102.5, at(3): 103}, None, FAR)
    assert gaps == [Gap((Row(at(1), 101, 11), Row(at(2), 102.5, 12.5), Row(at(3), 103, 13)))]


def test_the_hour_in_which_the_values_stopped() -> None:
    existing = [Row(at(0), 100.2, 10.2), Row(at(3), 104, 14)]
    gaps = plan(existing, {at(0): 100.9, at(1): 101, at(2): 102}, None, FAR)
    assert hours(gaps)[at(0)] == (100.9, pytest.approx(10.9))
    far = plan(existing, {at(0): 100.9, at(2): 102}, None, FAR)
    assert at(0) not in hours(far)  # the next hour is not known: its energy would be lost between the two


def test_hours_not_yet_compiled_are_left_alone() -> None:
    assert hours(plan([Row(at(0), 100, 10)], {at(h): 100 + h for h in range(1, 9)}, None, at(3))).keys() == {
        at(1),
        at(2),
        at(3),
    }


def test_rows_of_an_outage_of_home_assistant() -> None:
    """It compiles those hours with the old state; hours in which nothing was used look the same and stay."""
    existing = [Row(at(0), 100, 0), Row(at(1), 100, 0), Row(at(2), 100, 0), Row(at(3), 103, 3)]
    assert hours(plan(existing, {at(0): 100, at(1): 101, at(2): 102, at(3): 103}, None, FAR)) == {
        at(1): (101, 1),
        at(2): (102, 2),
    }
    assert plan(existing[:3], {at(h): 100 for h in range(3)}, None, FAR) == []


def test_a_sum_that_started_anew() -> None:
    existing = [Row(at(0), 100, 50), Row(at(3), 103, 0), Row(at(4), 104, 1)]
    (gap,) = plan(existing, {at(1): 101, at(2): 102}, None, FAR)
    assert (gap.after, gap.shift) == (at(3), 53)
    assert hours([gap]) == {at(1): (101, 51), at(2): (102, 52)}


def test_a_meter_replaced_within_the_hole() -> None:
    existing = [Row(at(0), 500, 50), Row(at(5), 2, 52)]
    (gap,) = plan(existing, {at(1): 501, at(2): 502, at(3): 0.5, at(4): 1}, None, FAR)
    assert hours([gap]) == {at(1): (501, 51), at(2): (502, 52), at(3): (0.5, 52.5), at(4): (1, 53)}
    assert gap.shift == 2
    (first,) = plan(existing, {at(1): 501}, None, FAR)  # replaced after the last row that is known
    assert first.shift == 1


def test_a_net_register_may_fall() -> None:
    existing = [Row(at(0), 2, 0), Row(at(3), -3, -5)]
    (gap,) = plan(existing, {at(1): 0.5, at(2): -1}, None, FAR, rising=False)
    assert hours([gap]) == {at(1): (0.5, -1.5), at(2): (-1, -3)}
    assert gap.after is None
    (before,) = plan(existing[1:], {at(0): 2, at(1): 0.5}, None, FAR, rising=False)
    assert hours([before]) == {at(0): (2, 0), at(1): (0.5, -1.5)}


# Increments


def quarters(*energies: float, start: float = 0) -> dict[datetime, float]:
    return {at(start + (number + 1) / 4): energy for number, energy in enumerate(energies)}


def test_increments_are_counted_on_from_the_left() -> None:
    existing = [Row(at(0), 100, 10), Row(at(3), 110, 20)]
    registers = integrate(quarters(*[0.25] * 16), existing, None)
    assert registers == {at(1): 101, at(2): 102}  # what is left stays in the first live hour
    assert hours(plan(existing, registers, None, FAR)) == {at(1): (101, 11), at(2): (102, 12)}


def test_increments_before_the_first_row() -> None:
    assert integrate(quarters(*[0.25] * 12), [Row(at(2), 103, 0)], None) == {at(0): 101, at(1): 102}
    assert integrate(quarters(*[0.25] * 12), [], Row(at(2.9), 103, 0)) == {at(0): 101, at(1): 102}


def test_increments_never_pass_the_next_row() -> None:
    existing = [Row(at(0), 100, 10), Row(at(2), 100.7, 10.7)]
    assert integrate(quarters(*[0.25] * 8), existing, None) == {at(1): 100.7}


def test_increments_of_a_new_meter_are_not_bounded() -> None:
    existing = [Row(at(0), 100, 10), Row(at(2), 1, 11)]
    assert integrate(quarters(*[0.25] * 8), existing, None) == {at(1): 101}


def test_increments_and_repeated_rows() -> None:
    existing = [Row(at(0), 100, 10), Row(at(1), 100, 10), Row(at(2), 102, 12)]
    assert integrate(quarters(*[0.25] * 12), existing, None) == {at(1): 101}


def test_increments_without_a_live_row() -> None:
    assert integrate(quarters(1, 1, 1, 1), [], None) == {}
