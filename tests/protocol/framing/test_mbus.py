"""Wired M-Bus long frames, with the lengths that some meters cannot write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.mbus import MbusFrame, read_frame
from tests.frames_data import entries, entry_id

VECTORS = entries("push", framing="mbus")


def read_all(data: bytes) -> list[MbusFrame]:
    frames = []
    at = 0
    while at < len(data):
        frame = read_frame(data, at, final=True)
        assert isinstance(frame, MbusFrame)
        frames.append(frame)
        at += frame.size
    return frames


@pytest.mark.parametrize("vector", VECTORS, ids=entry_id)
def test_published(vector: dict) -> None:
    data = bytes.fromhex(vector["hex"])
    frames = read_all(data)
    for frame, expected in zip(frames, vector["expected"]["frames"], strict=True):
        assert frame.length == expected["length"]
        assert f"{frame.control:02x}" == expected["c"]
        assert f"{frame.address:02x}" == expected["a"]
        assert f"{frame.control_information:02x}" == expected["ci"]
        assert (frame.source, frame.destination) == (expected["stsap"], expected["dtsap"])
        assert (frame.segment, frame.final) == (expected["segment"], expected["fin"])
        assert frame.length_overflow == expected.get("length_overflow", False)
    assert b"".join(frame.encode() for frame in frames) == data


@pytest.mark.parametrize("vector", VECTORS, ids=entry_id)
def test_in_pieces(vector: dict) -> None:
    data = bytes.fromhex(vector["hex"])
    first = read_all(data)[0]
    for end in range(1, first.size):
        assert read_frame(data[:end], 0) is True
        assert read_frame(data[:end], 0, final=True) is False
    assert read_frame(data[: first.size], 0) == first
    assert read_frame(b"\x68" + data, 1) == first


def test_a_second_segment_alone() -> None:
    (vector,) = entries("malformed", framing="mbus")
    (frame,) = read_all(bytes.fromhex(vector["hex"]))
    assert (frame.segment, frame.final) == (vector["expected"]["segment"], vector["expected"]["final_bit"])


def test_a_wrong_checksum() -> None:
    data = bytearray.fromhex(VECTORS[0]["hex"])
    data[20] ^= 1
    assert read_frame(bytes(data), 0, final=True) is False


@given(st.binary(max_size=506), st.integers(0, 255))
def test_round_trip(data: bytes, information: int) -> None:
    frame = MbusFrame(len(data) + 5, 0x53, 0xFF, information, 1, 103, data, len(data) + 5 > 255)
    found = read_frame(frame.encode(), 0, final=True)
    assert found == frame


@given(st.binary(max_size=40))
def test_any_octets(data: bytes) -> None:
    read_frame(b"\x68" + data, 0)
    assert read_frame(b"\x68" + data, 0, final=True) is not True
