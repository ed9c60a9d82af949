"""Every authentication with every protection, by logical and short names, over HDLC and the wrapper, against pydlms."""

from __future__ import annotations

from typing import Any

import pytest
from pydlms.security.context import SecurityPolicy
from pydlms.simulator import ClientProfile, MeterSimulator, example_meter

from dlms_mqtt.client.store import MEMORY, Store
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.protocol.acse import Mechanism
from dlms_mqtt.protocol.data import Data, DataType
from dlms_mqtt.protocol.secret import Secret
from tests.client.pydlms_meter import PydlmsMeter
from tests.client.some_objects import ENERGY, SERIAL

EK = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
AK = bytes.fromhex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
CLIENT = 1
AUTHENTICATIONS: dict[str, tuple[Mechanism, bytes]] = {
    "none": (Mechanism.NONE, b""),
    "low": (Mechanism.LLS, b"12345678"),
    "hls": (Mechanism.HLS, b"0123456789abcdef"),
    "md5": (Mechanism.HLS_MD5, b"a long secret"),
    "sha1": (Mechanism.HLS_SHA1, b"a long secret"),
    "sha256": (Mechanism.HLS_SHA256, b"a long secret"),
    "gmac": (Mechanism.HLS_GMAC, b""),
}
# The protections, and how a client that knows only these keys asks for them.
PROTECTIONS: dict[str, dict[str, Any]] = {
    "plain": {"security": "none"},
    "authentication": {"security": "authentication"},
    "encryption": {"security": "encryption", "accept_unauthenticated": True},
    "both": {"security": "both"},
    "general": {"security": "both", "ciphering": "general-global"},
    "dedicated": {"security": "both", "ciphering": "dedicated"},
    "general-dedicated": {"security": "both", "ciphering": "general-dedicated"},
}
# What carries no tag is taken with one warning.
MARKS = {"encryption": pytest.mark.expect_log("nothing proves who sent them")}
POLICIES = {"authentication": SecurityPolicy.AUTHENTICATED, "encryption": SecurityPolicy.ENCRYPTED}


def meter(authentication: str, protection: str, **options: Any) -> PydlmsMeter:
    mechanism, secret = AUTHENTICATIONS[authentication]
    sim: MeterSimulator = example_meter(encryption_key=EK, authentication_key=AK, max_pdu=400)
    sim.clients[CLIENT] = ClientProfile(
        mechanism=type(ClientProfile().mechanism)(int(mechanism)), secret=secret or None, ciphered=protection != "plain"
    )
    sim.security.policy = POLICIES.get(protection, SecurityPolicy.AUTHENTICATED_ENCRYPTED)
    return PydlmsMeter(sim, **options)


def settings(authentication: str, protection: str, referencing: str) -> dict[str, Any]:
    _, secret = AUTHENTICATIONS[authentication]
    values: dict[str, Any] = {"client": CLIENT, "authentication": authentication, "referencing": referencing}
    if secret:
        values["password"] = Secret(secret)
    if authentication == "hls":
        values["hls_algorithm"] = "aes"
    if protection != "plain" or authentication == "gmac":
        values |= {"encryption_key": Secret(EK), "authentication_key": Secret(AK), "invocation_counter": 1}
    return values | PROTECTIONS[protection]


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize("protection", [pytest.param(name, marks=MARKS.get(name, ())) for name in PROTECTIONS])
@pytest.mark.parametrize("authentication", AUTHENTICATIONS)
async def test_reads_writes_and_lists(authentication: str, protection: str, referencing: str, hdlc: bool) -> None:
    text = Data(DataType.VISIBLE_STRING, "x" * 900)
    async with meter(authentication, protection, hdlc=hdlc) as peer:
        with Store(MEMORY) as store:
            async with peer.client(store, **settings(authentication, protection, referencing)) as client:
                assert (await client.get(ENERGY)).value == 12345678
                await client.set(SERIAL, text)
                many = await client.get_many([ENERGY, SERIAL, ENERGY])
                assert [answer.value for answer in many if not isinstance(answer, MeterRefused)] == [
                    12345678,
                    text.value,
                    12345678,
                ]
