"""Both ends of an association without a line between them: what may follow what, and what must not disturb."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from dlms_mqtt.errors import LocalProtocolError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.acse.messages import Aare, Aarq, Rlre, Rlrq
from dlms_mqtt.protocol.apdu.access import AccessRequest, AccessResponse
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.apdu.get import GetRequestNext, GetRequestNormal, GetResponseBlock, GetResponseNormal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.set import SetRequestBlock, SetRequestFirstBlock, SetResponseBlock, SetResponseNormal
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc import frame as hdlc_frame
from dlms_mqtt.protocol.framing.hdlc.frame import KINDS, FrameParser, Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Activity, LinkDown, LinkUp, Side
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.framing.wrapper import WrapperLink, encode_frame
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, Keys, Security
from dlms_mqtt.protocol.states import ANY_TIME, RULES, State, next_state
from tests.octets import fcs_bytes

CLOCK = AttributeDescriptor(8, Obis((0, 0, 1, 0, 0, 255)), 2)
PUSH = DataNotification(1, None, b"\x00")
KEYS = Keys(Secret(bytes(16)), Secret(bytes(range(16))))
HDLC_READY = hdlc_frame.encode_frame(0x31, b"\x21", b"\x03")  # RR, final, N(R) 1
TITLES = {Side.CLIENT: b"CLI00001", Side.SERVER: b"MTR00001"}


def get(invoke: int = 0xC1) -> GetRequestNormal:
    return GetRequestNormal(invoke, CLOCK)


def value(invoke: int = 0xC1, octets: bytes = b"\x11\x05") -> GetResponseNormal:
    return GetResponseNormal(invoke, None, octets)


def cipher(side: Side, **changes: Any) -> Cipher:
    peer = TITLES[Side.SERVER if side is Side.CLIENT else Side.CLIENT]
    return Cipher(
        **{
            "suite": 0,
            "security": Security.BOTH,
            "keys": KEYS,
            "system_title": TITLES[side],
            "peer_title": peer,
            "next_counter": count(1).__next__,
            "warn": pytest.fail,
        }
        | changes
    )


class Pair:
    """A client and a meter with an association; ``link`` makes the link of a side."""

    def __init__(self, link: Any = BareLink, *, ciphered: bool = False) -> None:
        self.client, self.meter = (Connection(side, link(side)) for side in (Side.CLIENT, Side.SERVER))
        self.client.connect()
        if isinstance(self.meter.link, HdlcLink):
            self.carry(self.client, self.meter)
            self.carry(self.meter, self.client)
        else:
            self.meter.connect()
        for end in (self.client, self.meter):
            events = list(iter(end.next_event, None))
            assert isinstance(events[-1], LinkUp)
            end.pre_establish()
            if ciphered:
                end.cipher = cipher(end.side)

    @staticmethod
    def carry(sender: Connection, receiver: Connection) -> bytes:
        octets = sender.data_to_send()
        if octets:
            receiver.receive(octets)
        return octets

    def ask(self, message: Any) -> Any:
        self.client.send(message)
        self.carry(self.client, self.meter)
        return self.meter.next_event()

    def answer(self, message: Any) -> Any:
        self.meter.send(message)
        self.carry(self.meter, self.client)
        return self.client.next_event()

    def slip_in(self, octets: bytes) -> Any:
        """The meter says something out of turn."""
        self.client.receive(octets)
        return self.client.next_event()


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_question_has_an_answer_and_a_way_back() -> None:
    """From each state the conversation can get back to READY or to NO_ASSOCIATION."""
    home = {State.READY, State.NO_ASSOCIATION}
    for state, row in RULES.items():
        targets = {target for cell in row.values() for target in (cell if isinstance(cell, tuple) else (cell,))}
        assert targets <= set(State)
        assert state is State.NO_LINK or targets, state
    reached = set(home)
    for _ in State:
        reached |= {
            state
            for state, row in RULES.items()
            if any(reached & set(cell if isinstance(cell, tuple) else (cell,)) for cell in row.values())
        }
    assert reached == set(State) - {State.NO_LINK}


@pytest.mark.parametrize("state", State)
def test_pushes_move_nothing(state: State) -> None:
    assert next_state(state, PUSH) is state


def test_blocks_of_an_answer_and_of_a_question() -> None:
    pair = Pair()
    pair.ask(get())
    assert pair.answer(GetResponseBlock(0xC1, False, 1, None, b"\x09")) is not None
    assert pair.client.state is State.GET_BLOCKS
    pair.ask(GetRequestNext(0xC1, 1))
    pair.answer(GetResponseBlock(0xC1, True, 2, None, b"\x00"))
    assert pair.client.state is pair.meter.state is State.READY
    pair.ask(SetRequestFirstBlock(0xC2, CLOCK, None, False, 1, b"\x09"))
    pair.answer(SetResponseBlock(0xC2, 1))
    pair.ask(SetRequestBlock(0xC2, True, 2, b"\x00"))
    assert pair.client.state is State.SET
    assert isinstance(pair.answer(SetResponseNormal(0xC2, 0)), SetResponseNormal)


def test_a_client_may_give_up_blocks_and_ask_anew() -> None:
    pair = Pair()
    pair.ask(get())
    pair.answer(GetResponseBlock(0xC1, False, 1, None, b"\x09"))
    assert pair.ask(get(0xC2)) == get(0xC2)


@pytest.mark.parametrize("message", [value(), GetRequestNext(0xC1, 1), Aare(), Rlre()])
def test_what_we_may_not_say_now(message: Any) -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError, match="not allowed now"):
        pair.client.send(message)
    assert pair.client.data_to_send() == b""


def test_what_the_peer_may_not_say_now() -> None:
    pair = Pair()
    pair.client.send(get())
    with pytest.raises(RemoteProtocolError, match="not allowed now"):
        pair.slip_in(SetResponseNormal(0xC1, 0).encode())
    pair.meter.receive(GetRequestNext(0xC1, 1).encode())
    with pytest.raises(RemoteProtocolError, match="not allowed now"):
        pair.meter.next_event()


def test_association_and_release() -> None:
    pair = Pair()
    pair.client.state = pair.meter.state = State.NO_ASSOCIATION
    with pytest.raises(LocalProtocolError):
        pair.client.send(get())
    pair.ask(Aarq())
    pair.answer(Aare())
    assert pair.client.state is State.READY
    pair.ask(Rlrq())
    pair.answer(Rlre())
    assert pair.client.state is pair.meter.state is State.NO_ASSOCIATION


def test_the_end_of_the_link_ends_all() -> None:
    pair = Pair()
    pair.client.disconnect()
    assert isinstance(pair.client.next_event(), LinkDown)
    assert pair.client.state is State.NO_LINK
    pair.client.abandon()
    assert pair.client.state is State.NO_LINK


# -- late answers -----------------------------------------------------------------------------------------------------


def test_a_late_answer_is_dropped_and_the_right_one_taken() -> None:
    pair = Pair()
    pair.client.send(get(0xC1))
    pair.client.abandon()
    pair.client.send(get(0xC2))
    assert pair.slip_in(value(0xC1, b"\x11\x01").encode()) == Activity()
    assert (pair.client.stale, pair.client.state) == (1, State.GET)
    assert pair.slip_in(value(0xC2, b"\x11\x02").encode()) == value(0xC2, b"\x11\x02")
    assert pair.slip_in(value(0xC2, b"\x11\x02").encode()) == Activity(), "once more: nobody waits"
    assert pair.client.stale == 2


def test_priority_and_service_class_may_differ_in_the_answer() -> None:
    pair = Pair()
    pair.ask(get(0xC1))
    assert pair.slip_in(value(0x81).encode()) == value(0x81)


def test_access_is_paired_by_its_long_number() -> None:
    pair = Pair()
    pair.client.send(AccessRequest(0xC0000007, None, (), ()))
    assert pair.slip_in(AccessResponse(0x06, None, None, (), ()).encode()) == Activity()
    assert isinstance(pair.slip_in(AccessResponse(0x07, None, None, (), ()).encode()), AccessResponse)


# -- what nobody asked for --------------------------------------------------------------------------------------------


def test_a_push_in_the_middle() -> None:
    pair = Pair()
    pair.client.send(get())
    assert pair.slip_in(PUSH.encode()) == PUSH
    assert pair.slip_in(value().encode()) == value()


@pytest.mark.parametrize("octets", [PUSH.encode(), b"\x0f\x00", b"\xc2"], ids=["plain", "cut", "empty"])
def test_a_push_that_cannot_be_believed_does_not_break_the_answer(octets: bytes) -> None:
    pair = Pair(ciphered=True)
    pair.ask(get())
    assert pair.slip_in(octets) == Activity()
    assert pair.client.dropped_pushes == 1
    assert pair.answer(value()) == value()


def wrapper(side: Side) -> WrapperLink:
    return WrapperLink(side, client=16, server=1)


@pytest.mark.parametrize(
    "message",
    [value(), ExceptionResponse(1, 3), GeneralBlockTransfer(True, False, 1, 1, 0, value().encode())],
    ids=["answer", "refusal", "block"],
)
def test_what_goes_to_another_port_is_no_answer(message: Any) -> None:
    """It must not move the conversation either: the answer to us still comes."""
    pair = Pair(wrapper)
    pair.client.blocks = BlockTransfer(max_pdu=0)
    pair.ask(get())
    assert pair.slip_in(encode_frame(message.encode(), 1, 99)) == Activity()
    assert (pair.client.state, pair.client.dropped_pushes) == (State.GET, 1)
    assert pair.answer(value()) == value()


def test_a_push_to_another_port_is_a_push() -> None:
    pair = Pair(wrapper)
    assert pair.slip_in(encode_frame(PUSH.encode(), 1, 99)) == PUSH


def test_after_a_push_over_hdlc_the_meter_is_asked_for_the_answer() -> None:
    pair = Pair(HdlcLink)
    pair.ask(get())
    pair.meter.send_apdu(PUSH.encode())
    pair.carry(pair.meter, pair.client)
    assert pair.client.next_event() == PUSH
    parser = FrameParser(Statistics())
    parser.feed(pair.client.data_to_send())
    assert KINDS[parser.next().control] is Kind.RR  # type: ignore[union-attr]


def test_a_meter_takes_every_message_for_a_question() -> None:
    pair = Pair()
    pair.meter.receive(PUSH.encode())
    assert type(pair.meter.next_event()) in ANY_TIME


# -- ciphering --------------------------------------------------------------------------------------------------------


def test_messages_are_ciphered_and_association_messages_are_not() -> None:
    pair = Pair(ciphered=True)
    pair.client.send(get())
    assert pair.carry(pair.client, pair.meter)[0] == 0xC8
    assert pair.meter.next_event() == get()
    assert pair.answer(value()) == value()
    assert not pair.client.unprotected
    pair.client.send(Rlrq())
    assert pair.client.data_to_send()[0] == 0x62


def test_the_answer_to_a_release_is_not_ciphered() -> None:
    """It carries its own protection in user-information, where it has any."""
    pair = Pair(ciphered=True)
    pair.ask(Rlrq())
    assert isinstance(pair.answer(Rlre()), Rlre)


def test_a_plain_answer_is_refused_and_a_plain_refusal_marked() -> None:
    pair = Pair(ciphered=True)
    pair.ask(get())
    with pytest.raises(SecurityError, match="plain"):
        pair.slip_in(value().encode())
    assert isinstance(pair.slip_in(ExceptionResponse(1, 6, 9).encode()), ExceptionResponse)
    assert pair.client.unprotected


def test_a_new_link_forgets_keys_and_blocks() -> None:
    pair = Pair(ciphered=True)
    pair.client.blocks = BlockTransfer(max_pdu=0)
    pair.client.connect()
    assert pair.client.cipher is pair.client.blocks is None


# -- general blocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ciphered", [False, True])
def test_blocks_that_were_not_negotiated(ciphered: bool) -> None:
    """jDLMS has the same tag, D8 + 8, for an exception that it ciphers."""
    pair = Pair(ciphered=ciphered)
    pair.ask(get())
    with pytest.raises(RemoteProtocolError, match="not negotiated") as caught:
        pair.slip_in(GeneralBlockTransfer(True, False, 1, 1, 0, value().encode()).encode())
    assert ("ciphered refusal" in caught.value.hint) is ciphered


@pytest.mark.parametrize("link", [wrapper, HdlcLink])
def test_long_messages_in_blocks_both_ways(link: Any) -> None:
    pair = Pair(link, ciphered=True)
    pair.client.blocks = BlockTransfer(max_pdu=40)
    pair.meter.blocks = BlockTransfer(max_pdu=40, follow=True)
    long = b"\x09\x82\x01\x00" + bytes(256)
    pair.client.send(get())
    for _ in range(200):
        pair.carry(pair.client, pair.meter)
        while (event := pair.meter.next_event()) is not None:
            if event == get():
                pair.meter.send(value(0xC1, long))
        pair.carry(pair.meter, pair.client)
        answers = [event for event in iter(pair.client.next_event, None) if event != Activity()]
        if answers:
            break
    assert answers == [value(0xC1, long)]


def test_who_repeats_what() -> None:
    """Elsewhere the unacknowledged block goes out again; a link that numbers its frames repeats those itself."""
    for link in (wrapper, HdlcLink):
        pair = Pair(link)
        pair.client.blocks = BlockTransfer(max_pdu=20)
        pair.client.send(SetRequestFirstBlock(0xC1, CLOCK, None, False, 1, bytes(60)))
        first = pair.client.data_to_send()
        assert pair.client.repeat()
        assert pair.client.data_to_send() == first, "the same number, in HDLC the same N(S)"
    assert not Pair(wrapper).client.repeat(), "a stream loses nothing"


def test_a_block_is_not_sent_twice_over_hdlc() -> None:
    """The meter has it (RR): what is asked for again is the meter's answer, not the block."""
    pair = Pair(HdlcLink)
    pair.client.blocks = BlockTransfer(max_pdu=20)
    pair.client.send(SetRequestFirstBlock(0xC1, CLOCK, None, False, 1, bytes(60)))
    pair.carry(pair.client, pair.meter)
    pair.client.receive(HDLC_READY)
    pair.client.data_to_send()
    assert pair.client.repeat()
    assert pair.client.data_to_send() == b"\x7e\xa0\x07\x03\x21\x11" + fcs_bytes(b"\xa0\x07\x03\x21\x11") + b"\x7e"


