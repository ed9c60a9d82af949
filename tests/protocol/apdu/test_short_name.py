"""Short names: reads, writes, blocks of both, and answers joined from blocks."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.results import (
    DataAccessResult,
)
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumberAccess,
    DataBlockResult,
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
    decode_read_blocks,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from tests.protocol.apdu.drive import drive

SEVEN = Data(DataType.UNSIGNED, 7)
TEXT = Data(DataType.VISIBLE_STRING, "x" * 200)


def test_short_name_read() -> None:
    request = drive(bytes.fromhex("05" + "02" + "02fa08" + "04fa0801" + "1107"))
    assert request == ReadRequest((VariableName(0xFA08), ParameterisedAccess(0xFA08, 1, SEVEN)))
    answer = drive(bytes.fromhex("0c" + "03" + "001107" + "0104" + "0201000102abcd"))
    assert answer == ReadResponse((SEVEN, DataAccessResult.OBJECT_UNDEFINED, DataBlockResult(True, 1, b"\xab\xcd")))
    assert drive(bytes.fromhex("0501050001")) == ReadRequest((BlockNumberAccess(1),))


def test_short_name_write() -> None:
    whole = WriteRequest((VariableName(0xFA08), VariableName(8)), (SEVEN, TEXT))
    part = Data(DataType.OCTET_STRING, whole.encode_body()[:50])
    assert drive(WriteRequest((WriteDataBlockAccess(False, 1),), (part,)).encode())
    assert drive(bytes.fromhex("0d02000103")) == WriteResponse(
        (DataAccessResult.SUCCESS, DataAccessResult.READ_WRITE_DENIED)
    )


def test_short_name_answer_in_blocks() -> None:
    assert decode_read_blocks(bytes.fromhex("1107")) == (SEVEN,)
    assert decode_read_blocks(bytes.fromhex("01001107")) == (SEVEN,)
    assert decode_read_blocks(bytes.fromhex("02001107010b")) == (SEVEN, DataAccessResult.OBJECT_UNAVAILABLE)
    with pytest.raises(DecodeError):
        decode_read_blocks(bytes.fromhex("0100110700"))
