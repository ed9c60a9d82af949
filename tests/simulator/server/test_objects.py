"""What the meter's objects do when they are written to or run, asked without a line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, CaptureObject, MethodDescriptor, range_access
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter, named
from dlms_mqtt.simulator.server import services
from tests.simulator.bench import frozen_meter
from tests.simulator.reference import value_of

O = Obis.parse  # noqa: E741
CLOCK, CALENDAR = O("0.0.1.0.0.255"), O("0.0.13.0.0.255")


class Asker:
    """Client 17 without a line."""

    def __init__(self) -> None:
        self.meter: Meter = frozen_meter()
        self.context = Context(self.meter, self.meter.associations[17])

    def run(self, class_id: int, obis: Any, method: int, value: Data | None = None) -> int:
        argument = named("integer", 0) if value is None else value
        return services.invoke(self.context, MethodDescriptor(class_id, O(str(obis)), method), argument).result

    def write(self, class_id: int, obis: Any, attribute: int, value: Data) -> int:
        return services.write(self.context, AttributeDescriptor(class_id, O(str(obis)), attribute), value)


@pytest.fixture
def asker() -> Asker:
    return Asker()


def octets(moment: datetime) -> Data:
    return named("octet-string", DateTime.from_datetime(moment).raw)


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


def test_alarms_are_set_by_events_and_cleared_by_writing(asker: Asker) -> None:
    assert value_of(asker.meter, 1, "0.0.97.98.0.255") == 0
    asker.meter.restart()
    asker.meter.count_failure(32)
    assert value_of(asker.meter, 1, "0.0.97.98.0.255") == 0x2100
    assert asker.write(1, "0.0.97.98.0.255", 2, named("double-long-unsigned", 0x0100)) == 0
    assert value_of(asker.meter, 1, "0.0.97.98.0.255") == 0x2000
    assert value_of(asker.meter, 1, "0.0.96.11.0.255") == 46


def test_the_switch_obeys_its_mode(asker: Asker) -> None:
    assert asker.write(70, "0.0.96.3.10.255", 4, named("enum", 9)) == 250
    assert asker.write(70, "0.0.96.3.10.255", 4, named("enum", 0)) == 0
    assert asker.run(70, "0.0.96.3.10.255", 1) == 250
    assert value_of(asker.meter, 70, "0.0.96.3.10.255") is True


def test_a_new_billing_period(asker: Asker) -> None:
    asker.meter.clock.step(86400)  # type: ignore[attr-defined]
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") > 0
    assert asker.run(4, "1.0.1.6.0.255", 1) == 0
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") == 0
    asker.meter.clock.step(8 * 3600)  # type: ignore[attr-defined]
    assert value_of(asker.meter, 4, "1.0.1.6.0.255") > 0


def test_a_push_list_must_be_one(asker: Asker) -> None:
    good = Data(DataType.ARRAY, (CaptureObject(1, O("0.0.42.0.0.255"), 2).to_data(),))
    bad = Data(DataType.ARRAY, (named("unsigned", 1),))
    assert asker.write(40, "0.0.25.9.0.255", 2, good) == 0
    assert asker.write(40, "0.0.25.9.0.255", 2, bad) == 250


@pytest.mark.parametrize(
    "keys", [named("array", ()), Data(DataType.ARRAY, (named("unsigned", 1),)), named("unsigned", 1)]
)
def test_key_transfer_wants_keys(asker: Asker, keys: Data) -> None:
    """Client 17 has none, and a manager's must be wrapped."""
    manager = Context(asker.meter, asker.meter.associations[1])
    for context in (asker.context, manager):
        target = MethodDescriptor(64, O("0.0.43.0.0.255"), 2)
        outcome = services.invoke(context, target, keys)
        assert outcome.result != 0 or keys.value == ()


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
