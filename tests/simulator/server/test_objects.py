"""What the meter's objects do when they are written to or run, asked without a line."""

from __future__ import annotations

import pytest

from dlms_mqtt.simulator import named
from tests.simulator.asker import Asker, O
from tests.simulator.reference import value_of

CLOCK, CALENDAR = O("0.0.1.0.0.255"), O("0.0.13.0.0.255")


def test_the_passive_calendar_becomes_the_active_one(asker: Asker) -> None:
    assert asker.write(20, CALENDAR, 6, named("octet-string", b"NEW")) == 0
    assert asker.run(20, CALENDAR, 1) == 0
    assert value_of(asker.meter, 20, str(CALENDAR)) == b"NEW"


@pytest.mark.parametrize("way", ["script", "parameter"])
def test_a_tariff_is_forced(asker: Asker, way: str) -> None:
    assert value_of(asker.meter, 1, "0.0.96.14.0.255") == b"T1"
    if way == "script":
        assert asker.run(9, "0.0.10.0.100.255", 1, named("long-unsigned", 7)) == 250
        assert asker.run(9, "0.0.10.0.100.255", 1, named("long-unsigned", 2)) == 0
    else:
        assert asker.write(1, "0.0.94.34.11.255", 2, named("unsigned", 9)) == 250
        assert asker.write(1, "0.0.94.34.11.255", 2, named("unsigned", 2)) == 0
    assert value_of(asker.meter, 1, "0.0.96.14.0.255") == b"T2"
    assert asker.write(1, "0.0.94.34.11.255", 2, named("unsigned", 0)) == 0
    assert value_of(asker.meter, 1, "0.0.96.14.0.255") == b"T1"


def test_a_new_billing_period(asker: Asker) -> None:
    asker.meter.clock.step(86400)  # type: ignore[attr-defined]
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") > 0
    assert asker.run(4, "1.0.1.6.0.255", 1) == 0
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") == 0
    asker.meter.clock.step(8 * 3600)  # type: ignore[attr-defined]
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") > 0
