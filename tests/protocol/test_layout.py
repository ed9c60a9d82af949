"""Fields of messages: every codec by its octets, both ways, cut, and with what does not fit; values read when asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import (
    DATA,
    FLAG,
    I8,
    OCTETS,
    OPTIONAL_OCTETS,
    REST,
    U8,
    U16,
    U32,
    VALUES,
    Apdu,
    Code,
    Codec,
    LazyValue,
    choice,
    code_text,
    optional,
    record,
    sequence,
)

SEVEN = Data(DataType.UNSIGNED, 7)


class Colour(Code):
    DARK_RED = 3


class Point(NamedTuple):
    x: int
    y: int


POINT = record(Point, U8, U16)
PICKED = choice({1: U8, 4: OCTETS}, lambda value: 4 if isinstance(value, bytes) else 1, "picture")


@dataclass(frozen=True, slots=True)
class Sample(Apdu, head=(0x99, 2), name="sample-request", layout=(U8, OCTETS)):
    number: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Lazy(LazyValue, Apdu, head=(0x98,), name="lazy-response", layout=(U8, optional(REST))):
    number: int
    data: bytes | None


FIELDS = [
    (U8, 200, "c8"),
    (I8, -2, "fe"),
    (U16, 0x1234, "1234"),
    (U32, 0x12345678, "12345678"),
    (FLAG, True, "01"),
    (FLAG, False, "00"),
    (OCTETS, b"\xab\xcd", "02abcd"),
    (OCTETS, bytes(200), "81c8" + "00" * 200),
    (DATA, SEVEN, "1107"),
    (VALUES, (SEVEN, SEVEN), "0211071107"),
    (POINT, Point(1, 2), "010002"),
    (optional(POINT), None, "00"),
    (optional(POINT), Point(1, 2), "01010002"),
    (sequence(POINT), (Point(1, 2), Point(3, 4)), "02010002030004"),
    (PICKED, 9, "0109"),
    (PICKED, b"\xff", "0401ff"),
]


@pytest.mark.parametrize(("codec", "value", "octets"), FIELDS, ids=[octets[:20] for *_, octets in FIELDS])
def test_fields_both_ways_and_cut(codec: Codec, value: Any, octets: str) -> None:
    data = bytes.fromhex(octets)
    assert codec.encode(value) == data
    assert len(data) >= codec.least
    reader = Reader(data + b"\xee")
    assert codec.read(reader) == value
    assert reader.rest() == b"\xee"
    for cut in range(len(data)):
        with pytest.raises(DecodeError):
            codec.read(Reader(data[:cut]))


def test_any_octet_but_0_is_true() -> None:
    assert FLAG.read(Reader(b"\xff")) is True


def test_octets_that_may_be_left_out_are_none_when_empty() -> None:
    assert OPTIONAL_OCTETS.read(Reader(b"\0")) is None
    assert OPTIONAL_OCTETS.encode(None) == b"\0"
    assert OPTIONAL_OCTETS.read(Reader(OPTIONAL_OCTETS.encode(b"a"))) == b"a"


def test_a_rest_takes_all_there_is_and_must_be_something() -> None:
    assert REST.read(Reader(b"\1\2")) == REST.encode(bytearray(b"\1\2")) == b"\1\2"
    with pytest.raises(DecodeError, match="the value is missing") as caught:
        REST.read(Reader(b"\1", 1))
    assert caught.value.offset == 1


def test_a_count_is_held_against_what_is_there() -> None:
    with pytest.raises(DecodeError, match="200 items announced, 599 octets left"):
        sequence(POINT).read(Reader(b"\x81\xc8" + bytes(599)))


def test_a_choice_that_is_not_known_is_named_with_its_place() -> None:
    with pytest.raises(DecodeError, match="picture 2 is not known") as caught:
        PICKED.read(Reader(b"\xee\2", 1))
    assert caught.value.offset == 1


def test_codes_have_words_and_strangers_stay_numbers() -> None:
    assert Colour.of(3) is Colour.DARK_RED
    assert Colour.of(4) == 4 and not isinstance(Colour.of(4), Colour)
    assert [code_text(Colour.of(code)) for code in (3, 4)] == ["dark-red", "code 4"]


def test_a_message_is_its_head_and_its_fields() -> None:
    message, octets = Sample(5, b"hi"), bytes.fromhex("9902 05 026869")
    assert (Sample.TAG, Sample.HEAD, Sample.NAME) == (0x99, b"\x99\x02", "sample-request")
    assert message.encode() == octets
    assert Sample.decode(octets) == Sample.from_bytes(octets) == message
    reader = Reader(octets + octets)
    assert [Sample.decode(reader), Sample.decode(reader)] == [message, message]


@pytest.mark.parametrize(
    ("octets", "words"),
    [("9903050168", "9903 does not begin a sample-request"), ("99", "head"), ("990205", "needs 1 bytes")],
)
def test_another_message_or_a_cut_one(octets: str, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        Sample.decode(bytes.fromhex(octets))


@pytest.mark.parametrize("message", [Sample(256, b""), Sample(1, "text"), Sample("one", b"")])  # type: ignore[arg-type]
def test_what_does_not_fit_is_our_own_mistake(message: Sample) -> None:
    with pytest.raises(LocalProtocolError, match="sample-request cannot be encoded"):
        message.encode()


def test_a_value_is_decoded_once_and_when_it_is_asked_for() -> None:
    message = Lazy.decode(bytes.fromhex("98 05 01 1107 aabb"))
    assert message.data == bytes.fromhex("1107aabb")
    assert message.value == SEVEN
    assert message.value is message.value
    assert message.trailing == b"\xaa\xbb"
    short = message.trimmed()
    assert (short.data, short.value, short.trailing, short.number) == (b"\x11\x07", SEVEN, b"", 5)
    assert short.value is message.value


def test_a_value_that_is_none() -> None:
    assert Lazy.decode(bytes.fromhex("980500")).trailing == b""
    for octets in ("980500", "98050112"):
        message = Lazy.decode(bytes.fromhex(octets))
        with pytest.raises(DecodeError):
            _ = message.value
    with pytest.raises(DecodeError):
        Lazy.decode(bytes.fromhex("98050112")).trimmed()
