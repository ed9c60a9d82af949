"""A value that somebody wants written: words, numbers, texts, dates and times, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.bridge.requests.written_values import free_data, item_data, moment_data, type_named
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from tests.bridge.planned import VIENNA, item_of, said

START = DateTime.from_datetime(datetime(2026, 1, 1, 6, tzinfo=VIENNA))
T = DataType


@pytest.mark.parametrize(
    ("said", "value", "kind", "scaled", "expected"),
    [
        (said(values={1: "day", 2: "night"}), "night", T.UNSIGNED, None, 2),
        (said(values={1: "day", 2: "night"}), "2", T.UNSIGNED, None, 2),
        (said(), "5", T.LONG, None, 5),
        (said(min=0, max=10), "10", T.LONG, None, 10),
        (said(), "21.5", T.LONG, ScalerUnit(-1, 255), 215),
        (said(scaler=-2), "1.25", T.LONG, None, 125),
        (said(max_length=8), "abc", T.OCTET_STRING, None, b"abc"),
        (said(max_length=8), "abc", T.VISIBLE_STRING, None, "abc"),
        (said(), "2.5", T.FLOAT64, None, 2.5),
        (said(), "true", T.BOOLEAN, None, True),
    ],
)
def test_values_to_write(said, value, kind, scaled, expected):
    assert item_data(item_of(said), value, value, kind, scaled) == Data(kind, expected)


@pytest.mark.parametrize(
    ("said", "value", "kind", "code"),
    [
        (said(values={1: "day"}), "noon", T.UNSIGNED, "invalid-value"),
        (said(min=0, max=10), "11", T.LONG, "invalid-value"),
        (said(), "many", T.LONG, "invalid-value"),
        (said(), "NaN", T.LONG, "invalid-value"),
        (said(), "1.5", T.LONG, "invalid-value"),
        (said(), "70000", T.LONG, "invalid-value"),
        (said(max_length=2), "abc", T.OCTET_STRING, "invalid-value"),
        (said(transform=parse_transform("value * 2")), "1", T.LONG, "not-supported"),
    ],
)
def test_values_that_are_not_written(said, value, kind, code):
    with pytest.raises(RequestError) as error:
        item_data(item_of(said), value, value, kind, None)
    assert error.value.code == code


def test_free_values():
    assert free_data("0102", T.OCTET_STRING) == Data(T.OCTET_STRING, b"\x01\x02")
    assert free_data(Decimal("1.0"), T.UNSIGNED) == Data(T.UNSIGNED, 1)
    assert free_data([], T.ARRAY) == Data(T.ARRAY, ())
    assert type_named("long-unsigned") is T.LONG_UNSIGNED and type_named(None) is None
    for value, kind in ((300, T.UNSIGNED), ({}, T.LONG), (None, T.LONG)):
        with pytest.raises(RequestError):
            free_data(value, kind)
    with pytest.raises(RequestError):
        type_named("longish")


@pytest.mark.parametrize(
    ("text", "moment", "held", "expected"),
    [
        ("2026-07-01T06:30:00", T.DATE_TIME, None, "07ea070103061e0000ff8880"),
        ("2026-10-25T00:30:00+00:00", T.DATE_TIME, None, "07ea0a1907021e0000ff8880"),
        ("2026-10-25T01:30:00+00:00", T.DATE_TIME, None, "07ea0a1907021e0000ffc400"),  # the same hour again
        ("*-*-01 00:00", T.DATE_TIME, Data(T.OCTET_STRING, START.raw), "ffffff01ff00000000800000"),
        ("08:30:15.500000", T.TIME, None, "081e0f32"),
        ("08:*", T.TIME, None, "08ff0000"),
        ("2026-12-31", T.DATE, Data(T.NULL_DATA, None), "07ea0c1f04"),
    ],
)
def test_moments_to_write(text, moment, held, expected):
    data = moment_data(text, moment, held, VIENNA, -1)
    octets = data.value if data.type is T.OCTET_STRING else data.value.raw
    assert octets.hex() == expected
    assert data.type is (held.type if held and held.type is T.OCTET_STRING else moment)


def test_a_meter_that_means_the_opposite_deviation():
    data = moment_data("2026-07-01T04:30:00+00:00", T.DATE_TIME, None, VIENNA, 1)
    assert data.value.deviation == 120
    assert data.value.to_datetime(VIENNA, 1) == datetime(2026, 7, 1, 4, 30, tzinfo=UTC)


def test_a_time_that_no_calendar_of_the_zone_has():
    data = moment_data("0001-01-01T00:00:00+14:00", T.DATE_TIME, None, VIENNA, -1)
    assert (data.value.year, data.value.deviation) == (1, -840)  # as it was said


@pytest.mark.parametrize(("text", "moment"), [("12:00", T.DATE), ("2026", T.DATE), ("", T.TIME), ("x", T.DATE_TIME)])
def test_what_is_no_moment(text, moment):
    with pytest.raises(RequestError, match="is no"):
        moment_data(text, moment, None, VIENNA, -1)
