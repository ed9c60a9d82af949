from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem import structures
from dlms_mqtt.cosem.structures import CaptureObject, ImageInfo, ScalerUnit
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole, encode
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import entries

obis = st.binary(min_size=6, max_size=6).map(Obis)
words = st.integers(0, 0xFFFF)
small = st.integers(-128, 127)
capture_object = st.builds(CaptureObject, words, obis, small, words)
LISTS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Data], tuple[Any, ...]]]] = {
    "capture objects": (capture_object, structures.capture_objects),
    "images": (
        st.builds(ImageInfo, st.integers(0, 2**32 - 1), st.binary(max_size=9), st.binary(max_size=9)),
        structures.images,
    ),
}


@pytest.mark.parametrize("name", LISTS)
@given(data=st.data())
def test_lists_round_trip(name: str, data: st.DataObject) -> None:
    strategy, decoder = LISTS[name]
    items = tuple(data.draw(st.lists(strategy, max_size=4)))
    assert decoder(decode_whole(encode(structures.array(items)))) == items


@given(st.integers(-20, 20), st.integers(0, 255))
def test_scaler_unit_round_trip(scaler: int, unit: int) -> None:
    item = ScalerUnit(scaler, unit)
    assert ScalerUnit.from_data(decode_whole(encode(item.to_data()))) == item


@pytest.mark.parametrize(
    ("kind", "sent", "scaler"),
    [
        (DataType.INTEGER, -2, -2),
        (DataType.UNSIGNED, 254, -2),
        (DataType.UNSIGNED, 3, 3),
        (DataType.LONG, -1, -1),
        (DataType.LONG_UNSIGNED, 0xFFFE, -2),
        (DataType.ENUM, 255, -1),
    ],
)
def test_a_scaler_is_a_signed_octet_whatever_its_tag(kind: DataType, sent: int, scaler: int) -> None:
    data = Data(DataType.STRUCTURE, (Data(kind, sent), Data(DataType.ENUM, 30)))
    assert ScalerUnit.from_data(data) == (scaler, 30)


@pytest.mark.parametrize("scaler", [-128, -21, 21, 100, 127, 1000, 65000])
def test_an_absurd_scaler_is_none(scaler: int) -> None:
    data = Data(DataType.STRUCTURE, (Data(DataType.LONG64, scaler), Data(DataType.ENUM, 30)))
    with pytest.raises(DecodeError, match="no scale of a meter"):
        ScalerUnit.from_data(data)


@pytest.mark.parametrize(
    ("raw", "scaler", "value"),
    [
        (123456.78125, 3, "123456780"),
        (8388607.5, 0, "8388607.5"),
        (0.10000000149011612, 0, "0.1"),  # 0.1 as a float32
        (0.1, 0, "0.1"),
        (1 / 3, 0, "0.3333333333333333"),  # no float32
        (1e300, -2, "1E+298"),
    ],
)
def test_a_float_keeps_its_shortest_decimal(raw: float, scaler: int, value: str) -> None:
    assert ScalerUnit(scaler, 30).apply(raw) == Decimal(value)


@pytest.mark.parametrize(
    ("scaler", "code", "raw", "value", "unit"),
    [
        (-1, 35, 2303, "230.3", "V"),
        (3, 30, 12, "12E+3", "Wh"),
        (0, 255, 5, "5", ""),
        (-3, 27, 0.1, "0.0001", "W"),
        (0, 200, 1, "1", ""),
    ],
)
def test_scaler_unit(scaler: int, code: int, raw: float, value: str, unit: str) -> None:
    item = ScalerUnit(scaler, code)
    assert (item.apply(raw), item.unit) == (Decimal(value), unit)


WRONG = [
    Data(DataType.NULL_DATA, None),
    Data(DataType.UNSIGNED, 3),
    Data(DataType.STRUCTURE, ()),
    Data(DataType.STRUCTURE, (Data(DataType.OCTET_STRING, b"x"), Data(DataType.UNSIGNED, 1))),
]


@pytest.mark.parametrize("value", WRONG, ids=str)
@pytest.mark.parametrize("kind", [ScalerUnit, CaptureObject, ImageInfo])
def test_what_is_no_such_structure_is_refused(kind: Any, value: Data) -> None:
    with pytest.raises(DecodeError):
        kind.from_data(value)


def test_a_logical_name_has_six_octets() -> None:
    short = CaptureObject(3, Obis(b"short"), 2)
    with pytest.raises(DecodeError, match="6 octets"):
        CaptureObject.from_data(short.to_data())


def test_lists() -> None:
    assert structures.capture_objects(Data(DataType.NULL_DATA, None)) == ()
    with pytest.raises(DecodeError):
        structures.images(Data(DataType.UNSIGNED, 1))


def push_lists() -> Iterator[tuple[str, Any]]:
    for entry in entries("push"):
        expected = entry.get("expected", {})
        if expected.get("layout") == "described-list" and "tree" in expected:
            yield entry["id"], expected


@pytest.mark.parametrize(
    ("name", "expected"), list(push_lists()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_published_push_lists(name: str, expected: Any) -> None:
    """The first element of these messages describes the others."""
    described = structures.capture_objects(tree(expected["tree"][1][0]))
    body = expected["tree"][1]
    assert len(described) == len(body)
    assert described[0].class_id == 40


def tree(node: Any) -> Data:
    kind = DataType.from_text(node[0])
    assert kind is not None
    if kind in (DataType.ARRAY, DataType.STRUCTURE):
        return Data(kind, tuple(map(tree, node[1])))
    return Data(kind, bytes.fromhex(node[1]) if kind is DataType.OCTET_STRING else node[1])
