"""The energy guard: a counter that falls, turns 0 or jumps beyond what the supply can carry is held back.

One wrong value ruins months of statistics, and a held one costs minutes. It is let through after repeated agreement, an
"Accept", or when the meter's serial number has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

AGREEING = 3  # reads that agree
AGREEING_FOR = 600.0  # s that they must span
SLACK = Decimal(1)  # kWh that a jump may exceed the bound by
OLDEST_STEP = 3600.0  # s; some meters move their counters only once in so long


class Reason(Enum):
    """Why a value is held."""

    FELL = "fell"
    ZERO = "zero"
    JUMPED = "jumped"


@dataclass(frozen=True, slots=True)
class Good:
    """The last value that went through, and when it was first seen (Unix time): counters may move in long steps."""

    value: Decimal
    time: float


@dataclass(frozen=True, slots=True)
class Held:
    """A value that waits: the latest one, since when, and how many reads agree."""

    value: Decimal
    last: Decimal
    reason: Reason
    since: float
    time: float
    reads: int


class EnergyGuard:
    """The guard of one meter. ``watts`` is what the supply can carry; values are kWh, kvarh or kVAh."""

    def __init__(self, watts: float) -> None:
        self._per_second = Decimal(watts) / 3_600_000
        self._good: dict[str, Good] = {}
        self.held: dict[str, Held] = {}
        self.serial = ""
        self._agreed = 0  # how often repeated agreement let a value through

    @property
    def landmarks(self) -> tuple[object, ...]:
        """Changes when something happened that a killed bridge should not forget."""
        return self.serial, self._agreed, frozenset(self._good)

    def check(self, key: str, value: Decimal, now: float, *, rising: bool = True) -> bool:
        """May ``value`` of the counter ``key`` be published? ``rising`` is False for a net counter, which may fall."""
        good = self._good.get(key)
        if good is None:
            return self._let_through(key, value, now - OLDEST_STEP)
        reason = self._doubt(good, value, now, rising)
        if reason is None:
            return self._let_through(key, value, good.time if value == good.value else now)
        held = self._hold(key, value, now, good, reason, rising)
        if held.reads >= AGREEING and now - held.since >= AGREEING_FOR:
            self._agreed += 1
            return self._let_through(key, value, now)
        return False

    def _doubt(self, good: Good, value: Decimal, now: float, rising: bool) -> Reason | None:
        if rising and value < good.value:
            return Reason.FELL if value else Reason.ZERO
        if abs(value - good.value) > self._per_second * Decimal(max(0.0, now - good.time)) + SLACK:
            return Reason.JUMPED
        return None

    def _hold(self, key: str, value: Decimal, now: float, good: Good, reason: Reason, rising: bool) -> Held:
        before = self.held.get(key)
        if before and before.time > now:  # the clock was set back: wait anew, else it could last for years
            before = None
        agrees = before and self._doubt(Good(before.value, before.time), value, now, rising) is None
        since, reads = (before.since, before.reads + 1) if before and agrees else (now, 1)
        self.held[key] = Held(value, good.value, reason, since, now, reads)
        return self.held[key]

    def _let_through(self, key: str, value: Decimal, now: float) -> bool:
        self.held.pop(key, None)
        self._good[key] = Good(value, now)
        return True

    def accept(self) -> list[str]:
        """The user's word for it: what is held is good from now on; the keys."""
        keys = list(self.held)
        for key, held in list(self.held.items()):
            self._let_through(key, held.value, held.time)
        return keys

    def identify(self, serial: str) -> None:
        """Tell the meter's serial number; another one than before is another meter, whose counters start anew."""
        if self.serial and serial != self.serial:
            self._good.clear()
            self.held.clear()
        self.serial = serial

    def dump(self) -> dict[str, Any]:
        """What a restart must not forget, as JSON."""
        return {"serial": self.serial, "good": {key: [str(good.value), good.time] for key, good in self._good.items()}}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """The opposite of ``dump``."""
        self.serial = str(saved.get("serial", ""))
        self._good = {key: Good(Decimal(value), time) for key, (value, time) in saved.get("good", {}).items()}
