"""What is saved of a damaged state file: numbers only where all of them are sound, and then far beyond the used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dlms_mqtt.client.state.facts import LOST, TITLE
from dlms_mqtt.client.state.rescue import drop_unreadable, is_counter, keep_above, raise_all, rescue, rescue_rows
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import LIMIT, CounterRow, Store


def damaged(path: Path, counter: object = 500, *more: str) -> Path:
    """A state file with one counter and two facts."""
    store = Store(path)
    store.set(*TITLE, "444d510102030405")
    store.set("meter", "objects", [1, 2])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO counters VALUES ('key', 'title', ?)", (counter,))
        for statement in more:
            db.execute(statement)
    return path


def counters(store: Store) -> list[int]:
    return [row[0] for row in store.read("SELECT next FROM counters")]


def test_sound_counters_are_taken_along_a_million_higher(tmp_path: Path) -> None:
    store = Store(MEMORY)
    assert rescue(damaged(tmp_path / "old.sqlite"), store)
    assert counters(store) == [1_000_500]
    assert (store.get(*TITLE), store.get("meter", "objects")) == ("444d510102030405", [1, 2])
    assert not store.get(*LOST)


@pytest.mark.parametrize("counter", [-1, "many", 1.5, LIMIT + 1])
def test_a_counter_that_is_none_makes_all_of_them_lost(tmp_path: Path, counter: object) -> None:
    """And our title with them: under a new one every number is new."""
    store = Store(MEMORY)
    assert not rescue(damaged(tmp_path / "old.sqlite", counter), store)
    assert counters(store) == []
    assert store.get(*TITLE) is None
    assert store.get("meter", "objects") == [1, 2]
    assert store.get(*LOST) == "old.sqlite"


def test_what_is_no_database_leaves_an_empty_state(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    path.write_bytes(b"\x00 rubbish" * 500)
    store = Store(MEMORY)
    assert not rescue(path, store)
    assert not rescue(tmp_path / "not there", store)
    assert counters(store) == []


def test_a_fact_that_is_no_json_is_left_behind(tmp_path: Path) -> None:
    broken = "INSERT INTO facts VALUES ('meter', 'firmware', '{not json')"
    store = Store(MEMORY)
    assert rescue(damaged(tmp_path / "old.sqlite", 5, broken), store)
    assert set(store.items("meter")) == {"objects"}


def test_unreadable_facts_are_dropped() -> None:
    store = Store(MEMORY)
    store.set("meter", "objects", [1])
    with store.transaction() as db:
        db.execute("INSERT INTO facts VALUES ('meter', 'firmware', 'x')")
    drop_unreadable(store)
    assert store.items("meter") == {"objects": [1]}


def test_counters_are_raised_as_far_as_there_are_numbers() -> None:
    store = Store(MEMORY)
    with store.transaction() as db:
        db.executemany("INSERT INTO counters VALUES (?, 't', ?)", [("a", 1), ("b", LIMIT - 5), ("c", LIMIT)])
    raise_all(store, 100)
    assert sorted(counters(store)) == [101, LIMIT - 1, LIMIT]


def test_no_counter_begins_below_what_was_reserved() -> None:
    store = Store(MEMORY)
    rows = [CounterRow("a", "title", 5), CounterRow("b", "title", 900)]
    with store.transaction() as db:
        db.executemany("INSERT INTO counters VALUES (?, ?, ?)", rows)
    keep_above(store, [CounterRow("a", "title", 700), CounterRow("b", "title", 6), CounterRow("c", "other", 7)])
    assert store.counters() == [("a", "title", 700), ("b", "title", 900), ("c", "other", 7)]


@pytest.mark.parametrize(
    ("number", "good"), [(0, True), (LIMIT, True), (LIMIT + 1, False), (-1, False), (True, False), ("1", False)]
)
def test_what_may_be_a_counter(number: object, good: bool) -> None:
    assert is_counter(number) is good


def test_rows_of_somebody_else(tmp_path: Path) -> None:
    path = damaged(tmp_path / "old.sqlite")
    assert set(rescue_rows(path, "counters", 3, lambda row: row[2] == 500)) == {("key", "title", 500)}
    assert rescue_rows(path, "counters", 2, lambda row: True) == []
    assert rescue_rows(path, "nothing", 3, lambda row: True) == []