# -- answers under a number of the meter's own -------------------------------------------------------------------------


def hdlc_ready() -> Connection:
    """A client whose link numbers its frames, with its association; the meter's end is ``answer_over``."""
    client = Connection(Side.CLIENT, HdlcLink(Side.CLIENT, client=16, server=1))
    client.connect()
    client.data_to_send()
    client.receive(hdlc_frame.encode_frame(Kind.UA | hdlc_frame.POLL, b"\x21", b"\x03"))
    assert isinstance(client.next_event(), LinkUp)
    client.pre_establish()
    return client


def answer_over(client: Connection, message: Any, number: int) -> Any:
    """What the client makes of this answer to its question number ``number`` (from 0)."""
    control = (number + 1) % 8 << 5 | 0x10 | number % 8 << 1
    client.receive(hdlc_frame.encode_frame(control, b"\x21", b"\x03", b"\xe6\xe7\x00" + message.encode()))
    return client.next_event()


def test_an_answer_with_a_constant_number_is_taken_when_nothing_else_comes() -> None:
    client = hdlc_ready()
    client.send(get(0xC1))
    client.data_to_send()
    assert isinstance(answer_over(client, value(0xC7), 0), Activity)
    assert client.take_held() == value(0xC7)
    assert (client.constant, client.take_held()) == (7, None)
    client.send(get(0xC2))
    client.data_to_send()
    assert answer_over(client, value(0xC7), 1) == value(0xC7), "by now it is known to be the meter's way"
    client.send(get(0xC3))
    client.data_to_send()
    assert isinstance(answer_over(client, value(0xC5), 2), Activity), "another number still is another question's"
    assert client.take_held() is None


def test_after_a_question_without_an_answer_no_such_number_is_believed() -> None:
    client = hdlc_ready()
    client.send(get(0xC1))
    client.data_to_send()
    client.abandon()
    client.send(get(0xC2))
    client.data_to_send()
    assert isinstance(answer_over(client, value(0xC7), 0), Activity)
    assert client.take_held() is None


def test_an_answer_of_another_kind_is_not_held_for_one() -> None:
    client = hdlc_ready()
    client.send(get(0xC1))
    client.data_to_send()
    assert isinstance(answer_over(client, SetResponseNormal(0xC7, 0), 0), Activity)
    assert client.take_held() is None


def test_a_ciphered_answer_in_a_plain_association_is_a_push_to_somebody() -> None:
    client = hdlc_ready()
    client.send(get(0xC1))
    client.data_to_send()
    pushed = cipher(Side.SERVER, form="general-global").protect_apdu(value(0xC1).encode())

    class Octets:
        def encode(self) -> bytes:
            return pushed

    assert isinstance(answer_over(client, Octets(), 0), Activity)
    assert client.dropped_pushes == 1
