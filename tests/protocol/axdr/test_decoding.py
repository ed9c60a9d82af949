"""Octets to values: published vectors whole, cut and with trailing octets; every type; hostile octets."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.data import (
    MAX_DEPTH,
    Data,
    DataType,
    decode,
    decode_whole,
    encode,
)
from tests.frames_data import entries, entry_id

T = DataType
VECTORS = entries("vectors_data", group="data-value")
vectors = pytest.mark.parametrize("entry", VECTORS, ids=entry_id)


# --- published vectors ----------------------------------------------------------------------------------------------


@vectors
def test_vector_decodes(entry):
    value = decode_whole(bytes.fromhex(entry["hex"]))
    assert value.tree() == entry["expected"]["tree"]
    if "text" in entry["expected"]:
        assert value.plain() == entry["expected"]["text"]


@vectors
def test_vector_cut_at_every_octet(entry):
    octets = bytes.fromhex(entry["hex"])
    for end in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(octets[:end])


@vectors
def test_vector_with_octets_around(entry):
    octets = bytes.fromhex(entry["hex"])
    value, end = decode(b"\xaa\xbb" + octets + b"\x00\x7e", 2)
    assert (value.tree(), end) == (entry["expected"]["tree"], 2 + len(octets))
    with pytest.raises(DecodeError, match="2 stray octets") as caught:
        decode_whole(octets + b"\x00\x7e")
    assert caught.value.offset == len(octets)


# --- every type -----------------------------------------------------------------------------------------------------

TYPES = [
    ("00", ["null-data", None]),
    ("0300", ["boolean", False]),
    ("03ff", ["boolean", True]),
    ("0400", ["bit-string", ""]),
    ("0409abff", ["bit-string", "101010111"]),
    ("05ffffffff", ["double-long", -1]),
    ("06ffffffff", ["double-long-unsigned", 4294967295]),
    ("0900", ["octet-string", ""]),
    ("0a0141", ["visible-string", "A"]),
    ("0a01b0", ["visible-string", "°"]),
    ("0c02c3a4", ["utf8-string", "ä"]),
    ("0c01ff", ["utf8-string", "\\xff"]),
    ("0d42", ["bcd", "42"]),
    ("0f80", ["integer", -128]),
    ("108000", ["long", -32768]),
    ("11ff", ["unsigned", 255]),
    ("12ffff", ["long-unsigned", 65535]),
    ("14ffffffffffffffff", ["long64", -1]),
    ("15ffffffffffffffff", ["long64-unsigned", 18446744073709551615]),
    ("161e", ["enum", 30]),
    ("173fc00000", ["float32", 1.5]),
    ("183ff8000000000000", ["float64", 1.5]),
    ("1907e80b1504080f1e00ffc400", ["date-time", "07e80b1504080f1e00ffc400"]),
    ("1a07e80b1504", ["date", "07e80b1504"]),
    ("1b081e0f17", ["time", "081e0f17"]),
    ("1cff", ["delta-integer", -1]),
    ("1dffff", ["delta-long", -1]),
    ("1effffffff", ["delta-double-long", -1]),
    ("1fff", ["delta-unsigned", 255]),
    ("20ffff", ["delta-long-unsigned", 65535]),
    ("21ffffffff", ["delta-double-long-unsigned", 4294967295]),
    ("ff", ["dont-care", None]),
    ("0100", ["array", []]),
    ("02020f010f02", ["structure", [["integer", 1], ["integer", 2]]]),
]


@pytest.mark.parametrize(("octets", "tree"), TYPES, ids=[octets for octets, _ in TYPES])
def test_type(octets, tree):
    octets = bytes.fromhex(octets)
    value = decode_whole(octets)
    assert value.tree() == tree
    for end in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(octets[:end])


@pytest.mark.parametrize("kind", DataType)
def test_names_lead_back_to_types(kind):
    assert DataType.from_text(kind.text) is kind


def test_no_such_name():
    assert DataType.from_text("double-short") is None


@pytest.mark.parametrize("tag", sorted(set(range(256)) - set(DataType)))
def test_unknown_tag(tag):
    with pytest.raises(DecodeError, match=f"no data type {tag}"):
        decode(bytes((tag,)) + bytes(20))


def test_plain_and_tree():
    value = Data(T.STRUCTURE, (Data(T.OCTET_STRING, b"\x01\xff"), Data(T.ARRAY, (Data(T.UNSIGNED, 1),))))
    assert value.plain() == [b"\x01\xff", [1]]
    assert value.tree() == ["structure", [["octet-string", "01ff"], ["array", [["unsigned", 1]]]]]


@pytest.mark.parametrize("octets", ["09810161", "0982000161", "098400000001 61".replace(" ", "")])
def test_a_length_longer_than_needed_is_read(octets):
    assert decode_whole(bytes.fromhex(octets)).value == b"a"


# --- compact arrays -------------------------------------------------------------------------------------------------

COMPACT = [
    ("1312 04 00010002", ["compact-array", [["long-unsigned", 1], ["long-unsigned", 2]]]),
    (
        "13 02 02 09 11  07  02 aabb 01  01 cc 02",
        [
            "compact-array",
            [
                ["structure", [["octet-string", "aabb"], ["unsigned", 1]]],
                ["structure", [["octet-string", "cc"], ["unsigned", 2]]],
            ],
        ],
    ),
    ("13 01 0002 0f  02  01ff", ["compact-array", [["array", [["integer", 1], ["integer", -1]]]]]),
    (
        "13 02 02 00 11  02  0102",
        ["compact-array", [["structure", [["null-data", None], ["unsigned", n]]] for n in (1, 2)]],
    ),
    ("13 19 00", ["compact-array", []]),
    ("13 00 00", ["compact-array", []]),
    ("1304 04 03a0 0180", ["compact-array", [["bit-string", "101"], ["bit-string", "1"]]]),
]


@pytest.mark.parametrize(("octets", "tree"), COMPACT, ids=[octets for octets, _ in COMPACT])
def test_compact_array(octets, tree):
    octets = bytes.fromhex(octets.replace(" ", ""))
    value = decode_whole(octets)
    assert value.tree() == tree
    assert encode(value) == octets
    for end in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(octets[:end])


@pytest.mark.parametrize(
    "octets",
    [
        "13000100",  # nulls out of octets
        "130202000001ff",
        "1301ffff0001ff",
        "1301ffff020201ffff01ffff00110105",  # 4,000,000,000 nulls before the one octet of an element
        "130201" + "01ffff" * 3 + "0001ff",
        "1301000211" + "03010203",  # half an element left over
        "1313" + "110101",  # a compact-array within
        "1363" + "0101",  # no such type
        "1301ffff01ffff01ffff01ffff11" + "0400000000",
        "13" + "0201" * 40 + "11" + "0101",
    ],
)
def test_compact_array_that_cannot_be(octets):
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(octets))


# --- hostile octets -------------------------------------------------------------------------------------------------


def test_depth_is_limited():
    within, beyond = b"\x02\x01" * MAX_DEPTH + b"\x00", b"\x02\x01" * (MAX_DEPTH + 1) + b"\x00"
    assert encode(decode_whole(within)) == within
    with pytest.raises(DecodeError, match="deeper"):
        decode(beyond)


@pytest.mark.parametrize(
    "octets", ["0184ffffffff", "0284ffffffff00", "0984ffffffff41", "0484ffffffff41", "01850000000001", "0180"]
)
def test_counts_are_checked_before_anything_is_made(octets):
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(octets))


@pytest.mark.parametrize("seed", [b"\x13\x02\x02\x00\x11\x01\x01", b"\x13\x01\x01\x00\x00\x00", b"\x02\x01", b"\x00"])
def test_many_small_traps_take_bounded_time(seed):
    count = 60_000 // len(seed)
    octets = b"\x01\x82" + count.to_bytes(2, "big") + seed * count
    start = time.process_time()
    with contextlib.suppress(DecodeError):
        decode(octets)
    assert time.process_time() - start < 2


@given(st.binary(max_size=200))
def test_any_octets_decode_or_raise_decode_error(octets):
    with contextlib.suppress(DecodeError):
        value, end = decode(octets)
        assert 0 < end <= len(octets)
        again = encode(value)
        assert encode(decode_whole(again)) == again


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 9, 0x11, 0x13, 0x19, 0x80, 0x81, 0x82, 0xFF]), max_size=60).map(bytes))
def test_octets_full_of_tags_decode_or_raise_decode_error(octets):
    for start in (b"", b"\x13", b"\x13\x02", b"\x01\x03"):
        with contextlib.suppress(DecodeError):
            decode(start + octets)
