"""Readings on their way: kept until the broker has confirmed them, on disk only while it is away.

With the broker there nothing is written (SD cards wear), except that sequence numbers are reserved in blocks so that
they rise over restarts; they begin at the clock's milliseconds, so that a restored backup repeats none. While it is
away, ``spill`` writes every few seconds what is new. Bounded: the oldest go first, counted. A full disk leaves readings
in memory, within the same bound, and is told in ``trouble``; what was confirmed meanwhile is remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dlms_mqtt.bridge.api.topics import is_topic
from dlms_mqtt.client.state.facts import UNSENT
from dlms_mqtt.client.state.rescue import rescue_rows
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError

_LOG = logging.getLogger(__name__)
_BLOCK = 10_000  # sequence numbers reserved at a time
_MIGRATIONS = (("CREATE TABLE outbox (number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload TEXT NOT NULL)",),)
_AT_ONCE = 500  # parameters of one statement
_SETTLED = 100  # messages that were confirmed since the disk was last written: as many may come twice after a kill
_SPACE = "bridge"  # namespace of the store
_GREATEST = 2**52  # milliseconds of 140,000 years: no number of ours


class Entry(NamedTuple):
    """One message that must arrive; ``number`` gives the order."""

    number: int
    topic: str
    payload: str


class Outbox:
    """The queue, in the file of ``store``; at most ``limit`` messages."""

    def __init__(self, store: Store, limit: int, first: int = 0) -> None:
        """``first``: no ``seq`` is below it (milliseconds of Unix time)."""
        self._store, self._limit = store, limit
        self._memory: dict[int, Entry] = {}
        self._confirmed: set[int] = set()  # still on the disk, which is written seldom or cannot be written
        self._on_disk = 0
        self._migrated = False  # a table of a newer version stays as it is
        self._sequence = self._reserved = first
        self._seen = 0
        self.dropped = 0
        self.trouble = ""
        self._start()

    def _start(self) -> None:
        try:
            self._rise(self._kept_sequence())
            self._migrate()
            self._rescue()
            self._look()
        except StoreError as error:
            self._failed(error)

    def _look(self) -> None:
        """What is there. Numbers that ours cannot be are damage: nothing is sent behind them, so they count as gone."""
        odd = self._store.read("SELECT number FROM outbox WHERE number NOT BETWEEN 1 AND ?", (_GREATEST,))
        self._confirmed.update(number for (number,) in odd)
        self._on_disk, newest = self._store.read(
            "SELECT count(*), max(number) FILTER (WHERE number <= ?) FROM outbox", (_GREATEST,)
        )[0]
        self._rise(newest or 0)

    def _rise(self, number: int) -> None:
        """The next ``seq`` is greater than this one, which an earlier run gave or reserved."""
        if number > self._reserved:
            self._sequence = self._reserved = number

    def _migrate(self) -> None:
        self._store.migrate("outbox", _MIGRATIONS)
        self._migrated = True

    def _rescue(self) -> None:
        """What can be read of the messages in a damaged state file that was set aside."""
        if not (damaged := self._store.get(*UNSENT)):
            return
        rows = rescue_rows(Path(str(damaged)), "outbox", 3, lambda row: [type(part) for part in row] == [int, str, str])
        with self._store.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)", rows)
        self._store.forget(*UNSENT)

    def _kept_sequence(self) -> int:
        kept = self._store.get(_SPACE, "sequence", 0)
        return kept if isinstance(kept, int) and 0 <= kept < 2**53 else 0

    def _failed(self, error: StoreError) -> None:
        if not self.trouble:
            _LOG.warning("Unsent readings cannot be stored: %s", error.message)
        self.trouble = f"unsent readings cannot be stored: {error.message}"

    def _try_again(self) -> None:
        """Does the store work again? What failed is made up for: the reserved numbers, the count of what is there."""
        try:
            self._migrate()
            self._rise(self._kept_sequence())  # not known when we started
            self._store.set(_SPACE, "sequence", self._reserved)
            self._forget_confirmed()
            self._look()
        except StoreError:
            return
        self.trouble = ""
        _LOG.warning("Unsent readings can be stored again")

    def next_sequence(self) -> int:
        """The next ``seq``: greater than every one before, also before a restart."""
        if self._sequence >= self._reserved:
            self._reserve()
        self._sequence += 1
        return self._sequence

    def _reserve(self) -> None:
        self._reserved = self._sequence + _BLOCK
        try:
            self._store.set(_SPACE, "sequence", self._reserved)
        except StoreError as error:
            self._failed(error)

    def __len__(self) -> int:
        return max(0, self._on_disk - len(self._confirmed)) + len(self._memory)

    @property
    def newest(self) -> int:
        """The number of the newest message, or of one before it."""
        return self._sequence

    def put(self, topic: str, build: Callable[[int], str]) -> None:
        """Queue the message that ``build(seq)`` makes; the oldest one goes when there are too many."""
        number = self.next_sequence()
        self._memory[number] = Entry(number, topic, build(number))
        if len(self) > self._limit:
            self._drop_oldest(len(self) - self._limit)

    def _drop_oldest(self, count: int) -> None:
        self.dropped += count
        if self._on_disk:
            # a whole slice at once: one disk write for many readings
            count = max(count, min(self._on_disk, self._limit // 100))
            self.dropped += count - 1
            self._drop_stored(count)
            return
        for number in list(islice(self._memory, count)):
            del self._memory[number]

    def _drop_stored(self, count: int) -> None:
        if not self._delete("number IN (SELECT number FROM outbox ORDER BY number LIMIT ?)", (count,)):
            self._confirmed.update(entry.number for entry in self._stored(count, 0))  # they count as gone

    def batch(self, most: int, after: int = 0) -> list[Entry]:
        """The oldest messages with a number greater than ``after``."""
        entries = self._stored(most, after) if self._on_disk > len(self._confirmed) else []
        newer = (entry for entry in self._memory.values() if entry.number > after)
        return entries + list(islice(newer, most - len(entries)))

    def _stored(self, most: int, after: int) -> list[Entry]:
        query = "SELECT number, topic, payload FROM outbox WHERE number > ? ORDER BY number LIMIT ?"
        try:
            while rows := self._store.read(query, (after, most)):
                self._confirmed.update(row[0] for row in rows if not _can_be_sent(row))
                if fresh := [Entry(*row) for row in rows if row[0] not in self._confirmed]:
                    return fresh
                after = rows[-1][0]
        except StoreError as error:
            self._failed(error)
            self._on_disk = 0
        return []

    def done(self, numbers: Sequence[int]) -> None:
        """The broker has confirmed these. Of those on the disk many are deleted at once."""
        stored = [number for number in numbers if self._memory.pop(number, None) is None]
        if self._on_disk:  # else they were dropped meanwhile
            self._confirmed.update(stored)
        if not self.trouble and len(self._confirmed) >= _SETTLED:
            self._forget_confirmed()

    def _forget_confirmed(self) -> None:
        numbers = list(self._confirmed)
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            if self._delete(f"number IN ({','.join('?' * len(part))})", tuple(part)):
                self._confirmed.difference_update(part)

    def _delete(self, where: str, arguments: tuple[int, ...]) -> bool:
        try:
            with self._store.transaction() as database:
                cursor = database.execute(f"DELETE FROM outbox WHERE {where}", arguments)  # noqa: S608
            self._on_disk = max(0, self._on_disk - cursor.rowcount)
        except StoreError as error:
            self._failed(error)
            return False
        return True

    def spill_old(self) -> None:
        """Spill if a message has been in memory since the last call: the broker is away, or silent."""
        if self.trouble:
            self._try_again()
        else:
            self._forget_confirmed()
        oldest = next(iter(self._memory), None)
        if oldest is not None and oldest <= self._seen:
            self.spill()
        self._seen = self._sequence

    def spill(self) -> None:
        """Write what is only in memory to disk, in one transaction; stays in memory when the disk refuses."""
        self._forget_confirmed()
        if not self._memory or not self._migrated:
            return
        rows = [(entry.number, entry.topic, entry.payload) for entry in self._memory.values()]
        try:
            with self._store.transaction() as database:
                database.executemany("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)", rows)
        except StoreError as error:
            self._failed(error)
            return
        self._on_disk += len(rows)
        self._memory.clear()


def _can_be_sent(row: Sequence[object]) -> bool:
    """What is damaged on the disk may be anything, and a topic that is none would cost the line, again each time."""
    _, topic, payload = row
    return isinstance(topic, str) and is_topic(topic) and isinstance(payload, str)
