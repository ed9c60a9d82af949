"""Registers of a household: they rise, tariffs add up, nothing flows while the supply is cut, a reset begins anew."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.simulator.household.consumption import DAY_TARIFF, NIGHT_TARIFF, Consumption
from dlms_mqtt.simulator.household.load_curve import KINDS, Curve, Now
from dlms_mqtt.simulator.server.timeline import Timeline

VIENNA = ZoneInfo("Europe/Vienna")


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=VIENNA).timestamp()  # type: ignore[arg-type]


class Bench:
    """Registers at a time that the test sets."""

    def __init__(self) -> None:
        self.now, self.timeline = at(2026, 7, 1, 12), Timeline()
        self.use = Consumption(Curve(1, VIENNA), VIENNA, self.timeline, lambda: self.now)


@pytest.mark.parametrize("kind", KINDS)
def test_registers_rise_and_tariffs_add_up(kind: str) -> None:
    bench, last = Bench(), 0
    for _ in range(48):
        bench.now += 1800
        total = bench.use.register(kind)
        assert abs(total - bench.use.register(kind, 1) - bench.use.register(kind, 2)) <= 1
        assert total >= last
        last = total


@pytest.mark.parametrize(
    ("moment", "tariff"),
    [
        ((2026, 7, 1, 5, 59), NIGHT_TARIFF),
        ((2026, 7, 1, 6, 0), DAY_TARIFF),
        ((2026, 1, 7, 5, 59), NIGHT_TARIFF),
        ((2026, 1, 7, 6, 0), DAY_TARIFF),
        ((2026, 7, 1, 21, 59), DAY_TARIFF),
        ((2026, 7, 1, 22, 0), NIGHT_TARIFF),
        ((2026, 7, 5, 12, 0), NIGHT_TARIFF),  # a Sunday
    ],
)
def test_the_calendar_is_in_local_time(moment: tuple[int, ...], tariff: int) -> None:
    """Summer and winter alike."""
    assert Bench().use.tariff(at(*moment)) == tariff


def test_a_forced_tariff_counts_alone() -> None:
    bench = Bench()
    bench.timeline.change(bench.now, tariff=NIGHT_TARIFF)
    day, night = (bench.use.register("reactive_import", number) for number in (1, 2))
    bench.now += 3600
    assert bench.use.tariff() == NIGHT_TARIFF
    assert bench.use.register("reactive_import", 1) == day
    assert bench.use.register("reactive_import", 2) > night


def test_nothing_flows_while_the_supply_is_cut() -> None:
    bench = Bench()
    bench.timeline.change(bench.now, connected=False)
    before = bench.use.register("reactive_import")
    bench.now += 3600
    assert bench.use.now() == Now((0, 0, 0), 0, 0, 0) and not bench.use.connected
    assert bench.use.register("reactive_import") == before
    assert bench.use.average("reactive_import", bench.now - 3600, bench.now) == 0


def test_a_reset_begins_at_zero_and_the_past_stays() -> None:
    bench = Bench()
    reset, before = bench.now, bench.use.register("import")
    bench.use.reset()
    assert [bench.use.register("import", tariff) for tariff in (0, 1, 2)] == [0, 0, 0]
    bench.now += 12 * 3600
    assert bench.use.register("import") > 0
    assert abs(bench.use.register("import", true=reset - 1) - before) <= 2


def test_an_average_is_what_was_counted() -> None:
    bench = Bench()
    start = bench.now - 86400
    counted = bench.use.register("import") - bench.use.register("import", true=start)
    assert bench.use.average("import", start, bench.now) * 24 == pytest.approx(counted, abs=26)
