"""Names of attributes, methods and columns, and the two selectors of a profile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.descriptors import (
    ATTRIBUTE,
    ATTRIBUTE_WITH_SELECTION,
    METHOD,
    AttributeDescriptor,
    CaptureObject,
    MethodDescriptor,
    entry_access,
    range_access,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.obis import Obis

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
CLOCK = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2)


def test_text() -> None:
    assert str(ENERGY) == "3/1.0.1.8.0.255:2"
    assert str(MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), -1)) == "70/0.0.96.3.10.255:-1"


@given(st.integers(0, 0xFFFF), st.binary(min_size=6, max_size=6), st.integers(-128, 127))
def test_they_go_round(class_id: int, obis: bytes, number: int) -> None:
    """Attributes of the maker's own have negative numbers."""
    for codec, kind in ((ATTRIBUTE, AttributeDescriptor), (METHOD, MethodDescriptor)):
        descriptor = kind(class_id, Obis(obis), number)
        octets = codec.encode(descriptor)
        assert len(octets) == 9
        assert codec.read(Reader(octets)) == descriptor
        with pytest.raises(DecodeError, match="descriptor"):
            codec.read(Reader(octets[:8]))


def test_octets() -> None:
    assert ATTRIBUTE.encode(ENERGY).hex() == "00030100010800ff02"
    assert ATTRIBUTE_WITH_SELECTION.encode((ENERGY, None)).hex() == "00030100010800ff0200"
    with pytest.raises(ValueError, match="6 octets, not 5"):
        ATTRIBUTE.encode((3, b"12345", 2))


def test_rows_by_value() -> None:
    """Blue Book, Profile generic, range_descriptor: restricting object, from, to, columns."""
    moment = Data(DataType.OCTET_STRING, bytes.fromhex("07e3050802000000ff800000"))
    number, data = range_access(CLOCK, moment, moment)
    assert number == 1
    column = "020412000809060000010000ff0f02120000"
    time = "090c07e3050802000000ff800000"
    assert encode(data).hex() == f"0204{column}{time}{time}0100"
    assert encode(range_access(CLOCK, moment, moment, [CLOCK])[1]).hex() == f"0204{column}{time}{time}0101{column}"


def test_rows_by_number() -> None:
    number, data = entry_access(1, 10, 2, 3)
    assert (number, encode(data).hex()) == (2, "020406000000010600000" + "00a120002120003")
    assert encode(entry_access(5)[1]).hex() == "02040600000005060000000012000112" + "0000"
