"""Profile buffers: the fast way gives what the general decoder gives, for every mixture of shapes."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.data import CompactArray, Data, DataType, decode_rows, decode_whole, encode, fill_nulls
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from tests.frames_data import entry
from tests.protocol.values_strategy import LEAF, VALUES

T = DataType
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 29, 0, 0, tzinfo=BERLIN)  # the day on which the clocks go forward


def structure(*items: Data) -> Data:
    return Data(T.STRUCTURE, items)


def stamp(minutes: int) -> Data:
    local = (START.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(BERLIN)
    return Data(T.OCTET_STRING, DateTime.from_datetime(local).raw)


def row(number: int, when: Data | None = None) -> Data:
    return structure(when or stamp(15 * number), Data(T.UNSIGNED, number % 256), Data(T.DOUBLE_LONG_UNSIGNED, number))


def buffer(*rows: Data) -> bytes:
    return encode(Data(T.ARRAY, rows))


NULL = Data(T.NULL_DATA, None)


def check(octets: bytes) -> None:
    """The plain rows are those of the general decoder."""
    general = decode_whole(octets).value
    expected = [tuple(item.plain()) if item.type == T.STRUCTURE else (item.plain(),) for item in general]
    width = max(map(len, expected), default=0)
    rows = decode_rows(octets)
    assert rows.rows == [each + (None,) * (width - len(each)) for each in expected]
    assert rows.end == len(octets)
    assert len(rows.types) == width


# --- published buffers ----------------------------------------------------------------------------------------------


def test_published_buffer_with_nulls():
    vector = entry("vectors_data", "profile-buffer-u9n")
    octets = bytes.fromhex(vector["hex"])
    check(octets)
    kinds, rows, _ = decode_rows(octets, times={0})
    assert len(rows) == vector["expected"]["rows"]
    assert [kind.text for kind in kinds] == ["octet-string", "unsigned", "double-long-unsigned", "double-long-unsigned"]
    period = timedelta(minutes=vector["expected"]["capture_period_minutes"])
    filled = fill_nulls(rows, times={0}, period=period)
    assert [each[0].isoformat() for each in filled] == [
        "2019-12-31T23:00:00+01:00",
        "2020-01-01T00:00:00+01:00",
        "2020-01-01T01:00:00+01:00",
        "2020-01-01T02:00:00+01:00",
    ]
    assert [each[1:] for each in filled] == [each[1:] for each in rows]


def test_published_buffer_without_deviation():
    octets = bytes.fromhex(entry("vectors_data", "structure-u9n-4")["hex"])
    check(octets)
    rows = decode_rows(octets, times={0}, tz=BERLIN).rows
    assert rows[0] == (datetime(2018, 2, 12, 0, 0, tzinfo=BERLIN), 0, 100_000)
    assert rows[23] == (datetime(2018, 2, 12, 23, 0, tzinfo=BERLIN), 0, 109_568)


def test_published_buffer_cut_at_every_octet():
    octets = bytes.fromhex(entry("vectors_data", "structure-u9n-4")["hex"])
    for end in range(len(octets)):
        with pytest.raises(DecodeError):
            decode_rows(octets[:end])


# --- shapes ---------------------------------------------------------------------------------------------------------

LONG = Data(T.OCTET_STRING, bytes(200))
NESTED = Data(T.ARRAY, (Data(T.UNSIGNED, 1), structure(Data(T.BOOLEAN, True))))
SHAPES = {
    "equal": [row(number) for number in range(100)],
    "nulls after the first": [row(0), *(row(number, NULL) for number in range(1, 100))],
    "a null now and then": [row(number, NULL if number % 9 == 3 else None) for number in range(100)],
    "every other": [row(number, NULL if number % 2 else None) for number in range(100)],
    "two long runs": [row(number, NULL if number > 50 else None) for number in range(100)],
    "all null": [structure(NULL, NULL)] * 50,
    "don't care": [structure(Data(T.DONT_CARE, None), Data(T.UNSIGNED, 1))] * 50,
    "strings of two lengths": [structure(Data(T.VISIBLE_STRING, "ab" if n < 30 else "a°c")) for n in range(60)],
    "utf-8": [structure(Data(T.UTF8_STRING, "ä"), Data(T.BOOLEAN, True))] * 20,
    "long strings": [structure(LONG, Data(T.UNSIGNED, 1))] * 20,
    "containers": [structure(NESTED, Data(T.UNSIGNED, 1))] * 20,
    "times": [structure(Data(T.DATE_TIME, DateTime(bytes(range(12)))), Data(T.BCD, b"\x12"))] * 20,
    "single values": [Data(T.UNSIGNED, number) for number in range(20)],
    "ragged": [row(0), structure(Data(T.UNSIGNED, 1)), row(2)] * 10,
    "empty rows": [structure()] * 20,
    "nothing": [],
    "one": [row(0)],
    "a tag among the values": [structure(Data(T.UNSIGNED, 0x11), Data(T.LONG, 0x1111))] * 20,
    "as many columns as a long count": [structure(*[Data(T.UNSIGNED, n) for n in range(200)])] * 10,
}


@pytest.mark.parametrize("rows", SHAPES.values(), ids=SHAPES)
def test_shape(rows):
    check(buffer(*rows))


@given(st.lists(st.tuples(VALUES, st.integers(1, 12)), max_size=8))
def test_any_mixture_of_repeated_rows(runs):
    check(buffer(*(value for value, times in runs for _ in range(times) if value.type != T.NULL_DATA)))


@given(st.lists(LEAF, min_size=1, max_size=6), st.integers(1, 60))
def test_any_columns(columns, count):
    check(buffer(*[structure(*columns)] * count))


def test_compact_array():
    rows = CompactArray(row(number) for number in range(10))
    assert decode_rows(encode(Data(T.COMPACT_ARRAY, rows))).rows == decode_rows(buffer(*rows)).rows


def test_offset_and_what_follows():
    octets = buffer(*SHAPES["equal"])
    rows = decode_rows(b"\xaa" + octets + b"rest", 1)
    assert (rows.rows, rows.end) == (decode_rows(octets).rows, 1 + len(octets))


def test_the_type_of_a_column_is_its_first_that_is_not_null():
    octets = buffer(structure(NULL, NULL), row(1), structure(NULL, Data(T.LONG, 1), NULL))
    assert decode_rows(octets).types == [T.OCTET_STRING, T.UNSIGNED, T.DOUBLE_LONG_UNSIGNED]
    assert decode_rows(buffer(structure(NULL))).types == [T.NULL_DATA]


# --- times ----------------------------------------------------------------------------------------------------------


def test_times_go_on_over_the_change_of_the_clocks():
    rows = decode_rows(buffer(*SHAPES["equal"]), times={0}).rows
    assert [each[0].astimezone(UTC) for each in rows] == [
        START.astimezone(UTC) + timedelta(minutes=15 * number) for number in range(100)
    ]
    assert {each[0].utcoffset() for each in rows} == {timedelta(hours=1), timedelta(hours=2)}


def test_times_that_are_none_stay_what_they_are():
    wild, short = Data(T.OCTET_STRING, b"\xff" * 12), Data(T.OCTET_STRING, b"\x01")
    native = Data(T.DATE_TIME, DateTime(stamp(0).value))
    rows = decode_rows(buffer(*(structure(item) for item in (wild, short, native, NULL))), times={0, 7}).rows
    assert rows == [(DateTime(b"\xff" * 12),), (b"\x01",), (START,), (None,)]


def test_a_column_that_is_not_asked_for_stays_octets():
    assert decode_rows(buffer(row(0))).rows[0][0] == stamp(0).value


def test_fill_nulls():
    before = datetime(2026, 3, 29, 1, 45, tzinfo=BERLIN)
    rows = [(None, None), (before, 1), (None, None), (None, 3), (before, None)]
    assert fill_nulls(rows) == [(None, None), (before, 1), (before, 1), (before, 3), (before, 3)]
    assert fill_nulls(rows, times={0}) == [(None, None), (before, 1), (None, 1), (None, 3), (before, 3)]
    filled = fill_nulls(rows, times={0}, period=timedelta(minutes=15))
    assert [each[0] and each[0].isoformat() for each in filled] == [
        None,
        "2026-03-29T01:45:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:15:00+02:00",
        "2026-03-29T01:45:00+01:00",
    ]


def test_fill_nulls_of_a_naive_time():
    before = datetime(2026, 3, 29, 1, 45)
    assert fill_nulls([(before,), (None,)], times={0}, period=timedelta(hours=1))[1] == (datetime(2026, 3, 29, 2, 45),)


# --- hostile octets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", ["", "00", "01", "0181", "0184ffffffff", "0105", "0203110111021103", "1300010001"])
def test_no_buffer(octets):
    with pytest.raises(DecodeError):
        decode_rows(bytes.fromhex(octets))


@given(st.binary(max_size=100), st.integers(0, 40))
def test_any_octets_decode_or_raise_decode_error(octets, count):
    with contextlib.suppress(DecodeError):
        decode_rows(bytes((T.ARRAY, count)) + octets, times={0, 1}, tz=BERLIN)


@pytest.mark.parametrize("lengths", [(1, 2), (5, 7), (17, 18), (6, 1)])
def test_changing_shapes_take_bounded_time(lengths):
    rows: list[Data] = []
    while len(rows) < 6000:
        for kind, length in zip((T.UNSIGNED, T.ENUM), lengths, strict=True):
            rows += [structure(Data(kind, 1))] * length
    octets = buffer(*rows)
    start = time.process_time()
    check(octets)
    assert time.process_time() - start < 2
