"""The energy guard: a counter that falls, turns 0 or jumps beyond what the supply can carry is held back.

So is a power, voltage or current that no supply of this size has.

One wrong value ruins months of statistics, and a held one costs minutes. It is let through after repeated agreement, an
"Accept", or when the meter is another one (``identity``): then its first values are a new start, no consumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from dlms_mqtt.bridge.api.payload import decimal_of
from dlms_mqtt.bridge.reading.counter_units import Bound, bound_of, converted
from dlms_mqtt.bridge.reading.identity import Change, Identity
from dlms_mqtt.frozen import dataclass

AGREEING = 3  # reads that agree
AGREEING_FOR = 600.0  # s that they must span
WIDENED = Decimal("1.25")  # of a flow that was let through
OLDEST_STEP = 3600.0  # s; some meters move their counters only once in so long
NO_SCALE = "?"  # in place of a unit: a number as the meter sent it, of which nobody knows the scale
CHANGE_TOLD_FOR = 7 * 86400.0  # s that a change of meter stays in health, unless it is accepted


class Reason(Enum):
    """Why a value is held."""

    FELL = "fell"
    ZERO = "zero"
    JUMPED = "jumped"
    BEYOND = "beyond"  # a power, voltage or current beyond what the supply can carry


@dataclass(frozen=True, slots=True)
class Good:
    """The last value that went through, and when it was first seen (Unix time): counters may move in long steps."""

    value: Decimal
    time: float
    unit: str = ""  # empty: as written by a version that watched one unit a key


@dataclass(frozen=True, slots=True)
class Held:
    """A value that waits: the latest one, since when, and how many reads agree; ``last`` was good before, if any."""

    value: Decimal
    last: Decimal | None
    reason: Reason
    since: float
    time: float
    reads: int
    unit: str = ""


class EnergyGuard:
    """The guard of one meter. ``watts`` is what the supply can carry.

    ``offsets``: by counter, what programs that count consumption must add to the register of a meter that came in place
    of another one, so that it goes on where the old one ended.
    """

    def __init__(self, watts: float) -> None:
        self._watts = watts
        self._good: dict[str, Good] = {}
        self._ended: dict[str, Good] = {}  # the last values of the meter before, with its offsets
        self.held: dict[str, Held] = {}
        self._most: dict[str, Decimal] = {}  # the most of a flow that was let through though it is beyond the supply
        self.offsets: dict[str, Decimal] = {}
        self.identity = Identity()
        self.change: Change | None = None  # the last change of meter, while it is told
        self._agreed = 0  # how often repeated agreement let a value through

    @property
    def landmarks(self) -> tuple[object, ...]:
        """Changes when something happened that a killed bridge should not forget."""
        offsets = frozenset(self.offsets.items())
        return self.identity.landmarks, self.change, self._agreed, frozenset(self._good), offsets

    def knows(self, key: str) -> bool:
        """Has a value of this counter gone through before, with a scale?"""
        return any(rows[key].unit != NO_SCALE for rows in (self._good, self._ended) if key in rows)

    def starts_anew(self, key: str) -> bool:
        """Is the next value of this counter the first of a meter that came in place of another one?"""
        return key in self._ended

    def check(
        self,
        key: str,
        value: Decimal,
        now: float,
        *,
        rising: bool = True,
        unit: str = "kWh",
        electric: bool = True,
        alive: bool = False,
    ) -> bool:
        """May ``value`` of the counter ``key`` be published?

        ``rising`` is False for a net counter, which may fall; ``alive``: another counter of the same read is above 0,
        so the meter does not just boot; ``electric`` is False for what the electric supply does not bound (heat).
        """
        bound = bound_of(unit, self._watts, electric)
        good = self._known(key, unit)
        if good is None:
            return self._begin(key, value, now, unit, alive or not rising, bound, rising)
        reason = self._doubt(good, value, now, rising, bound)
        if reason is None:
            return self._let_through(key, value, good.time if value == good.value else now, unit)
        before = self.held.get(key)
        agrees = before is not None and self._doubt(Good(before.value, before.time), value, now, rising, bound) is None
        if self._is_agreed(Held(value, good.value, reason, now, now, 1, unit), key, agrees):
            return self._let_through(key, value, now, unit)
        return False

    def check_flow(self, key: str, value: Decimal, now: float, most: Decimal, unit: str = "") -> bool:
        """May this power, voltage or current be published? ``most`` is what the supply can carry.

        What repeated agreement or the user let through once widens the bound: a meter behind transformers.
        """
        if abs(value) <= max(most, self._most.get(key, 0) * WIDENED):
            self.held.pop(key, None)
            return True
        before = self.held.get(key)
        agrees = before is not None and before.value / 2 <= abs(value) <= before.value * 2
        if self._is_agreed(Held(abs(value), None, Reason.BEYOND, now, now, 1, unit), key, agrees):
            return self._widen(key)
        return False

    def _widen(self, key: str) -> bool:
        self._most[key] = self.held.pop(key).value
        return True

    def _known(self, key: str, unit: str) -> Good | None:
        """The last good value in this unit; None where there is none that can be compared."""
        good = self._good.get(key)
        if good is None or good.unit in ("", unit):
            return good
        value = converted(good.value, good.unit, unit)
        return None if value is None else Good(value, good.time, unit)

    def _begin(
        self, key: str, value: Decimal, now: float, unit: str, believed: bool, bound: Bound | None, rising: bool
    ) -> bool:
        """The first value of a counter: of another meter than before, or of an empty memory."""
        ended = self._ended.pop(key, None)
        if ended is not None:
            self._go_on(key, value, unit, ended, bound, rising)
        elif not value and not believed:  # a meter that boots says 0 first
            before = self.held.get(key)
            held = Held(value, None, Reason.ZERO, now, now, 1, unit)
            if not self._is_agreed(held, key, before is not None and not before.value):
                return False
        return self._let_through(key, value, now - OLDEST_STEP, unit)

    def _go_on(self, key: str, value: Decimal, unit: str, ended: Good, bound: Bound | None, rising: bool) -> None:
        """A new meter that begins near 0 is a new cycle to everybody who counts; any other start needs an offset."""
        self.offsets.pop(key, None)
        last = converted(ended.value, ended.unit or unit, unit)
        near_zero = rising and 0 <= value <= (bound.slack if bound else 0)
        if last is not None and not near_zero:
            self.offsets[key] = last - value

    @staticmethod
    def _doubt(good: Good, value: Decimal, now: float, rising: bool, bound: Bound | None) -> Reason | None:
        if rising and value < good.value:
            return Reason.FELL if value else Reason.ZERO
        if bound and abs(value - good.value) > bound.most(max(0.0, now - good.time), good.value, value):
            return Reason.JUMPED
        return None

    def _is_agreed(self, held: Held, key: str, agrees: bool) -> bool:
        """Hold it back; have enough reads agreed by now to let it through?"""
        before = self.held.get(key)
        if before and agrees and before.time <= held.time:  # a clock that was set back would else last for years
            held = Held(held.value, held.last, held.reason, before.since, held.time, before.reads + 1, held.unit)
        self.held[key] = held
        agreed = held.reads >= AGREEING and held.time - held.since >= AGREEING_FOR
        self._agreed += agreed
        return agreed

    def _let_through(self, key: str, value: Decimal, now: float, unit: str) -> bool:
        self.held.pop(key, None)
        self._good[key] = Good(value, now, unit)
        return True

    def accept(self) -> list[str]:
        """The user's word for it: what is held is good from now on, and a change of meter is known; the keys."""
        keys = list(self.held)
        for key, held in list(self.held.items()):
            if held.reason is Reason.BEYOND:
                self._widen(key)
            else:
                self._let_through(key, held.value, held.time, held.unit)
        self.change = None
        return keys

    def identify(self, found: Mapping[str, str], now: float = 0.0) -> Change | None:
        """Tell what the meter says it is, by key; a change of meter lets every counter start anew."""
        if self.change and not 0 <= now - self.change.time < CHANGE_TOLD_FOR:
            self.change = None
        change = self.identity.seen(found, now)
        if change is not None:
            self.change = change
            self._ended |= {key: self._with_offset(key, good) for key, good in self._good.items()}
            self._good.clear()
            self.held.clear()
        return change

    def _with_offset(self, key: str, good: Good) -> Good:
        return Good(good.value + self.offsets.get(key, 0), good.time, good.unit)

    def dump(self) -> dict[str, Any]:
        """What a restart must not forget, as JSON."""
        return {
            "identity": self.identity.dump(),
            "change": list(self.change) if self.change else None,
            "good": {key: [str(good.value), good.time, good.unit] for key, good in self._good.items()},
            "ended": {key: [str(good.value), good.time, good.unit] for key, good in self._ended.items()},
            "most": {key: str(most) for key, most in self._most.items()},
            "offsets": {key: str(offset) for key, offset in self.offsets.items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """The opposite of ``dump``; of a version that knew one identity only, that is learned anew."""
        self.identity.restore(saved.get("identity", {}))
        change = saved.get("change")
        self.change = Change(change[0], change[1], change[2], float(_number(change[3]))) if change else None
        self._good = {key: Good(_number(value), *_kept(*rest)) for key, (value, *rest) in saved.get("good", {}).items()}
        self._ended = {
            key: Good(_number(value), *_kept(*rest)) for key, (value, *rest) in saved.get("ended", {}).items()
        }
        self._most = {key: _number(most) for key, most in saved.get("most", {}).items()}
        self.offsets = {key: _number(offset) for key, offset in saved.get("offsets", {}).items()}


def _number(saved: Any) -> Decimal:
    """ValueError for what compares with nothing: it would be found by the next value, and by each after it."""
    number = decimal_of(saved)
    if not number.is_finite():
        raise ValueError(saved)
    return number


def _kept(time: Any, unit: Any = "") -> tuple[float, str]:
    return float(_number(time)), str(unit)
