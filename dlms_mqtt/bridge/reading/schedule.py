"""When an item is due: every so many seconds, or at times of day in the meter's time zone, right on both DST days."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Generic, TypeVar
from zlib import crc32

from dlms_mqtt.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds, counted from the start so that multiples fall together."""

    seconds: float

    def next_after(self, elapsed: float) -> float:
        """The next multiple after ``elapsed``."""
        return (elapsed // self.seconds + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class At:
    """At times of day. A time that a DST change skips comes once, as if the change had not been; a doubled one once."""

    times: tuple[tuple[int, int], ...]
    zone: tzinfo

    def next_moment(self, wall: float) -> float:
        """Unix time of the next of these moments after ``wall``."""
        today = datetime.fromtimestamp(wall, self.zone).date()
        moments = (
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone).astimezone(UTC).timestamp()
            for day in (today + timedelta(days) for days in range(-1, 3))
            for hour, minute in self.times
        )
        return min(moment for moment in moments if moment > wall)

    @property
    def longest_gap(self) -> float:
        """Longest time between two of these moments, s (on a day without a change)."""
        minutes = sorted(hour * 60 + minute for hour, minute in self.times)
        following = [*minutes[1:], minutes[0] + 1440]
        return max(b - a for a, b in zip(minutes, following, strict=True)) * 60.0


Schedule = Every | At
T = TypeVar("T", bound=Hashable)
_TOO_FAR = 3 * 86400.0  # s; a moment further away than this was computed while the wall clock was wrong


def phase(meter: str, schedules: Iterable[Schedule]) -> float:
    """How much sooner the second turn comes, s: meters that start together are spread over all of their interval.

    Of the longest interval, so that not only the items of a short one are; multiples still fall together.
    """
    longest = max((schedule.seconds for schedule in schedules if isinstance(schedule, Every)), default=0.0)
    return longest * crc32(meter.encode()) / 2**32


class Timetable(Generic[T]):
    """Which of many items are due. An item that comes late runs once, not as often as it was missed.

    ``elapsed`` is the monotonic time since the start, ``wall`` the Unix time at that moment. Items of times of day
    wait for these, but those of ``at_once``.
    """

    def __init__(self, schedules: Mapping[T, Schedule], wall: float, at_once: Container[T] = ()) -> None:
        self._schedules = schedules
        self._next = {
            item: schedule.next_moment(wall) if isinstance(schedule, At) and item not in at_once else 0.0
            for item, schedule in schedules.items()
        }

    def due(self, elapsed: float, wall: float) -> list[T]:
        """The items due now, in the order of the table; each is put off to its next time."""
        return [item for item, schedule in self._schedules.items() if self._is_due(item, schedule, elapsed, wall)]

    def _is_due(self, item: T, schedule: Schedule, elapsed: float, wall: float) -> bool:
        now = wall if isinstance(schedule, At) else elapsed
        due = self._next[item] <= now
        if isinstance(schedule, Every):
            if due:
                self._next[item] = schedule.next_after(elapsed)
        elif due or self._next[item] - wall > _TOO_FAR:
            self._next[item] = schedule.next_moment(wall)
        return due

    def put_back(self, items: Iterable[T]) -> None:
        """These are due still. Their multiples and times of day stay."""
        self._next.update(dict.fromkeys(items, 0.0))

    def wait(self, elapsed: float, wall: float) -> float:
        """Seconds until something is due, 0 when something is; a day when there is nothing."""
        waits = (
            self._next[item] - (wall if isinstance(schedule, At) else elapsed)
            for item, schedule in self._schedules.items()
        )
        return max(0.0, min(waits, default=86400.0))
