"""The state file as a file: one SQLite database, safe against kill -9, a full disk and several processes at once.

A file that is damaged is not replaced in silence, because its counters would begin again and the same key would protect
two messages alike.

The journal is TRUNCATE with synchronous=FULL, not WAL: durable too, and a plain copy of the file is a whole backup.

A file that is deleted while it is open is written anew from what is open, so that no counter begins again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from dlms_mqtt.errors import StoreError

if TYPE_CHECKING:  # what is kept in memory needs none, and the import takes longer than all else here
    from pathlib import Path

MEMORY = ":memory:"
BUSY_SECONDS = 10.0
_COMPONENTS = "CREATE TABLE IF NOT EXISTS components (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"


def default_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the command line keeps its state: ``$XDG_STATE_HOME/dlms-mqtt/state.sqlite``."""
    from pathlib import Path

    environment = os.environ if environment is None else environment
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    return Path(base) / "dlms-mqtt" / "state.sqlite"


class StateDamaged(StoreError):
    """The state file is no sound database any more: what is in it cannot be trusted."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"the state file {path} is damaged ({why}); the invocation counters in it may be lost",
            hint="Move it away, then raise each counter above the last number used: dlms-mqtt counter. "
            "A lower one would protect two messages alike.",
        )


class StateFile:
    """The file, open. Whoever keeps something in it brings the tables with ``migrate``. Whatever fails: StoreError."""

    def __init__(self, path: Path | str = MEMORY) -> None:
        self.path = str(path)
        self.damaged = False  # was damage met? Whatever is asked then fails
        self._anew = False  # was the file deleted while it was open, and written anew?
        with self._errors():
            if self.path != MEMORY:
                _prepare(self.path)
            self._connect()

    def _connect(self) -> None:
        self._db = _connect(self.path)
        self._inode = _inode(self.path, 0) if self.path != MEMORY else 0

    @property
    def removed(self) -> bool:
        """Was the file deleted, or replaced by another, while it was open?"""
        return self._anew or (self.path != MEMORY and _inode(self.path, self._inode) != self._inode)

    def close(self) -> None:
        """Close the file. May be called again."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on the disk when it is left; StoreError. The bridge keeps its own tables through this."""
        with self._errors():
            if self.path != MEMORY and not _inode(self.path, self._inode):
                self._write_anew()
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
        if self.version(component) == len(steps):
            return
        with self.transaction() as db:
            version = self.version(component)
            if version > len(steps):
                raise StoreError(
                    f"{self.path} was written by a newer dlms-mqtt ({component} {version}, known: {len(steps)})",
                    hint="Update this installation.",
                )
            try:
                for statement in chain.from_iterable(steps[version:]):
                    db.execute(statement)
            except sqlite3.OperationalError as error:
                if _code(error) == sqlite3.SQLITE_ERROR:  # the tables are not those of this version
                    raise StateDamaged(self.path, str(error)) from None
                raise
            db.execute("INSERT OR REPLACE INTO components VALUES (?, ?)", (component, len(steps)))

    def version(self, component: str) -> int:
        """Of its tables; StateDamaged where that is none."""
        rows = self.read("SELECT version FROM components WHERE name = ?", (component,))
        version = rows[0][0] if rows else 0
        if not isinstance(version, int) or version < 0:
            raise StateDamaged(self.path, f"the version of {component} is {str(version)[:20]!r}")
        return version

    def check(self, pragma: str, *tables: str) -> None:
        """StateDamaged when one of these tables is not there, or the check finds damage; StoreError."""
        there = {name for (name,) in self.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if missing := set(tables) - there:
            raise StateDamaged(self.path, f"it has no table {min(missing)}")
        found = self.read(f"PRAGMA {pragma}")
        if found != [("ok",)]:
            raise StateDamaged(self.path, str(found[0][0]))

    def _write_anew(self) -> None:
        """Somebody deleted the file, perhaps with its folder: what is open is all that there is. StoreError."""
        from pathlib import Path

        path = Path(self.path)
        with _os_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _create(path, self._db):
                self._db.close()
                self._connect()
                self._anew = True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.damaged = self.damaged or _code(error) & _PRIMARY in _DAMAGE
            raise _store_error(self.path, error) from error


def set_aside(path: Path | str) -> Path:
    """Rename a damaged state file (``.damaged-1`` and so on), so that a new one can begin; the new name.

    Its counters are lost: each must be raised above the last number used before its key protects a message again.
    """
    from pathlib import Path

    path = Path(path)
    name = next(
        path.with_name(f"{path.name}.damaged-{n}") for n in count(1) if not _beside(path, f".damaged-{n}").exists()
    )
    path.rename(name)
    with suppress(FileNotFoundError):
        _beside(path, "-journal").rename(_beside(name, "-journal"))
    return name


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, for its owner only, and on the disk; OSError.

    A folder that is in its way is set aside.
    """
    fresh = _beside(path, ".new")
    for folder in (place for place in (fresh, path) if place.is_dir()):
        set_aside(folder)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _inode(path: str, unknown: int) -> int:
    """Of the file that the name means; 0: there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - pathlib takes longer to import than all else here
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return unknown


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    db.text_factory = _text
    db.execute("PRAGMA journal_mode=TRUNCATE")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(_COMPONENTS)
    return db


def _text(octets: bytes) -> str:
    """What is damaged is passed on for whoever knows what it should be; as an error it would hold up all beside it."""
    return octets.decode(errors="replace")


def _prepare(name: str) -> None:
    """A state file that is there, has something in it, and is for its owner's eyes only."""
    from pathlib import Path

    path = Path(name)
    with _os_errors(path):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path)
        state = path.stat()
        if state.st_mode & 0o077:
            path.chmod(0o600)
    if not state.st_size:
        raise StateDamaged(str(path), "it is empty")


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the state file {path} can't be used: {error.strerror}", hint="Check the directory and its owner."
        ) from error


def _create(path: Path, content: sqlite3.Connection | None = None) -> bool:
    """A new file appears whole or not at all, so that an empty one is always a damaged one. False: there is one."""
    new = _beside(path, f".new-{os.getpid()}")
    leftovers = (new, _beside(new, "-journal"))
    for leftover in leftovers:  # of a killed process that had the same number
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_connect(str(new))) as db:
            if content is not None:
                content.backup(db)
        os.link(new, path)
    except FileExistsError:  # another process was faster
        return False
    finally:
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
    return True


_PRIMARY = 0xFF  # of an extended result code
_MOVED = 1032  # SQLITE_READONLY_DBMOVED: the name is not that of the open file any more

# Why SQLite could not do it (result codes), and what helps.
_REASONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room on the disk."),
    sqlite3.SQLITE_IOERR: ("the disk can't be read or written", "Check the disk and the room on it."),
    _MOVED: ("another file has come in its place", "Start the program again."),
    sqlite3.SQLITE_READONLY: ("it is read-only", "Check the owner of the file and its directory."),
    sqlite3.SQLITE_CANTOPEN: ("it can't be opened", "Check the owner of the file and its directory."),
    sqlite3.SQLITE_BUSY: ("another process holds it", "Look for a program that keeps it open."),
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))


def _store_error(path: str, error: sqlite3.Error) -> StoreError:
    code = _code(error)
    if code & _PRIMARY in _DAMAGE:
        return StateDamaged(path, str(error))
    reason, hint = _REASONS.get(code) or _REASONS.get(code & _PRIMARY) or (str(error), "")
    return StoreError(f"the state file {path} can't be used: {reason}", hint=hint)
