"""Today's load curve of one meter, out of the rows of its profiles; kept on the disk, so that a restart loses none.

Registers that only grow become the mean power between two rows, energies of one interval their mean power.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.obis import Obis

_LOG = logging.getLogger(__name__)
SPACE = "curve"  # namespace of the store
_KEPT = timedelta(hours=26)  # a day, the longest one of the year, and the row before it
_MOST = 2000  # rows: a day of minutes is fewer
_FLOWS = {1: "import", 2: "export"}  # by group C of the code
_REGISTER, _INTERVAL = 8, 29  # group D: since ever, of the last interval
_POWERS = (4, 5, 7, 24, 25, 27)  # group D: means and moments of power
_WATTS = {"W": 1.0, "kW": 1000.0}
_WATT_HOURS = {"Wh": 1.0, "kWh": 1000.0}
Points = dict[float, float]  # Unix time -> figure as the meter gives it


class Curve:
    """Of one meter; the first profile that tells a power or an energy is it."""

    def __init__(self, meter_id: str, store: Store) -> None:
        self._id, self._store = meter_id, store
        self._profile, self._interval = "", 0.0
        self._points: dict[str, Points] = {}  # by flow and kind, such as "import 8"
        self._restore()

    def take(self, key: str, message: Mapping[str, Any]) -> None:
        """Rows as they are published (``profile/<key>``)."""
        columns = _columns(message["columns"])
        if not columns or not message["rows"]:
            return
        if key != self._profile:
            if self._is_newer_than(message["rows"][-1][0]):
                return  # another profile tells it already
            self._points = {}
        self._profile, self._interval = key, float(message["interval"] or 0)
        for name, (index, factor) in columns.items():
            points = self._points.setdefault(name, {})
            points |= {
                row[0].timestamp(): float(row[index]) * factor
                for row in message["rows"]
                if isinstance(row[0], datetime) and _is_number(row[index])
            }
            self._points[name] = _newest(points)
        self._keep()

    def _is_newer_than(self, time: Any) -> bool:
        newest = max((time for points in self._points.values() for time in points), default=float("-inf"))
        return not isinstance(time, datetime) or newest + _KEPT.total_seconds() > time.timestamp()

    def today(self, now: datetime) -> dict[str, list[list[float]]] | None:
        """By flow: Unix time (end of interval) and W since midnight in the zone of ``now``; None without a profile."""
        if not self._points:
            return None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        found: dict[str, list[list[float]]] = {}
        for name, points in self._points.items():
            flow, kind = name.split()
            rows = _watts(sorted(points.items()), int(kind), self._interval)
            found.setdefault(flow, [[time, round(watts, 1)] for time, watts in rows if time > midnight])
        return found

    def _keep(self) -> None:
        saved = {"profile": self._profile, "interval": self._interval, "points": self._points}
        try:
            self._store.set(SPACE, self._id, saved)
        except StoreError as error:
            _LOG.debug("%s: the load curve is not kept: %s", self._id, error.message)

    def _restore(self) -> None:
        try:
            saved = self._store.get(SPACE, self._id) or {"profile": "", "interval": 0, "points": {}}
            points = {
                str(name): {float(time): float(value) for time, value in rows.items()}
                for name, rows in saved["points"].items()
            }
            self._profile, self._interval, self._points = str(saved["profile"]), float(saved["interval"]), points
        except (StoreError, ValueError, TypeError, KeyError, AttributeError):
            _LOG.debug("%s: the load curve starts empty", self._id)


def _columns(columns: list[Mapping[str, Any]]) -> dict[str, tuple[int, float]]:
    """Where in a row (time, status, columns) an active power or energy stands, by flow and kind, and its factor."""
    found: dict[str, tuple[int, float]] = {}
    for index, column in enumerate(columns, 2):
        a, _, c, d, e, _ = Obis.parse(column["obis"])
        factor = (_WATTS if d in _POWERS else _WATT_HOURS).get(column["unit"])
        if a == 1 and e == 0 and c in _FLOWS and d in (_REGISTER, _INTERVAL, *_POWERS) and factor:
            found.setdefault(f"{_FLOWS[c]} {d}", (index, factor))
    return found


def _is_number(value: Any) -> bool:
    return value is not None and not isinstance(value, bool | str | datetime | bytes)


def _newest(points: Points) -> Points:
    oldest = max(points, default=0.0) - _KEPT.total_seconds()
    times = sorted(time for time in points if time >= oldest)[-_MOST:]
    return {time: points[time] for time in times}


def _watts(rows: list[tuple[float, float]], kind: int, interval: float) -> list[tuple[float, float]]:
    if kind == _REGISTER:  # a register that falls is another meter's
        return [(b, (y - x) * 3600 / (b - a)) for (a, x), (b, y) in pairwise(rows) if y >= x]
    if kind == _INTERVAL:
        return [(time, value * 3600 / interval) for time, value in rows] if interval else []
    return rows
