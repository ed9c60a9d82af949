"""Profiles that store nothing: rows are the past of the registers, by range and by entry, whatever the clock did."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dlms_mqtt.protocol.apdu.descriptors import (
    AttributeDescriptor,
    CaptureObject,
    entry_access,
    range_access,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_rows
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter, named
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.household.profiles import each_month
from dlms_mqtt.simulator.server import services
from tests.fake_clock import FakeClock
from tests.simulator.asker import Asker, O, octets
from tests.simulator.bench import START, frozen_meter
from tests.simulator.reference import value_of

VIENNA = ZoneInfo("Europe/Vienna")


def buffer(meter: Meter, obis: str, access: Any = None) -> list[tuple[Any, ...]]:
    context = Context(meter, meter.associations[17])
    octets = services.read(context, AttributeDescriptor(7, Obis.parse(obis), 2), access)
    assert isinstance(octets, bytes)
    return decode_rows(octets, times=[0]).rows


CLOCK, CALENDAR = O("0.0.1.0.0.255"), O("0.0.13.0.0.255")


def test_selective_access_says_what_it_does_not_understand(asker: Asker) -> None:
    clock = CaptureObject(8, CLOCK, 2)
    start, end = octets(asker.meter.now() - timedelta(hours=2)), octets(asker.meter.now())
    register, unknown = CaptureObject(3, O("1.0.1.8.0.255"), 2), CaptureObject(3, O("1.0.9.8.0.255"), 2)
    target = AttributeDescriptor(7, O("1.0.99.1.0.255"), 2)

    def ask(access: Any) -> Any:
        return services.read(asker.context, target, access)

    assert isinstance(ask(range_access(clock, start, end, [register])), bytes)
    assert len(ask(range_access(clock, start, end, [register]))) < len(ask(range_access(clock, start, end)))
    assert ask(range_access(clock, start, end, [unknown])) == 250
    assert ask(range_access(register, start, end)) == 250
    assert ask((1, named("unsigned", 1))) == 12
    assert ask((2, named("unsigned", 1))) == 12
    assert ask((7, named("unsigned", 1))) == 13


def test_profile_rows_are_the_past_of_the_registers() -> None:
    meter = frozen_meter()
    for _ in range(4):
        meter.clock.step(900)
        (row,) = buffer(meter, "1.0.99.1.0.255", entry_access(8640, 8640))
        assert row[0].timestamp() == meter.clock.time()
        registers = [value_of(meter, 3, f"1.0.{code}.8.0.255") for code in (1, 2, 3, 4)]
        assert list(row[2:]) == registers


def test_ninety_days_of_both_profiles() -> None:
    meter = frozen_meter()
    load = buffer(meter, "1.0.99.1.0.255")
    assert len(load) == 8640
    assert {later[0] - earlier[0] for earlier, later in itertools.pairwise(load)} == {timedelta(seconds=900)}
    assert all(earlier[2] <= later[2] for earlier, later in itertools.pairwise(load))
    daily = buffer(meter, "1.0.99.2.0.255")
    assert len(daily) == 90
    by_time = {row[0]: row for row in load}
    for row in daily[1:]:
        assert row[2] == row[3] + row[4] == by_time[row[0]][2]


def test_midnights_are_local_also_when_summer_time_ends() -> None:
    meter = household(clock=FakeClock(datetime(2026, 11, 1, 12, tzinfo=VIENNA).timestamp()))
    times = [row[0] for row in buffer(meter, "1.0.99.2.0.255")[-10:]]
    assert {time.hour for time in times} == {0}
    assert timedelta(hours=25) in {later - earlier for earlier, later in itertools.pairwise(times)}


def test_profiles_after_the_clock_was_set() -> None:
    """Forwards: the skipped times have the value of the moment; backwards: a time that was had twice has one row."""
    meter = frozen_meter()
    meter.set_clock(meter.now() + timedelta(hours=2))
    meter.clock.step(3600)
    rows = buffer(meter, "1.0.99.1.0.255", entry_access(8640 - 15))
    assert len({row[0] for row in rows}) == len(rows) == 16
    assert rows[-1][2] <= value_of(meter, 3, "1.0.1.8.0.255")


def test_reset_empties_a_profile() -> None:
    meter = frozen_meter()
    item = meter.objects[7, Obis.parse("1.0.99.1.0.255")]
    item.methods[1](Context(meter, meter.associations[17]), None)
    assert buffer(meter, "1.0.99.1.0.255") == []
    meter.clock.step(1800)
    assert len(buffer(meter, "1.0.99.1.0.255")) == 2


def test_the_event_log_tells_what_happened() -> None:
    meter = frozen_meter()
    meter.connect(False)
    meter.restart()
    rows = buffer(meter, "0.0.99.98.0.255")
    assert [row[1] for row in rows[-3:]] == [60, 1, 2]
    assert rows[-1][0].timestamp() == START


def test_profile_with_nulls_for_times() -> None:
    meter = frozen_meter()
    meter.oddities["profile_nulls"] = "true"
    rows = buffer(meter, "1.0.99.1.0.255", entry_access(1, 3))
    assert rows[0][0] is not None
    assert rows[1][0] is rows[2][0] is None


def test_selections_that_are_none(asker: Asker) -> None:
    target = AttributeDescriptor(7, O("1.0.99.1.0.255"), 2)
    numbers = [named("double-long-unsigned", 1)] * 2 + [named("long-unsigned", 1)] * 2
    clock = CaptureObject(8, CLOCK, 2).to_data()
    moment = octets(asker.meter.now())
    for selector, parts, result in (
        (1, numbers[:3], 12),
        (1, [named("unsigned", 1), moment, moment, numbers[0]], 12),
        (1, [CaptureObject(3, O("1.0.1.8.0.255"), 2).to_data(), moment, moment, Data(DataType.ARRAY, ())], 250),
        (2, numbers[:3], 12),
        (2, [named("octet-string", b"1"), *numbers[1:]], 12),
        (2, [named("double-long-unsigned", 0), *numbers[1:]], 250),
        (2, [*numbers[:2], named("long-unsigned", 0), numbers[3]], 250),
    ):
        access = selector, Data(DataType.STRUCTURE, tuple(parts))
        assert services.read(asker.context, target, access) == result, (selector, parts)
    whole = 1, Data(DataType.STRUCTURE, (clock, moment, moment, Data(DataType.ARRAY, ())))
    assert isinstance(services.read(asker.context, target, whole), bytes)


def test_a_buffer_says_how_many_rows_it_has_and_begins_anew() -> None:
    meter = frozen_meter()
    asker = Asker()
    used = value_of(asker.meter, 7, "1.0.99.1.0.255", 7)
    assert used == len(buffer(asker.meter, "1.0.99.1.0.255")) > 0
    assert asker.run(7, "1.0.99.1.0.255", 1) == 0
    assert value_of(asker.meter, 7, "1.0.99.1.0.255", 7) == 0
    assert value_of(meter, 7, "1.0.99.1.0.255", 7) == used


def test_midnights_of_months_and_of_a_year_that_turns() -> None:
    meter = frozen_meter()  # in January
    found = [datetime.fromtimestamp(moment, meter.zone) for moment in each_month(meter)(14)]
    assert [(moment.year, moment.month) for moment in found[:2] + found[-2:]] == [
        (2024, 12),
        (2025, 1),
        (2025, 12),
        (2026, 1),
    ]
    assert {(moment.day, moment.hour, moment.minute) for moment in found} == {(1, 0, 0)}
