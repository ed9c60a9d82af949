"""Values until they expire: absent before the first reading and after the last, never 0."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dlms_mqtt.bridge.reading.latest_values import MeterState, Value, lifetime
from dlms_mqtt.bridge.reading.schedule import At, Every, Schedule

NOON = datetime(2026, 11, 29, 12, 0, 30, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [(Every(10), 120.0), (Every(40), 120.0), (Every(60), 180.0), (At(((0, 5),), UTC), 90000.0)],
)
def test_a_value_lives_for_three_intervals(schedule: Schedule, seconds: float) -> None:
    assert lifetime(schedule) == seconds


def test_values_come_and_go() -> None:
    state = MeterState()
    assert state.payload(0.0) == {"_time": {}}
    state.update("power", Value(5, NOON, 100.0))
    state.update("energy", Value(7, NOON, 200.0))
    assert state.payload(99.0) == {
        "power": 5,
        "energy": 7,
        "_time": {"power": "2026-11-29T12:00:30+00:00", "energy": "2026-11-29T12:00:30+00:00"},
    }
    assert set(state.fresh(100.0)) == {"energy"}  # expired, though nobody has looked yet
    assert state.expire(100.0) == ["power"]
    assert state.expire(100.0) == []
    state.update("power", Value(6, NOON, 300.0))
    assert state.payload(150.0)["power"] == 6
