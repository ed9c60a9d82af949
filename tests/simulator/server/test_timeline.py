"""What a clock shows and when it showed it: set, drifting, jumped over; tariffs and cuts in spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.simulator.server.timeline import Mode, Timeline

TIMES = st.integers(0, 10**9)


def test_a_right_clock() -> None:
    line = Timeline()
    assert (line.meter_time(5.0), line.true_time(5.0)) == (5.0, 5.0)


def test_a_clock_that_was_set() -> None:
    line = Timeline()
    line.set(100.0, 160.0)
    assert (line.meter_time(99.0), line.meter_time(100.0), line.meter_time(110.0)) == (99.0, 160.0, 170.0)
    assert (line.true_time(99.0), line.true_time(160.0)) == (99.0, 100.0)
    assert line.true_time(130.0) is None  # jumped over
    line.set(200.0, 200.0)
    assert line.meter_time(250.0) == 250.0
    assert line.true_time(230.0) == 170.0  # the first of the two times that it showed this


def test_a_clock_that_gains() -> None:
    line = Timeline()
    line.drift(0.0, 86.4)  # a thousandth
    assert line.meter_time(1000.0) == pytest.approx(1001.0)
    assert line.true_time(1001.0) == pytest.approx(1000.0)
    line.set(1000.0, 1000.0)
    assert line.meter_time(2000.0) == pytest.approx(2001.0)  # its drift stays


@given(TIMES, TIMES, st.integers(0, 3600), TIMES)
def test_a_time_that_was_shown_is_found_again(first: int, second: int, back: int, true: int) -> None:
    """Of a clock that is put back a time comes twice, and the first is meant."""
    line = Timeline()
    line.set(min(first, second), min(first, second) + 30)
    line.set(max(first, second), max(first, second) - back)
    found = line.true_time(line.meter_time(true))
    assert found is not None
    assert found <= true + 1e-3
    assert line.meter_time(found) == pytest.approx(line.meter_time(true), abs=1e-3)


def test_modes() -> None:
    line = Timeline()
    line.change(10.0, tariff=2)
    line.change(20.0, connected=False)
    line.change(30.0, tariff=0, connected=True)
    assert line.mode == Mode(30.0, 0, True)
    begin = float("-inf")
    assert line.spans(25.0) == [
        (begin, 10.0, Mode(begin)),
        (10.0, 20.0, Mode(10.0, 2)),
        (20.0, 25.0, Mode(20.0, 2, False)),
    ]
    assert line.spans(40.0)[-1] == (30.0, 40.0, Mode(30.0, 0, True))
