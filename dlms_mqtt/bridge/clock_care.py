"""When a meter's clock may be set: when it is wrong enough, not too often, never across an edge that counts."""

from __future__ import annotations

from datetime import datetime, timedelta

from dlms_mqtt.bridge.config import ClockCare

_MARGIN = timedelta(minutes=2)  # the exchange itself takes time
_DAY = 86400.0
#: Sense of the deviation by the word in the configuration; None compares.
SENSES: dict[str, int | None] = {"auto": None, "standard": -1, "inverted": 1}


def crosses_edge(now: datetime, drift: float) -> bool:
    """Lies a day's (billing's) or a daylight-saving edge between the meter's time and ours? ``now`` is in its zone."""
    shown = now + timedelta(seconds=drift)
    first, last = min(now, shown) - _MARGIN, max(now, shown) + _MARGIN
    zone = now.tzinfo
    assert zone is not None  # noqa: S101
    before, after = ((now + (edge - now)).astimezone(zone) for edge in (first, last))
    return before.date() != after.date() or _offset(first) != _offset(last)


def _offset(moment: datetime) -> timedelta | None:
    """The offset at that instant (wall arithmetic within a zone would not notice the change)."""
    zone = moment.tzinfo
    return datetime.fromtimestamp(moment.timestamp(), zone).utcoffset()


class ClockKeeper:
    """Decides for one meter; remembers when it was set (Unix time)."""

    def __init__(self, care: ClockCare) -> None:
        self._care = care
        self._set: list[float] = []

    def should_set(self, drift: float, now: datetime) -> bool:
        """Is it time to set a clock that is ``drift`` seconds ahead of us?"""
        today = [moment for moment in self._set if moment > now.timestamp() - _DAY]
        wrong = self._care.sync and abs(drift) > self._care.tolerance
        return wrong and len(today) < self._care.per_day and not crosses_edge(now, drift)

    def was_set(self, now: datetime) -> None:
        """Count it, whether it worked or not."""
        self._set = [*self._set[-50:], now.timestamp()]
