"""Reading, writing and running, without a line: rights first, then the object, and the refusal of each mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import DataAccessResult as R
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole
from dlms_mqtt.simulator import Faults, Outcome, make, named
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server import services
from tests.fake_clock import FakeClock
from tests.simulator.asker import Asker
from tests.simulator.connected import (
    ENERGY,
    MESSAGE,
    NOTHING,
    RATIO,
    O,
    connected,
    text,
)

PROFILE = AttributeDescriptor(7, O("1.0.99.1.0.255"), 2)
NUMBERS = [("double-long-unsigned", 1), ("double-long-unsigned", 1), ("long-unsigned", 1), ("long-unsigned", 0)]
FIRST = (2, Data(DataType.STRUCTURE, tuple(named(kind, number) for kind, number in NUMBERS)))


async def test_attribute_0_is_all_of_them(clock: FakeClock) -> None:
    async with connected(household(clock=clock)) as client:
        found = await client.get(AttributeDescriptor(3, ENERGY.obis, 0))
        assert [item.type for item in found.value][1:] == [DataType.DOUBLE_LONG_UNSIGNED, DataType.STRUCTURE]


@pytest.mark.parametrize(
    ("target", "value", "word"),
    [
        (AttributeDescriptor(1, O("9.9.9.9.9.9"), 2), NOTHING, "object-undefined"),
        (AttributeDescriptor(1, ENERGY.obis, 2), NOTHING, "object-class-inconsistent"),
        (AttributeDescriptor(3, ENERGY.obis, 9), NOTHING, "object-undefined"),
        (ENERGY, Data(DataType.DOUBLE_LONG_UNSIGNED, 0), "read-write-denied"),
        (RATIO, NOTHING, "type-unmatched"),
        (RATIO, Data(DataType.LONG_UNSIGNED, 0), "other-reason"),
        (MESSAGE, text(b"z" * 129), "other-reason"),
        (AttributeDescriptor(8, O("0.0.1.0.0.255"), 2), text(b"\xff" * 12), "other-reason"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
async def test_writes_that_are_refused(clock: FakeClock, target: AttributeDescriptor, value: Data, word: str) -> None:
    async with connected(household(clock=clock)) as client:
        with pytest.raises(AccessRefused) as caught:
            await client.set(target, value)
        assert caught.value.name == word


def test_attribute_0_of_an_object_hides_what_may_not_be_read(asker: Asker) -> None:
    asker.meter.add(make(1, "0.0.128.0.0.255", text(b"hidden"), rights=({1: 1, 2: 0}, {})))
    octets = services.read(asker.context, AttributeDescriptor(1, O("0.0.128.0.0.255"), 0))
    assert isinstance(octets, bytes)
    assert decode_whole(octets).value == (text(bytes(O("0.0.128.0.0.255"))), Data(DataType.NULL_DATA, None))


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (AttributeDescriptor(1, O("9.9.9.9.9.9"), 2), R.OBJECT_UNDEFINED),
        (AttributeDescriptor(4, ENERGY.obis, 2), R.OBJECT_CLASS_INCONSISTENT),
        (AttributeDescriptor(3, ENERGY.obis, 9), R.OBJECT_UNDEFINED),
        (AttributeDescriptor(1, O("0.0.128.0.0.255"), 2), R.READ_WRITE_DENIED),
        (AttributeDescriptor(1, O("0.0.128.0.0.255"), 3), R.READ_WRITE_DENIED),
    ],
)
def test_reads_that_are_refused(asker: Asker, target: AttributeDescriptor, result: int) -> None:
    asker.meter.add(make(1, "0.0.128.0.0.255", text(b"no right"), text(b"never listed"), rights=({1: 1, 2: 0}, {})))
    assert services.read(asker.context, target) == result


def test_a_selection_is_made_where_the_attribute_has_that_selector(asker: Asker) -> None:
    asker.meter.clock.step(3600)  # type: ignore[attr-defined]
    (row,) = decode_whole(_octets(services.read(asker.context, PROFILE, FIRST))).value
    assert row == decode_whole(_octets(services.read(asker.context, PROFILE))).value[0]
    for target, selector in ((PROFILE, 9), (ENERGY, 2)):
        assert services.read(asker.context, target, (selector, FIRST[1])) == R.SCOPE_OF_ACCESS_VIOLATED


def _octets(answer: bytes | int) -> bytes:
    assert isinstance(answer, bytes), answer
    return answer


def test_faults_of_an_association_deny_objects_and_refuse_selections(asker: Asker) -> None:
    whole = services.read(asker.context, PROFILE)
    asker.context.association = replace(asker.context.association, faults=Faults(["wrong-rights:1.0.1.8.0.255"]))
    assert services.read(asker.context, ENERGY) == R.READ_WRITE_DENIED
    assert services.read(asker.context, PROFILE) == whole
    for way, answer in (("error", R.OTHER_REASON), ("whole", whole)):
        asker.context.association = replace(asker.context.association, faults=Faults([f"refuse-selection:{way}"]))
        assert services.read(asker.context, PROFILE, FIRST) == answer
    asker.context.association = replace(asker.context.association, faults=Faults(["refuse-selection:exception"]))
    with pytest.raises(services.RequestRefused):
        services.read(asker.context, PROFILE, FIRST)


def test_a_write_with_a_selection_is_refused_and_one_without_is_kept(asker: Asker) -> None:
    assert services.write(asker.context, MESSAGE, text(b"x"), FIRST) == R.SCOPE_OF_ACCESS_VIOLATED
    assert services.write(asker.context, MESSAGE, text(b"x")) == R.SUCCESS
    assert services.read(asker.context, MESSAGE) == b"\x09\x01x"


@pytest.mark.parametrize(
    ("class_id", "obis", "method", "argument", "result"),
    [
        (70, "9.9.9.9.9.9", 1, named("integer", 0), R.OBJECT_UNDEFINED),
        (70, "0.0.1.0.0.255", 1, named("integer", 0), R.OBJECT_CLASS_INCONSISTENT),
        (8, "0.0.1.0.0.255", 99, named("integer", 0), R.OBJECT_UNDEFINED),
        (8, "0.0.1.0.0.255", 1, named("long", 0), R.TYPE_UNMATCHED),
        (8, "0.0.1.0.0.255", 1, None, R.TYPE_UNMATCHED),
        (9999, "0.0.128.1.0.255", 1, None, R.READ_WRITE_DENIED),
        (9999, "0.0.128.1.0.255", 2, named("unsigned", 7), R.SUCCESS),
    ],
)
def test_methods_that_are_refused_and_one_that_is_run(
    asker: Asker, class_id: int, obis: str, method: int, argument: Data | None, result: int
) -> None:
    ours = make(9999, "0.0.128.1.0.255", methods=dict.fromkeys((1, 2), lambda _context, given: Outcome(0, given)))
    ours.rights = {1: 1}, {1: 0, 2: 1}
    asker.meter.add(ours)
    outcome = services.invoke(asker.context, MethodDescriptor(class_id, O(obis), method), argument)
    assert outcome.result == result
    assert services.encoded(outcome) == (b"\x11\x07" if result == 0 else None)
