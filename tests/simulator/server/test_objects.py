"""What the meter's objects do when they are written to or run, asked without a line."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.simulator import make, named
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


def test_values_as_data_as_octets_and_made_when_asked_for(asker: Asker) -> None:
    made = make(
        1,
        "0.0.128.0.0.255",
        named("unsigned", 1),
        b"\x11\x02",
        lambda _context: named("unsigned", 3),
        lambda _: b"\x11\x04",
    )
    assert [made.encoded(asker.context, number) for number in (2, 3, 4, 5)] == [
        bytes((0x11, number)) for number in (1, 2, 3, 4)
    ]
    assert [made.data(asker.context, number).value for number in (2, 4)] == [1, 3]
    for number in (3, 5):
        with pytest.raises(TypeError, match="is kept encoded"):
            made.data(asker.context, number)
    with pytest.raises(KeyError):
        made.encoded(asker.context, 9)


def test_the_type_of_what_is_written(asker: Asker) -> None:
    """That of the class; where it leaves the choice, that of the value that is there; texts stand for each other."""
    register = make(3, "1.0.128.0.0.255", named("unsigned", 1), named("octet-string", b""))
    assert register.put(asker.context, 2, named("long-unsigned", 1)) == 12
    assert register.put(asker.context, 2, named("unsigned", 7)) == 0
    clock = asker.meter.objects[8, CLOCK]
    assert clock.put(asker.context, 3, named("octet-string", b"x")) == 12
    unknown = make(9999, "0.0.128.1.0.255", b"\x11\x01")
    assert unknown.put(asker.context, 2, named("octet-string", b"any")) == 0


def test_a_type_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="there is no type 'colour'"):
        named("colour", 1)
