"""A client's and a meter's connection talk to each other over every link: plain, ciphered, in blocks, in any pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetResponseNormal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Activity, Link, LinkDown, LinkUp, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, Keys, Security
from dlms_mqtt.protocol.states import State

QUESTION = GetRequestNormal(0xC1, AttributeDescriptor(3, Obis((1, 0, 1, 8, 0, 255)), 2))
NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ANSWER = GetResponseNormal(0xC1, None, encode(NUMBER))
PUSH = DataNotification(1, None, encode(NUMBER))
KEYS = Keys(Secret(bytes(range(16))), Secret(bytes(range(16, 32))))
TITLES = {Side.CLIENT: b"CLI\x00\x00\x00\x00\x01", Side.SERVER: b"MET\x00\x00\x00\x00\x02"}
LINKS: dict[str, Callable[[Side], Link]] = {
    "hdlc": lambda side: HdlcLink(side, max_info_transmit=40, max_info_receive=40, window_receive=2),
    "wrapper": WrapperLink,
    "datagrams": lambda side: WrapperLink(side, datagram=True),
}
EVERY_LINK = pytest.mark.parametrize("link", LINKS)


class Pair:
    """A client and a meter with nothing but memory between them; ``cut``: how many octets go at once (0: all)."""

    def __init__(self, link: str, *, ciphered: bool = False, blocks: int = 0, cut: int = 0) -> None:
        self.client = Connection(Side.CLIENT, LINKS[link](Side.CLIENT))
        self.meter = Connection(Side.SERVER, LINKS[link](Side.SERVER))
        self.cut = 0 if link == "datagrams" else cut
        self.answers: list[Any] = []
        self.client.connect()
        if link != "hdlc":
            self.meter.connect()
            self.meter.next_event()
        self.exchange()
        for side in (self.client, self.meter):
            side.pre_establish()
            side.cipher = self._cipher(side.side) if ciphered else None
            side.blocks = BlockTransfer(max_pdu=blocks, window=3, follow=side.side is Side.SERVER) if blocks else None

    def _cipher(self, side: Side) -> Cipher:
        peer = Side.SERVER if side is Side.CLIENT else Side.CLIENT
        counter = iter(range(1, 1000))
        return Cipher(
            suite=0,
            security=Security.BOTH,
            keys=KEYS,
            system_title=TITLES[side],
            peer_title=TITLES[peer],
            next_counter=lambda: next(counter),
            warn=lambda _: None,
        )

    def exchange(self) -> tuple[list[Any], list[Any]]:
        """Carry bytes until neither side has any; the events of client and meter."""
        seen: tuple[list[Any], list[Any]] = ([], [])
        seen[0].extend(iter(self.client.next_event, None))
        moved = True
        while moved:
            moved = self._carry(self.client, self.meter, seen[1]) | self._carry(self.meter, self.client, seen[0])
        return seen

    def ask(self, question: Any, *answers: Any) -> list[Any]:
        """What the client hears; the meter has its answers ready."""
        self.answers = [*answers]
        self.client.send(question)
        received, requests = self.exchange()
        assert requests == [question]
        return received

    def _carry(self, sender: Connection, receiver: Connection, events: list[Any]) -> bool:
        data = sender.data_to_send()
        for at in range(0, len(data), self.cut or len(data) or 1):
            receiver.receive(data[at : at + (self.cut or len(data))])
            while (event := receiver.next_event()) is not None:
                if not isinstance(event, Activity):
                    events.append(event)
                if receiver is self.meter and isinstance(event, Apdu):
                    for answer in self.answers:
                        self.meter.send(answer)
        return bool(data)


@EVERY_LINK
@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("ciphered", [False, True])
@pytest.mark.parametrize("blocks", [0, 40])
def test_question_and_answer(link: str, ciphered: bool, blocks: int, cut: int) -> None:
    pair = Pair(link, ciphered=ciphered, blocks=blocks, cut=cut)
    long = GetResponseNormal(0xC1, None, encode(Data(DataType.OCTET_STRING, bytes(range(200)))))
    for answer in (ANSWER, long, ANSWER):
        assert pair.ask(QUESTION, PUSH, answer) == [PUSH, answer]
        assert (pair.client.state, pair.meter.state) == (State.READY, State.READY)


@given(st.integers(1, 60), st.binary(min_size=0, max_size=300), st.sampled_from(["hdlc", "wrapper"]))
def test_any_length_in_any_pieces(cut: int, octets: bytes, link: str) -> None:
    pair = Pair(link, cut=cut, blocks=30, ciphered=True)
    answer = GetResponseNormal(0xC1, None, encode(Data(DataType.OCTET_STRING, octets)))
    assert pair.ask(QUESTION, answer) == [answer]


@EVERY_LINK
def test_the_link_comes_and_goes(link: str) -> None:
    pair = Pair(link)
    pair.client.disconnect()
    client, _ = pair.exchange()
    assert isinstance(client[0], LinkDown)
    assert pair.client.state is State.NO_LINK
    with pytest.raises(LocalProtocolError, match="not allowed now"):
        pair.client.send(QUESTION)
    pair.client.connect()
    assert isinstance(pair.exchange()[0][0], LinkUp)
    assert pair.client.state is State.NO_ASSOCIATION
