"""What people and programs write becomes a typed value, or a sentence that names the rule."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole, encode, from_tree, parse_value, to_data
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time
from tests.frames_data import entries
from tests.protocol.values_strategy import VALUES

T = DataType


# --- text -----------------------------------------------------------------------------------------------------------

GOOD = [
    ("", T.NULL_DATA, None),
    ("null", T.DONT_CARE, None),
    ("true", T.BOOLEAN, True),
    ("OFF", T.BOOLEAN, False),
    ("0", T.BOOLEAN, False),
    (" 42 ", T.UNSIGNED, 42),
    ("007", T.UNSIGNED, 7),
    ("0xff", T.UNSIGNED, 255),
    ("-128", T.INTEGER, -128),
    ("-0x80", T.INTEGER, -128),
    ("18446744073709551615", T.LONG64_UNSIGNED, 2**64 - 1),
    ("30", T.ENUM, 30),
    ("-5", T.DELTA_LONG, -5),
    ("21.5", T.FLOAT32, 21.5),
    ("1e300", T.FLOAT64, 1e300),
    ("", T.BIT_STRING, ""),
    ("0101", T.BIT_STRING, "0101"),
    (" a b ", T.VISIBLE_STRING, " a b "),
    ("ä€", T.UTF8_STRING, "ä€"),
    ("42", T.BCD, b"\x42"),
    ("", T.OCTET_STRING, b""),
    ("0100010800ff", T.OCTET_STRING, bytes.fromhex("0100010800ff")),
    ("01 00:01 08", T.OCTET_STRING, bytes.fromhex("01000108")),
    ("0x0A", T.OCTET_STRING, b"\n"),
    ("hex:0a", T.OCTET_STRING, b"\n"),
    ("text:0a ä", T.OCTET_STRING, "0a ä".encode()),
    ("1.0.1.8.0.255", T.OCTET_STRING, bytes.fromhex("0100010800ff")),
    ("1-0:1.8.0", T.OCTET_STRING, bytes.fromhex("0100010800ff")),
    ("2026-11-22", T.OCTET_STRING, bytes.fromhex("07ea0b1607")),
    ("08:30", T.OCTET_STRING, bytes.fromhex("081e0000")),
    ("2026-11-22T20:15:00+01:00", T.OCTET_STRING, bytes.fromhex("07ea0b1607140f0000ffc400")),
    ("*-12-24 *:00", T.OCTET_STRING, bytes.fromhex("ffff0c18ffff000000800000")),
    ("2026-11-22T20:15:00Z", T.DATE_TIME, DateTime(bytes.fromhex("07ea0b1607140f0000000000"))),
    ("07ea0b1607140f0000000000", T.DATE_TIME, DateTime(bytes.fromhex("07ea0b1607140f0000000000"))),
    ("2026-11-22", T.DATE, Date(bytes.fromhex("07ea0b1607"))),
    ("08:30:15.23", T.TIME, Time(bytes.fromhex("081e0f17"))),
    ("[]", T.ARRAY, ()),
    ('[["unsigned", 5], ["null-data", null]]', T.STRUCTURE, (Data(T.UNSIGNED, 5), Data(T.NULL_DATA, None))),
    ('["structure", [["unsigned", 5]]]', T.STRUCTURE, (Data(T.UNSIGNED, 5),)),
    ('[["date", "07ea0b1607"]]', T.COMPACT_ARRAY, (Data(T.DATE, Date(bytes.fromhex("07ea0b1607"))),)),
]


@pytest.mark.parametrize(("text", "kind", "value"), GOOD, ids=[f"{kind.text} {text}" for text, kind, _ in GOOD])
def test_text(text, kind, value):
    data = parse_value(text, kind)
    assert data == Data(kind, value)
    assert type(data.value) is type(value)
    assert decode_whole(encode(data)) == data
    assert to_data(text, kind) == data


BAD = [
    ("x", T.NULL_DATA, "write null"),
    ("maybe", T.BOOLEAN, "true or false"),
    ("2", T.BOOLEAN, "true or false"),
    ("256", T.UNSIGNED, "from 0 to 255"),
    ("-1", T.LONG_UNSIGNED, "from 0 to 65535"),
    ("128", T.INTEGER, "from -128 to 127"),
    ("1.5", T.LONG, "whole number"),
    ("", T.LONG, "whole number"),
    ("1_000", T.LONG, "whole number"),
    ("٣", T.LONG, "whole number"),
    ("9" * 5000, T.LONG64, "whole number"),
    ("much", T.FLOAT32, "21.5"),
    ("nan", T.FLOAT64, "a number"),
    ("1e39", T.FLOAT32, "a number"),
    ("012", T.BIT_STRING, "0 and 1"),
    ("ä", T.VISIBLE_STRING, "ASCII"),
    ("\ud800", T.UTF8_STRING, "text"),
    ("123", T.BCD, "hex digits"),
    ("1234", T.BCD, "2 hex digits"),
    ("abc", T.OCTET_STRING, "OBIS"),
    ("hello", T.OCTET_STRING, "text:"),
    ("1.0.1.8.0.256", T.OCTET_STRING, "1.0.1.8.0.255"),
    ("2026-02-31", T.OCTET_STRING, "2026-12-31"),
    ("07ea", T.DATE, "10 hex digits"),
    ("tomorrow", T.DATE_TIME, "2026"),
    ("25:00", T.TIME, "08:30:15"),
    ("5", T.ARRAY, "list"),
    ("[5", T.ARRAY, "JSON"),
    ("[" * 100_000, T.ARRAY, "JSON"),
    ('[["unsigned", 256]]', T.STRUCTURE, "255"),
    ('[["short", 1]]', T.STRUCTURE, "[type, value]"),
    ('["array", [["unsigned", 5]]]', T.STRUCTURE, "[type, value]"),
]


@pytest.mark.parametrize(("text", "kind", "rule"), BAD, ids=[f"{kind.text} {text:.20}" for text, kind, _ in BAD])
def test_text_that_is_none(text, kind, rule):
    with pytest.raises(ConfigError) as caught:
        parse_value(text, kind)
    assert rule in f"{caught.value} {caught.value.hint}"


@given(st.text(max_size=40), st.sampled_from(DataType))
def test_any_text_is_a_value_that_can_be_sent_or_a_config_error(text, kind):
    try:
        data = parse_value(text, kind)
    except ConfigError:
        return
    assert decode_whole(encode(data)).type == kind


# --- plain Python ---------------------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, T.NULL_DATA, None),
        (True, T.BOOLEAN, True),
        (0, T.BOOLEAN, False),
        (21.0, T.UNSIGNED, 21),
        (Decimal(21), T.LONG, 21),
        (5, T.FLOAT64, 5.0),
        (b"\x01", T.OCTET_STRING, b"\x01"),
        (bytearray(b"\x01"), T.OCTET_STRING, b"\x01"),
        (NOON, T.OCTET_STRING, bytes.fromhex("07ea0b16070c000000000000")),
        (NOON, T.DATE_TIME, DateTime(bytes.fromhex("07ea0b16070c000000000000"))),
        (date(2026, 11, 22), T.DATE, Date(bytes.fromhex("07ea0b1607"))),
        (time(8, 30), T.TIME, Time(bytes.fromhex("081e0000"))),
        (Date(bytes.fromhex("07ea0b1607")), T.OCTET_STRING, bytes.fromhex("07ea0b1607")),
        ([Data(T.UNSIGNED, 1), ["enum", 2]], T.STRUCTURE, (Data(T.UNSIGNED, 1), Data(T.ENUM, 2))),
        (b"\x12", T.BCD, b"\x12"),
        ("7", T.UNSIGNED, 7),
    ],
    ids=repr,
)
def test_plain(value, kind, expected):
    data = to_data(value, kind)
    assert data == Data(kind, expected)
    assert type(data.value) is type(expected)
    assert decode_whole(encode(data)) == data


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, T.NULL_DATA),
        (2, T.BOOLEAN),
        (1.0, T.BOOLEAN),
        ([], T.BOOLEAN),
        (True, T.UNSIGNED),
        (1.5, T.UNSIGNED),
        (b"5", T.UNSIGNED),
        (None, T.UNSIGNED),
        ([1], T.UNSIGNED),
        (float("inf"), T.LONG),
        (float("nan"), T.FLOAT64),
        (True, T.FLOAT64),
        (None, T.FLOAT32),
        (1, T.OCTET_STRING),
        (1, T.VISIBLE_STRING),
        (1, T.BIT_STRING),
        (b"12", T.BCD),
        (1, T.DATE),
        (NOON, T.DATE),
        (date(2026, 1, 1), T.DATE_TIME),
        (1, T.ARRAY),
        ([1], T.ARRAY),
        ({"unsigned": 1}, T.STRUCTURE),
        ([["unsigned"]], T.STRUCTURE),
    ],
    ids=repr,
)
def test_plain_that_does_not_fit(value, kind):
    with pytest.raises(ConfigError) as caught:
        to_data(value, kind)
    assert kind.text in f"{caught.value} {caught.value.hint}" or "[type, value]" in str(caught.value)


# --- trees ----------------------------------------------------------------------------------------------------------


def trees(node):
    if isinstance(node, dict):
        found = [node["tree"]] if "tree" in node else []
        return found + [tree for value in node.values() for tree in trees(value)]
    return [tree for value in node for tree in trees(value)] if isinstance(node, list) else []


def test_every_published_tree_comes_back():
    published = trees(entries("push", "vectors_data", "vectors_ciphered_apdus"))
    assert len(published) > 50
    for tree in published:
        data = from_tree(tree)
        assert data.tree() == tree
        assert decode_whole(encode(data)) == data


@given(VALUES)
def test_any_tree_survives_json(value):
    assert from_tree(json.loads(json.dumps(value.tree()))) == value


@pytest.mark.parametrize("tree", [None, 5, [], ["unsigned"], ["unsigned", 1, 2], [1, "unsigned"], ["short", 1], {}])
def test_no_tree(tree):
    with pytest.raises(ConfigError):
        from_tree(tree)


def test_trees_have_a_limit():
    tree = ["unsigned", 1]
    for _ in range(32):
        tree = ["structure", [tree]]
    assert encode(from_tree(tree))
    with pytest.raises(ConfigError, match="32 deep"):
        from_tree(["structure", [tree]])
