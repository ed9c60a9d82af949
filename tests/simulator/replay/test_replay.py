"""A meter out of a capture: it answers what was asked, what was asked in other company, and with its sign-on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import yaml

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME, read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.protocol.acse.messages import Aare, Aarq, ApplicationContext, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetRequestWithList
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.framing.wrapper import encode_frame as wrap
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.simulator.replay.replay import ReplayServer, replay_link, replay_on, replay_tcp
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.dumped import LOAD_PROFILE, SESSIONS, dumped, sign_on_dump


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("session", SESSIONS)
async def test_what_was_recorded_is_served_again(clock: FakeClock, framing: str, session: str) -> None:
    document, meter = await dumped(framing, clock, **SESSIONS[session])
    capture = Capture(yaml.safe_load(yaml.safe_dump(document)))
    near, far = memory_pair()
    plain = {key: value for key, value in SESSIONS[session].items() if key in ("client", "referencing")}
    settings = ConnectionSettings(serial="x", framing=framing, timeout=1, **plain)
    task = asyncio.create_task(replay_on(capture, far))
    async with DlmsClient(settings, transport=near) as client:
        name = await client.get_many([LOGICAL_DEVICE_NAME, AttributeDescriptor(1, Obis((1, 0, 0, 2, 0, 255)), 2)])
        assert isinstance(name[0], Data)
        assert len(name[0].value) == len(meter.name)
        assert name[0].value != meter.name.encode()
        again = await client.get_many([LOGICAL_DEVICE_NAME, AttributeDescriptor(1, Obis((1, 0, 0, 2, 0, 255)), 2)])
        assert again == name
        with pytest.raises(MeterRefused):
            await client.get(AttributeDescriptor(1, Obis((0, 0, 96, 77, 0, 255)), 2))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("session", ["low", "ciphered", "short names", "ciphered short names"])
async def test_objects_single_values_and_profiles_are_served_again(clock: FakeClock, session: str) -> None:
    """Not only the questions of the dump, but those of other commands about the same things."""
    document, _ = await dumped("wrapper", clock, **SESSIONS[session])
    near, far = memory_pair()
    plain = {key: value for key, value in SESSIONS[session].items() if key in ("client", "referencing")}
    settings = ConnectionSettings(serial="x", framing="wrapper", timeout=1, **plain)
    task = asyncio.create_task(replay_on(Capture(document), far))
    async with DlmsClient(settings, transport=near) as client:
        assert len(await read_objects(client)) > 20
        assert isinstance((await client.get(LOGICAL_DEVICE_NAME)).value, bytes)
        profile = await read_profile(client, LOAD_PROFILE, Selection(first=1, count=2))
    assert len(profile.rows) == 2
    assert len(profile.columns) > 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_session_with_a_sign_on_is_served_with_one(clock: FakeClock) -> None:
    """As the real meter: at 300 baud first, again after each link, and under another number."""
    document, number = await sign_on_dump(clock, client=17)
    near, far = memory_pair(line=SerialFormat(), latency=0.03)
    settings = ConnectionSettings(serial="x", opening="sign-on", client=17)
    task = asyncio.create_task(replay_on(Capture(document), far))
    for _ in range(2):
        async with DlmsClient(settings, transport=near) as client:
            name = (await client.get(LOGICAL_DEVICE_NAME)).value
        assert number not in name
    assert near.count.octets[1] > 100
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


ENERGY = AttributeDescriptor(3, Obis((1, 0, 1, 8, 0, 255)), 2)


def server_of(*exchanges: tuple[str, ...], **connection: Any) -> ReplayServer:
    document = {"connection": {"framing": "wrapper"} | connection, "facts": {}, "exchanges": exchanges}
    capture = Capture(document)
    return ReplayServer(capture, replay_link(capture))


def answer_to(server: ReplayServer, question: bytes) -> bytes:
    return server.receive(wrap(question, 16, 1))[8:]


def test_a_question_is_found_whatever_its_invoke_id_and_in_order() -> None:
    question = GetRequestNormal(0xC1, ENERGY).encode()
    server = server_of((question.hex(), "c401c1001107"), ("c002c100000001", "aa"), (question.hex(), "c401c1001108"))
    again = GetRequestNormal(0x45, ENERGY).encode()
    assert [answer_to(server, again).hex() for _ in range(3)] == ["c40145001107", "c40145001108", "c40145001107"]


def test_what_was_never_asked() -> None:
    server = server_of(("c001c100030100010800ff0200", "c401c1010b"))
    assert answer_to(server, b"\x05\x01\x02\x00\x08").hex() == "0c010104"
    assert (
        answer_to(server, b"\xc0\x01\xc1")
        == ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON).encode()
    )
    listed = GetRequestWithList(0xC1, ((ENERGY, None), (LOGICAL_DEVICE_NAME, None)))
    assert answer_to(server, listed.encode()).hex() == "c403c102" + "010b" + "0104"


def test_associations_are_accepted_and_released() -> None:
    server = server_of(referencing="sn")
    aare = decode_apdu(answer_to(server, Aarq(ApplicationContext.SN).encode()))
    assert isinstance(aare, Aare) and aare.user_information is not None
    assert aare.user_information[-2:] == b"\xfa\x00"
    assert answer_to(server, Rlrq().encode()) == Rlre().encode()
    assert answer_to(server, b"\x60\x02\xff\xff") == b""


async def test_clients_on_tcp(clock: FakeClock) -> None:
    capture = server_of(("c001c100030100010800ff0200", "c401c1001107")).capture
    server = await replay_tcp(capture, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(wrap(GetRequestNormal(0xC1, ENERGY).encode(), 16, 1))
    assert (await reader.readexactly(14))[8:].hex() == "c401c1001107"
    writer.close()
    server.close()
