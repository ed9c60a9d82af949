"""What a household meter has besides registers: alarms, switch, keys, parameters with their bounds, ports."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import wrap_key
from dlms_mqtt.simulator import (
    Context,
    named,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server import services
from tests.fake_clock import FakeClock
from tests.simulator.asker import Asker, O
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    connected,
)
from tests.simulator.reference import value_of


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


async def test_new_keys_are_transferred(clock: FakeClock) -> None:
    meter = household(clock=clock)
    fresh = Secret(bytes(range(100, 116)))
    wrapped = Data(DataType.OCTET_STRING, bytes(wrap_key(meter.master_key, fresh)))
    row = Data(DataType.STRUCTURE, (named("enum", 0), wrapped))
    async with connected(meter, **GMAC) as client:
        await client.invoke(MethodDescriptor(64, O("0.0.43.0.0.255"), 2), Data(DataType.ARRAY, (row,)))
    async with connected(meter, **GMAC | {"encryption_key": fresh}) as client:
        await client.get(ENERGY)
