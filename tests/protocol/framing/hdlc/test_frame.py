"""HDLC frames: every published one, whole and in pieces, in rubbish, and broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import KINDS, MAX_INFO, Damaged, Frame, FrameParser, Kind, encode_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import decode_parameters
from dlms_mqtt.protocol.framing.statistics import Statistics
from tests.frames_data import entries, entry, entry_id
from tests.octets import fcs_bytes

FRAMES = entries("vectors_hdlc", group="hdlc-frame")
PUSHED = entries("push", framing="hdlc")
BROKEN = entries("malformed", framing="hdlc")
LINES = [bytes.fromhex(data) for talk in entries("conversations") for _, data in talk["frames"]]


def parse(*pieces: bytes, finish: bool = True) -> tuple[list[Frame], list[Damaged], Statistics]:
    parser = FrameParser(Statistics())
    found: list[Frame | Damaged] = []
    for piece in pieces:
        parser.feed(piece)
        found += iter(parser.next, None)
    if finish:
        parser.finish()
        found += iter(parser.next, None)
    frames = [frame for frame in found if isinstance(frame, Frame)]
    return frames, [frame for frame in found if isinstance(frame, Damaged)], parser.statistics


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def check_frame(frame: Frame, expected: dict[str, Any]) -> None:
    assert frame.kind.name == expected["type"]
    assert frame.destination.hex() == expected["dst"]
    assert frame.source.hex() == expected["src"]
    assert f"{frame.control:02x}" == expected["control"]
    assert frame.segmented == expected["segmented"]
    assert len(frame.encode()) == expected["length"] + 2
    numbers = {"ns": frame.control >> 1 & 7, "nr": frame.receive_number, "pf": int(frame.poll)}
    assert {key: numbers[key] for key in numbers if key in expected} == {
        key: expected[key] for key in numbers if key in expected
    }
    for key, raw in (("dst_address", frame.destination), ("src_address", frame.source)):
        if key in expected:
            address = decode_address(raw)
            assert (address.upper, address.lower) == (expected[key]["upper"], expected[key].get("lower"))
    if "information" in expected:
        assert frame.information.hex() == expected["information"]


@pytest.mark.parametrize("vector", FRAMES, ids=entry_id)
def test_published_frames(vector: dict) -> None:
    data = bytes.fromhex(vector["hex"])
    (frame,) = parse(data)[0]
    check_frame(frame, vector["expected"])
    assert frame.encode() == data
    if "parameters" in vector["expected"]:
        parameters = decode_parameters(frame.information)
        for name, value in vector["expected"]["parameters"].items():
            assert getattr(parameters, name) == value


@pytest.mark.parametrize("vector", FRAMES + PUSHED, ids=entry_id)
def test_whole_in_pieces_and_in_rubbish(vector: dict) -> None:
    data = bytes.fromhex(vector["hex"])
    frames, damaged, _ = parse(data)
    assert frames
    assert not damaged
    assert parse(*octets(data))[0] == frames
    assert parse(b"\x00\xff~" + data + b"\x12~\x34")[0] == frames
    assert parse(data + data, b"~~~" + data)[0] == frames * 3
    data = data[: data.rindex(b"~") + 1]  # one has an octet behind it
    shared = data + data[1:]  # one flag closes one frame and opens the next
    assert parse(shared)[0] == parse(*octets(shared))[0] == frames * 2


@pytest.mark.parametrize("vector", PUSHED, ids=entry_id)
def test_pushed_frames(vector: dict) -> None:
    frames, _, _ = parse(bytes.fromhex(vector["hex"]))
    assert len(frames) == len(vector["expected"]["frames"])
    for frame, expected in zip(frames, vector["expected"]["frames"], strict=True):
        check_frame(frame, expected)


@pytest.mark.parametrize("vector", BROKEN, ids=entry_id)
def test_broken_frames(vector: dict) -> None:
    data, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    valid, damaged, statistics = parse(data)
    assert (valid, damaged) == parse(*octets(data))[:2]
    if "frames" in expected:
        assert len(valid) == expected["frames"]
    if expected.get("hcs_ok") is False:
        assert {frame.reason for frame in damaged} == {"header"}
    if expected.get("hcs_ok") and expected.get("fcs_ok") is False:
        assert {frame.reason for frame in damaged} == {"check"}
    if expected.get("fcs_ok"):
        (frame,) = valid
        assert len(data) - 2 == expected["length_field"] == expected["bytes_between_flags"]
        assert frame.information[:3].hex() == expected.get("llc", frame.information[:3].hex())
        assert frame.information[3:].hex() == expected.get("rest", frame.information[3:].hex())
    assert len(statistics.noise) <= 256


def test_conversations_frame_by_frame() -> None:
    for line in LINES:
        (frame,), damaged, _ = parse(line)
        assert not damaged
        assert frame.encode() == line


def test_conversations_in_one_stream() -> None:
    stream = b"".join(LINES)
    assert len(parse(*[stream[at : at + 7] for at in range(0, len(stream), 7)])[0]) == len(LINES)


def test_nothing_is_unstuffed() -> None:
    data = bytes.fromhex(entry("push_aidon", "amshan-hdlc-aidon-7d-in-info")["hex"])
    assert b"\x7d" in parse(data)[0][0].information


@pytest.mark.parametrize(
    "control",
    [
        ("I", 0x10),
        ("RR", 0x31),
        ("RNR", 0x35),
        ("REJ", 0x19),
        ("SNRM", 0x93),
        ("DISC", 0x53),
        ("UA", 0x73),
        ("DM", 0x1F),
        ("FRMR", 0x97),
        ("UI", 0x13),
        ("UI", 0x03),
        ("UNKNOWN", 0x2F),
    ],
)
def test_control_fields(control: tuple[str, int]) -> None:
    name, value = control
    assert KINDS[value].name == name
    assert KINDS[value ^ 0x10].name == name


def test_a_missing_closing_flag_is_forgiven_when_the_line_is_silent() -> None:
    data = encode_frame(0x10, b"\x03", b"\x21", b"hello")
    assert parse(data[:-1], finish=False)[0] == []
    assert len(parse(data[:-1])[0]) == 1
    assert len(parse(data[:-1] + b"\xff")[0]) == 1


def test_a_cut_frame_does_not_swallow_the_next() -> None:
    long = encode_frame(0x10, b"\x03", b"\x21", bytes(500))
    short = encode_frame(0x11, b"\x03", b"\x21")
    frames, damaged, _ = parse(long[:200] + short + short)
    assert frames == parse(short + short)[0]
    assert [frame.reason for frame in damaged] == ["cut"]
    assert parse(long[:200] + long + short)[0] == parse(long + short)[0]


def test_frames_inside_a_frame_are_contents() -> None:
    inner = encode_frame(0x11, b"\x03", b"\x21") + encode_frame(0x10, b"\x03", b"\x21", b"x")
    outer = encode_frame(0x10, b"\x03", b"\x21", inner)
    assert [frame.information for frame in parse(*octets(outer))[0]] == [inner]


def test_too_long_is_refused() -> None:
    encode_frame(0x10, b"\x03" * 4, b"\x21", bytes(MAX_INFO))
    with pytest.raises(LocalProtocolError):
        encode_frame(0x10, b"\x03" * 4, b"\x21" * 4, bytes(2034))


@given(
    st.integers(0, 255),
    st.sampled_from(["03", "0223", "00020023"]),
    st.sampled_from(["21", "ceff", "fefefeff"]),
    st.binary(max_size=MAX_INFO),
    st.booleans(),
)
def test_any_frame(control: int, destination: str, source: str, information: bytes, segmented: bool) -> None:
    frame = Frame(control, bytes.fromhex(destination), bytes.fromhex(source), information, segmented)
    assert parse(frame.encode())[0] == [frame]


@given(
    st.lists(st.sampled_from([*LINES[:6], b"~", b"~\xa0", b"~\xa7\xff\x03\x21", b"\x00" * 9]) | st.binary(max_size=40))
)
def test_any_octets_in_bounded_memory(pieces: list[bytes]) -> None:
    parser = FrameParser(Statistics())
    for piece in pieces:
        parser.feed(piece)
        assert sum(len(frame) for frame in iter(parser.next, None)) >= 0
        assert len(parser.pending) <= 2 + 2047
    parser.finish()
    list(iter(parser.next, None))
    assert parser.pending == b""
    assert len(parser.statistics.noise) <= 256


def test_a_header_that_announces_much_is_held_back_no_longer_than_it_says() -> None:
    head = b"\xa7\xff\x03\x21\x10"
    parser = FrameParser(Statistics())
    for _ in range(100):
        parser.feed(b"~" + head + fcs_bytes(head) + bytes(500))
        list(iter(parser.next, None))
        assert len(parser.pending) <= 2049


def test_frame_kinds_are_unique() -> None:
    assert len({kind.value for kind in Kind}) == len(Kind)


# -- a meter that writes only the lower eight bits of a length ---------------------------------------------------------


def short_of(length: int) -> bytes:
    """A frame of so many octets between its flags that states 256 or 512 less, and is right for the rest."""
    body = bytes(number % 251 for number in range(length - 9))
    head = bytes((0xA0, length & 0xFF)) + encode_frame(Kind.I, b"\x21", b"\x03", body)[3:6]
    head += fcs_bytes(head)
    return b"\x7e" + head + body + fcs_bytes(head + body) + b"\x7e"


@pytest.mark.parametrize("length", [300, 264, 263, 600])
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_length_of_eight_bits_is_told_by_the_check_sequence(length: int, piece: int) -> None:
    data = short_of(length) + encode_frame(Kind.I, b"\x21", b"\x03", b"next")
    frames, damaged, _ = parse(*(data[at : at + piece] for at in range(0, len(data), piece)))
    assert [len(frame.information) for frame in frames] == [length - 9, 4]
    assert not damaged


def test_octets_that_were_lost_are_not_waited_for() -> None:
    """Where another frame begins behind it, the short one is damaged."""
    data = bytearray(short_of(300))
    del data[40:60]
    good = encode_frame(Kind.I, b"\x21", b"\x03", b"good")
    frames, damaged, _ = parse(bytes(data) + good, finish=False)
    assert [frame.information for frame in frames] == [b"good"]
    assert [found.reason for found in damaged] == ["check"]


def test_a_frame_that_never_gets_its_true_end_is_damaged_when_nothing_more_comes() -> None:
    frames, damaged, _ = parse(short_of(300)[:200], finish=False)
    assert (frames, damaged) == ([], [])
    frames, damaged, _ = parse(short_of(300)[:200])
    assert not frames and [found.reason for found in damaged] == ["check"]


@pytest.mark.parametrize(
    ("data", "pending"),
    [(b"", b""), (b"\x7e", b""), (b"rubbish", b""), (b"\x7e\xa0\x07\x03", b"\x7e\xa0\x07\x03")],
)
def test_what_is_pending(data: bytes, pending: bytes) -> None:
    parser = FrameParser(Statistics())
    parser.feed(data)
    assert parser.next() is None
    assert parser.pending == pending
    assert FrameParser.begins_in(data) == (b"\x7e" in data)


def test_an_address_of_three_octets_is_none() -> None:
    frames, damaged, _ = parse(b"\x7e\xa0\x10\x02\x02\x03\x02\x21\x13" + bytes(20) + b"\x7e")
    assert (frames, damaged) == ([], [])
