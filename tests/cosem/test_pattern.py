"""OBIS patterns: what each group takes, which row comes first, and what is no pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.pattern import PatternTable, matches, parse_pattern
from dlms_mqtt.protocol.obis import Obis


@pytest.mark.parametrize(
    ("pattern", "obis", "found"),
    [
        ("1.0.1.8.0.255", "1.0.1.8.0.255", True),
        ("1.0.1.8.0.255", "1.0.1.8.1.255", False),
        ("1.0-1.21.8.1-63.255", "1.1.21.8.63.255", True),
        ("1.0-1.21.8.1-63.255", "1.1.21.8.64.255", False),
        ("1.0-1.21.8.1-63.255", "1.1.21.8.0.255", False),
        ("1.*.1,3,5.8.*.255", "1.200.3.8.7.255", True),
        ("1.*.1,3,5.8.*.255", "1.200.4.8.7.255", False),
        ("1.0.1,10-12.8.0.*", "1.0.11.8.0.0", True),
    ],
)
def test_groups(pattern: str, obis: str, found: bool) -> None:
    assert matches(parse_pattern(pattern), Obis.parse(obis)) is found


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_a_range_holds_both_its_ends_and_what_is_between(low: int, high: int, octet: int) -> None:
    low, high = sorted((low, high))
    groups = parse_pattern(f"{low}-{high}.0.0.0.0.0")
    assert matches(groups, bytes((octet, 0, 0, 0, 0, 0))) is (low <= octet <= high)


@pytest.mark.parametrize("text", ["1.0.1.8.0", "1.0.1.8.0.255.1", "", "a.0.1.8.0.255"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|invalid literal"):
        parse_pattern(text)


def test_the_first_row_wins_and_all_are_candidates() -> None:
    table = PatternTable([("1.0.1.8.0.255", "one"), ("1.0.*.8.*.255", "many"), ("*.*.*.*.*.*", "all")])
    assert table.find(Obis.parse("1.0.1.8.0.255")) == "one"
    assert table.candidates(Obis.parse("1.0.1.8.0.255")) == ["one", "many", "all"]
    assert table.find(Obis.parse("1.0.2.8.0.255")) == "many"
    assert table.find(Obis.parse("0.0.1.0.0.255")) == "all"
    assert PatternTable[str]([]).find(Obis.parse("0.0.1.0.0.255")) is None
