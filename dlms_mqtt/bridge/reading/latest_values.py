"""What a meter's topics say now: the latest value of every key until it expires. Never read is absent, never 0."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NamedTuple

from dlms_mqtt.bridge.reading.schedule import At, Schedule

MISSED = 3  # a value lives for so many intervals
SHORTEST = 120.0  # s
LATE = 60.0  # s that a message may come later than what it says lives
AT_GRACE = 3600.0  # s after the longest gap of `at`


def lifetime(schedule: Schedule) -> float:
    """Seconds after which a value of this schedule expires."""
    if isinstance(schedule, At):
        return schedule.longest_gap + AT_GRACE
    return max(MISSED * schedule.seconds, SHORTEST)


def expiry(life: float) -> int:
    """Seconds without a message after which nobody is there who would say it: longer than any silence at work.

    A value is said again, or cleared, before its own ``life`` (s) is over.
    """
    return math.ceil(life + LATE)


class Value(NamedTuple):
    """One value; ``time`` is when it was read, ``expires`` is on the monotonic clock."""

    value: Any
    time: datetime
    expires: float


class MeterState:
    """The fresh values of one meter by key."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._first = math.inf  # nothing expires before

    def update(self, key: str, value: Value) -> None:
        """A new reading."""
        self._values[key] = value
        self._first = min(self._first, value.expires)

    def expire(self, now: float) -> list[str]:
        """Drop what is too old; the keys that went."""
        if now < self._first:
            return []
        gone = [key for key, value in self._values.items() if value.expires <= now]
        for key in gone:
            del self._values[key]
        self._first = min((value.expires for value in self._values.values()), default=math.inf)
        return gone

    def is_fresh(self, key: str, now: float) -> bool:
        """May it be sent now?"""
        return key in self._values and self._values[key].expires > now

    def fresh(self, now: float) -> dict[str, Value]:
        """The values that may be sent now."""
        return {key: value for key, value in self._values.items() if value.expires > now}

    def payload(self, now: float) -> dict[str, Any]:
        """The JSON object of the ``state`` topic."""
        fresh = self.fresh(now)
        times = {key: value.time.isoformat(timespec="seconds") for key, value in fresh.items()}
        return {**{key: value.value for key, value in fresh.items()}, "_time": times}
