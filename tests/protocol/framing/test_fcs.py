"""The check sequence against published values and against the textbook algorithm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.fcs import check, fcs_bytes
from tests.frames_data import entries, entry_id


def textbook(data: bytes) -> int:
    register = 0xFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return register ^ 0xFFFF


@pytest.mark.parametrize("vector", entries("vectors_hdlc", group="hdlc-fcs"), ids=entry_id)
def test_published(vector: dict) -> None:
    data, expected = bytes.fromhex(vector["input"]), vector["expected"]
    assert fcs_bytes(data).hex() == expected["bytes_on_the_line"]
    assert check(data + fcs_bytes(data))
    if "fcs_value" in expected:
        assert int.from_bytes(fcs_bytes(data), "little") == int(expected["fcs_value"], 16)


@given(st.binary(max_size=200), st.integers(0, 10000))
def test_any(data: bytes, flip: int) -> None:
    assert int.from_bytes(fcs_bytes(data), "little") == textbook(data)
    whole = bytearray(data + fcs_bytes(data))
    assert check(whole)
    whole[flip // 8 % len(whole)] ^= 1 << flip % 8
    assert not check(whole)
