"""Demand: the average of the quarter, the last whole one, and the highest of the month since it was reset."""

from __future__ import annotations

import pytest

from dlms_mqtt.simulator.household.consumption import Consumption
from dlms_mqtt.simulator.household.demand import PERIOD, Demand
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.household.load_curve import Curve
from dlms_mqtt.simulator.server.objects import Context
from tests.fake_clock import FakeClock


@pytest.fixture
def demand(clock: FakeClock) -> Demand:
    meter = household(clock=clock)
    use = Consumption(Curve(1, meter.zone), meter.zone, meter.timeline, clock.time)
    return Demand(meter, use, "import")


def _quarter(demand: Demand, end: float) -> int:
    return demand.use.average("import", end - PERIOD, end)


def test_the_current_quarter_and_the_last(demand: Demand, clock: FakeClock) -> None:
    clock.step(-(clock.time() % PERIOD) + 600)
    begun = clock.time() - 600
    assert demand.current() == demand.use.average("import", begun, clock.time())
    assert demand.last() == _quarter(demand, begun)
    clock.step(-600)
    assert demand.current() == 0  # it has just begun


def test_the_highest_of_the_month(demand: Demand, clock: FakeClock) -> None:
    month = demand.meter.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    ends = [month + PERIOD * count for count in range(1, int((clock.time() - month) // PERIOD) + 1)]
    watts, when = demand.highest()
    assert watts == max(_quarter(demand, end) for end in ends)
    assert when in ends and _quarter(demand, when) == watts


def test_a_reset_begins_anew(demand: Demand, clock: FakeClock) -> None:
    reset = demand.meter.seconds()
    demand.reset(Context(demand.meter, None), None)  # type: ignore[arg-type]
    assert demand.highest()[0] == 0
    clock.step(9 * 3600)  # from noon, when the sun gives more than is used, to the evening
    watts, when = demand.highest()
    assert watts == _quarter(demand, when) > 0
    assert when > reset
