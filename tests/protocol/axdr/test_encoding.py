"""Values to octets: published vectors, lengths, compact arrays described by their elements, and what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.axdr.data import (
    CompactArray,
    Data,
    DataType,
    decode,
    decode_whole,
    encode,
    from_tree,
)
from tests.frames_data import entries, entry_id
from tests.protocol.values_strategy import VALUES

T = DataType
VECTORS = entries("vectors_data", group="data-value")
vectors = pytest.mark.parametrize("entry", VECTORS, ids=entry_id)


@vectors
def test_vector_encodes(entry):
    octets = bytes.fromhex(entry["hex"])
    assert encode(decode_whole(octets)) == octets
    assert encode(from_tree(entry["expected"]["tree"])) == octets


@pytest.mark.parametrize(("length", "head"), [(127, "097f"), (128, "098180"), (255, "0981ff"), (256, "09820100")])
def test_lengths(length, head):
    octets = encode(Data(T.OCTET_STRING, bytes(length)))
    assert octets == bytes.fromhex(head) + bytes(length)
    assert decode_whole(octets).value == bytes(length)


def test_compact_array_is_described_by_its_first_element():
    element = Data(T.STRUCTURE, (Data(T.ARRAY, (Data(T.UNSIGNED, 1), Data(T.UNSIGNED, 2))), Data(T.ARRAY, ())))
    octets = encode(Data(T.COMPACT_ARRAY, (element, element)))
    assert octets.hex() == "1302020100021101000000" + "0401020102"
    assert decode_whole(octets).value == (element, element)


@pytest.mark.parametrize(
    "elements",
    [
        (Data(T.UNSIGNED, 1), Data(T.INTEGER, 1)),
        (Data(T.STRUCTURE, (Data(T.UNSIGNED, 1),)), Data(T.STRUCTURE, ())),
        (Data(T.ARRAY, (Data(T.UNSIGNED, 1),)), Data(T.ARRAY, ())),
        (Data(T.COMPACT_ARRAY, ()),),
    ],
)
def test_elements_that_are_not_alike_are_not_sent(elements):
    with pytest.raises(LocalProtocolError):
        encode(Data(T.COMPACT_ARRAY, elements))


def test_a_description_that_does_not_fit_is_not_sent():
    value = CompactArray((Data(T.UNSIGNED, 1),))
    value.description = b"\x11\x11"
    with pytest.raises(LocalProtocolError):
        encode(Data(T.COMPACT_ARRAY, value))


@given(VALUES)
def test_any_value_round_trips(value):
    octets = encode(value)
    assert decode(octets + b"\xff") == (value, len(octets))
    assert encode(decode_whole(octets)) == octets


@pytest.mark.parametrize(
    "value",
    [
        Data(T.UNSIGNED, 256),
        Data(T.UNSIGNED, -1),
        Data(T.LONG, 1.5),
        Data(T.OCTET_STRING, "text"),
        Data(T.VISIBLE_STRING, "€"),
        Data(T.BIT_STRING, "012"),
        Data(T.BCD, b"ab"),
        Data(T.DATE, b"abcde"),
        Data(T.STRUCTURE, (1, 2)),
        Data(99, 1),
        Data(T.FLOAT32, 1e300),
    ],
    ids=repr,
)
def test_a_value_that_does_not_fit_is_not_sent(value):
    with pytest.raises(LocalProtocolError):
        encode(value)


def test_an_empty_array_in_a_compact_array_takes_its_description_only():
    value = CompactArray((Data(T.STRUCTURE, (Data(T.ARRAY, ()), Data(T.NULL_DATA, None), Data(T.UNSIGNED, 7))),))
    value.description = bytes.fromhex("02 03 01 0000 06 00 11")
    octets = encode(Data(T.COMPACT_ARRAY, value))
    assert octets.hex() == "13" + "0203010000060011" + "0107"
    assert decode_whole(octets).value == tuple(value)


def test_texts_are_latin_or_utf8():
    assert encode(Data(T.VISIBLE_STRING, "ä")).hex() == "0a01e4"
    assert encode(Data(T.UTF8_STRING, "ä")).hex() == "0c02c3a4"
    assert encode(Data(T.BIT_STRING, "")).hex() == "0400"
    assert encode(Data(T.BOOLEAN, True)).hex() == "0301"
    assert encode(Data(T.DONT_CARE, None)).hex() == "ff"
