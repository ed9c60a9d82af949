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


SWITCH_AT = "0.0.96.3.10.255"


def test_the_switch_cuts_off_and_connects(asker: Asker) -> None:
    assert (value_of(asker.meter, 70, SWITCH_AT), value_of(asker.meter, 70, SWITCH_AT, 3)) == (True, 1)
    assert asker.run(70, SWITCH_AT, 1) == 0
    assert (value_of(asker.meter, 70, SWITCH_AT), value_of(asker.meter, 70, SWITCH_AT, 3)) == (False, 0)
    assert asker.run(70, SWITCH_AT, 2) == 0
    assert value_of(asker.meter, 70, SWITCH_AT) is True


def test_power_failures_and_hours_are_counted(asker: Asker) -> None:
    before = value_of(asker.meter, 3, "0.0.96.8.0.255")
    failures = value_of(asker.meter, 1, "0.0.96.7.0.255")
    asker.meter.restart()
    asker.meter.clock.step(3600)  # type: ignore[attr-defined]
    assert value_of(asker.meter, 1, "0.0.96.7.0.255") == failures + 1
    assert value_of(asker.meter, 3, "0.0.96.8.0.255") == before + 3600


@pytest.mark.parametrize(("policy", "result"), [(named("enum", 3), 0), (named("enum", 16), 250)])
def test_a_security_policy_is_one_of_those_there_are(asker: Asker, policy: Data, result: int) -> None:
    assert asker.run(64, "0.0.43.0.0.255", 1, policy) == result


def test_messages_for_the_display_are_short_texts(asker: Asker) -> None:
    for octets, result in ((b"x" * 128, 0), (b"x" * 129, 250)):
        assert asker.write(1, "0.0.96.13.0.255", 2, named("octet-string", octets)) == result


def test_a_new_master_key_unwraps_the_next_ones() -> None:
    meter = household(clock=FakeClock())
    row = meter.associations[1]
    context = Context(meter, row)
    old, new = meter.master_key, Secret(b"M" * 16)

    def transfer(number: int, key: Secret, under: Secret) -> int:
        item = Data(DataType.STRUCTURE, (named("enum", number), named("octet-string", wrap_key(under, key))))
        return services.invoke(
            context, MethodDescriptor(64, O("0.0.43.0.0.255"), 2), Data(DataType.ARRAY, (item,))
        ).result

    assert transfer(3, new, old) == 0
    assert meter.master_key == new
    assert transfer(0, Secret(b"G" * 16), old) == 250
    assert transfer(0, Secret(b"G" * 16), new) == 0
    assert transfer(9, Secret(b"G" * 16), new) == 250
    assert meter.associations[1].keys is not None and meter.associations[1].keys.encryption == b"G" * 16
