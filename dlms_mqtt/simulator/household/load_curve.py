"""A believable household day as power, and its exact integral: base load, cooking, washing, solar at noon.

A handful of typical days per season are made from the seed, a minute at a time; every calendar day is one of them times
a factor of its own. So the energy up to any moment is a sum over days plus one look-up, however long ago it was.
Days are those of the zone's standard time; energy is in watt-seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

DAY = 86400
MINUTES = 1440
KINDS = ("import", "export", "reactive_import", "reactive_export")
_SHAPES = 5  # typical days per season
_START = 19723  # 2024-01-01 as days since 1970: energy is counted from here on

# Season: base load W, cooking W, light W, solar W at noon, daylight hours; winter, spring and autumn, summer.
_SEASONS = ((260, 2300, 420, 1700, 8.5), (220, 2100, 260, 3600, 12.5), (200, 1800, 140, 5200, 15.5))
_OF_MONTH = (0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 0, 0)

# Something that is cooked or washed: hour, minutes, share of the season's cooking power, phase, how likely.
_CHORES = (
    (6.7, 25, 0.55, 0, 0.9),
    (12.2, 40, 0.9, 1, 0.6),
    (18.6, 55, 1.0, 2, 0.95),
    (10.0, 70, 0.8, 0, 0.35),
    (20.2, 80, 0.75, 1, 0.4),
)


class Shape(NamedTuple):
    """One typical day: per minute, the three phases' load and the solar power (W), and running sums of each kind."""

    load: tuple[Sequence[int], Sequence[int], Sequence[int]]
    solar: Sequence[int]
    power: Mapping[str, Sequence[int]]
    sums: Mapping[str, Sequence[int]]


@lru_cache(maxsize=64)
def shape(seed: int, season: int, number: int) -> Shape:
    """The typical day of that number in a season."""
    random = Random(f"{seed}/{season}/{number}")  # noqa: S311  a load curve is no secret
    base, cooking, light, peak, daylight = _SEASONS[season]
    load = [[0] * MINUTES for _ in range(3)]
    for minute in range(MINUTES):
        hour = minute / 60
        fridge = 90 if (minute + 11 * number) % 48 < 17 else 0
        evening = light * math.exp(-(((hour - 20.5) / 1.8) ** 2))
        for phase, share in enumerate((0.45, 0.3, 0.25)):
            load[phase][minute] = int(base * share * random.uniform(0.9, 1.15))
        load[0][minute] += fridge
        load[1][minute] += int(evening * random.uniform(0.8, 1.2))
    for start, length, share, phase, likely in _CHORES:
        if random.random() < likely:
            _cook(load[phase], start + random.uniform(-0.6, 0.6), length, int(cooking * share), random)
    sun = [_sun(minute / 60, daylight) for minute in range(MINUTES)]
    clouds = random.uniform(0.15, 1.0)
    solar = [int(peak * clouds * height * random.uniform(0.85, 1.0)) for height in sun]
    return _sum_up((load[0], load[1], load[2]), solar)


def _cook(phase: list[int], start: float, minutes: int, power: int, random: Random) -> None:
    first = int(start * 60)
    for minute in range(first, first + minutes):
        phase[minute % MINUTES] += int(power * random.choice((0.35, 0.8, 1.0, 1.0)))


def _sun(hour: float, daylight: float) -> float:
    return max(0.0, math.cos((hour - 12.25) / daylight * math.pi)) if abs(hour - 12.25) < daylight / 2 else 0.0


def _sum_up(load: tuple[list[int], list[int], list[int]], solar: list[int]) -> Shape:
    net = [a + b + c - s for a, b, c, s in zip(*load, solar, strict=True)]
    power = {
        "import": [max(0, watts) for watts in net],
        "export": [max(0, -watts) for watts in net],
        "reactive_import": [int(0.22 * sum(phase)) for phase in zip(*load, strict=True)],
        "reactive_export": [35 if minute < 360 else 10 for minute in range(MINUTES)],
    }
    sums = {kind: [0, *accumulate(60 * watts for watts in values)] for kind, values in power.items()}
    return Shape(load, solar, power, sums)


class Now(NamedTuple):
    """The power at one moment, in W and var: per phase load and solar, and the sums that the meter sees."""

    phases: tuple[int, int, int]
    active: int
    reactive_import: int
    reactive_export: int


class Curve:
    """The load of one household."""

    def __init__(self, seed: int = 1, zone: tzinfo = UTC, *, scale: float = 1.0) -> None:
        self.seed = seed
        self._scale = scale
        # The standard time of a zone is the smaller of the two offsets of a year.
        offsets = [datetime(2026, month, 1, tzinfo=zone).utcoffset() or timedelta(0) for month in (1, 7)]
        self.offset = min(offsets).total_seconds()
        self._days: dict[int, tuple[Shape, int]] = {}
        self._whole: dict[str, list[int]] = {}

    @property
    def first_day(self) -> int:
        """The day (since 1970) from which energy is counted."""
        return _START

    def split(self, true: float) -> tuple[int, float]:
        """Day (days since 1970) and second of the day, in standard time."""
        day, second = divmod(true + self.offset, DAY)
        return int(day), second

    def day(self, number: int) -> tuple[Shape, int]:
        """The typical day that this day is, and its factor in thousandths."""
        found = self._days.get(number)
        if found is None:
            random = Random(f"{self.seed}:{number}")  # noqa: S311
            month = (datetime(1970, 1, 1) + timedelta(days=number)).month
            kind = shape(self.seed, _OF_MONTH[month - 1], random.randrange(_SHAPES))
            found = self._days[number] = kind, int(random.randrange(850, 1150) * self._scale)
        return found

    def within(self, kind: str, number: int, second: float) -> float:
        """Thousandths of watt-seconds of a day up to a second of it."""
        model, factor = self.day(number)
        minute, rest = divmod(min(max(second, 0.0), DAY), 60)
        index = int(minute)
        energy = model.sums[kind][index] + (rest * model.power[kind][index] if rest else 0)
        return energy * factor

    def total(self, kind: str, number: int) -> int:
        """Thousandths of watt-seconds, exactly, from the beginning up to the start of a day."""
        sums = self._whole.setdefault(kind, [0])
        while len(sums) <= number - _START:
            model, factor = self.day(_START + len(sums) - 1)
            sums.append(sums[-1] + model.sums[kind][MINUTES] * factor)
        return sums[max(0, number - _START)]

    def energy(self, kind: str, true: float) -> float:
        """Watt-seconds up to a moment."""
        number, second = self.split(true)
        return (self.total(kind, number) + self.within(kind, number, second)) / 1000

    def power(self, kind: str, true: float) -> int:
        """W (var) at a moment."""
        number, second = self.split(true)
        model, factor = self.day(number)
        return model.power[kind][int(second // 60)] * factor // 1000

    def now(self, true: float) -> Now:
        """Everything at a moment."""
        number, second = self.split(true)
        (load, solar, power, _), factor = self.day(number)
        minute = int(second // 60)
        phases = [(phase[minute] - solar[minute] / 3) * factor / 1000 for phase in load]
        reactive = (
            power["reactive_import"][minute] * factor // 1000,
            power["reactive_export"][minute] * factor // 1000,
        )
        active = (power["import"][minute] - power["export"][minute]) * factor // 1000
        return Now((int(phases[0]), int(phases[1]), int(phases[2])), active, *reactive)
