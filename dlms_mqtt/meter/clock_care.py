"""When a meter's clock may be set: when it is wrong enough, not too often, and never across an edge that counts.

An edge is where a day (and with it a billing period or a tariff day) ends, or where daylight saving begins or ends: a
clock that jumps over one makes a meter close a period twice or never. All intervals are reckoned in UTC.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime, timedelta, tzinfo

from dlms_mqtt.frozen import dataclass

DAY = 86400.0
MARGIN = timedelta(minutes=2)
"""Distance to keep from an edge: the exchange itself takes time."""
HALF_HOUR = 1800.0
_NEAR = 300.0  # s; a clock that is so near to a whole number of half hours is taken to be in another zone
_QUARTERS = (5.75, 8.75, 12.75, 13.75)  # h from UTC: Nepal, Eucla, Chatham and its summer


@dataclass(frozen=True, slots=True)
class ClockRules:
    """``tolerance``: seconds that the clock may be wrong; ``per_day``: how often it may be set in any 24 hours.

    ``zone_known``: the zone is the user's word, not the system's (a container is in UTC).
    """

    sync: bool = False
    tolerance: float = 30.0
    per_day: int = 1
    zone_known: bool = True


def is_of_another_zone(drift: float) -> bool:
    """Is a clock off by a whole number of half hours, or as the few zones are that have quarters?

    Then it may be right, and the zone that we take it for wrong.
    """
    halves = round(drift / HALF_HOUR)
    of_quarters = any(abs(abs(drift) - hours * 3600) <= _NEAR for hours in _QUARTERS)
    return of_quarters or (halves != 0 and abs(drift - halves * HALF_HOUR) <= _NEAR)


def crosses_edge(now: datetime, drift: float, zone: tzinfo) -> bool:
    """Lies an edge between the meter's time (``drift`` seconds ahead of ``now``) and ours, or close to either?"""
    ours = now.astimezone(UTC)
    shown = ours + timedelta(seconds=drift)
    first, last = (min(ours, shown) - MARGIN).astimezone(zone), (max(ours, shown) + MARGIN).astimezone(zone)
    return first.date() != last.date() or first.utcoffset() != last.utcoffset() or _ambiguous(now.astimezone(zone))


def _ambiguous(local: datetime) -> bool:
    """Does this wall time happen twice? A clock that tells no deviation would not know which one is meant."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


@dataclass(slots=True)
class ClockKeeper:
    """Decides for one meter. ``set_at``: when it was set (Unix time); keep it over restarts with ``keep``."""

    rules: ClockRules
    zone: tzinfo
    set_at: list[float] = field(default_factory=list)

    @classmethod
    def restore(cls, rules: ClockRules, zone: tzinfo, kept: object) -> ClockKeeper:
        """As ``keep`` left it; whatever is of another shape is not remembered."""
        moments = kept if isinstance(kept, list) else []
        return cls(rules, zone, [moment for moment in moments if isinstance(moment, int | float)])

    def keep(self) -> list[float]:
        """What must survive a restart, as JSON can hold it."""
        return list(self.set_at)

    def obstacle(self, drift: float | None, now: datetime) -> str | None:
        """Why the clock is not set now, as a word; None: it may be. ``drift``: seconds ahead of us, if known."""
        if not self.rules.sync:
            return "off"
        if drift is None:
            return "unknown"
        if abs(drift) <= self.rules.tolerance:
            return "right"
        if not self.rules.zone_known and is_of_another_zone(drift):
            return "zone"
        if len(self._recent(now)) >= self.rules.per_day:
            return "often"
        return "edge" if crosses_edge(now, drift, self.zone) else None

    def was_set(self, now: datetime) -> None:
        """Count an attempt, whether it worked or not: a meter that ignores it is not asked all day."""
        self.set_at = [*self._recent(now), now.timestamp()]

    def _recent(self, now: datetime) -> list[float]:
        return [moment for moment in self.set_at if now.timestamp() - DAY < moment <= now.timestamp() + DAY]
