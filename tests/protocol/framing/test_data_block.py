"""Data blocks of readouts: whole and in pieces, damaged, with parity, with neither STX nor check character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.framing.data_block import find_data_block, holds_data
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import block_check, encode_readout

LINES = b"0.0.0(12345678)\r\n1.8.0(014864.1*kWh)\r\n"
BLOCK = encode_readout(LINES)
TEXT = LINES.decode() + "!\r\n"


@pytest.mark.parametrize("before", [b"", b"\x06050\r\n", b"/ISK5MT174\r\n", b"\xff\x00"])
@pytest.mark.parametrize("coded", [bytes, add_parity], ids=["7e1", "8n1"])
def test_whole_only(before: bytes, coded: type[bytes]) -> None:
    data = coded(before + BLOCK)
    found = find_data_block(data)
    assert found is not None
    assert found == (TEXT, len(data), True, False, block_check)
    for end in range(len(data)):
        assert find_data_block(data[:end]) is None


def test_the_check_character_is_the_published_one() -> None:
    """The break message of the standard, SOH B 0 ETX, ends with 0x71 ('q')."""
    assert find_data_block(b"\x01B0\x03q") is not None


@pytest.mark.parametrize("at", range(1, len(BLOCK)))
def test_every_changed_octet_is_seen(at: int) -> None:
    damaged = BLOCK[:at] + bytes((BLOCK[at] ^ 0x04,)) + BLOCK[at + 1 :]
    try:
        assert find_data_block(damaged, final=True) is None  # the end itself was hit
    except FramingError as error:
        assert "check character" in error.message


def test_a_lost_beginning_is_no_block_of_mode_d() -> None:
    assert find_data_block(BLOCK[1:], final=True) is None


def test_two_flips_that_the_check_character_does_not_see() -> None:
    octets = bytearray(add_parity(BLOCK))
    octets[5] ^= 0x02
    octets[9] ^= 0x02
    with pytest.raises(FramingError):
        find_data_block(bytes(octets))


def test_no_check_character_at_the_end() -> None:
    assert find_data_block(BLOCK[:-1]) is None
    found = find_data_block(BLOCK[:-1], final=True)
    assert found is not None
    assert not found.checked


def test_mode_d_ends_with_silence_or_the_next_telegram() -> None:
    telegram = b"/ABC3METER\r\n\r\n" + LINES + b"!\r\n"
    assert find_data_block(telegram) is None
    for found in (find_data_block(telegram, final=True), find_data_block(telegram + b"/ABC")):
        assert found is not None
        assert not found.checked
        assert "1.8.0(014864.1*kWh)" in found.text


def test_one_of_several() -> None:
    body = b"1.8.0(1)\r\n\x04"
    found = find_data_block(b"\x02" + body + block_check(body))
    assert found is not None
    assert found.more


@given(st.binary(max_size=300))
def test_no_octets_break_it(data: bytes) -> None:
    try:
        found = find_data_block(data, final=True)
    except FramingError:
        return
    assert found is None or 0 < found.end <= len(data)


def test_lines_are_seen_in_what_is_cut() -> None:
    assert holds_data(BLOCK[:30] + b"(1)")
    assert not holds_data(b"\xf0\x0f(1)")
