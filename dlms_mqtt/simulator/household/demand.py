"""Average power over quarters of an hour: the current one, the last one, and the highest of the month with its time."""

from __future__ import annotations

from datetime import timedelta

from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.simulator.household.consumption import Consumption
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Outcome, make, named

PERIOD = 900
_DAY = 86400


class Demand:
    """The demand of one kind of energy."""

    def __init__(self, meter: Meter, use: Consumption, kind: str) -> None:
        self.meter = meter
        self.use = use
        self.kind = kind
        self._since = float("-inf")
        self._days: dict[float, tuple[int, float]] = {}

    @property
    def _begun(self) -> int:
        return int(self.meter.seconds() // PERIOD) * PERIOD

    def _average(self, start: float, end: float) -> int:
        first, last = (self.meter.timeline.true_time(shown) for shown in (start, end))
        return 0 if first is None or last is None else self.use.average(self.kind, first, last)

    def current(self) -> int:
        """W on average since the quarter began."""
        now = self.meter.seconds()
        return self._average(self._begun, now) if now > self._begun + 1 else 0

    def last(self) -> int:
        """W on average in the last whole quarter."""
        return self._average(self._begun - PERIOD, self._begun)

    def highest(self) -> tuple[int, float]:
        """The highest quarter of this month (since the reset), and the meter time when it ended."""
        now = self.meter.now()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        best = (0, day.replace(day=1).timestamp())
        while day.month == now.month and day.timestamp() + _DAY > self._since:
            best = max(best, self._of_day(day.timestamp()), key=lambda found: found[0])
            day -= timedelta(days=1)
        return best

    def _of_day(self, start: float) -> tuple[int, float]:
        end = min(start + _DAY, self._begun)
        whole = end == start + _DAY and start >= self._since
        if not whole or start not in self._days:
            first = max(start, -(-self._since // PERIOD) * PERIOD) if self._since > start else start
            times = range(int(first) + PERIOD, int(end) + 1, PERIOD)
            found = max(((self._average(t - PERIOD, t), float(t)) for t in times), default=(0, start))
            if not whole:
                return found
            self._days[start] = found
        return self._days[start]

    def begun(self, _context: Context) -> Data:
        """When the quarter began, as a clock shows it."""
        return self.meter.time_data(self._begun)

    def reset(self, _context: Context, _argument: Data | None) -> Outcome:
        """A new billing period begins."""
        self._since = self.meter.seconds()
        self._days.clear()
        return Outcome()


def demand_objects(demand: Demand, group: int, scaler_unit: Data) -> list[CosemObject]:
    """The demand register and the register of its maximum."""
    return [_register(demand, group, scaler_unit), _maximum(demand, group, scaler_unit)]


def _register(demand: Demand, group: int, scaler_unit: Data) -> CosemObject:
    return make(
        5,
        f"1.0.{group}.4.0.255",
        lambda _context: _watts(demand.current()),
        lambda _context: _watts(demand.last()),
        scaler_unit,
        named("unsigned", 0),
        demand.begun,
        demand.begun,
        named("double-long-unsigned", PERIOD),
        named("long-unsigned", 1),
    )


def _maximum(demand: Demand, group: int, scaler_unit: Data) -> CosemObject:
    return make(
        4,
        f"1.0.{group}.6.0.255",
        lambda _context: _watts(demand.highest()[0]),
        scaler_unit,
        named("unsigned", 0),
        lambda _context: demand.meter.time_data(demand.highest()[1]),
        methods={1: demand.reset},
    )


def _watts(value: int) -> Data:
    return named("double-long-unsigned", max(0, value))
