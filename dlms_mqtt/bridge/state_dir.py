"""The state directory, opened: what the bridge remembers, and its own key. Without a usable file it goes on without.

A damaged file is set aside and a new one begun with what is sound of it. A file that was not closed in order, or was
closed long ago (a restored backup), may hold counters that were used since: they jump ahead, by as much as that time
could have used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from dlms_mqtt.bridge.config.load import STATE_FILE
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.client.state.facts import DOUBTFUL, TITLE, UNSENT, WRITTEN
from dlms_mqtt.client.state.rescue import drop_unreadable, is_counter, keep_above, raise_all, rescue
from dlms_mqtt.client.state.state_file import MEMORY, StateDamaged, StateFile, set_aside, write_whole
from dlms_mqtt.client.state.store import CounterRow, Store
from dlms_mqtt.errors import StoreError

_LOG = logging.getLogger(__name__)
_CLOSED = "closed"  # file with the time at which the state was closed in order
_COLUMNS = {  # of each table, as it is written
    "counters": "key_id,system_title,next",
    "facts": "namespace,key,value",
    "object_lists": "meter,client,authentication,firmware,data",
    "outbox": "number,topic,payload",  # begun, and one day changed, by whoever needs it: after this look
}
_ROOM = 65_536  # octets that a start may write
_PROBE = "probe"  # file that is written to see whether there is room
_AT_ONCE = 1.0  # s that closing and opening take: a file that was closed no longer ago is believed
_SOON, _QUICK = 600.0, 100.0  # s, and the numbers that may have been used in each second of so short a time
_JUMP = 10_000  # numbers that every other one skips, and
_USED = 5.0  # numbers that a key may have used in each second since, at most
_LONGEST = 366 * 86400.0  # s
_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))  # faults of a disk that may pass


class State(NamedTuple):
    """``trouble``: why nothing is remembered; empty when all is well."""

    store: Store
    seal: SealKey
    trouble: str = ""


def open_state(
    folder: Path,
    random: Callable[[int], bytes],
    now: float | None = None,
    *,
    thorough: bool = False,
    reserved: Sequence[CounterRow] = (),
) -> State:
    """Open or make it; ``now`` in Unix time; ``thorough``: look for all damage. StoreError where it cannot be one.

    ``reserved``: what a file held that was in its place before; no counter begins below.

    A full, read-only or failing disk is waited out: what carries no secret is read meanwhile.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seal = SealKey.load(folder / "seal.key", random)
    except OSError as error:
        sentence = f"state_dir {folder} cannot be used: {error}"
        if error.errno not in _PASSING:
            raise StoreError(sentence, hint="Check bridge.state_dir and its owner.") from None
        _LOG.error("%s; going on without a memory", sentence)
        return State(Store(MEMORY), SealKey(random(32)), sentence)
    try:
        store = _opened(folder / STATE_FILE, "integrity_check" if thorough else "quick_check")
        _mind_the_gap(store, folder / _CLOSED, time.time() if now is None else now)
        keep_above(store, reserved)
    except StoreError as error:
        _LOG.error("%s; going on without a memory", error.message)
        return State(Store(MEMORY), seal, error.message)
    return State(store, seal)


def _opened(path: Path, check: str) -> Store:
    """The store, begun anew where the old one is damaged; StoreError."""
    try:
        store = Store(path)
        try:
            _check(store, check)
        except BaseException:
            StateFile.close(store)  # nothing is given back into a damaged file
            raise
    except StoreError as error:
        if path.is_dir() or isinstance(error, StateDamaged):
            return _tidied(_begun_anew(path, error))
        raise
    return _tidied(store)


def _tidied(store: Store) -> Store:
    """Without what nobody can read."""
    with contextlib.suppress(StoreError):  # a full disk: they are in nobody's way but their own
        drop_unreadable(store)
        title = store.get(*TITLE)
        if not (isinstance(title, str) and re.fullmatch("[0-9a-f]{16}", title)):
            store.forget(*TITLE)
    return store


