"""What somebody would send, and what only decodes: rubbish that begins like a message is none."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.framing.stream.plausibility import begins_apdu, plausible, plausible_head, pushed


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        ("0f 00000001 0c 07e5010105000000ff8000ff 0201 06 00000001", True),
        ("0f 00000001 00 0201 06 00000001", True),
        ("0f 00000001 00 00", False),  # nothing in it
        ("0f 00000001 0c 0001010105000000ff8000ff 0201 06 00000001", False),  # of the year 1
        ("0f 00000001 0c ffff010105000000ff8000ff 0201 06 00000001", True),  # no year is told
        ("db 08 4b414d4500000001 12 30 00000001 " + "00" * 13, True),
        ("db 08 4b414d4500000001 05 30 00000001", False),  # a tag is said to be there
        ("db 08 4b414d4500000001 07 00 00000001 0000", False),  # not protected at all
        ("db 03 4b414d 12 30 00000001 " + "00" * 13, False),  # no title has three octets
        ("d8 01 02", True),
        ("d8 09 02", False),
        ("05 00", False),  # asks for nothing
        ("0c 00", False),
    ],
)
def test_whole_messages(octets: str, good: bool) -> None:
    assert plausible(decode_apdu(bytes.fromhex(octets))) is good
    assert begins_apdu(bytes.fromhex(octets), whole=True) is good


@pytest.mark.parametrize("octets", ["", "ff", "0f", "db 08", "00 01 02"])
def test_what_is_no_message(octets: str) -> None:
    assert not begins_apdu(bytes.fromhex(octets), whole=True)


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        ("0f 00000001 00", True),
        ("0f 00000001 0c07", True),
        ("0f 00000001 090c", True),
        ("0f 00000001 0905", False),
        ("0f 00000001 44", False),
        ("db 08", True),
        ("c0 01", True),
        ("c0 09", False),
        ("7e", False),
        ("", False),
    ],
)
def test_first_octets(octets: str, good: bool) -> None:
    assert plausible_head(bytes.fromhex(octets)) is good


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        ("0f 00000001 00 0201 06 00000001", True),
        ("0f 00000001 00 06 00000001", False),  # one bare number
        ("db 08 4b414d4500000001 12 30 00000001 " + "00" * 13, True),
        ("c4 01 c1 00 06 00000001", False),
    ],
)
def test_what_meters_send_by_themselves(octets: str, good: bool) -> None:
    assert pushed(decode_apdu(bytes.fromhex(octets))) is good


@pytest.mark.parametrize(
    ("octets", "good"),
    [
        ("c2 00 0001 0000600100ff 02 1105", True),
        ("c2 01 0c 07ea0101 04 0c000000 ff800000 0001 0000600100ff 02 1105", True),
        ("c2 01 0c 00010101 04 0c000000 ff800000 0001 0000600100ff 02 1105", False),  # the year 1
        ("10 00000001 00", True),
        ("d8 01 02", True),
        ("d8 09 02", False),
        ("0e 01 06 01", True),
        ("0e 01 0b 01", False),
        ("0e 01 06 09", False),
        ("0e 1f 06 01", False),
    ],
)
def test_messages_with_times_and_codes_that_may_be(octets: str, good: bool) -> None:
    assert plausible(decode_apdu(bytes.fromhex(octets))) is good
