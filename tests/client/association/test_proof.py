"""Passes 3 and 4: where the proof goes, how often it is said, and what a refusal of it means."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.client.association.association import Association
from dlms_mqtt.client.association.ciphering import Ciphering
from dlms_mqtt.client.association.proof import prove
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, ActionRefused, AssociationRefused, AuthenticationRefused, SecurityError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import HlsContext, answer_challenge

CURRENT = Obis((0, 0, 40, 0, 0, 255))
PASSWORD = Secret(b"12345678")
AGREED = Association(
    Conformance.ACTION, 0, mechanism=Mechanism.HLS_MD5, own_challenge=b"our challenge", peer_challenge=b"the meter's"
)


class Meter:
    """Takes the proof at ``home``; elsewhere there is nothing, or ``refusal``."""

    def __init__(self, home: Obis | None, refusal: ActionRefused | AccessRefused | None = None, secret: bytes = b""):
        self.home, self.requests = home, list[MethodDescriptor]()
        self.refusal = refusal or ActionRefused("nothing here", code=4, name="object-undefined")
        self.secret = Secret(secret) if secret else PASSWORD

    async def invoke(self, method: MethodDescriptor, answer: Data) -> Data | None:
        self.requests.append(method)
        if method.obis != self.home:
            raise self.refusal
        context = HlsContext(
            own_challenge=AGREED.peer_challenge,
            peer_challenge=AGREED.own_challenge,
            secret=self.secret,
            own_title=b"",
            peer_title=b"",
            suite=0,
        )
        return Data(DataType.OCTET_STRING, answer_challenge(AGREED.mechanism, context))


def ciphering(**options: Any) -> Ciphering:
    settings = ConnectionSettings(
        **{"tcp": ("10.0.0.1", 4059), "authentication": "md5", "password": PASSWORD, **options}
    )
    return Ciphering(settings, None, os.urandom, None)


async def test_the_object_of_the_settings_takes_it() -> None:
    meter = Meter(CURRENT)
    assert await prove(meter.invoke, ciphering(), AGREED, CURRENT) == CURRENT
    assert meter.requests == [MethodDescriptor(15, CURRENT, 1)]


async def test_by_short_names_it_is_another_class() -> None:
    meter = Meter(CURRENT)
    await prove(meter.invoke, ciphering(referencing="sn"), AGREED, CURRENT)
    assert meter.requests == [MethodDescriptor(12, CURRENT, 8)]


async def test_the_object_is_looked_for_and_found() -> None:
    home = Obis((0, 0, 40, 0, 3, 255))
    meter = Meter(home)
    assert await prove(meter.invoke, ciphering(), AGREED, CURRENT) == home
    assert len(meter.requests) == 4


async def test_an_object_of_the_settings_is_not_replaced() -> None:
    meter = Meter(CURRENT)
    with pytest.raises(AssociationRefused, match="elsewhere than at") as caught:
        await prove(meter.invoke, ciphering(), AGREED, Obis((0, 0, 40, 0, 7, 255)))
    assert not isinstance(caught.value, AuthenticationRefused)
    assert "nothing about the secret" in str(caught.value.hint)
    assert len(meter.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        ActionRefused("no", code=3, name="read-write-denied"),
        ActionRefused("no", code=250, name="other-reason"),
        AccessRefused("no", code=3, name="read-write-denied"),
    ],
)
async def test_a_refused_proof_is_said_once(refusal: ActionRefused | AccessRefused) -> None:
    """It may be the password, and the meter may count."""
    meter = Meter(None, refusal)
    with pytest.raises(AuthenticationRefused, match="did not accept our proof") as caught:
        await prove(meter.invoke, ciphering(), AGREED, CURRENT)
    assert (caught.value.code, len(meter.requests)) == (refusal.code, 1)


KEYS = {"encryption_key": Secret(bytes(16)), "authentication_key": Secret(bytes(16)), "system_title": b"TST12345"}


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "The password is wrong."),
        ({"encryption_key": KEYS["encryption_key"], "security": "encryption"}, "The password or a key is wrong."),
        (
            {"authentication": "gmac", "password": None, **KEYS},
            "No password was sent: check both keys, system_title and",
        ),
    ],
)
async def test_a_refusal_speaks_of_what_was_sent(options: dict[str, Any], hint: str) -> None:
    """Who gave no password shall not look for one."""
    meter = Meter(None, ActionRefused("no", code=250, name="other-reason"))
    with pytest.raises(AuthenticationRefused) as caught:
        await prove(meter.invoke, ciphering(**options), replace(AGREED, system_title=b"TST00001"), CURRENT)
    assert str(caught.value.hint).startswith(hint) and str(caught.value.hint).endswith("meters lock.")


async def test_a_meter_that_does_not_know_the_secret_is_not_believed() -> None:
    meter = Meter(CURRENT, secret=b"another one")
    with pytest.raises(SecurityError):
        await prove(meter.invoke, ciphering(), AGREED, CURRENT)
