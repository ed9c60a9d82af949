"""The hour that a zone has twice in autumn, for rows whose times tell no deviation: which of the two each row is of.

What tells it, in this order: the daylight saving bit, where the meter uses it at all; a time that goes back from one
row to the next; a row before or after at the meter's own interval. What nothing tells is of the first pass, and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, NO_PART, DateTime, is_summer

Moment = datetime | DateTime


@dataclass
class RepeatedHour:
    """What is known beside the rows: the zone, when the row before them was (if there was one), their interval.

    ``unsure`` gets the moments (UTC) of which nobody can tell the pass.
    """

    zone: tzinfo
    before: datetime | None = None
    period: timedelta | None = None
    unsure: set[datetime] = field(default_factory=set)

    def resolve(self, raws: Sequence[bytes], moments: Sequence[Moment]) -> list[Moment]:
        """The same moments with the right pass."""
        made = list(moments)
        if not self._goes_back(made):
            return made
        open_ones = [index for index, moment in enumerate(made) if self._is_twice(moment)]
        if not open_ones:
            return made
        backwards = _goes_down(made)
        order = range(len(made) - 1, -1, -1) if backwards else range(len(made))
        uses_status = self._uses_status(raws, made)
        unknown = {index for index in open_ones if not self._by_status(made, index, raws[index][11], uses_status)}
        for run in _runs(order, unknown):
            self._settle(made, run, order)
        return made

    def _goes_back(self, moments: Sequence[Moment]) -> bool:
        """Does the zone's clock go back on one of these days? Nearly always not, and a look at each row costs more."""
        days = {moment.toordinal() for moment in moments if isinstance(moment, datetime)}
        return any(self._noon(day - 1) > self._noon(day + 1) for day in days)

    def _noon(self, day: int) -> timedelta:
        """What the zone is ahead of UTC at noon of a day, by its ordinal."""
        first, last = date.min.toordinal(), date.max.toordinal()
        noon = datetime.fromordinal(min(max(day, first), last)).replace(hour=12, tzinfo=self.zone)
        return noon.utcoffset() or timedelta(0)

    def _is_twice(self, moment: Moment) -> bool:
        """Is it a wall time of the zone that comes twice?"""
        if not isinstance(moment, datetime) or moment.tzinfo is not self.zone:
            return False
        return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset() and _later(moment) > _utc(
            moment.replace(fold=0)
        )

    def _uses_status(self, raws: Sequence[bytes], moments: Sequence[Moment]) -> bool:
        """Is the daylight saving bit set in rows that are of summer without a doubt?"""
        bits = [
            bool(raw[11] & DAYLIGHT_SAVING)
            for raw, moment in zip(raws, moments, strict=True)
            if isinstance(moment, datetime) and moment.tzinfo is self.zone and raw[11] != NO_PART
            if is_summer(moment) and not self._is_twice(moment)
        ]
        return bool(bits) and all(bits)

    @staticmethod
    def _by_status(made: list[Moment], index: int, status: int, uses_status: bool) -> bool:
        moment = made[index]
        assert isinstance(moment, datetime)  # noqa: S101 - it is one of those that come twice
        marked = status != NO_PART and bool(status & DAYLIGHT_SAVING)
        known = marked or (uses_status and status != NO_PART)
        made[index] = moment.replace(fold=0 if marked or not known else 1)
        return known

    def _settle(self, made: list[Moment], run: list[int], order: range) -> None:
        """Rows side by side of which no status tells the pass: by the order, then by what is before and after."""
        walls = [_at(made, index).replace(tzinfo=None, fold=0) for index in run]
        drop = next((place for place, (one, following) in enumerate(pairwise(walls), 1) if following <= one), 0)
        if drop:
            return _fold(made, run[drop:])
        first, last = run[0], run[-1]
        before, after = _neighbour(made, order, first, -1), _neighbour(made, order, last, 1)
        passes = [self._fits(made, first, last, fold, before, after) for fold in (0, 1)]
        if passes[1] > passes[0]:
            return _fold(made, run)
        if passes[0] == passes[1]:
            self.unsure |= {_utc(moment) for index in run if isinstance(moment := made[index], datetime)}
        return None

    def _fits(
        self, made: list[Moment], first: int, last: int, fold: int, before: datetime | None, after: datetime | None
    ) -> int:
        """How well this pass fits: -1 not at all, and one for each neighbour at the meter's interval."""
        begin, end = (_utc(_at(made, index).replace(fold=fold)) for index in (first, last))
        known = self.before if before is None else None  # of an earlier question: the first row may be the same one
        if (before is not None and begin <= before) or (after is not None and end >= after):
            return -1
        if known is not None and begin < known:
            return -1
        before = known if before is None else before
        return sum(
            self.period is not None and gap in (self.period, timedelta(0))
            for gap in (begin - before if before else None, after - end if after else None)
        )


def _at(made: Sequence[Moment], index: int) -> datetime:
    moment = made[index]
    assert isinstance(moment, datetime)  # noqa: S101 - only such indexes are asked for
    return moment


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _later(moment: datetime) -> datetime:
    return _utc(moment.replace(fold=1))


def _fold(made: list[Moment], run: Sequence[int]) -> None:
    for index in run:
        made[index] = _at(made, index).replace(fold=1)


def _goes_down(made: Sequence[Moment]) -> bool:
    """Does the newest row come first?"""
    walls = [moment.replace(tzinfo=None) for moment in made if isinstance(moment, datetime)]
    downs = sum(second < first for first, second in pairwise(walls))
    return downs > len(walls) / 2


def _runs(order: range, unknown: set[int]) -> Iterator[list[int]]:
    """Rows without a known pass that stand side by side, in the order of time."""
    run: list[int] = []
    for index in order:
        if index in unknown:
            run.append(index)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _neighbour(made: Sequence[Moment], order: range, index: int, step: int) -> datetime | None:
    """The moment of the row before (-1) or after (+1) in the order of time."""
    place = order.index(index) + step
    if not 0 <= place < len(order):
        return None
    moment = made[order[place]]
    return _utc(moment) if isinstance(moment, datetime) and moment.tzinfo is not None else None


def widened(start: datetime | None, end: datetime | None, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """A range that a meter which compares wall clocks answers in full, whatever pass its ends are of."""
    hour = timedelta(hours=1)
    if start is not None and _offset(start, zone) > _offset(_utc(start) + hour, zone):
        start = _utc(start) - hour
    if end is not None and _offset(_utc(end) - hour, zone) > _offset(end, zone):
        end = _utc(end) + hour
    return start, end


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return _utc(moment).astimezone(zone).utcoffset() or timedelta(0)
