"""What must survive, for command line and bridge: invocation counters, remembered facts, object lists.

The rule of this file: an invocation counter is on the disk, as used, before it is handed out. Numbers are reserved in
blocks; what a killed process did not use of its block is lost, never given again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from zlib import crc32

from dlms_mqtt.client.state.state_file import MEMORY, StateFile
from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError, StoreError
from dlms_mqtt.protocol.security import PeerCounters, key_id

if TYPE_CHECKING:
    from pathlib import Path

#: The number that is never used: a counter that reaches it is at its end, and so is its key.
LIMIT = 0xFFFF_FFFF
#: Some meters take 0 as "no message yet".
FIRST = 1
BLOCK = 256

_LIST_SUMS = "object list sums"  # namespace: a list that is cut short is still a list, and would be believed for ever
PEER_COUNTERS = "peer counters"  # namespace: what was received last from each push source

# One tuple of statements per version of the file; only ever appended to.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE counters (key_id TEXT NOT NULL, system_title TEXT NOT NULL, next INTEGER NOT NULL,"
        " PRIMARY KEY (key_id, system_title)) WITHOUT ROWID",
        "CREATE TABLE facts (namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
        " PRIMARY KEY (namespace, key)) WITHOUT ROWID",
        "CREATE TABLE object_lists (meter TEXT NOT NULL, client INTEGER NOT NULL, authentication TEXT NOT NULL,"
        " firmware TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (meter, client, authentication, firmware))",
    ),
)


class CounterRow(NamedTuple):
    """A stored counter: ``next`` is the lowest number that nobody has reserved."""

    key_id: str
    system_title: str
    next: int


class Counter:
    """The invocation counter of one key and own system title. Made by ``Store.counter``, called for each message."""

    def __init__(self, store: Store, row: tuple[str, str]) -> None:
        self._store = store
        self._row = row
        # The rest of the block that is reserved on disk for this process.
        self._next = self._end = 0

    @property
    def known(self) -> bool:
        """Whether the store has a number for it; if not, the meter's own counter should be asked first."""
        return self._store._stored(self._row) is not None

    @property
    def value(self) -> int:
        """The number that ``next`` gives if no other process reserves before."""
        return self._next if self._next < self._end else self._first()

    def next(self) -> int:
        """A number nobody has had or will get. StoreError when that can't be kept, LocalProtocolError at the end."""
        if self._next >= self._end:
            stored, end = self._store._advance(self._row, self._block)
            self._next, self._end = self._above(stored), end
        value = self._next
        self._next = value + 1
        return value

    def __call__(self) -> int:
        """As ``next``: what a cipher wants."""
        return self.next()

    def refresh(self) -> None:
        """Before an association: drop the rest of the block when another process has had higher numbers since."""
        if self._next < self._end < (self._store._stored(self._row) or 0):
            self._next = self._end = 0

    def give_back(self) -> None:
        """Return the rest of the block, unless somebody reserved behind it. ``Store.close`` calls it."""
        if self._next < self._end:
            first, end, self._next, self._end = self._next, self._end, 0, 0
            self._store._advance(self._row, lambda stored: first if stored == end else max(first, stored or 0))

    def raise_to(self, number: int) -> None:
        """Let ``number`` be the next one; ConfigError when that would lower the counter."""

        def raised(stored: int | None) -> int:
            if number < (stored or 0):
                raise ConfigError(f"the counter is at {stored} and is never lowered (asked: {number})")
            return number

        self._put(number, raised)

    def raise_at_least_to(self, number: int) -> None:
        """Let ``number`` be the next one, or a higher one that another session or process has come to meanwhile."""
        self._put(number, lambda stored: max(number, stored or 0))

    def _put(self, number: int, change: Callable[[int | None], int]) -> None:
        if not 0 <= number < LIMIT:
            raise ConfigError(f"an invocation counter is a number from 0 to {LIMIT - 1}, not {number}")
        self.give_back()
        self._store._advance(self._row, change)

    def adopt(self, number: int, bound: int) -> None:
        """Go on with the number that a meter asks for, which nothing proves: only upwards and at most by ``bound``."""
        current = self.value
        if not current <= number <= current + bound or number >= LIMIT:
            raise SecurityError(
                f"the meter asks for invocation counter {number}, ours is at {current}: not taken over",
                reason="counter",
                hint="If the meter is right, raise the counter by hand: dlms-mqtt counter.",
            )
        if number > current:
            self.raise_at_least_to(number)

    def _first(self) -> int:
        return self._above(self._store._stored(self._row))

    def _above(self, stored: int | None) -> int:
        """The stored number; where a backup was restored below us, what we know of this process's own."""
        return max(FIRST if stored is None else stored, self._end)

    def _block(self, stored: int | None) -> int:
        first = self._above(stored)
        if first >= LIMIT:
            raise LocalProtocolError(
                "the invocation counter of this key is at its end",
                hint="The key must be replaced (global_key_transfer); a new key begins a new counter.",
            )
        return min(first + self._store.block, LIMIT)


