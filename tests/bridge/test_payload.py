from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.api.payload import MAX_REQUEST, decimal_of, dumps, loads, number_text, plain_text
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.1"), "0.1"),
        (Decimal("1234.500"), "1234.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("-0"), "0"),
        (Decimal("0.00"), "0"),
        (Decimal("100"), "100"),
        (0, "0"),
        (-5, "-5"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (float("nan"), ""),
        (float("inf"), ""),
        (Decimal("NaN"), ""),
    ],
)
def test_numbers(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "on"),
        (False, "off"),
        ("a b", "a b"),
        (b"\x01\xff", "01ff"),
        (Obis((1, 0, 1, 8, 0, 255)), "1.0.1.8.0.255"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        (Decimal("2.50"), "2.5"),
    ],
)
def test_plain(value, text):
    assert plain_text(value) == text


def test_a_secret_is_never_written():
    assert dumps({"key": Secret(b"\x12\x12")}) == '{"key": "***"}'
    assert plain_text(Secret(b"\x12\x12")) == "***"


def test_what_is_written_can_be_read_again():
    assert loads(dumps({"a": [1, Decimal("0.1"), None, True, "ä\n", {"b": ()}]})) == {
        "a": [1, Decimal("0.1"), None, True, "ä\n", {"b": []}]
    }


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=6),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_json)
def test_what_is_written_is_json_and_exact(value):
    text = dumps(value)
    json.loads(text)
    assert loads(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", Decimal(1)), ("1e400", Decimal("1e400")), ("-0.10", Decimal("-0.10"))],
)
def test_a_number(text, value):
    assert decimal_of(text) == value


@pytest.mark.parametrize("text", ["one", "", "1e401", "1e-401", "1e999999999999999999"])
def test_what_is_no_number_or_one_of_too_many_digits(text):
    with pytest.raises(ValueError):
        decimal_of(text)
    with pytest.raises(ValueError):
        loads(f"[{text or '.'}]")


@pytest.mark.parametrize(
    "bad",
    [b"", b"{", b"nul", b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b'["\\ud800"]', b" " * (MAX_REQUEST + 1)],
)
def test_what_is_no_json(bad):
    with pytest.raises(ValueError):
        loads(bad)
