"""GET: selections as published, the fast path beside the slow one, octets behind a value."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import (
    AttributeDescriptor,
    CaptureObject,
    entry_access,
    range_access,
)
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.results import (
    ActionResult,
    DataAccessResult,
    code_text,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import entry
from tests.protocol.apdu.drive import drive

CLOCK = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2)
PROFILE = AttributeDescriptor(7, Obis.parse("1.0.99.1.0.255"), 2)
SEVEN = Data(DataType.UNSIGNED, 7)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_range_as_published(number: int) -> None:
    data = bytes.fromhex(entry("vectors_services", f"u9n-get-range-selection-{number}")["apdu"])
    published = GetRequestNormal.decode(data)
    assert published.access is not None
    _, start, end, _ = published.access[1].value
    assert GetRequestNormal(0xC1, PROFILE, range_access(CLOCK, start, end)).encode() == data


def test_range_with_columns() -> None:
    energy = CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2)
    selector, parameters = range_access(CLOCK, SEVEN, SEVEN, [CLOCK, energy])
    assert selector == 1
    assert [len(column.value) for column in parameters.value[3].value] == [4, 4]
    drive(GetRequestNormal(0xC1, PROFILE, (selector, parameters)).encode())


def test_entries() -> None:
    data = GetRequestNormal(0xC1, PROFILE, entry_access(1, 10)).encode()
    assert data.hex().endswith("01" + "02" + "0204" + "0600000001" + "060000000a" + "120001" + "120000")
    drive(data)


def test_fast_and_slow_answers_are_the_same() -> None:
    fast = decode_apdu(bytes.fromhex("c401c1000600001391"))
    assert fast == GetResponseNormal.decode(bytes.fromhex("c401c1000600001391"))
    assert isinstance(fast, GetResponseNormal)
    assert fast.value == Data(DataType.DOUBLE_LONG_UNSIGNED, 5009)
    assert fast.trailing == b""


def test_octets_after_a_value() -> None:
    message = decode_apdu(bytes.fromhex("c401c1001107" + "00000000"))
    assert isinstance(message, GetResponseNormal)
    assert message.value == SEVEN
    assert message.trailing == bytes(4)


def test_unknown_codes_stay_numbers() -> None:
    message = decode_apdu(bytes.fromhex("c401c10163"))
    assert isinstance(message, GetResponseNormal)
    assert message.error == 0x63
    assert code_text(message.error) == "code 99"
    assert code_text(DataAccessResult.OBJECT_UNDEFINED) == "object-undefined"
    assert ActionResult.of(250) is ActionResult.OTHER_REASON


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("c001c1 0003 0100010800ff 02 00", GetRequestNormal(0xC1, ENERGY)),
        ("c002c1 00000002", GetRequestNext(0xC1, 2)),
        ("c003c1 01 0003 0100010800ff 02 00", GetRequestWithList(0xC1, ((ENERGY, None),))),
        ("c401c1 00 1107", GetResponseNormal(0xC1, None, b"\x11\x07")),
        ("c401c1 01 0b", GetResponseNormal(0xC1, DataAccessResult.OBJECT_UNAVAILABLE, b"")),
        ("c402c1 00 00000001 00 02 abcd", GetResponseBlock(0xC1, False, 1, None, b"\xab\xcd")),
        ("c402c1 01 00000002 01 0f", GetResponseBlock(0xC1, True, 2, DataAccessResult.LONG_GET_ABORTED, b"")),
        ("c403c1 02 00 1107 01 03", GetResponseWithList(0xC1, (SEVEN, DataAccessResult.READ_WRITE_DENIED))),
    ],
)
def test_every_form_by_its_octets(octets: str, message: Apdu) -> None:
    assert drive(bytes.fromhex(octets)) == message
    assert message.encode() == bytes.fromhex(octets)


@pytest.mark.parametrize(
    "octets", ["c401c1", "c401c100", "c401c102", "c402c1000000000102", "c001c1 0003 0100010800ff 02"]
)
def test_what_is_none(octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_apdu(bytes.fromhex(octets))


@pytest.mark.parametrize("attribute", [(70000, Obis(6), 2), (3, Obis(6), 128), ("three", Obis(6), 2)])
def test_a_request_that_cannot_be_sent_is_our_own_mistake(attribute: Any) -> None:
    with pytest.raises(LocalProtocolError, match="get-request-normal cannot be encoded"):
        GetRequestNormal(0xC1, attribute).encode()