class Store(StateFile):
    """The state file, open. ``with Store(path) as store`` gives unused numbers back when it closes."""

    def __init__(self, path: Path | str = MEMORY, *, block: int = BLOCK) -> None:
        super().__init__(path)
        self.block = block
        self._counters: dict[tuple[str, str], Counter] = {}
        self._soon: dict[tuple[str, str], str] = {}  # JSON by namespace and key
        try:
            self.migrate("store", MIGRATIONS)
            self.check("quick_check(counters)", "counters")
        except BaseException:
            super().close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give unused counters back and close the file. May be called again."""
        with suppress(StoreError):  # numbers that can't be given back are merely lost
            for counter in self._counters.values():
                counter.give_back()
        with suppress(StoreError):
            self.write_soon()
        self._counters.clear()
        super().close()

    # -- invocation counters ------------------------------------------------------------------------------------------

    def counter(self, key: bytes, system_title: bytes, start: int | None = None) -> Counter:
        """The counter of a key and own system title; it gives ``start`` next if it is not beyond that already."""
        row = (key_id(key), system_title.hex())
        counter = self._counters.setdefault(row, Counter(self, row))
        if start is not None and (not counter.known or counter.value < start):
            counter.raise_at_least_to(start)
        return counter

    def counters(self) -> list[CounterRow]:
        """Every stored counter."""
        rows = self.read("SELECT key_id, system_title, next FROM counters ORDER BY key_id, system_title")
        return [CounterRow(*row) for row in rows]

    def _stored(self, row: tuple[str, str]) -> int | None:
        rows = self.read("SELECT next FROM counters WHERE key_id = ? AND system_title = ?", row)
        return rows[0][0] if rows else None

    def _advance(self, row: tuple[str, str], change: Callable[[int | None], int]) -> tuple[int | None, int]:
        """The stored number before and after ``change``, which is on the disk when this returns."""
        with self.transaction() as db:
            stored = self._stored(row)
            after = change(stored)
            if after != stored:
                db.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", (*row, after))
        return stored, after

    def peer_counters(self, source: str) -> PeerCounters:
        """What was received last from a push source, as ``keep_peer_counters`` left it."""
        kept = self.get(PEER_COUNTERS, source)
        return PeerCounters(kept if isinstance(kept, dict) else None)

    def keep_peer_counters(self, source: str, counters: PeerCounters) -> None:
        """Remember what was received last from a push source, with what ``write_soon`` writes."""
        self.set_soon(PEER_COUNTERS, source, counters.keep())

    # -- facts --------------------------------------------------------------------------------------------------------

    def get(self, namespace: str, key: str, default: Any = None) -> Any:
        """A remembered JSON value."""
        if (namespace, key) in self._soon:
            return json.loads(self._soon[namespace, key])
        rows = self.read("SELECT value FROM facts WHERE namespace = ? AND key = ?", (namespace, key))
        return json.loads(rows[0][0]) if rows else default

    def items(self, namespace: str) -> dict[str, Any]:
        """Everything that is remembered in a namespace."""
        rows = self.read("SELECT key, value FROM facts WHERE namespace = ? ORDER BY key", (namespace,))
        soon = {key: value for (space, key), value in self._soon.items() if space == namespace}
        return {key: json.loads(value) for key, value in (dict(rows) | soon).items()}

    def set(self, namespace: str, key: str, value: Any) -> None:
        """Remember a JSON value."""
        self.update(namespace, {key: value})

    def update(self, namespace: str, values: Mapping[str, Any]) -> None:
        """Remember several values at once."""
        for key in values:
            self._soon.pop((namespace, key), None)
        self._write([(namespace, key, _json(value)) for key, value in values.items()])

    def set_soon(self, namespace: str, key: str, value: Any) -> None:
        """Remember a JSON value that may be lost with the last second before a kill: ``write_soon`` writes many."""
        self._soon[namespace, key] = _json(value)

    def write_soon(self) -> None:
        """Write what ``set_soon`` was given, in one transaction; StoreError: it waits for the next time."""
        if self._soon:
            self._write([(*row, value) for row, value in self._soon.items()])
            self._soon.clear()

    def _write(self, rows: Sequence[tuple[str, str, str]]) -> None:
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    def agree(self, namespace: str, key: str, proposal: Any) -> Any:
        """The remembered JSON value; ``proposal`` where there is none. Of several processes all get the same."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", (namespace, key, _json(proposal)))
            return self.get(namespace, key)

    def forget(self, namespace: str, *keys: str) -> None:
        """Forget these keys, or the whole namespace."""
        rows = [(namespace, key) for key in keys] or [row for row in self._soon if row[0] == namespace]
        for row in rows:
            self._soon.pop(row, None)
        with self.transaction() as db:
            if keys:
                db.executemany("DELETE FROM facts WHERE namespace = ? AND key = ?", rows)
            else:
                db.execute("DELETE FROM facts WHERE namespace = ?", (namespace,))

    # -- object lists -------------------------------------------------------------------------------------------------

    def object_list(self, meter: str, client: int, authentication: str, firmware: str) -> bytes | None:
        """The kept object list of a meter, as the meter sent it; None too where it is damaged."""
        rows = self.read(
            "SELECT data FROM object_lists WHERE meter = ? AND client = ? AND authentication = ? AND firmware = ?",
            (meter, client, authentication, firmware),
        )
        if not rows or not isinstance(data := rows[0][0], bytes):
            return None
        known = self.get(_LIST_SUMS, f"{meter}/{client}/{authentication}")  # None: kept by a version before
        return data if known in (None, crc32(data)) else None

    @property
    def has_object_lists(self) -> bool:
        """Is a list kept of any meter?"""
        return bool(self.read("SELECT 1 FROM object_lists LIMIT 1", ()))

    def keep_object_list(self, meter: str, client: int, authentication: str, firmware: str, data: bytes) -> None:
        """Keep an object list; that of an older firmware goes."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM object_lists WHERE meter = ? AND client = ? AND authentication = ?",
                (meter, client, authentication),
            )
            db.execute(
                "INSERT INTO object_lists VALUES (?, ?, ?, ?, ?)", (meter, client, authentication, firmware, data)
            )
        self.set(_LIST_SUMS, f"{meter}/{client}/{authentication}", crc32(data))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
