"""Numbered frames: sent until acknowledged, with their old numbers; segments put together, with LLC headers or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.window import MAX_APDU, Incoming, Outgoing, without_llc

LLC = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")


def test_a_message_in_a_window_of_one() -> None:
    out = Outgoing()
    out.queue(b"abcde", 2)
    assert list(out.frames(1)) == [(0, b"ab", True, True)]
    assert list(out.frames(1)) == [(0, b"ab", True, True)]  # repeated with its number
    assert out.acknowledge(1)
    assert list(out.frames(1)) == [(1, b"cd", True, True)]
    assert out.acknowledge(2)
    assert list(out.frames(1)) == [(2, b"e", False, True)]
    assert out and out.unacknowledged and out.next_number == 3
    assert out.acknowledge(3)
    assert not out and not out.unacknowledged


def test_numbers_go_round_and_old_ones_say_nothing() -> None:
    out = Outgoing()
    for number in range(20):
        out.queue(b"x", 1)
        assert [row[0] for row in out.frames(7)] == [number % 8]
        assert not out.acknowledge(number % 8)  # the one before: it has been acknowledged
        assert not out.acknowledge((number + 2) % 8)  # beyond the window
        assert out.acknowledge((number + 1) % 8)


def test_who_answers_has_had_the_message() -> None:
    out = Outgoing()
    out.queue(b"ab", 1)
    assert len(list(out.frames(1))) == 1
    out.answered()
    assert out.unacknowledged  # the second half was never sent
    assert len(list(out.frames(2))) == 2
    out.answered()
    assert not out and out.next_number == 2


def test_part_of_a_window_is_acknowledged() -> None:
    out = Outgoing()
    out.queue(b"abcd", 1)
    assert [row[1:] for row in out.frames(3)] == [(b"a", True, False), (b"b", True, False), (b"c", True, True)]
    assert out.acknowledge(2)
    assert [(row[0], row[1]) for row in out.frames(3)] == [(2, b"c"), (3, b"d")]


def test_our_own_frame_is_known() -> None:
    out = Outgoing()
    out.queue(b"ab", 1)
    assert not out.sent(b"a", True)
    list(out.frames(1))
    assert out.sent(b"a", True)
    assert not out.sent(b"a", False)
    assert not out.sent(b"b", False)


@given(st.binary(min_size=1, max_size=60), st.integers(1, 70), st.integers(1, 7))
def test_what_goes_out_in_segments_comes_in_whole(data: bytes, size: int, window: int) -> None:
    out, into = Outgoing(), Incoming()
    out.queue(LLC[0] + data, size)
    while out:
        for _number, information, _segmented, _last in out.frames(window):
            assert into.add(information)
        assert out.acknowledge(out.next_number)
    assert into.take(LLC) == data
    assert not into


@pytest.mark.parametrize(
    ("segments", "whole"),
    [
        ([b"\xe6\xe7\x00ab"], b"ab"),
        ([b"ab"], b"ab"),
        ([b"\xe6\xe7\x00ab", b"cd"], b"abcd"),
        ([b"ab", b"cd"], b"abcd"),
        ([b"\xe6\xe7\x00ab", b"\xe6\xe7\x00cd"], b"abcd"),
        ([b"\xe6\xe7\x00ab", b"\xe6\xe7\x00cd", b"e"], b"ab\xe6\xe7\x00cde"),
        ([b"\xe6", b"\xe7\x00ab"], b"ab"),
    ],
)
def test_headers_are_taken_off(segments: list[bytes], whole: bytes) -> None:
    """One in each segment is believed only where each of them has it."""
    into = Incoming()
    assert all(into.add(segment) for segment in segments)
    assert into.take(LLC) == whole


def test_a_mad_peer_fills_no_memory() -> None:
    into = Incoming()
    assert into.add(bytes(MAX_APDU))
    assert not into.add(b"x")


def test_no_header_no_change() -> None:
    assert without_llc(b"\xe6\xe6", LLC) == b"\xe6\xe6"
