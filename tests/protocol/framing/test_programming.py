"""Commands of programming mode: the published octets, both check characters, damage, what is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.framing.data_block import sum_check
from dlms_mqtt.protocol.framing.programming import Command, find_command
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import BREAK

# pwitab/iec62056-21 (test_messages), wirenboard/wb-mqtt-serial (NEVA, Energomera)
PUBLISHED = [
    (Command("P0", b"(1234567)"), b"\x01P0\x02(1234567)\x03P"),
    (Command("P1", b"(00000000)"), b"\x01P1\x02(00000000)\x03a"),
    (Command("R1", b"1.8.0(1)"), b"\x01R1\x021.8.0(1)\x03k"),
    (Command("R1", b"100700FF()"), b"\x01R1\x02100700FF()\x03e"),
    (Command("B0"), b"\x01B0\x03q"),
]


@pytest.mark.parametrize(("command", "octets"), PUBLISHED, ids=lambda value: getattr(value, "name", None))
def test_published(command: Command, octets: bytes) -> None:
    assert command.encode() == octets
    for data in (octets, add_parity(octets), b"\xff\x00" + octets):
        assert find_command(data) == (command, len(data))
    for end in range(len(octets)):
        assert find_command(octets[:end]) is None


def test_the_check_character_of_energomera() -> None:
    assert Command("R1", b"ET0PE()").encode(sum_check) == b"\x01R1\x02ET0PE()\x037"


def test_a_password_is_not_shown() -> None:
    assert "00000000" not in repr(Command("P1", b"(00000000)"))


def test_the_break_is_one() -> None:
    assert Command("B0").encode() == BREAK


@pytest.mark.parametrize("octets", [b"\x01R1\x021.8.0()\x03\x00", b"\x01R\x03Q", b"\x01\x03\x03"])
def test_damaged(octets: bytes) -> None:
    with pytest.raises(FramingError):
        find_command(octets)


@given(st.binary(max_size=40))
def test_nothing_breaks_it(data: bytes) -> None:
    try:
        found = find_command(data)
    except FramingError:
        return
    assert found is None or found[1] <= len(data)
