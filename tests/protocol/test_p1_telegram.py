"""Text telegrams of P1 ports: where they end, their CRC, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.p1_telegram import MAX_SIZE, Telegram, crc16, find_end, may_begin, run_of_text

BODY = b"/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(123456.789*kWh)\r\n!"
WHOLE = BODY + b"%04X\r\n" % crc16(BODY)
OLD = BODY + b"\r\n"  # before DSMR 4 there was no CRC


def read(data: bytes) -> Telegram:
    reader = Reader(data, 1)
    found = Telegram.read_body(reader)
    reader.check_end("telegram")
    return found


def test_the_check_value_of_the_algorithm() -> None:
    """CRC-16/ARC of 123456789, as every catalogue of CRCs has it."""
    assert crc16(b"123456789") == 0xBB3D


def test_a_whole_one() -> None:
    found = read(WHOLE)
    assert found.identification == "ISk5\\2MT382-1000"
    assert found.crc == crc16(BODY)
    assert b"/" + found.encode_body() == WHOLE
    assert read(OLD).crc is None


@given(st.integers(1, len(BODY) - 2), st.integers(1, 127))
def test_a_changed_one_is_none(at: int, change: int) -> None:
    broken = bytearray(WHOLE)
    broken[at] ^= change
    with pytest.raises(DecodeError):
        read(bytes(broken))


@given(st.integers(1, len(BODY) - 1))
def test_a_cut_one_is_none(size: int) -> None:
    assert find_end(WHOLE[:size], 0) is None
    with pytest.raises(DecodeError, match="not whole"):
        read(WHOLE[:size])


def test_the_end_of_the_line_is_waited_for() -> None:
    cut = WHOLE[:-2]
    assert find_end(cut, 0) is None
    assert find_end(cut, 0, final=True) == (len(cut), crc16(BODY))
    assert find_end(b"xx" + WHOLE + b"behind", 2) == (2 + len(WHOLE), crc16(BODY))


def test_one_that_never_ends_is_none() -> None:
    assert find_end(b"/ISk5abc\r\n" + b"1-0:1.8.0(1)\r\n" * MAX_SIZE + b"!\r\n", 0) is None


@pytest.mark.parametrize(
    ("data", "may"),
    [(b"/", True), (b"/IS", True), (b"/ISk5", True), (WHOLE[:30], True), (b"/IS!", False), (b"/I\n", False),
     (b"x", False), (b"", False), (b"/ISk5\x00", False), (b"/" + b"A" * MAX_SIZE, False)],
)  # fmt: skip
def test_what_may_begin_one(data: bytes, may: bool) -> None:
    assert may_begin(data, 0) is may


def test_where_text_ends() -> None:
    assert run_of_text(b"\x00abc\r\n\t\x7fdef", 1) == 7
