"""The clock object: rounded, shifted, preset, set by writing, in the meter's own zone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.simulator import named
from dlms_mqtt.simulator.household.clock_object import moment_of
from tests.simulator.asker import Asker, O, octets

CLOCK, CALENDAR = O("0.0.1.0.0.255"), O("0.0.13.0.0.255")


@pytest.mark.parametrize(("method", "expected"), [(1, 900 * 2), (2, 900 * 2), (3, 60 * 24)])
def test_the_clock_is_rounded(asker: Asker, method: int, expected: int) -> None:
    asker.meter.clock.step(24 * 60 + 7)  # type: ignore[attr-defined]
    begun = asker.meter.clock.time() - (24 * 60 + 7)
    assert asker.run(8, CLOCK, method) == 0
    assert asker.meter.seconds() - begun == expected


def test_the_clock_is_shifted_by_a_quarter_at_most(asker: Asker) -> None:
    before = asker.meter.seconds()
    assert asker.run(8, CLOCK, 6, named("long", -900)) == 0
    assert asker.meter.seconds() == before - 900
    assert asker.run(8, CLOCK, 6, named("long", 901)) == 250
    assert [event.code for event in asker.meter.events[-1:]] == [5]


def test_a_preset_time_is_used_once(asker: Asker) -> None:
    assert asker.run(8, CLOCK, 4) == 250
    now = asker.meter.now()
    times = [octets(now + timedelta(minutes=minutes)) for minutes in (5, 0, 60)]
    assert asker.run(8, CLOCK, 5, Data(DataType.STRUCTURE, tuple(times[:2]))) == 12
    assert asker.run(8, CLOCK, 5, Data(DataType.STRUCTURE, tuple(times))) == 0
    assert asker.run(8, CLOCK, 4) == 0
    assert asker.meter.now() - now == timedelta(minutes=5)
    assert asker.run(8, CLOCK, 4) == 250


def test_a_time_without_deviation_is_local(asker: Asker) -> None:
    raw = DateTime.from_datetime(datetime(2026, 7, 1, 12), status=0).raw
    assert asker.write(8, CLOCK, 2, named("octet-string", raw)) == 0
    assert asker.meter.now().isoformat() == "2026-07-01T12:00:00+02:00"


@pytest.mark.parametrize(
    "value", [named("octet-string", bytes(11)), named("date-time", b""), named("octet-string", b"")]
)
def test_a_time_that_is_none_is_not_set(asker: Asker, value: Data) -> None:
    before = asker.meter.seconds()
    assert asker.write(8, CLOCK, 2, value) == 250
    assert asker.meter.seconds() == before


def test_what_is_no_text_of_octets_means_no_moment(asker: Asker) -> None:
    assert moment_of(asker.meter, 7) is None
