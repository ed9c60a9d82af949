"""Who gets in: contexts, mechanisms, secrets and sizes that are refused, and every proof."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import AssociationRefused, AuthenticationRefused, ServiceRefused
from dlms_mqtt.protocol.acse.messages import ApplicationContext, AssociationResult, Mechanism
from dlms_mqtt.protocol.acse.messages import ServiceUserDiagnostic as D
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.simulator import KEYS, KEYS_256, PASSWORD, Association, Faults, MeterServer
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.associations import CURRENT_LN, LN_SERVICES
from dlms_mqtt.simulator.server.opening import MeterCipher
from tests.client.our_meter import WAYS
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    O,
    connected,
)
from tests.simulator.wrapped import aarq, answer_to, served


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


LOW: dict[str, Any] = {"mechanism": Mechanism.LLS, "secret": PASSWORD}
HIGH: dict[str, Any] = {"mechanism": Mechanism.HLS_MD5, "secret": PASSWORD}


@pytest.mark.parametrize(
    ("row", "fields", "diagnostic"),
    [
        ({}, {"context": ApplicationContext.LN_CIPHERED}, D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED),
        ({"keys": KEYS, "policy": Security.BOTH}, {}, D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED),
        ({"referencing": "sn"}, {}, D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED),
        (
            {"keys": KEYS},
            {"context": ApplicationContext.LN_CIPHERED, "calling_ap_title": bytes(7)},
            D.CALLING_AP_TITLE_NOT_RECOGNIZED,
        ),
        (LOW, {}, D.AUTHENTICATION_REQUIRED),
        (LOW, {"mechanism": Mechanism.HLS_MD5}, D.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED),
        (LOW, {"mechanism": Mechanism.LLS}, D.AUTHENTICATION_FAILURE),
        (HIGH, {"mechanism": Mechanism.HLS_MD5}, D.AUTHENTICATION_FAILURE),
        (HIGH, {"mechanism": Mechanism.HLS_MD5, "authentication_value": Secret(bytes(7))}, D.AUTHENTICATION_FAILURE),
        (HIGH, {"mechanism": Mechanism.HLS_MD5, "authentication_value": Secret(bytes(65))}, D.AUTHENTICATION_FAILURE),
        ({}, {"initiate": InitiateResponse(conformance=LN_SERVICES)}, D.NO_REASON_GIVEN),
        ({}, {"user_information": b""}, D.NO_REASON_GIVEN),
    ],
)
def test_an_aarq_that_is_refused(row: dict[str, Any], fields: dict[str, Any], diagnostic: D) -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "request", **row))
    aare = answer_to(served(meter), aarq(**fields), 50)
    assert (aare.result, aare.diagnostic.code) == (AssociationResult.REJECTED_PERMANENT, diagnostic)


@pytest.mark.parametrize(
    ("initiate", "reason"),
    [
        (InitiateRequest(dlms_version=5, conformance=LN_SERVICES), "dlms-version-too-low"),
        (InitiateRequest(conformance=Conformance.READ), "incompatible-conformance"),
        (InitiateRequest(conformance=LN_SERVICES, max_pdu_size=11), "pdu-size-too-short"),
    ],
)
def test_services_and_sizes_that_are_refused_say_why(initiate: InitiateRequest, reason: str) -> None:
    aare = answer_to(served(household(clock=FakeClock())), aarq(initiate=initiate))
    assert aare.result is AssociationResult.REJECTED_PERMANENT
    assert reason in decode_apdu(aare.user_information).text


def test_after_too_many_wrong_passwords_the_right_one_is_refused_too() -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "locks", faults=Faults(["lock-out:2"]), **LOW))
    server = served(meter)

    def result(password: bytes) -> int:
        request = aarq(mechanism=Mechanism.LLS, authentication_value=Secret(password))
        found: int = answer_to(server, request, 50).result
        return found

    assert result(PASSWORD) == AssociationResult.ACCEPTED
    assert [result(b"wrong"), result(b"wrong"), result(PASSWORD)] == [AssociationResult.REJECTED_PERMANENT] * 3
    meter.clock.step(15 * 60 + 1)  # type: ignore[attr-defined]
    assert result(PASSWORD) == AssociationResult.ACCEPTED


def test_a_small_pdu_is_what_the_meter_offers() -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "small", faults=Faults(["small-pdu:40"])))
    aare = answer_to(served(meter), aarq(), 50)
    assert decode_apdu(aare.user_information).max_pdu_size == 40


@pytest.mark.parametrize("ciphering", ["global", "dedicated", "general-global", "general-dedicated"])
async def test_the_meter_answers_in_the_form_in_which_it_was_asked(clock: FakeClock, ciphering: str) -> None:
    meter = household(clock=clock)
    async with connected(meter, **GMAC, ciphering=ciphering) as client:
        (server,) = meter.sessions
        assert (await client.get(ENERGY)).value > 1_000_000
        assert isinstance(server, MeterServer) and isinstance(server.connection.cipher, MeterCipher)
        assert server.connection.cipher.form == ciphering


@pytest.mark.parametrize("way", ["gmac", "coded", "sha256"])
async def test_proofs_of_each_kind(clock: FakeClock, way: str) -> None:
    """GMAC has keys where nothing is ciphered; the coded password proves only the client, by digits."""
    meter = household(clock=clock)
    async with connected(meter, **WAYS[way]) as client:
        assert (await client.get(ENERGY)).value > 1_000_000
        (server,) = meter.sessions
        assert isinstance(server, MeterServer) and server.opened is not None
        assert server.opened.challenge.isalnum() == (way == "coded")
    assert not meter.failures


def test_gmac_without_keys_proves_nothing() -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "no keys", mechanism=Mechanism.HLS_GMAC))
    server = served(meter)
    request = aarq(mechanism=Mechanism.HLS_GMAC, authentication_value=Secret(bytes(16)), calling_ap_title=bytes(8))
    assert answer_to(server, request, 50).result is AssociationResult.ACCEPTED
    proof = ActionRequestNormal(0xC1, MethodDescriptor(*CURRENT_LN, 1), b"\x09\x11" + bytes(17))
    assert answer_to(server, proof, 50).result == ActionResult.OTHER_REASON
