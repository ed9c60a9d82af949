"""Even parity in software: added, seen, taken off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.seven_bit import add_parity, has_parity, parity_until, strip_parity


def test_known_octets() -> None:
    """``/?!`` CR LF as every meter hears it."""
    assert add_parity(b"/?!\r\n").hex() == "af3f218d0a"


@given(st.binary())
def test_every_octet_has_an_even_number_of_bits(data: bytes) -> None:
    assert all(octet.bit_count() % 2 == 0 for octet in add_parity(data))
    assert strip_parity(add_parity(data)) == strip_parity(data)


@pytest.mark.parametrize(
    ("octets", "seen"),
    [("", False), ("33", False), ("af3f21", True), ("af3f218d0b", False), ("2f3f21", False), ("80", False)],
)
def test_parity_is_seen_only_where_a_bit_shows_it(octets: str, seen: bool) -> None:
    assert has_parity(bytes.fromhex(octets)) is seen


@given(st.binary(max_size=20), st.integers(0, 127))
def test_parity_ends_where_the_first_octet_is_wrong(data: bytes, wrong: int) -> None:
    right = add_parity(data)
    assert parity_until(right) == len(right)
    broken = bytes((add_parity(bytes((wrong,)))[0] ^ 0x80,))
    assert parity_until(right + broken + right) == len(right)
