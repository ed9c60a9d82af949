"""Everything our client can ask, served: lists, blocks, general blocks, ACCESS, short names, rights, types, ranges."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator.household.household import household
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    MESSAGE,
    NOTHING,
    RATIO,
    O,
    connected,
    text,
)

# -- logical names -----------------------------------------------------------------------------------------------------


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


# -- short names -------------------------------------------------------------------------------------------------------


# -- associations ------------------------------------------------------------------------------------------------------


# -- one request at a time, without a client ---------------------------------------------------------------------------


# -- many at once ------------------------------------------------------------------------------------------------------
