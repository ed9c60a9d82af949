"""The cursor: every item whole or an error that says what is missing and where; lengths in all their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.buffer import Reader, encode_length

DATA = bytes.fromhex("ff 8001 01020304 aabb")


def test_items_in_order() -> None:
    reader = Reader(DATA)
    assert (reader.peek(), reader.i8(), reader.u16(), reader.u32()) == (0xFF, -1, 0x8001, 0x01020304)
    assert (reader.remaining, reader.take(1), reader.rest(), reader.peek()) == (2, b"\xaa", b"\xbb", -1)
    reader.check_end("everything")


@pytest.mark.parametrize(("item", "size"), [("u8", 1), ("i8", 1), ("u16", 2), ("u32", 4)])
def test_what_is_cut_is_told(item: str, size: int) -> None:
    reader = Reader(bytes(size - 1) + b"behind", 0, size - 1)
    with pytest.raises(DecodeError, match=f"the thing needs {size} bytes, {size - 1} left") as caught:
        getattr(reader, item)("the thing")
    assert caught.value.offset == 0
    assert reader.offset == 0


def test_nothing_is_taken_backwards() -> None:
    with pytest.raises(DecodeError):
        Reader(DATA, 3).take(-1)


def test_octets_behind_are_told() -> None:
    with pytest.raises(DecodeError, match="2 stray octets after the frame") as caught:
        Reader(b"\x00\x01\x02", 1).check_end("the frame")
    assert caught.value.offset == 1


@given(st.integers(0, 2**32 - 1))
def test_lengths_go_round(value: int) -> None:
    octets = encode_length(value)
    reader = Reader(octets)
    assert reader.length() == value
    reader.check_end("length")
    assert len(octets) == 1 if value < 0x80 else octets[0] == 0x80 + len(octets) - 1


@pytest.mark.parametrize("form", ["80", "85", "ff"])
def test_unusable_lengths(form: str) -> None:
    with pytest.raises(DecodeError, match=f"unusable form {form}") as caught:
        Reader(bytes.fromhex(f"00{form}0000000000"), 1).length()
    assert caught.value.offset == 1


@pytest.mark.parametrize("octets", ["0341", "8203", "840000", "81ff00", "", "04414243"])
def test_a_length_promises_no_more_than_is_there(octets: str) -> None:
    with pytest.raises(DecodeError):
        Reader(bytes.fromhex(octets)).octets()


@given(st.binary(max_size=300), st.binary(max_size=5))
def test_octet_strings_go_round(value: bytes, behind: bytes) -> None:
    reader = Reader(encode_length(len(value)) + value + behind)
    assert reader.octets() == value
    assert reader.rest() == behind
