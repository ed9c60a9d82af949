"""The conformance block: names in the order of the published associations, and its octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError, DecodeError
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.conformance import Conformance
from tests.frames_data import entries


def blocks(node):
    """Every list of conformance names anywhere in an entry."""
    if isinstance(node, dict):
        found = [node["conformance"]] if isinstance(node.get("conformance"), list) else []
        return found + [names for value in node.values() for names in blocks(value)]
    return [names for value in node for names in blocks(value)] if isinstance(node, list) else []


PUBLISHED = blocks(entries("vectors_association", "conversations"))


def test_there_are_published_blocks():
    assert len(PUBLISHED) > 10


def test_names_are_the_published_ones():
    assert all(Conformance.from_names(names).names() == names for names in PUBLISHED)


def test_all_bits_in_order():
    (everything,) = {tuple(names) for names in PUBLISHED if len(names) == 24}
    assert Conformance(0xFFFFFF).names() == list(everything)


@pytest.mark.parametrize(
    ("octets", "names"),
    [
        ("5f1f0400001c1f", ["block-transfer-with-get-or-read", "block-transfer-with-set-or-write",
                            "block-transfer-with-action", "get", "set", "selective-access", "event-notification",
                            "action"]),
        ("5f1f040000501f", ["priority-mgmt-supported", "block-transfer-with-get-or-read", "get", "set",
                            "selective-access", "event-notification", "action"]),
        ("5f1f0400800000", ["reserved-zero"]),
    ],
)  # fmt: skip
def test_octets(octets, names):
    block = Conformance.decode(Reader(bytes.fromhex(octets)))
    assert block.names() == names
    assert block.encode().hex() == octets


@given(st.integers(0, 0xFFFFFF))
def test_round_trip(bits):
    block = Conformance(bits)
    reader = Reader(block.encode() + b"rest")
    assert Conformance.decode(reader) == block == Conformance.from_names(block.names())
    assert reader.rest() == b"rest"


def test_the_short_tag_of_older_meters():
    assert Conformance.decode(Reader(bytes.fromhex("5f0400000010"))) == Conformance.GET


@pytest.mark.parametrize(
    "octets", ["", "5f", "5f1f", "5f1f04000010", "5f1f0401000010", "5f1f03000010", "601f0400000010"]
)
def test_anything_else_is_a_decode_error(octets):
    with pytest.raises(DecodeError):
        Conformance.decode(Reader(bytes.fromhex(octets)))


def test_names_are_read_leniently_and_mistakes_named():
    assert Conformance.from_names([" GET", "general_block_transfer"]).names() == ["general-block-transfer", "get"]
    with pytest.raises(ConfigError, match="'got'"):
        Conformance.from_names(["got"])
