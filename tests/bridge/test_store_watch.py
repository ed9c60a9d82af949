"""The state file of a bridge at work: damage and disks that come back start it anew, ever more seldom, told once."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil

import pytest

from dlms_mqtt.bridge import state_dir
from dlms_mqtt.bridge.state_dir import STATE_FILE, is_usable, open_state
from dlms_mqtt.bridge.store_watch import StoreWatch
from dlms_mqtt.client.state.state_file import MEMORY, StateDamaged
from dlms_mqtt.client.state.store import Store

DAMAGED = "The state file was damaged while it was used"


def _store(path=MEMORY, damaged=True):
    store = Store(path)
    store.damaged = damaged
    return store


@pytest.mark.expect_log(DAMAGED)
async def test_damage_that_no_start_mends_is_told_once_and_tried_ever_more_seldom(clock, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    watch, pauses = StoreWatch(clock), []
    for _ in range(6):
        before = clock.monotonic()
        await watch.trouble(_store(), tmp_path)
        pauses.append(clock.monotonic() - before)
    assert pauses == [5, 60, 600, 3600, 3600, 3600]
    assert [row.levelno for row in caplog.records if DAMAGED in row.message] == [logging.WARNING] + [logging.INFO] * 5
    assert watch.suspect, "all of the file is looked at"


@pytest.mark.expect_log(DAMAGED)
async def test_a_start_that_has_helped_is_forgotten(clock, tmp_path, caplog):
    watch = StoreWatch(clock)
    await watch.trouble(_store(), tmp_path)
    clock.elapsed += 7201
    before = clock.monotonic()
    await watch.trouble(_store(), tmp_path)
    assert clock.monotonic() - before == 5
    assert sum(DAMAGED in row.message for row in caplog.records if row.levelno == logging.WARNING) == 2


@pytest.mark.expect_log("The state file can be used again")
async def test_a_disk_that_takes_something_again(clock, tmp_path):
    await StoreWatch(clock).trouble(_store(damaged=False), tmp_path)
    assert clock.monotonic() == 5


@pytest.mark.expect_log("was deleted or replaced while it was used")
async def test_a_file_that_is_deleted_while_it_is_used(clock, tmp_path, caplog):
    """The bridge starts anew, because its lock is gone too, and the next one goes on with its counters."""
    folder = tmp_path / "state"
    state, watch = open_state(folder, os.urandom), StoreWatch(clock)
    counter = state.store.counter(b"k" * 16, b"t" * 8)
    used = counter.next()
    shutil.rmtree(folder)
    await watch.trouble(state.store, folder)
    watch.closing(state.store)
    state.store.close()
    shutil.rmtree(folder)
    with open_state(folder, os.urandom, reserved=watch.reserved).store as store:
        assert store.counter(b"k" * 16, b"t" * 8).next() > used


def test_what_is_not_removed_is_not_kept_in_memory(clock, tmp_path):
    state, watch = open_state(tmp_path, os.urandom), StoreWatch(clock)
    state.store.counter(b"k" * 16, b"t" * 8).next()
    watch.closing(state.store)
    assert not watch.reserved


def test_a_full_disk_is_not_usable_though_all_of_it_can_be_read(tmp_path):
    """Else the bridge would start anew every few seconds, and have no memory each time."""
    open_state(tmp_path, os.urandom).store.close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        usable = is_usable(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not usable and is_usable(tmp_path)


def test_a_file_that_cannot_be_written_is_not_usable(tmp_path, monkeypatch):
    """Its folder may be: it was copied there by somebody else."""
    open_state(tmp_path, os.urandom).store.close()

    class ReadOnly(Store):
        def __init__(self, path):
            super().__init__(path)
            self._db.execute("PRAGMA query_only = 1")

    monkeypatch.setattr(state_dir, "Store", ReadOnly)
    assert not is_usable(tmp_path)


def test_a_damaged_file_is_usable_where_it_can_be_set_aside(tmp_path):
    """The disk was read-only when the damage was found."""
    open_state(tmp_path, os.urandom).store.close()
    (tmp_path / STATE_FILE).write_bytes(b"\xa5" * 5000)
    with pytest.raises(StateDamaged):
        Store(tmp_path / STATE_FILE)
    assert is_usable(tmp_path)


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
def test_damage_that_the_quick_check_misses(tmp_path):
    """An index that does not say what its table says."""
    store = open_state(tmp_path, os.urandom).store
    with store.transaction() as db:
        db.execute("CREATE TABLE rows (text TEXT)")
        db.execute("CREATE INDEX by_text ON rows (text)")
        db.execute("INSERT INTO rows VALUES ('the same in both')")
    store.close()
    path = tmp_path / STATE_FILE
    head, separator, tail = path.read_bytes().rpartition(b"the same in both")
    path.write_bytes(head + b"another in here." + tail)
    assert separator
    open_state(tmp_path, os.urandom).store.close()
    assert not list(tmp_path.glob("*.damaged-*"))
    open_state(tmp_path, os.urandom, thorough=True).store.close()
    assert list(tmp_path.glob("*.damaged-*"))


@pytest.mark.expect_log("The state file can be used again")
async def test_a_folder_that_can_be_used_again_ends_the_memory(clock, tmp_path):
    folder = tmp_path / "state"
    folder.write_text("no folder")
    watching = asyncio.create_task(StoreWatch(clock).trouble(_store(damaged=False), folder))
    await asyncio.sleep(60)
    assert not watching.done()
    folder.unlink()
    folder.mkdir()
    await asyncio.sleep(60)
    assert watching.done()