def _check(store: Store, check: str) -> None:
    """StateDamaged where the file is not sound, StoreError where it cannot be looked at."""
    store.check(check)
    components = [name for (name,) in store.read("SELECT name FROM components")]
    for component in components:
        store.version(component)
    for table, columns in _COLUMNS.items():
        found = store.read("SELECT group_concat(name) FROM pragma_table_info(?)", (table,))
        if found != [(columns,)] and (table != "outbox" or table in components):
            raise StateDamaged(store.path, f"its table {table} is missing, or not as it was made")
    if odd := [row.next for row in store.counters() if not is_counter(row.next)]:
        raise StateDamaged(store.path, f"a counter is {str(odd[0])[:20]!r}")


def _begun_anew(path: Path, error: StoreError) -> Store:
    try:
        aside = set_aside(path)
        store = Store(path)
        sound = rescue(aside, store)
        store.set(*UNSENT, str(aside))
    except (OSError, sqlite3.Error):
        raise error from None
    lost = "" if sound else "; invocation counters are lost: meters with a key are asked for theirs"
    sentence = f"{path.name} was damaged and is set aside as {aside.name}; what was sound of it goes on{lost}"
    _LOG.error("%s (%s)", sentence, error.message)
    return store


def _mind_the_gap(store: Store, mark: Path, now: float) -> None:
    """Counters may have been used that the file does not know of: after a power cut, and in a restored backup.

    ``mark``: a file with the time at which the state was closed in order; it is not there while the state is open.
    """
    closed = _closed_at(mark)
    if not store.counters():
        return
    away = now - closed
    at_once = 0 <= away <= _AT_ONCE
    store.set(*DOUBTFUL, not at_once)
    if at_once:
        return
    jump = _jump(away, known=0 < closed <= now)
    raise_all(store, jump)
    _LOG.info("the state may be older than what was sent: invocation counters skip %d numbers", jump)


def _jump(away: float, *, known: bool) -> int:
    """How many numbers may have been used since; ``away``: seconds, where they are known."""
    if known and away <= _SOON:
        return min(_JUMP, round(_QUICK * away))
    return _JUMP + (round(_USED * min(away, _LONGEST)) if known else 0)


def _closed_at(mark: Path) -> float:
    """When the state was closed in order (Unix time); 0 where nobody knows. The mark is used up."""
    try:
        text = mark.read_text() if mark.is_file() else ""  # a pipe would be waited for
        mark.unlink()
        return float(text)
    except (OSError, ValueError):
        return 0.0


@contextlib.contextmanager
def locked(folder: Path, bridge: str) -> Iterator[None]:
    """Have the state directory alone; StoreError where another bridge has it (a killed one leaves no lock)."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "ab+", 0)
    except OSError:  # opening the state tells why
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"state_dir {folder} is in use by {_holder(file)}",
                hint="Give each bridge a bridge.state_dir of its own, or end the other one.",
            ) from None
        with contextlib.suppress(OSError):  # a full disk: the lock is there all the same
            file.truncate(0)
            file.write(f"the bridge '{bridge}' (process {os.getpid()})".encode())
        yield
        mark_closed(folder, time.time())


def mark_closed(folder: Path, now: float) -> None:
    """The state was closed in order just now."""
    with contextlib.suppress(OSError):  # then the counters skip some numbers
        write_whole(folder / _CLOSED, str(int(now)).encode())  # rounded up it were in the future


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(200).decode(errors="replace") or "another bridge"


def is_usable(folder: Path) -> bool:
    """Can the state file be written (again), or be set aside where it is damaged?"""
    try:
        SealKey.load(folder / "seal.key", os.urandom)
        write_whole(folder / _PROBE, bytes(_ROOM))
        (folder / _PROBE).unlink()
        with Store(folder / STATE_FILE) as store:
            store.set(*WRITTEN, True)
    except StateDamaged:
        return True
    except (StoreError, OSError):
        return False
    return True
