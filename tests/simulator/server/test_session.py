"""One client's session with the meter: what is answered before, in and after an association, and what is not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    ConnectionLost,
    LocalProtocolError,
    ServiceRefused,
)
from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext, AssociationResult, Mechanism, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetResponseBlock
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.apdu.short_name import ReadRequest, UnconfirmedWriteRequest, VariableName
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkDown, LinkUp, Side
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import (
    KEYS,
    MANAGER,
    Association,
    Faults,
    MeterServer,
    make,
    make_link,
    serve_memory,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.associations import CURRENT_LN, LN_SERVICES
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
from tests.simulator.wrapped import aarq, answer_to, served

OBJECTS = AttributeDescriptor(*CURRENT_LN, 2)
PROOF = MethodDescriptor(*CURRENT_LN, 1)


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


def opened(*faults: str, **row: Any) -> MeterServer:
    """An association of client 50 that stands, over the wrapper."""
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "asks", **{"level": MANAGER, "faults": Faults(faults), **row}))
    server = served(meter)
    assert ask(server, aarq()).result is AssociationResult.ACCEPTED
    return server


def ask(server: MeterServer, request: Apdu | bytes) -> Any:
    return answer_to(server, request, 50)


def refusal_of(answer: Any) -> str:
    assert isinstance(answer, ExceptionResponse), answer
    return answer.text


async def test_a_push_goes_to_whoever_is_connected_ciphered_where_the_association_is(clock: FakeClock) -> None:
    meter, pushed = household(clock=clock), DataNotification(1, None, b"\x09\x05heard").encode()
    server = bare_session(clock)
    written: list[bytes] = []
    server.write = written.append
    server.push(pushed)
    assert written == [pushed]
    async with connected(meter, **GMAC) as client:
        (ciphered,) = meter.sessions
        assert isinstance(ciphered, MeterServer)
        carry, ciphered.write = ciphered.write, lambda data: (written.append(data), carry(data))[0]
        ciphered.push(pushed)
        assert b"heard" not in written[-1] and len(written) == 2
        assert (await client.get(NAME)).value == meter.name.encode()


def test_a_restart_over_hdlc_is_told_by_dm() -> None:
    meter = household(clock=FakeClock())
    server = MeterServer(meter, make_link("hdlc", meter))
    client = HdlcLink(Side.CLIENT, client=18, server=1)
    client.connect()
    client.receive(server.receive(client.data_to_send()))
    assert isinstance(client.next_event(), LinkUp)
    meter.restart()
    client.send(GetRequestNormal(0xC1, ENERGY).encode())
    client.receive(server.receive(client.data_to_send()))
    event = client.next_event()
    assert isinstance(event, LinkDown) and event.reason == "dm"
    assert not server.linked


def test_a_value_that_cannot_be_encoded_is_our_own_mistake_and_is_raised() -> None:
    server = opened()
    server.meter.add(make(1, "0.0.128.0.0.255", Data(DataType.UNSIGNED, 300)))
    with pytest.raises(LocalProtocolError):
        ask(server, GetRequestNormal(0xC1, AttributeDescriptor(1, Obis.parse("0.0.128.0.0.255"), 2)))


def test_what_a_client_notifies_is_passed_over() -> None:
    server = opened()
    assert ask(server, DataNotification(1, None, b"\x00")) is None
    assert ask(server, GetRequestNormal(0xC1, NAME)).data.endswith(server.meter.name.encode())


@pytest.mark.parametrize(
    ("how", "refused"), [("told", "invocation-counter-error"), ("untold", "invocation-counter-error"), ("silence", "")]
)
def test_a_counter_refused_in_the_opening_leaves_no_association(how: str, refused: str) -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "ciphered", keys=KEYS, faults=Faults([f"counter-refused:{how}"])))
    server = served(meter)
    answer = ask(server, aarq(calling_ap_title=bytes(8)))
    assert refused in refusal_of(answer) if refused else answer is None
    assert (getattr(answer, "invocation_counter", None) is not None) == (how == "told")
    assert not meter.sessions
    assert ask(server, aarq(calling_ap_title=bytes(8))).result is AssociationResult.ACCEPTED


def test_an_opening_that_cannot_be_deciphered_is_refused_in_plain() -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "ciphered", keys=KEYS))
    request = aarq(ApplicationContext.LN_CIPHERED, calling_ap_title=bytes(8))
    assert "deciphering-error" in refusal_of(ask(served(meter), request))


def test_a_small_pdu_cuts_answers_into_blocks() -> None:
    small = opened("small-pdu:40", ln_services=LN_SERVICES & ~Conformance.GENERAL_BLOCK_TRANSFER)
    block = ask(small, GetRequestNormal(0xC1, OBJECTS))
    assert isinstance(block, GetResponseBlock) and len(block.encode()) <= 40
    block = ask(opened("small-pdu:40"), GetRequestNormal(0xC1, OBJECTS))
    assert isinstance(block, GeneralBlockTransfer) and len(block.encode()) <= 40


def test_faults_of_an_association_answer_instead_of_it() -> None:
    server = opened("exception")
    assert "operation-not-possible" in refusal_of(ask(server, GetRequestNormal(0xC1, NAME)))
    assert ask(server, GetRequestNormal(0xC1, NAME)).data.endswith(server.meter.name.encode())


def test_a_selection_refused_with_an_exception() -> None:
    access = (1, Data(DataType.NULL_DATA, None))
    request = GetRequestNormal(0xC1, AttributeDescriptor(7, Obis.parse("1.0.99.1.0.255"), 2), access)
    assert "operation-not-possible" in refusal_of(ask(opened("refuse-selection:exception"), request))


def test_stray_octets_come_behind_a_value() -> None:
    clean = ask(opened(), GetRequestNormal(0xC1, NAME)).data
    assert ask(opened("stray-octets:3"), GetRequestNormal(0xC1, NAME)).data == clean + bytes(3)


def test_before_the_proof_nothing_but_the_proof_is_answered() -> None:
    meter = household(clock=FakeClock())
    meter.associate(Association(50, "proves", mechanism=Mechanism.HLS_MD5, secret=Secret(b"secret")))
    server = served(meter)
    request = aarq(mechanism=Mechanism.HLS_MD5, authentication_value=Secret(bytes(16)))
    challenge = ask(server, request).authentication_value
    assert "operation-not-possible" in refusal_of(ask(server, GetRequestNormal(0xC1, NAME)))
    for wrong in (b"\x06" + bytes(4), b"\x09\x10" + bytes(16)):
        assert ask(server, ActionRequestNormal(0xC1, PROOF, wrong)).result == ActionResult.OTHER_REASON
    assert "other-reason" in refusal_of(ask(server, ActionRequestNormal(0xC1, PROOF, None)))
    assert "operation-not-possible" in refusal_of(ask(server, GetRequestNormal(0xC1, NAME)))
    right = hashlib.md5(bytes(challenge) + b"secret", usedforsecurity=False).digest()
    answer = ask(server, ActionRequestNormal(0xC1, PROOF, b"\x09\x10" + right))
    assert answer.data[2:] == hashlib.md5(bytes(16) + b"secret", usedforsecurity=False).digest()
    assert ask(server, GetRequestNormal(0xC1, NAME)).data.endswith(meter.name.encode())


def test_an_unconfirmed_write_is_never_answered_not_even_with_a_refusal() -> None:
    """SN services are not granted where logical names were asked for."""
    server = opened()
    assert ask(server, UnconfirmedWriteRequest((VariableName(0xFA08),), (Data(DataType.NULL_DATA, None),))) is None
    assert "service-not-supported" in refusal_of(ask(server, ReadRequest(())))


async def test_a_ciphered_request_that_is_changed_or_played_back_is_refused(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with connected(meter, **GMAC) as client:
        (server,) = meter.sessions
        assert isinstance(server, MeterServer)
        received, answers = [], server.receive
        server.receive = lambda data: answers((received.append(data), data)[1])  # type: ignore[method-assign,func-returns-value]
        await client.get(NAME)
        (request,) = received
        changed = request[:-1] + bytes((request[-1] ^ 1,))
        assert "deciphering-error" in refusal_of(decode_apdu(answers(changed)[8:]))
        played_back = decode_apdu(answers(request)[8:])
        assert isinstance(played_back, ExceptionResponse) and "invocation-counter-error" in played_back.text
        assert played_back.invocation_counter == meter.client_counter() + 1
        assert (await client.get(NAME)).value == meter.name.encode()


async def test_a_release_that_cannot_be_deciphered_is_answered_in_plain(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with connected(meter, **GMAC):
        (server,) = meter.sessions
        assert isinstance(server, MeterServer)
        wrong = Rlrq(user_information=b"\x21\x11\x30" + bytes(16))
        answer = decode_apdu(server.receive(encode_frame(wrong.encode(), 1, 1))[8:])
        assert isinstance(answer, Rlre) and not answer.user_information
        assert not meter.sessions
