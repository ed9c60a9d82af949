"""Who gets in: contexts, mechanisms, secrets and sizes that are refused, and every proof."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import AssociationRefused, AuthenticationRefused, ServiceRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import (
    KEYS,
    KEYS_256,
    PASSWORD,
    Association,
)
from dlms_mqtt.simulator.household.household import household
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    O,
    connected,
)


async def test_unknown_clients_and_wrong_contexts_are_refused(clock: FakeClock) -> None:
    meter = household(clock=clock)
    meter.associate(Association(50, "short only", referencing="sn"))
    for options, word in (
        ({"client": 99}, "no-reason-given"),
        ({"client": 50}, "application-context-name-not-supported"),
        ({"client": 32}, "authentication-required"),
        ({"client": 17, "authentication": "low", "password": PASSWORD}, "mechanism-name-not-recognised"),
        ({"client": 33, "authentication": "low", "password": PASSWORD}, "authentication-failure"),
    ):
        with pytest.raises(AssociationRefused, match=word):
            async with connected(meter, **options):
                pass


@pytest.mark.parametrize("referencing", ["ln", "sn"])
async def test_a_wrong_secret_or_key_proves_nothing(clock: FakeClock, referencing: str) -> None:
    meter = household(clock=clock)
    wrong: dict[str, Any] = {"client": 35, "authentication": "md5", "password": Secret(b"wrong")}
    with pytest.raises(AuthenticationRefused):
        async with connected(meter, **wrong, referencing=referencing):
            pass
    with pytest.raises(ServiceRefused, match="deciphering"):
        async with connected(meter, **GMAC | {"authentication_key": Secret(bytes(16))}):
            pass
    assert meter.failures == {35: 1}


@pytest.mark.parametrize("suite", [0, 1, 2])
async def test_counters_are_kept_and_readable_by_the_public_client(clock: FakeClock, suite: int) -> None:
    meter = household(clock=clock)
    keys = KEYS_256 if suite == 2 else KEYS
    options = GMAC | {"encryption_key": keys.encryption, "authentication_key": keys.authentication, "suite": suite}
    async with connected(meter, **options | {"client": (1, 41, 42)[suite]}, invocation_counter=500) as client:
        await client.get(ENERGY)
    assert meter.client_counter() > 500
    async with connected(meter, client=16) as public:
        counter = await public.get(AttributeDescriptor(1, O("0.0.43.1.0.255"), 2))
    assert counter.value == meter.client_counter()
