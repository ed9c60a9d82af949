"""How often Home Assistant takes a reading: which sensors, and what its template says."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.homeassistant.pace import Pace, pace_of, paced


@pytest.mark.parametrize(
    ("device_class", "unit", "interval", "period", "found"),
    [
        ("energy", "kWh", 30, 300, Pace(300, 30, None)),
        ("voltage", "V", 30, 300, Pace(300, 30, 2)),
        ("current", "A", 10, 300, Pace(300, 10, 0.5)),
        ("power", "W", 30, 300, None),
        ("energy", "Wh", 30, 300, None),
        ("energy", "kWh", 300, 300, None),
        ("energy", "kWh", 30, 0, None),
    ],
)
def test_who_is_paced(device_class: str, unit: str, interval: float, period: float, found: Pace | None) -> None:
    assert pace_of(device_class, unit, interval, period) == found


def test_a_jump_is_taken_at_once() -> None:
    text = paced(Pace(300, 30, 0.5), "v", "v | round(1)")
    assert text.startswith("{{ (v | round(1)) if not v | is_number or ")
    assert "(now() | as_timestamp + 30) // 300 != (this.last_updated | as_timestamp + 30) // 300" in text
    assert text.endswith("(v | float - this.state | float) | abs >= 0.5 else '' }}")


def test_a_counter_does_not_jump() -> None:
    assert "abs" not in paced(Pace(300, 30, None), "v", "v")
