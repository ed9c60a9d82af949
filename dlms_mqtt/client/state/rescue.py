"""What a damaged state file still holds, for the new one: sound rows go along, the rest stays where it was set aside.

The rule: a counter goes along only where its whole table is sound, and jumps ahead. Where counters are lost, so is our
system title: a key and a new title make numbers of their own, and the meter is asked for its own counter.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from dlms_mqtt.client.state.facts import LOST, TITLE
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import LIMIT, CounterRow, Store

_JUMP = 1_000_000  # numbers that a key skips after damage: the file may have held more than what is read of it
_MOST = 1_000_000  # rows of a table that are taken along


def rescue(damaged: Path, store: Store) -> bool:
    """Copy what is sound of ``damaged`` into the new ``store``; whether the counters are among it. StoreError."""
    with _opened(damaged) as old:
        sound = _is_sound(old)
        counters = list(_rows(old, "counters", 3)) if sound else []
        sound = sound and all(is_counter(row[2]) for row in counters)
        facts = [row for row in _rows(old, "facts", 3) if _is_fact(row) and (sound or row[:2] != TITLE)]
    with store.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", counters if sound else ())
        db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", facts)
    raise_all(store, _JUMP)
    if not sound:
        store.set(*LOST, damaged.name)
    return sound


def is_counter(number: object) -> bool:
    """May this be the next number of a counter (or the end of its numbers)?"""
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= LIMIT


def raise_all(store: Store, by: int) -> None:
    """Every counter is ``by`` higher from now on, as far as there are numbers left: some may have been used."""
    with store.transaction() as db:
        db.execute("UPDATE counters SET next = min(next + ?, max(next, ?))", (by, LIMIT - 1))


def keep_above(store: Store, counters: Sequence[CounterRow]) -> None:
    """No counter begins below what was reserved of it; StoreError."""
    higher = (
        "INSERT INTO counters VALUES (?, ?, ?)"
        " ON CONFLICT (key_id, system_title) DO UPDATE SET next = max(next, excluded.next)"
    )
    if counters:
        with store.transaction() as db:
            db.executemany(higher, counters)


def drop_unreadable(store: Store) -> None:
    """Facts that are no JSON are as good as forgotten."""
    rows = store.read("SELECT namespace, key, value FROM facts")
    if bad := [row[:2] for row in rows if not _is_fact(row)]:
        with store.transaction() as db:
            db.executemany("DELETE FROM facts WHERE namespace = ? AND key = ?", bad)


def rescue_rows(damaged: Path, table: str, columns: int, is_sound: Callable[[tuple[Any, ...]], bool]) -> list[Any]:
    """The rows of a table of somebody else's in a damaged file, as far as they can be read and ``is_sound``."""
    with _opened(damaged) as old:
        return [row for row in _rows(old, table, columns) if is_sound(row)]


@contextmanager
def _opened(damaged: Path) -> Iterator[sqlite3.Connection]:
    """For reading, whatever it is; nothing is changed in it."""
    name = f"{damaged.absolute().as_uri()}?mode=ro&immutable=1" if damaged.is_file() else MEMORY
    with closing(sqlite3.connect(name, uri=True)) as old:
        old.text_factory = _text
        yield old


def _is_sound(old: sqlite3.Connection) -> bool:
    with suppress(sqlite3.Error):
        return old.execute("PRAGMA quick_check(counters)").fetchall() == [("ok",)]
    return False


def _rows(old: sqlite3.Connection, table: str, columns: int) -> Iterator[tuple[Any, ...]]:
    """From either end, as far as the table can be read; a row may come twice."""
    for order in ("", " ORDER BY 1 DESC"):
        with suppress(sqlite3.Error):
            for row in old.execute(f"SELECT * FROM {table}{order} LIMIT {_MOST}"):  # noqa: S608 - a name of ours
                if len(row) == columns:
                    yield row


def _is_fact(row: tuple[Any, ...]) -> bool:
    try:
        json.loads(row[2], parse_float=_finite, parse_int=_finite, parse_constant=_finite)
    except (TypeError, ValueError, RecursionError):
        return False
    return all(isinstance(part, str) for part in row)


def _finite(number: str) -> None:
    """Nobody keeps others, and arithmetic ends with them."""
    if not math.isfinite(float(number)):
        raise ValueError(number)


def _text(octets: bytes) -> str | bytes:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets  # no row of ours holds octets: whoever reads it drops it
