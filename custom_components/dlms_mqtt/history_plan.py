"""Hours that Home Assistant missed, out of a meter's load profile, for the live sensor's own statistic. Pure.

Of any live row ``state - sum`` is the register's value at the sum nought: one number until a reset. A missing hour gets
the register at its end as state, and as sum what that number leaves of it, so the curve of the sums goes on unbroken.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, groupby, pairwise
from typing import Any

from .api import Json, as_rows

HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=15)  # the recorder compiles an hour within minutes of its end, and must find no row of ours
FALL = 0.9  # as Home Assistant tells a reset of a total_increasing sensor from a dip
TOLERANCE = 0.05  # kWh: sums are rounded

_REGISTER, _INTERVAL = 8, 29  # OBIS group D: time integral 1 (total), time integral 5 (of one interval)
_AVERAGES = frozenset((4, 5, 27))  # average demand: times the interval it is an energy
_QUANTITIES: dict[int, str] = {
    1: "energy_import",
    2: "energy_export",
    3: "reactive_energy_import",
    4: "reactive_energy_export",
    5: "reactive_energy_q1",
    6: "reactive_energy_q2",
    7: "reactive_energy_q3",
    8: "reactive_energy_q4",
    9: "apparent_energy_import",
    10: "apparent_energy_export",
}
_ENERGY_OF = {"W": "kWh", "var": "kvarh", "VA": "kVAh", "kWh": "kWh", "kvarh": "kvarh", "kVAh": "kVAh"}
_UNUSABLE = 0b0000_0111  # AMR profile status of DSMR and IDIS: critical error, clock invalid, data not valid


@dataclass(frozen=True, slots=True)
class Row:
    """One hour of a statistic, by its start."""

    start: datetime
    state: float
    sum: float

    @property
    def base(self) -> float:
        """The register's value at which the sum is nought: one number until a reset."""
        return self.state - self.sum


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows for a hole. ``shift``: what all sums from ``after`` on must be raised by, because they started anew.

    ``leads``: the rows are the first of all, and the sums begin with them; no hour that is there shows another value.
    """

    rows: tuple[Row, ...]
    after: datetime | None = None
    shift: float = 0.0
    leads: bool = False


@dataclass(slots=True)
class Series:
    """What a load profile says of one key: registers by the start of their hour, increments by the end of theirs."""

    unit: str
    registers: dict[datetime, float] = field(default_factory=dict)
    increments: dict[datetime, float] = field(default_factory=dict)
    doubtful: set[datetime] = field(default_factory=set)  # hours that a clock without a season mark tells twice


# The profile


def read_table(series: dict[str, Series], table: Json) -> None:
    """Add the rows of a compact profile table (``columns`` and ``rows`` of time, status, cells) to the series."""
    parts = [_column(column, table.get("interval")) for column in as_rows(table.get("columns"))]
    rows = table.get("rows")
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, list) or len(row) < 2 or (moment := _moment(row[0])) is None or not _usable(row[1]):
            continue
        for part, value in zip(parts, row[2:], strict=False):
            if part is not None and isinstance(value, int | float) and not isinstance(value, bool):
                key, unit, factor = part
                _add(series.setdefault(key, Series(unit)), moment, float(value), factor)


def _column(column: Json, interval: Any) -> tuple[str, str, float | None] | None:
    """Key, unit and factor (None for a register) of a column; None for one that holds no energy."""
    groups = [int(group) for group in re.findall(r"\d+", str(column.get("obis")))]
    unit = str(column.get("unit") or "")
    if len(groups) < 5 or (unit not in _ENERGY_OF and groups[3] != _REGISTER):
        return None
    if groups[3] == _REGISTER:
        return str(column.get("key")), unit, None
    if (quantity := _QUANTITIES.get(groups[2])) is None:
        return None
    key = f"{quantity}_t{groups[4]}" if groups[4] else quantity
    if groups[3] == _INTERVAL:
        return key, unit, 1.0
    if groups[3] in _AVERAGES and isinstance(interval, int | float) and unit != _ENERGY_OF[unit]:
        return key, _ENERGY_OF[unit], interval / 3600 / 1000
    return None


def _add(series: Series, moment: datetime, value: float, factor: float | None) -> None:
    if factor is not None:
        series.increments.setdefault(moment, value * factor)
        return
    if moment.minute or moment.second or moment.microsecond:
        return
    start = moment - HOUR  # a row is stamped with the end of its interval
    if value < series.registers.get(start, value):
        series.doubtful.add(start)
        del series.registers[start]
    elif start not in series.doubtful:
        series.registers.setdefault(start, value)


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _usable(status: Any) -> bool:
    """Not for a status word of one octet that says so; longer ones are each maker's own."""
    known = isinstance(status, int) and not isinstance(status, bool) and 0 <= status <= 0xFF
    return not (known and status & _UNUSABLE)


# What is missing


def compiled_until(now: datetime) -> datetime:
    """The start of the last hour that the recorder has compiled for sure."""
    return _hour(now - SETTLED) - HOUR


def absent(existing: Iterable[Row], first: datetime, until: datetime) -> set[datetime]:
    """The hours from ``first`` to ``until`` without a row."""
    begin = _hour(first)
    count = (until - begin) // HOUR + 1
    return {begin + number * HOUR for number in range(count)} - {row.start for row in existing}


