"""Reflected octets: whole, late, cut, missing, and looking like an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.echo import EchoFilter

SENT, ANSWER = b"/?!\r\n", b"/ISK5\\2ME\r\n"


def strip(sent: bytes, *pieces: bytes) -> bytes:
    echo = EchoFilter()
    echo.sent(sent)
    return b"".join(map(echo.strip, pieces)) + echo.flush()


@pytest.mark.parametrize(
    "pieces",
    [
        [ANSWER],
        [SENT + ANSWER],
        [SENT, ANSWER],
        [b"/", b"?!", b"\r\n" + ANSWER],
        [b"/", b"ISK5\\2ME\r\n"],
        [b"/?!" + ANSWER],  # the copy was cut
        [b"/?", ANSWER],
    ],
)
def test_only_the_answer_is_left(pieces: list[bytes]) -> None:
    assert strip(SENT, *pieces) == ANSWER


def test_late_copy() -> None:
    assert strip(SENT, b"\xff", SENT, ANSWER) == b"\xff" + ANSWER
    assert strip(SENT, b"\xff" + SENT + ANSWER) == b"\xff" + ANSWER


def test_one_copy_only() -> None:
    assert strip(b"\x06252\r\n", b"\x06252\r\n" * 2) == b"\x06252\r\n"


def test_nothing_sent() -> None:
    assert EchoFilter().strip(ANSWER) == ANSWER


@given(st.binary(min_size=1, max_size=12), st.lists(st.binary(min_size=1, max_size=6), max_size=6))
def test_an_answer_without_copy_is_never_touched_for_good(sent: bytes, pieces: list[bytes]) -> None:
    answer = b"\xf0" + b"".join(pieces)
    if sent not in answer and sent[0] != 0xF0:
        assert strip(sent, b"\xf0", *pieces) == answer or sent in b"\xf0" + b"".join(pieces)
