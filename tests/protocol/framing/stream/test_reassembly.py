"""Parts of messages by sender: joined in order, given up in time, bounded; blocks of two messages are never mixed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.stream.events import Block, FrameInfo, Message
from dlms_mqtt.protocol.framing.stream.reassembly import (
    MAX_SENDERS,
    SENT_AGAIN,
    BlockJoiner,
    SegmentJoiner,
    read_blocks,
)

KEY = ("hdlc", "1", "16")


def info(raw: bytes = b"") -> FrameInfo:
    return FrameInfo("hdlc", "I", "1", "16", raw=raw)


def block(number: int, data: bytes, *, last: bool = False) -> bytes:
    return bytes((0xE0, 0x80 if last else 0x40)) + number.to_bytes(2, "big") + b"\x00\x00" + bytes((len(data),)) + data


def message(*blocks: bytes, raw: bytes = b"") -> Message:
    apdu = b"".join(blocks)
    return Message("hdlc", apdu, (info(raw or apdu),), "1", "16")


def reasons(events: list[Message | FrameInfo]) -> list[str]:
    return [event.reason for event in events if isinstance(event, FrameInfo)]


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=10))
def test_segments_are_joined(parts: list[bytes]) -> None:
    joiner = SegmentJoiner()
    for at, part in enumerate(parts):
        whole = joiner.add(KEY, info(bytes((at,))), part, last=at == len(parts) - 1, now=0.0)
        assert (whole is None) is (at < len(parts) - 1)
    assert whole is not None and whole.apdu == b"".join(parts) and len(whole.frames) == len(parts)
    assert not joiner and not joiner.started(KEY) and joiner.count(KEY) == 0


def test_senders_are_apart_and_repeats_are_seen() -> None:
    joiner, other = SegmentJoiner(), ("hdlc", "2", "16")
    joiner.add(KEY, info(b"a"), b"a", last=False, now=0.0)
    assert joiner.repeats(KEY, info(b"a")) and not joiner.repeats(KEY, info(b"b")) and not joiner.repeats(other, info())
    joiner.add(other, info(b"x"), b"x", last=False, now=0.0)
    whole = joiner.add(KEY, info(b"b"), b"b", last=True, now=0.0)
    assert whole is not None and whole.apdu == b"ab"
    assert joiner.count(other) == 1


def test_what_never_ends_is_given_up() -> None:
    joiner = SegmentJoiner()
    joiner.add(KEY, info(b"a"), b"a", last=False, now=10.0)
    assert list(joiner.expire(10.0)) == []
    assert reasons(list(joiner.expire(10.1))) == ["the message never ended"]
    for sender in range(MAX_SENDERS + 5):
        joiner.add(("hdlc", str(sender), "16"), info(), b"a", last=False, now=20.0)
    assert len(list(joiner.expire(0.0))) == 5


def test_blocks_are_joined_as_their_numbers_say() -> None:
    joiner = BlockJoiner()
    assert list(joiner.add(message(block(1, b"ab")), 0.0)) == []
    (whole,) = joiner.add(message(block(2, b"c"), block(3, b"d", last=True)), 0.0)
    assert isinstance(whole, Message) and whole.apdu == b"abcd"
    assert [found.number for found in whole.blocks] == [1, 2, 3]
    assert not joiner


def test_a_missing_block_is_told() -> None:
    joiner = BlockJoiner()
    assert list(joiner.add(message(block(1, b"a")), 0.0)) == []
    assert reasons(list(joiner.add(message(block(3, b"c", last=True)), 0.0))) == ["blocks of the message are missing"]


def test_a_block_that_comes_again() -> None:
    joiner = BlockJoiner()
    list(joiner.add(message(block(1, b"a")), 0.0))
    assert reasons(list(joiner.add(message(block(1, b"a")), 0.0))) == [SENT_AGAIN]


def test_another_message_begins_anew() -> None:
    """Its first block was lost or differs: what was there belongs to the one before."""
    joiner = BlockJoiner()
    list(joiner.add(message(block(1, b"old")), 0.0))
    assert reasons(list(joiner.add(message(block(1, b"new")), 0.0))) == ["blocks of the message are missing"]
    (whole,) = joiner.add(message(block(2, b"er", last=True)), 0.0)
    assert isinstance(whole, Message) and whole.apdu == b"newer"


def test_what_is_no_block_comes_back() -> None:
    other = message(b"\xc4\x01\xc1\x00")
    assert list(BlockJoiner().add(other, 0.0)) == [other]
    acknowledged = message(block(1, b""))
    assert list(BlockJoiner().add(acknowledged, 0.0)) == [acknowledged]


def test_reading_blocks_ends_at_what_is_none() -> None:
    assert list(read_blocks(block(7, b"abc", last=True) + b"\x00")) == [Block(7, 0, True, False, 0, b"abc")]
    assert list(read_blocks(block(7, b"abc")[:-1])) == []
    assert list(read_blocks(b"")) == []
