"""SET: every form by its octets, joined lists, results."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.set import (
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseNormal,
    SetResponseWithList,
    decode_values,
    encode_values,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from tests.protocol.apdu.drive import drive

SEVEN = Data(DataType.UNSIGNED, 7)
TEXT = Data(DataType.VISIBLE_STRING, "x" * 200)


def test_joined_values() -> None:
    assert decode_values(encode_values((TEXT, SEVEN))) == (TEXT, SEVEN)


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
DENIED, DONE = DataAccessResult.READ_WRITE_DENIED, DataAccessResult.SUCCESS
NAME = "0003 0100010800ff 02 00"


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (f"c101c1 {NAME} 1107", SetRequestNormal(0xC1, ENERGY, None, b"\x11\x07")),
        (f"c102c1 {NAME} 00 00000001 02 1107", SetRequestFirstBlock(0xC1, ENERGY, None, False, 1, b"\x11\x07")),
        ("c103c1 01 00000002 02 1107", SetRequestBlock(0xC1, True, 2, b"\x11\x07")),
        (f"c104c1 01 {NAME} 01 1107", SetRequestWithList(0xC1, ((ENERGY, None),), (SEVEN,))),
        (
            f"c105c1 01 {NAME} 00 00000001 01 01",
            SetRequestWithListFirstBlock(0xC1, ((ENERGY, None),), False, 1, b"\x01"),
        ),
        ("c501c1 03", SetResponseNormal(0xC1, DENIED)),
        ("c502c1 00000001", SetResponseBlock(0xC1, 1)),
        ("c503c1 00 00000002", SetResponseLastBlock(0xC1, DONE, 2)),
        ("c504c1 02 0003 00000002", SetResponseLastBlockWithList(0xC1, (DONE, DENIED), 2)),
        ("c505c1 02 0003", SetResponseWithList(0xC1, (DONE, DENIED))),
    ],
)
def test_every_form_by_its_octets(octets: str, message: Apdu) -> None:
    assert drive(bytes.fromhex(octets)) == message
    assert message.encode() == bytes.fromhex(octets)


def test_the_value_of_a_write_is_read_when_it_is_asked_for() -> None:
    request = SetRequestNormal.decode(bytes.fromhex(f"c101c1 {NAME} 1107 00"))
    assert (request.value, request.trailing) == (SEVEN, b"\0")
    assert request.trimmed().data == b"\x11\x07"


def test_joined_values_that_are_cut() -> None:
    with pytest.raises(DecodeError):
        decode_values(encode_values((TEXT, SEVEN))[:-1])
