"""The check sequence against published values and against the textbook algorithm."""

from __future__ import annotations

from binascii import crc_hqx

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.fcs import REVERSED, START, check, turned
from tests.frames_data import entries, entry_id
from tests.octets import fcs_bytes


def ours(data: bytes) -> bytes:
    """As a frame gets it."""
    return turned(crc_hqx(data.translate(REVERSED), START))


@pytest.mark.parametrize("vector", entries("vectors_hdlc", group="hdlc-fcs"), ids=entry_id)
def test_published(vector: dict) -> None:
    data, expected = bytes.fromhex(vector["input"]), vector["expected"]
    assert ours(data).hex() == fcs_bytes(data).hex() == expected["bytes_on_the_line"]
    assert check(data + ours(data))
    if "fcs_value" in expected:
        assert int.from_bytes(ours(data), "little") == int(expected["fcs_value"], 16)


@given(st.binary(max_size=200), st.integers(0, 10000))
def test_any(data: bytes, flip: int) -> None:
    assert ours(data) == fcs_bytes(data)
    whole = bytearray(data + fcs_bytes(data))
    assert check(whole)
    whole[flip // 8 % len(whole)] ^= 1 << flip % 8
    assert not check(whole)
