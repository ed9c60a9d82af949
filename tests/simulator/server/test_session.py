"""One client's session with the meter: what is answered before, in and after an association, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    ConnectionLost,
    ServiceRefused,
)
from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.get import GetRequestNormal
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkUp, Side
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import (
    MANAGER,
    Association,
    MeterServer,
    make_link,
    serve_memory,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    MESSAGE,
    NAME,
    OPEN,
    connected,
    text,
)
from tests.simulator.faulty import CIPHERED, READER, Bench, bench, work


def bare_session(clock: FakeClock) -> MeterServer:
    """A session in the pre-established association, over no framing."""
    meter = household(clock=clock)
    meter.associate(Association(16, "bare", MANAGER, pre_established=True))
    link = make_link("bare", meter)
    server = MeterServer(meter, link)
    link.connect()
    assert server.receive(GetRequestNormal(0xC1, NAME).encode())[:2] == b"\xc4\x01"
    return server


async def test_nothing_before_the_proof(clock: FakeClock) -> None:
    server = MeterServer(household(clock=clock), make_link("wrapper", household(clock=clock)))
    answer = server.receive(encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 17, 1))
    assert isinstance(decode_apdu(answer[8:]), ExceptionResponse)


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_pre_established(clock: FakeClock, framing: str) -> None:
    async with connected(household(clock=clock), framing, client=18, pre_established=True) as client:
        assert (await client.get(ENERGY)).value > 1_000_000


async def test_a_cut_frame_of_the_wrapper_does_not_say_yet_who_it_is(clock: FakeClock) -> None:
    meter = household(clock=clock)
    meter.associate(Association(16, "assumed", MANAGER, pre_established=True))
    server = MeterServer(meter, make_link("wrapper", meter))
    frame = encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 17, 1)
    assert server.receive(frame[:10]) == b""
    assert isinstance(decode_apdu(server.receive(frame[10:])[8:]), ExceptionResponse)


async def test_a_pre_established_association_outlives_a_restart(clock: FakeClock) -> None:
    meter = household(clock=clock)
    server = MeterServer(meter, make_link("wrapper", meter))
    frame = encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 18, 1)
    before = server.receive(frame)
    meter.restart()
    assert before[8:12] == server.receive(frame)[8:12] == b"\xc4\x01\xc1\x00"


async def test_only_agreed_services(clock: FakeClock) -> None:
    async with connected(household(clock=clock), **OPEN, conformance=("get",)) as client:
        await client.get(ENERGY)
        with pytest.raises(ServiceRefused):
            await client.set(MESSAGE, text(b"x"))


async def test_unconfirmed_requests_get_no_answer(clock: FakeClock) -> None:
    server = bare_session(clock)
    request = SetRequestNormal(0x81, MESSAGE, None, b"\x09\x01x")
    assert server.receive(request.encode()) == b""
    assert server.receive(GetRequestNormal(0xC2, MESSAGE).encode())[4:] == b"\x09\x01x"


async def test_rubbish_is_answered_and_survived(clock: FakeClock) -> None:
    server = bare_session(clock)
    for rubbish in (b"\xc0\x01", b"\x99\x00\x01", b"\xc1\x01\xc1" + bytes(20), b""):
        answer = server.receive(rubbish) if rubbish else b"\xd8"
        assert answer[0] in (0xD8, 0xC5), rubbish
    assert server.receive(GetRequestNormal(0xC2, NAME).encode())[:2] == b"\xc4\x01"


def test_a_client_that_asks_and_hangs_up_in_one_breath() -> None:
    """The meter answers the DISC; that the question cannot be answered any more does not end it."""
    meter = household(clock=FakeClock())
    server = MeterServer(meter, make_link("hdlc", meter))
    client = Connection(Side.CLIENT, HdlcLink(Side.CLIENT, client=16, server=1))
    client.connect()
    client.receive(server.receive(client.data_to_send()))
    assert isinstance(client.next_event(), LinkUp)
    initiate = InitiateRequest(conformance=Conformance.GET)
    client.send(Aarq(ApplicationContext.LN, user_information=initiate.encode()))
    client.receive(server.receive(client.data_to_send()))
    client.next_event()
    client.send(GetRequestNormal(0xC1, NAME))
    question = client.data_to_send()
    client.link.disconnect()
    assert server.receive(question + client.data_to_send())
    assert not server.linked


@pytest.mark.parametrize("how", ["silence", "exception"])
@pytest.mark.parametrize("options", [READER, CIPHERED])
async def test_refused_release(clock: FakeClock, how: str, options: dict[str, Any]) -> None:
    async with bench(clock, f"refuse-release:{how}", framing="wrapper") as bad:
        async with bad.client(**options) as client:
            await client.get(ENERGY)
        assert clock.monotonic() <= 11


async def test_a_stuck_association_blocks_the_next(clock: FakeClock) -> None:
    async with bench(clock, "stuck:60", "drop,after=3", framing="wrapper") as bad:
        async with bad.client() as client:
            with pytest.raises(ConnectionLost):
                await work(client)
        assert bad.meter.stuck(32)
        near, far = memory_pair()
        async with serve_memory(bad.meter, far, "wrapper"):
            again = Bench(bad.meter, near, "wrapper", clock)
            with pytest.raises(AssociationRefused, match="transient"):
                await again.client().open()
        clock.step(61)
        near, far = memory_pair()
        async with serve_memory(bad.meter, far, "wrapper"), Bench(bad.meter, near, "wrapper", clock).client() as client:
            await client.get(ENERGY)


@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize("ciphering", ["global", "dedicated"])
async def test_a_proof_ciphered_services_and_a_ciphered_release(
    clock: FakeClock, referencing: str, ciphering: str
) -> None:
    meter = household(clock=clock)
    async with connected(meter, **GMAC, referencing=referencing, ciphering=ciphering) as client:
        assert (await client.get(NAME)).value == meter.name.encode()
        assert len(meter.sessions) == 1
    assert not meter.sessions


async def test_wrong_keys_secrets_and_clients_are_refused(clock: FakeClock) -> None:
    meter = household(clock=clock)
    wrong: dict[str, Any] = {"client": 35, "authentication": "md5", "password": Secret(b"wrong")}
    for options, kind in (
        (GMAC | {"authentication_key": Secret(bytes(16))}, ServiceRefused),
        (wrong, AuthenticationRefused),
        (wrong | {"referencing": "sn"}, AuthenticationRefused),
        ({"client": 99}, AssociationRefused),
    ):
        with pytest.raises(kind):
            async with connected(meter, **options):
                pass


async def test_a_session_that_is_made_anew_knows_nothing(clock: FakeClock) -> None:
    server = bare_session(clock)
    assert (server.client, server.linked) == (16, True)
    assert server in server.meter.sessions
    again = server.fresh()
    assert again.link is server.link
    assert server.opened is again.opened is None
    assert not server.meter.sessions


async def test_a_value_that_is_cut_is_unreadable(clock: FakeClock) -> None:
    answer = decode_apdu(bare_session(clock).receive(SetRequestNormal(0xC1, MESSAGE, None, b"\x12\x00").encode()))
    assert isinstance(answer, ExceptionResponse) and answer.text == "service-unknown, other-reason"
