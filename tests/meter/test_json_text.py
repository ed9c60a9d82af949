"""Numbers and documents as text: exact, and otherwise as ``json.dumps`` writes them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.meter.json_text import dumps, number_text, plain, plain_text
from dlms_mqtt.protocol.obis import Obis

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(TREES, st.sampled_from([None, 2]), st.booleans())
def test_as_json_writes_it(tree: Any, indent: int | None, ascii_only: bool) -> None:
    assert dumps(tree, indent=indent, ascii_only=ascii_only) == json.dumps(tree, indent=indent, ensure_ascii=ascii_only)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12))
def test_decimals_are_exact(value: Decimal) -> None:
    text = dumps({"value": value}, indent=2)
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal)["value"] == value
    assert "E" not in text and "e-" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567890123.4567890"), "1234567890123.456789"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (0.1, "0.1"),
        (float("nan"), ""),
        (Decimal("Infinity"), ""),
        (True, "1"),
    ],
)
def test_numbers(value: Decimal | float, text: str) -> None:
    assert number_text(value) == text


def test_other_values() -> None:
    moment = datetime(2026, 11, 29, 14, tzinfo=UTC)
    assert dumps([float("nan"), moment, b"\x01\xff", Obis((1, 0, 1, 8, 0, 255))]) == (
        '[null, "2026-11-29T14:00:00+00:00", "01ff", "1.0.1.8.0.255"]'
    )
    assert [plain_text(value) for value in (None, True, "a", Decimal("1.50"))] == ["", "on", "a", "1.5"]


def test_for_a_json_that_knows_no_decimals() -> None:
    values = [
        Decimal("1E+3"),
        Decimal("0.1"),
        Decimal("5.0"),
        Decimal("NaN"),
        float("inf"),
        True,
        None,
        date(2026, 1, 2),
    ]
    assert plain({1: values, "a": (b"\x00\xff", "b")}) == {
        "1": [1000, 0.1, 5, None, None, True, None, "2026-01-02"],
        "a": ["00ff", "b"],
    }
    assert json.dumps(plain(values)) == '[1000, 0.1, 5, null, null, true, null, "2026-01-02"]'
