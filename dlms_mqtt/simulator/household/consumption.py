"""The registers of a household meter as integrals of its load curve: by kind and tariff, now or at any past moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from random import Random

from dlms_mqtt.simulator.household.load_curve import DAY, KINDS, Curve, Now
from dlms_mqtt.simulator.server.timeline import Timeline

TARIFFS = (0, 1, 2)  # 0: all of them together
DAY_TARIFF, NIGHT_TARIFF = 1, 2
DAY_BEGINS, DAY_ENDS = 6, 22  # local time; on Sundays it is night all day
_EPOCH = datetime(1970, 1, 1)
_SUNDAY = 6
_WS = 3600  # watt-seconds in a watt-hour

Key = tuple[str, int]


class Consumption:
    """Counts what the curve gives while the supply is connected, into the tariff that is in force."""

    def __init__(self, curve: Curve, zone: tzinfo, timeline: Timeline, clock: Callable[[], float]) -> None:
        self.curve = curve
        self.zone = zone
        self.timeline = timeline
        self.clock = clock
        self._day_sums: dict[str, list[float]] = {}
        self._windows: dict[int, tuple[float, float]] = {}
        random = Random(f"registers {curve.seed}")  # noqa: S311
        # What the meter had counted before the curve begins (Wh).
        before = {"import": 6_000_000, "export": 2_500_000, "reactive_import": 900_000, "reactive_export": 400_000}
        self._resets: list[tuple[float, dict[Key, int]]] = []
        self._base: dict[Key, int] = {}
        for kind in KINDS:
            self._base[kind, 1] = int(before[kind] * random.uniform(0.8, 1.2))
            self._base[kind, 2] = int(before[kind] * random.uniform(0.3, 0.5))

    # -- now ----------------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Is the supply connected?"""
        return self.timeline.mode.connected

    def now(self) -> Now:
        """The power at this moment; nothing flows while the supply is cut."""
        return self.curve.now(self.clock()) if self.connected else Now((0, 0, 0), 0, 0, 0)

    def tariff(self, true: float | None = None) -> int:
        """The tariff in force."""
        when = self.clock() if true is None else true
        if self.timeline.mode.tariff:
            return self.timeline.mode.tariff
        number, second = self.curve.split(when)
        begin, end = self._window(number)
        return DAY_TARIFF if begin <= second < end else NIGHT_TARIFF

    # -- registers ----------------------------------------------------------------------------------------------------

    def register(self, kind: str, tariff: int = 0, true: float | None = None) -> int:
        """Wh or varh that a register shows; tariff 0: the sum of the others."""
        when = self.clock() if true is None else true
        if tariff == 0 and not self._resets and len(self.timeline.modes) == 1:  # profiles are made of these
            day, total = self._day_energy(kind, when), self.curve.energy(kind, when)
            return self._base[kind, 1] + self._base[kind, 2] + int(day / _WS) + int((total - day) / _WS)
        if tariff == 0:
            return self.register(kind, 1, when) + self.register(kind, 2, when)
        counted = self._base[kind, tariff] + int(self._measured(kind, tariff, when) / _WS)
        zero = next((values for since, values in reversed(self._resets) if since <= when), None)
        return counted - zero[kind, tariff] if zero else counted

    def reset(self) -> None:
        """All registers begin at zero."""
        when = self.clock()
        values = {key: base + int(self._measured(*key, when) / _WS) for key, base in self._base.items()}
        self._resets.append((when, values))

    def average(self, kind: str, start: float, end: float) -> int:
        """The average power (W) of a span of true time."""
        energy = sum(self._measured(kind, t, end) - self._measured(kind, t, start) for t in (1, 2))
        return int(energy / max(1.0, end - start))

    def _measured(self, kind: str, tariff: int, true: float) -> float:
        total = 0.0
        for start, end, mode in self.timeline.spans(true):
            if not mode.connected or mode.tariff not in (0, tariff):
                continue
            count = self.curve.energy if mode.tariff == tariff else self._calendar(tariff)
            total += count(kind, end) - (count(kind, start) if start > 0 else 0.0)
        return total

    def _calendar(self, tariff: int) -> Callable[[str, float], float]:
        if tariff == DAY_TARIFF:
            return self._day_energy
        return lambda kind, true: self.curve.energy(kind, true) - self._day_energy(kind, true)

    def _day_energy(self, kind: str, true: float) -> float:
        """Watt-seconds of the day tariff up to a moment."""
        number, second = self.curve.split(true)
        return (self._day_total(kind, number) + self._day_within(kind, number, second)) / 1000

    def _day_within(self, kind: str, number: int, second: float) -> float:
        begin, end = self._window(number)
        if second <= begin or begin == end:
            return 0.0
        within = self.curve.within
        return within(kind, number, min(second, end)) - within(kind, number, begin)

    def _day_total(self, kind: str, number: int) -> float:
        first = self.curve.first_day
        sums = self._day_sums.setdefault(kind, [0.0])
        while len(sums) <= number - first:
            sums.append(sums[-1] + self._day_within(kind, first + len(sums) - 1, DAY))
        return sums[max(0, number - first)]

    def _window(self, number: int) -> tuple[float, float]:
        """When the day tariff begins and ends, in seconds of the curve's day (standard time)."""
        found = self._windows.get(number)
        if found is None:
            day = _EPOCH + timedelta(days=number, hours=12)
            summer = ((day.replace(tzinfo=self.zone).utcoffset() or timedelta(0)).total_seconds()) - self.curve.offset
            begin, end = DAY_BEGINS * 3600 - summer, DAY_ENDS * 3600 - summer
            found = self._windows[number] = (0.0, 0.0) if day.weekday() == _SUNDAY else (begin, end)
        return found
