"""What begins at an offset of a stream: each framing whole, cut, damaged, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.mbus import MbusFrame
from dlms_mqtt.protocol.framing.stream.place import Found, Place, Result, Wait
from dlms_mqtt.protocol.framing.stream.recognisers import (
    APDU,
    CONTAINER,
    HDLC,
    LLC_HEADERS,
    MBUS,
    RAW,
    RECOGNISERS,
    WRAPPER,
    next_checked,
    recognise_hdlc,
    recognise_mbus,
    recognise_raw,
    recognise_wrapper,
)
from dlms_mqtt.protocol.framing.stream.text import TELEGRAM
from dlms_mqtt.protocol.framing.wrapper import encode_frame as wrap

PUSH = bytes.fromhex("0f000000000c07e6011801123a32ff8000800201 12000a")
SEALED = bytes.fromhex("db084b464d1020003774") + b"\x20" + bytes.fromhex("2100000001") + bytes(27)
REQUEST = bytes.fromhex("c001c100030100010800ff0200")
UI = encode_frame(0x13, b"\x21", b"\x02\x23", PUSH)
SNRM = encode_frame(0x93, b"\x03", b"\x21")
LONG = MbusFrame(0, 0x53, 0xFF, 0x10, 1, 103, PUSH, False).encode()


def place(buffer: bytes, at: int = 0, *, fresh: bool = True, final: bool = False, **more: Any) -> Place:
    return Place(buffer, at, fresh, final, **more)


def found(result: Result) -> Found:
    assert isinstance(result, Found)
    return result


def test_the_order_is_that_of_proof() -> None:
    assert list(RECOGNISERS) == [HDLC, MBUS, WRAPPER, TELEGRAM, RAW]


# --- HDLC -----------------------------------------------------------------------------------------------------------


def test_a_frame_leaves_its_closing_flag() -> None:
    result = found(recognise_hdlc(place(b"\xff" + UI + b"\x01", 1)))
    assert (result.frame.framing, result.frame.type, result.frame.valid) == (HDLC, "UI", True)
    assert (result.frame.raw, result.end, result.data) == (UI, len(UI), PUSH)
    assert (result.frame.source, result.frame.destination) == ("1/17", "16")


def test_a_frame_that_carries_nothing_for_us() -> None:
    assert found(recognise_hdlc(place(SNRM))).data is None


@pytest.mark.parametrize("length", range(1, len(UI)))
def test_a_frame_that_is_not_whole_yet(length: int) -> None:
    assert recognise_hdlc(place(UI[:length])) is (Wait.CERTAIN if length > 13 else Wait.POSSIBLE)


def test_damaged_frames_take_the_flag_only_and_say_why() -> None:
    for at, reason, proved in ((8, "header", False), (len(UI) - 2, "frame check", True)):
        bad = bytearray(UI)
        bad[at - 1] ^= 0x55
        result = found(recognise_hdlc(place(bytes(bad))))
        assert (result.frame.valid, result.end, result.frame.proved) == (False, 1, proved)
        assert reason in result.frame.reason
    assert "too early" in found(recognise_hdlc(place(UI[:20], final=True))).frame.reason


def test_no_flag_no_frame() -> None:
    assert recognise_hdlc(place(b"\x7d" + UI)) is None
    assert recognise_hdlc(place(b"\x7e\x00\x00\x00\x00\x00\x00\x00\x00\x00")) is None


# --- M-Bus ----------------------------------------------------------------------------------------------------------


def test_a_long_frame() -> None:
    result = found(recognise_mbus(place(b"\x00" + LONG, 1)))
    assert (result.frame.framing, result.frame.type, result.frame.segmented) == (MBUS, "long", False)
    assert (result.data, result.number, result.last, result.end) == (PUSH, 0, True, 1 + len(LONG))
    first = MbusFrame(0, 0x53, 0xFF, 0x00, 1, 103, PUSH, False).encode()
    result = found(recognise_mbus(place(first)))
    assert (result.frame.segmented, result.last) == (True, False)


def test_a_long_frame_cut_damaged_or_none() -> None:
    assert recognise_mbus(place(LONG[:-1])) is Wait.POSSIBLE
    assert recognise_mbus(place(b"\x67" + LONG)) is None
    assert recognise_mbus(place(b"\x68\x05\x06\x68" + bytes(20))) is None
    assert recognise_mbus(place(LONG[:4], final=True)) is None
    bad = LONG[:-2] + bytes((LONG[-2] ^ 1,)) + LONG[-1:]
    result = found(recognise_mbus(place(bad + bytes(300), final=True)))
    assert (result.frame.valid, result.frame.reason, result.end) == (False, "the checksum is wrong", 1)


# --- the wrapper ----------------------------------------------------------------------------------------------------


def test_a_wrapper_frame() -> None:
    frame = wrap(PUSH, 1, 103)
    result = found(recognise_wrapper(place(b"\xff" + frame, 1, fresh=False)))
    assert (result.frame.source, result.frame.destination, result.data) == ("1", "103", PUSH)
    assert result.end == 1 + len(frame)


@pytest.mark.parametrize("length", [1, 4, 8])
def test_a_beginning_of_a_wrapper_frame(length: int) -> None:
    assert recognise_wrapper(place(wrap(PUSH, 1, 103)[:length])) is Wait.POSSIBLE
    assert recognise_wrapper(place(wrap(PUSH, 1, 103)[:length], final=True)) is None


def test_a_wrapper_frame_whose_contents_are_cut() -> None:
    assert recognise_wrapper(place(wrap(PUSH, 1, 103)[:-1])) is Wait.CERTAIN
    assert recognise_wrapper(place(wrap(PUSH, 1, 103)[:-1], final=True)) is None


def test_large_ports_need_a_message_behind_them_and_a_trusted_place() -> None:
    frame = wrap(PUSH, 0x1234, 1)
    assert found(recognise_wrapper(place(frame))).frame.source == str(0x1234)
    assert recognise_wrapper(place(frame, fresh=False)) is None
    assert recognise_wrapper(place(wrap(PUSH[:3], 0x1234, 1))) is None


@pytest.mark.parametrize("octets", ["0002", "0001000100010000", "00010001000100056e", "0101000100010005"])
def test_what_is_no_wrapper(octets: str) -> None:
    assert recognise_wrapper(place(bytes.fromhex(octets))) is None


# --- without framing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [b"", *LLC_HEADERS])
def test_a_push_without_framing(header: bytes) -> None:
    result = found(recognise_raw(place(header + PUSH)))
    assert (result.frame.framing, result.frame.type, result.data) == (RAW, APDU, PUSH)
    assert result.frame.raw == header + PUSH


def test_a_container_is_known_anywhere() -> None:
    result = found(recognise_raw(place(b"\x99" + SEALED, 1, fresh=False)))
    assert (result.frame.type, result.data) == (CONTAINER, SEALED)
    assert recognise_raw(place(SEALED[:-1])) is Wait.POSSIBLE
    assert recognise_raw(place(SEALED[:-1], final=True)) is None
    assert recognise_raw(place(SEALED, fresh=False, seen=frozenset({HDLC}))) is None


def test_anything_else_only_where_a_message_may_begin() -> None:
    assert recognise_raw(place(PUSH, fresh=False)) is None
    assert recognise_raw(place(PUSH, seen=frozenset({WRAPPER}))) is None
    assert recognise_raw(place(b"\x99" + PUSH)) is None
    assert found(recognise_raw(place(REQUEST, seen=frozenset({APDU})))).data == REQUEST


def test_a_first_message_must_be_of_a_kind_that_is_pushed_unless_it_is_all() -> None:
    assert recognise_raw(place(REQUEST + PUSH)) is Wait.POSSIBLE
    assert recognise_raw(place(REQUEST + PUSH, final=True)) is None
    assert found(recognise_raw(place(REQUEST, final=True, ended=True))).data == REQUEST


def test_a_push_that_is_no_axdr_is_all_up_to_a_frame() -> None:
    odd = PUSH[:18] + b"\x02\x05\x12\x00\x0a"
    assert recognise_raw(place(odd)) is Wait.POSSIBLE
    assert found(recognise_raw(place(odd, final=True))).data == odd
    result = found(recognise_raw(place(odd + UI, final=True, ended=True)))
    assert result.data == odd
    assert recognise_raw(place(b"\xc4\x01\xc1", final=True)) is None


def test_a_message_with_a_frame_in_it_or_nonsense_behind_it_waits() -> None:
    assert recognise_raw(place(PUSH + b"\x99")) is Wait.POSSIBLE
    assert isinstance(recognise_raw(place(PUSH + PUSH)), Found)
    holder = SEALED[:11].replace(b"\x20", bytes((len(UI) + 5,))) + bytes.fromhex("2100000001") + UI
    assert recognise_raw(place(holder)) is None
    holder = SEALED[:10] + bytes((len(LONG) + 5,)) + bytes.fromhex("2100000001") + LONG
    assert recognise_raw(place(holder)) is None


def test_the_next_frame_that_proves_itself() -> None:
    bad = UI[:-3] + b"\x00\x00\x7e"
    stream = b"\x01\x02" + bad + b"\x03" + UI + LONG
    good = len(b"\x01\x02" + bad + b"\x03")
    assert next_checked(stream, 0) == good
    assert next_checked(stream, good + 1) == good + len(UI)
    assert next_checked(stream, 0, 10) == 10
    assert next_checked(b"\x7e\xa0", 0) == 2
