"""Values and their types: names both ways, plain forms, trees for JSON, and floats as a person would write them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.axdr.timestamps import Date
from dlms_mqtt.protocol.axdr.values import NUMBERS, Data, DataType, shortest_float32

T = DataType


@pytest.mark.parametrize("kind", list(DataType))
def test_names_both_ways(kind: DataType) -> None:
    assert DataType.from_text(kind.text) is kind
    assert DataType.from_text(f" {kind.text.upper()} ") is kind


def test_a_name_that_is_none() -> None:
    assert DataType.from_text("word") is None
    assert DataType.from_text("") is None


@pytest.mark.parametrize(
    ("value", "text"), [(123456.78, "123456.78"), (0.1, "0.1"), (1e10, "1e+10"), (230.0, "230"), (-0.05, "-0.05")]
)
def test_floats_are_short(value: float, text: str) -> None:
    assert shortest_float32(struct.unpack(">f", struct.pack(">f", value))[0]) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_short_floats_read_back_as_the_same(value: float) -> None:
    assert struct.pack(">f", float(shortest_float32(value))) == struct.pack(">f", value)


TREE = Data(
    T.STRUCTURE,
    (
        Data(T.LONG_UNSIGNED, 8),
        Data(T.OCTET_STRING, b"\x00\xff"),
        Data(T.ARRAY, (Data(T.DATE, Date(bytes.fromhex("07ea0c1f04"))), Data(T.NULL_DATA, None))),
    ),
)


def test_plain_and_tree() -> None:
    assert TREE.plain()[:2] == [8, b"\x00\xff"]
    assert TREE.plain()[2][1] is None
    assert TREE.tree() == [
        "structure",
        [["long-unsigned", 8], ["octet-string", "00ff"], ["array", [["date", "07ea0c1f04"], ["null-data", None]]]],
    ]


def test_every_number_has_a_size() -> None:
    sizes = {kind.text: struct.calcsize(">" + code) for kind, code in NUMBERS.items()}
    assert sizes["unsigned"] == sizes["enum"] == 1
    assert sizes["long"] == 2 and sizes["double-long"] == sizes["float32"] == 4
    assert sizes["long64-unsigned"] == sizes["float64"] == 8
