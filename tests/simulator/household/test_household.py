"""The household: a believable day, registers that are the integral of the power, profiles that are their past."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.simulator import Context
from dlms_mqtt.simulator.household.consumption import Consumption
from dlms_mqtt.simulator.household.load_curve import KINDS, Curve
from dlms_mqtt.simulator.server.timeline import Timeline
from tests.fake_clock import FakeClock
from tests.simulator.bench import frozen_meter
from tests.simulator.reference import value_of

VIENNA = ZoneInfo("Europe/Vienna")
SUMMER = datetime(2026, 7, 6, tzinfo=VIENNA).timestamp()  # a Monday
WINTER = datetime(2026, 1, 5, tzinfo=VIENNA).timestamp()


# -- the curve ---------------------------------------------------------------------------------------------------------


def test_a_day_looks_like_one() -> None:
    curve = Curve(1, VIENNA)
    days = [[curve.now(SUMMER + d * 86400 + h * 3600).active for h in range(24)] for d in range(30)]
    hours = [sum(day[hour] for day in days) / 30 for hour in range(24)]
    assert 100 < hours[3] < 600  # base load
    assert hours[13] < -500  # the sun
    assert hours[20] > hours[3]  # the evening
    winter = [curve.power("export", WINTER + d * 86400 + 12 * 3600) for d in range(30)]
    assert sum(winter) / 30 < -hours[13]


def test_a_seed_is_a_household() -> None:
    moments = [SUMMER + hour * 3600 for hour in range(24)]
    first, again, other = (Curve(seed, VIENNA) for seed in (1, 1, 2))
    assert [first.now(m) for m in moments] == [again.now(m) for m in moments]
    assert [first.now(m) for m in moments] != [other.now(m) for m in moments]


@given(st.floats(0, 86400 * 40), st.floats(60, 86400), st.sampled_from(KINDS))
def test_energy_is_the_integral_of_power(start: float, length: float, kind: str) -> None:
    curve = Curve(3, VIENNA)
    begin = WINTER + start
    step = length / 400
    summed = sum(curve.power(kind, begin + (index + 0.5) * step) * step for index in range(400))
    measured = curve.energy(kind, begin + length) - curve.energy(kind, begin)
    assert measured == pytest.approx(summed, rel=0.2, abs=3000 * max(60.0, step) * 2)


@given(st.lists(st.floats(0, 86400 * 400), min_size=2, max_size=6), st.sampled_from(KINDS))
def test_energy_never_falls(offsets: list[float], kind: str) -> None:
    curve = Curve(1, VIENNA)
    energies = [curve.energy(kind, WINTER + offset) for offset in sorted(offsets)]
    assert energies == sorted(energies)


def test_energy_is_exact_over_a_minute() -> None:
    curve = Curve(1, VIENNA)
    for minute in range(0, 1440, 7):
        begin = SUMMER + 60 * minute
        assert curve.energy("import", begin + 60) - curve.energy("import", begin) == pytest.approx(
            60 * curve.power("import", begin), abs=60
        )


# -- registers ---------------------------------------------------------------------------------------------------------


def consumption(clock: FakeClock) -> Consumption:
    return Consumption(Curve(1, VIENNA), VIENNA, Timeline(), clock.time)


def test_tariffs_add_up_and_follow_the_calendar() -> None:
    clock = FakeClock(SUMMER)
    use = consumption(clock)
    seen = []
    for _ in range(48):
        before = [use.register("import", tariff) for tariff in (0, 1, 2)]
        tariff = use.tariff()
        clock.step(3600)
        after = [use.register("import", number) for number in (0, 1, 2)]
        assert after[0] == after[1] + after[2]
        assert after[3 - tariff] == before[3 - tariff]
        seen.append(tariff)
    assert seen[:24] == [2] * 6 + [1] * 16 + [2] * 2


def test_sunday_is_night_tariff() -> None:
    clock = FakeClock(SUMMER - 12 * 3600)
    assert consumption(clock).tariff() == 2


def test_nothing_is_measured_while_disconnected() -> None:
    meter = frozen_meter()
    meter.connect(False)
    before = value_of(meter, 3, "1.0.1.8.0.255")
    meter.clock.step(7200)
    assert value_of(meter, 3, "1.0.1.8.0.255") == before
    assert value_of(meter, 3, "1.0.16.7.0.255") == value_of(meter, 3, "1.0.32.7.0.255") == 0
    meter.connect(True)
    meter.clock.step(7200)
    assert value_of(meter, 3, "1.0.1.8.0.255") > before


def test_voltage_current_and_power_agree() -> None:
    meter = frozen_meter()
    total = 0
    for phase in (20, 40, 60):
        imported, exported = (value_of(meter, 3, f"1.0.{phase + n}.7.0.255") for n in (1, 2))
        volts, amperes = (
            value_of(meter, 3, f"1.0.{phase + 12}.7.0.255") / 10,
            value_of(meter, 3, f"1.0.{phase + 11}.7.0.255") / 100,
        )
        assert 210 < volts < 250
        assert volts * amperes >= 0.97 * abs(imported - exported)
        total += imported - exported
    assert total == pytest.approx(value_of(meter, 3, "1.0.16.7.0.255"), abs=5)
    assert 4990 < value_of(meter, 3, "1.0.14.7.0.255") < 5010


def test_demand_is_the_average_of_its_quarter() -> None:
    meter = frozen_meter()
    energy = value_of(meter, 3, "1.0.1.8.0.255")
    meter.clock.step(900)
    measured = 4 * (value_of(meter, 3, "1.0.1.8.0.255") - energy)
    assert value_of(meter, 5, "1.0.1.4.0.255", 3) == pytest.approx(measured, abs=8)
    highest = value_of(meter, 4, "1.0.1.6.0.255")
    assert highest >= value_of(meter, 5, "1.0.1.4.0.255", 3)


# -- profiles ----------------------------------------------------------------------------------------------------------


def test_everything_can_be_read_and_nothing_is_kept() -> None:
    meter = frozen_meter()
    context = Context(meter, meter.associations[17])
    for item in meter.objects.values():
        for number in item.values:
            assert item.encoded(context, number)


# -- the clock's past --------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(1, 5000), st.floats(-3000, 3000)), max_size=5), st.floats(0, 40000))
def test_a_shown_time_is_found_again(settings: list[tuple[float, float]], later: float) -> None:
    line = Timeline()
    true = 1_000_000.0
    for wait, change in settings:
        true += wait
        line.set(true, line.meter_time(true) + change)
    shown = line.meter_time(true + later)
    found = line.true_time(shown)
    assert found is not None
    assert found <= true + later + 1e-6
    assert line.meter_time(found) == pytest.approx(shown, abs=1e-3)


def test_drift_is_found_again() -> None:
    line = Timeline()
    line.drift(1000.0, 60)
    shown = line.meter_time(1000.0 + 86400)
    assert shown == pytest.approx(1000 + 86460)
    assert line.true_time(shown) == pytest.approx(1000 + 86400)
