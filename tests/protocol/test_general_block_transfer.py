"""General block transfer: two ends over a line that loses, and what each does with a peer that breaks the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.general_block_transfer import MAX_WHOLE, BlockTransfer

Block = GeneralBlockTransfer


def block(number: int, data: bytes = b"x", **fields: int | bool) -> Block:
    """A block with the usual flags."""
    defaults = {"last": False, "streaming": False, "window": 1, "block_number_ack": 0}
    return Block(block_number=number, data=data, **(defaults | fields))  # type: ignore[arg-type]


class Dialogue:
    """A question of the client and the meter's answer; ``losses`` says of each block whether it gets lost."""

    def __init__(self, client: BlockTransfer, meter: BlockTransfer, losses: list[bool]) -> None:
        self.client, self.meter = client, meter
        self.losses = iter(losses)
        self.sent = 0
        self.asked: bytes | None = None
        self.answered: bytes | None = None

    def carry(self, blocks: list[Block]) -> list[Block]:
        self.sent += len(blocks)
        return [Block.decode(item.encode()) for item in blocks if not next(self.losses, False)]

    def run(self, question: bytes, answer: bytes) -> None:
        going = self.carry(self.client.start(question))
        for _ in range(60):
            coming = self.at_meter(going, answer)
            going = self.at_client(coming)
            if self.answered is not None:
                return
            if not going:
                going = self.carry(self.client.repeat())
        raise AssertionError("no end")

    def at_meter(self, blocks: list[Block], answer: bytes) -> list[Block]:
        out: list[Block] = []
        for item in blocks:
            replies, whole = self.meter.receive(item)
            out += replies
            if whole is not None:
                self.asked = whole
                assert self.meter.needed(answer), "what came in blocks is answered in blocks"
                out += self.meter.start(answer)
        return self.carry(out)

    def at_client(self, blocks: list[Block]) -> list[Block]:
        out: list[Block] = []
        for item in blocks:
            replies, whole = self.client.receive(item)
            out += replies
            self.answered = whole if whole is not None else self.answered
        return self.carry(out)


def dialogue(losses: list[bool], client: int = 1, meter: int = 1, pdu: int = 20) -> Dialogue:
    return Dialogue(
        BlockTransfer(max_pdu=pdu, window=client), BlockTransfer(max_pdu=pdu, window=meter, follow=True), losses
    )


@given(st.integers(1, 63), st.integers(1, 63), st.binary(min_size=1, max_size=400), st.binary(min_size=1, max_size=400))
def test_question_and_answer_arrive_whole(client: int, meter: int, question: bytes, answer: bytes) -> None:
    line = dialogue([], client, meter)
    line.run(question, answer)
    assert (line.asked, line.answered) == (question, answer)


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.binary(min_size=21, max_size=150),
    st.binary(min_size=1, max_size=150),
    st.lists(st.booleans(), max_size=8),
)
def test_lost_blocks_are_sent_again(
    client: int, meter: int, question: bytes, answer: bytes, losses: list[bool]
) -> None:
    line = dialogue(losses, client, meter)
    line.run(question, answer)
    assert (line.asked, line.answered) == (question, answer)


def test_a_window_streams_and_its_last_block_asks() -> None:
    sender = BlockTransfer(max_pdu=11, window=2)
    sender.peer_window = 3
    first = sender.start(b"abcdefg")
    assert [(item.block_number, item.streaming, item.last) for item in first] == [
        (1, True, False),
        (2, True, False),
        (3, False, False),
    ]
    again, _ = sender.receive(block(1, b"", block_number_ack=1, window=3, last=True))
    assert [item.data for item in again] == [b"b", b"c", b"d"], "two and three were lost"


def test_only_long_messages_go_in_blocks() -> None:
    transfer = BlockTransfer(max_pdu=100)
    assert not transfer.needed(bytes(100))
    assert transfer.needed(bytes(101))
    assert not BlockTransfer(max_pdu=0).needed(bytes(5000)), "no limit"


def test_a_peer_that_never_gets_on_is_given_up() -> None:
    receiver = BlockTransfer(max_pdu=0)
    receiver.receive(block(1))
    with pytest.raises(FramingError, match="given up"):
        for _ in range(20):
            receiver.receive(block(7))


def test_an_acknowledgement_of_what_was_never_sent() -> None:
    sender = BlockTransfer(max_pdu=11)
    sender.start(b"abc")
    with pytest.raises(FramingError, match="not sent"):
        sender.receive(block(1, b"", block_number_ack=9))


def test_a_hole_in_an_unconfirmed_transfer() -> None:
    receiver = BlockTransfer(max_pdu=0)
    receiver.receive(block(1, window=0))
    with pytest.raises(FramingError, match="missing"):
        receiver.receive(block(3, window=0))


def test_memory_is_bounded() -> None:
    receiver = BlockTransfer(max_pdu=0)
    part = bytes(1 << 16)
    with pytest.raises(FramingError, match="more than"):
        for number in range(1, (MAX_WHOLE >> 16) + 2):
            receiver.receive(block(number, part, streaming=True, window=0))


@given(st.lists(st.binary(min_size=6, max_size=40), max_size=20))
def test_any_blocks_are_taken_or_refused(rubbish: list[bytes]) -> None:
    transfer = BlockTransfer(max_pdu=30, window=3, follow=True)
    for octets in rubbish:
        item = block(
            octets[0] % 5,
            octets[6:],
            last=bool(octets[1] & 1),
            streaming=bool(octets[2] & 1),
            window=octets[3] & 0x3F,
            block_number_ack=octets[4] % 5,
        )
        try:
            transfer.receive(item)
            if octets[5] & 1:
                transfer.start(octets)
        except FramingError:
            transfer.reset()
