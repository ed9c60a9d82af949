"""What must survive: one SQLite file for command line and bridge, safe against kill -9 and several processes at once.

The rule of this file: an invocation counter is on the disk, as used, before it is handed out. Numbers are reserved in
blocks; what a killed process did not use of its block is lost, never given again. A file that is damaged is not
replaced in silence, because its counters would begin again and the same key would protect two messages alike.

The journal is TRUNCATE with synchronous=FULL, not WAL: durable too, and a plain copy of the file is a whole backup.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError, StoreError
from dlms_mqtt.protocol.security import PeerCounters, key_id

#: The number that is never used: a counter that reaches it is at its end, and so is its key.
LIMIT = 0xFFFF_FFFF
#: Some meters take 0 as "no message yet".
FIRST = 1
BLOCK = 256
BUSY_SECONDS = 10.0

MEMORY = ":memory:"
PEER_COUNTERS = "peer counters"  # namespace: what was received last from each push source

__all__ = ["MEMORY", "PEER_COUNTERS", "Counter", "CounterRow", "Store", "StoreError", "default_path", "set_aside"]

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
_COMPONENTS = "CREATE TABLE IF NOT EXISTS components (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"


class CounterRow(NamedTuple):
    """A stored counter: ``next`` is the lowest number that nobody has reserved."""

    key_id: str
    system_title: str
    next: int


def default_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the command line keeps its state: ``$XDG_STATE_HOME/dlms-mqtt/state.sqlite``."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    return Path(base) / "dlms-mqtt" / "state.sqlite"


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
            stored, self._end = self._store._advance(self._row, self._block)
            self._next = FIRST if stored is None else stored
        value = self._next
        self._next = value + 1
        return value

    def __call__(self) -> int:
        """As ``next``: what a cipher wants."""
        return self.next()

    def refresh(self) -> None:
        """Before an association: drop the rest of the block when another process has had higher numbers since."""
        if self._next < self._end and self._store._stored(self._row) != self._end:
            self._next = self._end = 0

    def give_back(self) -> None:
        """Return the rest of the block, unless somebody reserved behind it. ``Store.close`` calls it."""
        if self._next < self._end:
            first, end, self._next, self._end = self._next, self._end, 0, 0
            self._store._advance(self._row, lambda stored: first if stored == end else stored or 0)

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
        stored = self._store._stored(self._row)
        return FIRST if stored is None else stored

    def _block(self, stored: int | None) -> int:
        first = FIRST if stored is None else stored
        if first >= LIMIT:
            raise LocalProtocolError(
                "the invocation counter of this key is at its end",
                hint="The key must be replaced (global_key_transfer); a new key begins a new counter.",
            )
        return min(first + self._store.block, LIMIT)


class Store:
    """The state file, open. ``with Store(path) as store`` gives unused numbers back when it closes."""

    def __init__(self, path: Path | str = MEMORY, *, block: int = BLOCK) -> None:
        self.path = str(path)
        self.block = block
        self._counters: dict[tuple[str, str], Counter] = {}
        with self._errors():
            if self.path != MEMORY:
                _prepare(Path(self.path))
            self._db = _connect(self.path)
        try:
            self.migrate("store", MIGRATIONS)
            self._check()
        except BaseException:
            self._db.close()
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
        self._counters.clear()
        self._db.close()

    # -- the file -----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on the disk when it is left; StoreError. The bridge keeps its own tables through this."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query; StoreError."""
        with self._errors():
            return self._db.execute(sql, parameters).fetchall()

    def migrate(self, component: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring the tables of ``component`` to version ``len(steps)``; StoreError when the file is newer than that."""
        if self._version(component) == len(steps):
            return
        with self.transaction() as db:
            version = self._version(component)
            if version > len(steps):
                raise StoreError(
                    f"{self.path} was written by a newer dlms-mqtt ({component} {version}, known: {len(steps)})",
                    hint="Update this installation.",
                )
            for step in steps[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute("INSERT OR REPLACE INTO components VALUES (?, ?)", (component, len(steps)))

    def _version(self, component: str) -> int:
        rows = self.read("SELECT version FROM components WHERE name = ?", (component,))
        return rows[0][0] if rows else 0

    def _check(self) -> None:
        found = self.read("PRAGMA quick_check(counters)")
        if found != [("ok",)]:
            raise _damaged(self.path, str(found[0][0]))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error

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
        return PeerCounters(self.get(PEER_COUNTERS, source))

    def keep_peer_counters(self, source: str, counters: PeerCounters) -> None:
        """Remember what was received last from a push source."""
        self.set(PEER_COUNTERS, source, counters.keep())

    # -- facts --------------------------------------------------------------------------------------------------------

    def get(self, namespace: str, key: str, default: Any = None) -> Any:
        """A remembered JSON value."""
        rows = self.read("SELECT value FROM facts WHERE namespace = ? AND key = ?", (namespace, key))
        return json.loads(rows[0][0]) if rows else default

    def items(self, namespace: str) -> dict[str, Any]:
        """Everything that is remembered in a namespace."""
        rows = self.read("SELECT key, value FROM facts WHERE namespace = ? ORDER BY key", (namespace,))
        return {key: json.loads(value) for key, value in rows}

    def set(self, namespace: str, key: str, value: Any) -> None:
        """Remember a JSON value."""
        self.update(namespace, {key: value})

    def update(self, namespace: str, values: Mapping[str, Any]) -> None:
        """Remember several values at once."""
        rows = [(namespace, key, json.dumps(value, separators=(",", ":"))) for key, value in values.items()]
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    def agree(self, namespace: str, key: str, proposal: Any) -> Any:
        """The remembered JSON value; ``proposal`` where there is none. Of several processes all get the same."""
        with self.transaction() as db:
            text = json.dumps(proposal, separators=(",", ":"))
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", (namespace, key, text))
            return self.get(namespace, key)

    def forget(self, namespace: str, key: str | None = None) -> None:
        """Forget one key, or the whole namespace."""
        with self.transaction() as db:
            db.execute("DELETE FROM facts WHERE namespace = ? AND key = ifnull(?, key)", (namespace, key))

    # -- object lists -------------------------------------------------------------------------------------------------

    def object_list(self, meter: str, client: int, authentication: str, firmware: str) -> bytes | None:
        """The kept object list of a meter, as the meter sent it."""
        rows = self.read(
            "SELECT data FROM object_lists WHERE meter = ? AND client = ? AND authentication = ? AND firmware = ?",
            (meter, client, authentication, firmware),
        )
        return rows[0][0] if rows else None

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


def set_aside(path: Path | str) -> Path:
    """Rename a damaged state file (``.damaged-1`` and so on), so that a new one can begin; the new name.

    Its counters are lost: each must be raised above the last number used before its key protects a message again.
    """
    path = Path(path)
    name = next(
        path.with_name(f"{path.name}.damaged-{n}") for n in count(1) if not _beside(path, f".damaged-{n}").exists()
    )
    path.rename(name)
    with suppress(FileNotFoundError):
        _beside(path, "-journal").rename(_beside(name, "-journal"))
    return name


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    db.execute("PRAGMA journal_mode=TRUNCATE")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(_COMPONENTS)
    return db


def _prepare(path: Path) -> None:
    """A state file that is there, has something in it, and is for its owner's eyes only."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path)
        state = path.stat()
        if state.st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StoreError(
            f"the state file {path} can't be used: {error.strerror}", hint="Check the directory and its owner."
        ) from error
    if not state.st_size:
        raise _damaged(str(path), "it is empty")


def _create(path: Path) -> None:
    """A new file appears whole or not at all, so that an empty one is always a damaged one."""
    new = _beside(path, f".new-{os.getpid()}")
    leftovers = (new, _beside(new, "-journal"))
    for leftover in leftovers:  # of a killed process that had the same number
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _connect(str(new)).close()
        with suppress(FileExistsError):  # another process was faster
            os.link(new, path)
    finally:
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)


# Why SQLite could not do it (primary result codes), and what helps.
_REASONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room on the disk."),
    sqlite3.SQLITE_IOERR: ("the disk can't be read or written", "Check the disk and the room on it."),
    sqlite3.SQLITE_READONLY: ("it is read-only", "Check the owner of the file and its directory."),
    sqlite3.SQLITE_CANTOPEN: ("it can't be opened", "Check the owner of the file and its directory."),
    sqlite3.SQLITE_BUSY: ("another process holds it", "Look for a program that keeps it open."),
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _store_error(path: str, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return _damaged(path, str(error))
    reason, hint = _REASONS.get(code, (str(error), ""))
    return StoreError(f"the state file {path} can't be used: {reason}", hint=hint)


def _damaged(path: str, why: str) -> StoreError:
    return StoreError(
        f"the state file {path} is damaged ({why}); the invocation counters in it may be lost",
        hint="Move it away, then raise each counter above the last number used: dlms-mqtt counter. "
        "A lower one would protect two messages alike.",
    )