def repeated(existing: Sequence[Row]) -> set[datetime]:
    """The hours whose row only repeats the row before: nothing was used, or Home Assistant was down."""
    return {row.start for before, row in pairwise(existing) if _repeats(before, row)}


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _repeats(before: Row, row: Row) -> bool:
    return row.state == before.state and row.sum == before.sum


def _true(existing: Sequence[Row], counted: Callable[[Row], bool]) -> list[Row]:
    """Without rows that repeat an old state while the meter counted on.

    The recorder compiles such rows for the hours in which Home Assistant itself was down.
    """
    stale = {row.start for before, row in pairwise(existing) if _repeats(before, row) and counted(row)}
    return [row for row in existing if row.start not in stale]


def _anchors(existing: Iterable[Row], latest: Row | None) -> list[Row]:
    """The rows that count; ``latest``, of the newest five minutes, where its hour is not compiled yet."""
    anchors = {row.start: row for row in existing}
    if latest is not None:
        anchors.setdefault(_hour(latest.start), replace(latest, start=_hour(latest.start)))
    return sorted(anchors.values(), key=lambda row: row.start)


# Increments become registers


def integrate(
    increments: Mapping[datetime, float], existing: Sequence[Row], latest: Row | None
) -> dict[datetime, float]:
    """Registers for the missing hours, counted on from the row before each hole (before the first: back from it)."""
    ends = sorted(increments)
    sums = list(accumulate((increments[end] for end in ends), initial=0.0))

    def total(moment: datetime) -> float:
        return sums[bisect_right(ends, moment)]

    anchors = _anchors(_true(existing, lambda row: total(row.start + HOUR) > total(row.start)), latest)
    starts = [row.start for row in anchors]
    registers: dict[datetime, float] = {}
    for end in ends if anchors else ():
        start, place = end - HOUR, bisect_right(starts, end - HOUR)
        if end != _hour(end) or (place and starts[place - 1] == start):
            continue
        anchor = anchors[max(place - 1, 0)]
        value = anchor.state + total(end) - total(anchor.start + HOUR)
        right = anchors[place] if 0 < place < len(anchors) else None
        registers[start] = min(value, right.state) if right and right.state >= anchor.state else value
    return registers


# The plan


def plan(
    existing: Sequence[Row],
    registers: Mapping[datetime, float],
    latest: Row | None,
    until: datetime,
    tolerance: float = TOLERANCE,
    *,
    rising: bool = True,
) -> list[Gap]:
    """What to import, up to the hour ``until``. ``latest`` is the newest short-term row: the live sum goes on from it.

    Nothing without any live row: its sum would start at nought and fall below ours. ``rising``: a fall is a new meter.
    """
    anchors = _anchors(_true(existing, lambda row: registers.get(row.start, row.state) > row.state), latest)
    if not anchors:
        return []
    starts = [row.start for row in anchors]
    present = set(starts)
    hours = sorted(start for start in registers if start <= until and start not in present)
    gaps = []
    for place, group in groupby(hours, lambda start: bisect_left(starts, start)):
        right = anchors[place] if place < len(anchors) else None
        part = {start: registers[start] for start in group}
        if place == 0:
            gap = _before(anchors[0], part, rising)
            gaps.append(gap if existing and existing[0].start < gap.rows[0].start else _leading(gap, anchors[0].start))
        else:
            gaps.append(_without_noise(_after(anchors[place - 1], right, part, registers, rising), tolerance))
    return gaps


def _without_noise(gap: Gap, tolerance: float) -> Gap:
    return gap if abs(gap.shift) > tolerance else Gap(gap.rows)


def _fell(value: float, below: float, rising: bool) -> bool:
    return rising and value < FALL * below


def _before(right: Row, part: Mapping[datetime, float], rising: bool) -> Gap:
    """Backwards from the first live row."""
    base, above, rows = right.base, right.state, []
    for start in reversed(list(part)):
        value = part[start]
        if _fell(above, value, rising):
            base += value
        above = value
        rows.append(Row(start, value, value - base))
    return Gap(tuple(reversed(rows)))


def _leading(gap: Gap, after: datetime) -> Gap:
    """Home Assistant takes the first sum of all for the use of that hour: it is nought, and what follows is raised."""
    shift = max(-gap.rows[0].sum, 0.0)
    rows = tuple(replace(row, sum=row.sum + shift) for row in gap.rows)
    return Gap(rows, after, shift, leads=True) if shift else gap


def _after(
    left: Row, right: Row | None, part: Mapping[datetime, float], registers: Mapping[datetime, float], rising: bool
) -> Gap:
    base, below, rows = left.base, left.state, []
    stopped = registers.get(left.start, below)
    if next(iter(part)) == left.start + HOUR and stopped > below:  # the hour in which the values stopped ends too low
        below = stopped
        rows.append(Row(left.start, below, below - base))
    for start, value in part.items():
        if _fell(value, below, rising):
            base -= below  # a new meter, which starts at nought
        below = value
        rows.append(Row(start, value, value - base))
    if right is None:
        return Gap(tuple(rows))
    if _fell(right.state, below, rising):
        base -= below
    return Gap(tuple(rows), right.start, right.base - base)
