"""HDLC addresses in all their sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError, DecodeError
from dlms_mqtt.protocol.framing.hdlc.address import Address, decode_address, encode_address, split_number

CASES = [
    ((1, None, 0), "03"),
    ((16, None, 0), "21"),
    ((1, 17, 0), "0223"),
    ((1, 17, 4), "00020023"),
    ((1, None, 2), "0201"),
    ((1, None, 4), "00020001"),
    ((17, 5481, 0), "002254d3"),
    ((103, 127, 0), "ceff"),
    ((1, 128, 0), "00020201"),
    ((0x3FFF, 0x3FFF, 0), "fefefeff"),
    ((145, None, 0), "0223"),  # as other tools write logical 1, physical 17
    ((16401, None, 0), "00020023"),
]


@pytest.mark.parametrize(("numbers", "octets"), CASES)
def test_encode(numbers: tuple, octets: str) -> None:
    assert encode_address(*numbers).hex() == octets


@pytest.mark.parametrize("numbers", [(1, 17, 1), (128, 1, 2), (1, 0x4000, 4), (-1, None, 0), (1, None, 3), (1, -1, 0)])
def test_refused(numbers: tuple) -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        encode_address(*numbers)


@given(st.integers(0, 0x3FFF), st.none() | st.integers(0, 0x3FFF))
def test_round_trip(upper: int, lower: int | None) -> None:
    address = Address(upper, lower) if lower is not None else split_number(upper)
    assert decode_address(encode_address(*address)) == address


def test_decode_refuses_other_sizes() -> None:
    with pytest.raises(DecodeError):
        decode_address(b"\x02\x02\x03")


def test_text() -> None:
    assert str(Address(16)) == "16"
    assert str(Address(1, 17)) == "1/17"
    assert Address(0x7F).broadcast
    assert not Address(1, 17).broadcast
