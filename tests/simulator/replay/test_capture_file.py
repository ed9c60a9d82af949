"""What a capture file holds: values in every form, joined from blocks, the sign-on, and what is no capture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumberAccess,
    DataBlockResult,
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.replay.capture_file import FORMAT, Capture


@pytest.mark.parametrize(
    "text",
    ["[]", "format: other", "format: dlms-mqtt-capture-1\nexchanges: [[x]]", "a: [", "format: dlms-mqtt-capture-1"],
)
def test_what_is_no_capture(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Capture.load(path)


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
NAME = AttributeDescriptor(1, Obis.parse("0.0.42.0.0.255"), 2)
SEVEN = Data(DataType.UNSIGNED, 7)
DENIED = DataAccessResult.READ_WRITE_DENIED


def capture_of(*exchanges: tuple[Apdu, Apdu], **more: Any) -> Capture:
    rows = [[request.encode().hex(), answered.encode().hex()] for request, answered in exchanges]
    return Capture({"format": FORMAT, "exchanges": rows} | more)


def test_single_values_and_refusals() -> None:
    found = capture_of(
        (GetRequestNormal(0xC1, ENERGY), GetResponseNormal(0xC1, None, b"\x11\x07")),
        (GetRequestNormal(0xC2, NAME), GetResponseNormal(0xC2, DENIED, b"")),
    )
    assert found.values == {ENERGY: SEVEN, NAME: DENIED}
    assert (found.begin, found.signs_on, found.identification) == (0, False, None)


def test_lists() -> None:
    request = GetRequestWithList(0xC1, ((ENERGY, None), (NAME, None)))
    assert capture_of((request, GetResponseWithList(0xC1, (SEVEN, DENIED)))).values == {ENERGY: SEVEN, NAME: DENIED}


def test_short_names_and_what_is_no_name() -> None:
    request = ReadRequest((VariableName(8), ParameterisedAccess(16, 1, SEVEN)))
    assert capture_of((request, ReadResponse((SEVEN, DENIED)))).values == {8: SEVEN, 16: DENIED}
    assert capture_of((ReadRequest((BlockNumberAccess(1),)), ReadResponse((SEVEN,)))).values == {}


def test_blocks_are_joined() -> None:
    found = capture_of(
        (GetRequestNormal(0xC1, ENERGY), GetResponseBlock(0xC1, False, 1, None, b"\x11")),
        (GetRequestNext(0xC1, 1), GetResponseBlock(0xC1, True, 2, None, b"\x07")),
        (ReadRequest((VariableName(8),)), ReadResponse((DataBlockResult(False, 1, b"\x01\x00"),))),
        (ReadRequest((BlockNumberAccess(1),)), ReadResponse((DataBlockResult(True, 2, b"\x11\x07"),))),
    )
    assert found.values == {ENERGY: SEVEN, 8: SEVEN}


def test_what_cannot_be_read_is_passed_over() -> None:
    rows = [["c0", "c4"], ["c001c1"], [GetRequestNormal(0xC1, ENERGY).encode().hex(), "c401c1001107"]]
    assert Capture({"exchanges": rows}).values == {ENERGY: SEVEN}


@pytest.mark.parametrize(("begin", "read"), [(1, 1), (9, 0), (-1, 0), ("1", 0), (None, 0)])
def test_where_the_association_begins(begin: object, read: int) -> None:
    exchange = (GetRequestNormal(0xC1, ENERGY), GetResponseNormal(0xC1, DENIED, b""))
    assert capture_of(exchange, begin=begin).begin == read


SIGN_ON = [[0.0, ">", b"/?!\r\n".hex()], [0.1, "<", b"/ISK5ME371\r\n".hex()]]


@pytest.mark.parametrize(
    ("opening", "frames", "signs_on"), [("sign-on", [], True), ("auto", SIGN_ON, True), ("auto", [], False)]
)
def test_a_session_with_a_sign_on(opening: str, frames: list[Any], signs_on: bool) -> None:
    found = capture_of(connection={"opening": opening}, frames=frames)
    assert found.signs_on is signs_on
    assert (found.identification is not None) is bool(frames)


@pytest.mark.parametrize("frames", [[[0.0, "<"]], [[0.0, "<", "xyz"]], [1]])
def test_frames_that_are_none(frames: list[Any]) -> None:
    with pytest.raises(ConfigError, match="no readable frames"):
        capture_of(frames=frames)


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "capture.yaml"
    with pytest.raises(ConfigError, match="cannot be read: No such file") as caught:
        Capture.load(file)
    assert caught.value.file == str(file)
    file.write_text(f"format: {FORMAT}\nexchanges: [[c001c100030100010800ff0200, c401c1001107]]\n")
    assert Capture.load(file).values == {ENERGY: SEVEN}
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is none"):
        Capture.load(file)
