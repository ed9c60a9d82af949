"""Tariffs of the household: forced, by script, and the calendar whose passive half becomes the active one."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator.household.equipment import OK, REFUSED
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.household.tariffs import TARIFF_SCRIPTS, calendar
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context
from tests.fake_clock import FakeClock


@pytest.fixture
def meter(clock: FakeClock) -> Meter:
    return household(clock=clock)


@pytest.mark.parametrize("number", [1, 2])
def test_a_script_forces_its_tariff(meter: Meter, number: int) -> None:
    scripts = meter.objects[9, TARIFF_SCRIPTS]
    assert scripts.methods[1](Context(meter, None), Data(DataType.LONG_UNSIGNED, number)) == OK  # type: ignore[arg-type]
    assert meter.timeline.mode.tariff == number


@pytest.mark.parametrize("argument", [None, Data(DataType.LONG_UNSIGNED, 3), Data(DataType.LONG_UNSIGNED, 0)])
def test_there_is_no_other_script(meter: Meter, argument: Data | None) -> None:
    assert meter.objects[9, TARIFF_SCRIPTS].methods[1](Context(meter, None), argument) == REFUSED  # type: ignore[arg-type]
    assert meter.timeline.mode.tariff == 0


def test_the_passive_calendar_becomes_the_active_one() -> None:
    item = calendar()
    passive = {number: Data(DataType.OCTET_STRING, bytes((number,))) for number in range(6, 10)}
    item.values.update(passive)
    assert item.methods[1](None, None) == OK  # type: ignore[arg-type]
    assert [item.values[number] for number in range(2, 6)] == list(passive.values())
