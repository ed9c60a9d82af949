from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.catalogue import default_class, varies
from dlms_mqtt.cosem.classes import CLASS_NAMES
from dlms_mqtt.cosem.pattern import PatternTable, matches, parse_pattern
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import FRAMES, entries

EXPECTED = [
    ("1.0.1.8.0.255", 3), ("1.0.1.8.4.255", 3), ("1.1.32.7.0.255", 3), ("1.0.16.7.0.255", 3), ("1.0.1.6.0.255", 4),
    ("1.0.1.4.0.255", 5), ("1.0.99.1.0.255", 7), ("1.0.98.1.0.255", 7), ("0.0.99.98.0.255", 7), ("0.0.1.0.0.255", 8),
    ("0.0.96.1.0.255", 1), ("0.0.96.3.10.255", 70), ("0.0.40.0.1.255", 15), ("0.0.41.0.0.255", 17),
    ("0.0.42.0.0.255", 1), ("0.0.43.0.0.255", 64), ("0.0.43.1.2.255", 1), ("0.0.44.0.0.255", 18),
    ("0.0.25.9.0.255", 40), ("0.0.22.0.0.255", 23), ("0.0.20.0.0.255", 19), ("0.0.10.0.106.255", 9),
    ("0.0.11.0.0.255", 11), ("0.0.13.0.0.255", 20), ("0.0.15.0.4.255", 22), ("0.0.17.0.0.255", 71),
    ("0.1.24.1.0.255", 72), ("0.1.24.2.1.255", 4), ("0.1.24.4.0.255", 70), ("0.0.97.97.0.255", 1),
    ("1.0.0.2.0.255", 1), ("1.0.0.4.2.255", 3), ("1.0.32.32.0.255", 1), ("7.0.3.0.0.255", 3), ("0.0.96.12.5.255", 3),
]  # fmt: skip


@pytest.mark.parametrize(("obis", "class_id"), EXPECTED)
def test_default_classes(obis: str, class_id: int) -> None:
    assert default_class(Obis.parse(obis)) == class_id


@given(st.binary(min_size=6, max_size=6))
def test_a_default_is_a_known_class(obis: bytes) -> None:
    assert default_class(obis) in {None, *CLASS_NAMES}


def test_what_published_messages_say() -> None:
    """The catalogue agrees with all messages that carry the class."""
    wrong = {
        (value["obis"], value["class"])
        for entry in entries("push")
        for value in entry.get("expected", {}).get("values", ())
        if "class" in value and "obis" in value and default_class(Obis.parse(value["obis"])) != value["class"]
    }
    assert wrong == set()


def test_what_real_meters_list() -> None:
    """The catalogue guesses the class of at least 95 of 100 objects in public lists, counted once and by lists."""
    rows = [row.split() for row in (FRAMES / "object_lists.txt").read_text().splitlines() if not row.startswith("#")]
    right = [(int(lists), default_class(Obis.parse(obis)) == int(class_id)) for class_id, obis, lists in rows]
    assert len(right) == 1994
    assert sum(good for _, good in right) > 0.95 * len(right)
    assert sum(lists for lists, good in right if good) > 0.95 * sum(lists for lists, _ in right)


def test_patterns() -> None:
    groups = parse_pattern("1.0-2.*.7,9.1-63.255")
    assert matches(groups, bytes((1, 2, 200, 9, 63, 255)))
    assert not matches(groups, bytes((1, 3, 200, 9, 63, 255)))
    assert not matches(groups, bytes((1, 0, 200, 8, 63, 255)))
    with pytest.raises(ValueError, match="six groups"):
        parse_pattern("1.2.3")


def test_the_first_row_wins() -> None:
    table = PatternTable([("1.0.1.8.0.255", "exact"), ("1.*.*.*.*.*", "any")])
    assert table.find(Obis.parse("1.0.1.8.0.255")) == "exact"
    assert table.find(Obis.parse("1.0.2.8.0.255")) == "any"
    assert table.find(Obis.parse("0.0.1.0.0.255")) is None
    assert table.candidates(Obis.parse("1.0.1.8.0.255")) == ["exact", "any"]


def test_where_makers_differ_the_list_is_asked() -> None:
    codes = ("1.0.0.3.0.255", "0.0.96.8.0.255", "1.0.1.8.0.255")
    assert [varies(Obis.parse(code)) for code in codes] == [True, True, False]
