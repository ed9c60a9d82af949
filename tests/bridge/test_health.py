"""How often the bridge looks at its meters."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge import self_report
from dlms_mqtt.bridge.meters.health import pause_between_looks


@pytest.mark.parametrize(("meters", "seconds"), [(0, 1), (1, 1), (100, 1), (1000, 10), (1_000_000, 30)])
def test_many_meters_are_looked_at_less_often(meters: int, seconds: float) -> None:
    assert pause_between_looks(meters) == seconds


def test_online_is_renewed_before_the_broker_forgets_it() -> None:
    assert self_report._ALIVE / 3 + pause_between_looks(1_000_000) < self_report._ALIVE
