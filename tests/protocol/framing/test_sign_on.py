"""The messages of the sign-on: published lines, parity, rubbish, and speeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.framing.seven_bit import add_parity, has_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import (
    BREAK,
    Identification,
    OptionSelect,
    baud_character,
    begins_readout,
    block_check,
    encode_readout,
    encode_request,
    find_identification,
    find_option_select,
    find_request,
)
from tests.frames_data import entries, entry, entry_id

LINES = [item for item in entries("vectors_sign_on") if "manufacturer" in item["expected"]]


def test_request() -> None:
    expected = entry("vectors_sign_on", "sign-on-request")
    assert encode_request().hex() == expected["expected"]["seven_bit"]
    assert add_parity(encode_request()).hex() == expected["hex"]
    assert strip_parity(bytes.fromhex(expected["hex"])).hex() == expected["expected"]["seven_bit"]
    assert find_request(bytes.fromhex(expected["hex"])) == ("", 5)
    assert find_request(b"\0\0" + encode_request("12345678")) == ("12345678", 15)
    assert find_request(b"/?12") is None


def test_option_select() -> None:
    vector = entry("vectors_sign_on", "sign-on-option-select")
    expected = vector["expected"]
    choice = OptionSelect(expected["protocol_control"], expected["baud_character"], expected["mode_control"])
    assert choice.encode().hex() == expected["seven_bit"]
    assert add_parity(choice.encode()).hex() == vector["hex"]
    assert find_option_select(bytes.fromhex(vector["hex"])) == (choice, 6)
    assert not choice.mode_e
    assert OptionSelect("2", "5", "2").encode() == b"\x06252\r\n"
    assert OptionSelect("2", "5", "2").mode_e


@pytest.mark.parametrize("vector", LINES, ids=entry_id)
def test_identification(vector: dict) -> None:
    data, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    found = find_identification(data)
    assert found
    identification, end = found
    assert end == len(data)
    assert identification.manufacturer == expected["manufacturer"]
    assert identification.baud_character == expected["baud_character"]
    assert identification.baud_rate == expected["baud_rate"]
    assert list(identification.escapes) == expected["escape_sequences"]
    assert identification.offers_mode_e == expected["offers_mode_e"]
    assert identification.text == expected["identification"]
    assert identification.encode() == data
    for end in range(len(data)):
        assert find_identification(data[:end]) is None


@pytest.mark.parametrize("vector", LINES, ids=entry_id)
@pytest.mark.parametrize("before", [b"", b"?", b"\xff\x00/", b"/?!\r\n", b"garbage\r\n/X"])
def test_identification_after_rubbish(vector: dict, before: bytes) -> None:
    data = bytes.fromhex(vector["hex"])
    (plain, _), found = find_identification(data) or (None, 0), find_identification(before + data + b"rest")
    assert found == (plain, len(before + data))


def test_parity_read_as_data() -> None:
    data = bytes.fromhex(LINES[0]["hex"])
    found = find_identification(add_parity(data))
    assert found
    assert found[0].parity_seen
    assert found[0].encode() == data
    assert has_parity(add_parity(data))
    assert not has_parity(data)
    assert not has_parity(b"\xff\xfe\x80")


def test_reaction_time() -> None:
    assert Identification("ISK", "5", (), "").reaction_time == 0.2
    assert Identification("ISk", "5", (), "").reaction_time == 0.02


@pytest.mark.parametrize(
    ("offered", "limit", "chosen"),
    [
        ("5", 0, "5"),
        ("6", 9600, "5"),
        ("9", 0, "9"),
        ("5", 4799, "3"),
        ("5", 100, "0"),
        ("A", 0, "0"),
        ("3", 115200, "3"),
    ],
)
def test_speed(offered: str, limit: int, chosen: str) -> None:
    assert baud_character(offered, limit) == chosen


@pytest.mark.parametrize("address", ["x" * 33, "12!", "/1", "ü", "a\r"])
def test_addresses_that_cannot_be_sent(address: str) -> None:
    with pytest.raises(ConfigError):
        encode_request(address)


def test_break_and_readout() -> None:
    assert BREAK == b"\x01B0\x03\x71"
    data = encode_readout(b"1.8.0(000123*kWh)\r\n")
    assert begins_readout(data)
    assert begins_readout(add_parity(data))
    assert block_check(data[1:]) == b"\0"


@given(st.binary(max_size=120))
def test_any_octets(data: bytes) -> None:
    for find in (find_identification, find_request, find_option_select):
        for start in (b"", b"/", b"/?", b"\x06"):
            find(start + data)
    assert strip_parity(add_parity(data)) == strip_parity(data)
