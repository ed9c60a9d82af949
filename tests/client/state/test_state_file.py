"""The state file as a file: whole or not at all, for its owner only, never replaced in silence, trouble by its name."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dlms_mqtt.client.state import state_file
from dlms_mqtt.client.state.state_file import StateDamaged, StateFile, default_path, set_aside, sync_folder, write_whole
from dlms_mqtt.client.state.store import BLOCK, FIRST, Store
from dlms_mqtt.errors import StoreError

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
TITLE = b"DMQ00001"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


def next_stored(path: Path) -> int:
    with Store(path) as opened:
        (row,) = opened.counters()
        return row.next


def sqlite_root(path: Path, table: str) -> tuple[int]:
    db = sqlite3.connect(path)
    row: tuple[int] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    db.close()
    return row


def test_no_number_without_a_disk_to_keep_it(store):
    counter = store.counter(KEY, TITLE)
    for _ in range(BLOCK):
        last = counter.next()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # no write gets further than the first octet of a file
    try:
        for _ in range(3):
            with pytest.raises(StoreError, match="disk") as caught:
                counter.next()
            assert caught.value.hint
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert counter.next() == last + 1


def test_a_full_disk_is_named(store):
    store._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="the disk is full"):
        store.set("notes", "long", "x" * 100_000)
    assert store.get("notes", "long") is None
    assert store.counter(KEY, TITLE).next() == FIRST


def test_read_only(store):
    store._db.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="read-only"):
        store.counter(KEY, TITLE).next()


def test_closing_a_store_that_can_not_write_is_quiet(path):
    store = Store(path)
    store.counter(KEY, TITLE).next()
    store._db.execute("PRAGMA query_only = 1")
    store.close()
    store.close()
    assert next_stored(path) == FIRST + BLOCK


def test_held_by_another_process(path, monkeypatch):
    monkeypatch.setattr(state_file, "BUSY_SECONDS", 0.01)
    with Store(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process"):
            store.counter(KEY, TITLE).next()
        other.execute("ROLLBACK")
        other.close()
        assert store.counter(KEY, TITLE).next() == FIRST


@pytest.mark.parametrize("damage", ["empty", "rubbish", "torn"])
def test_a_damaged_file_is_neither_used_nor_replaced(path, damage):
    with Store(path) as store:
        store.counter(KEY, TITLE).next()
    whole = path.read_bytes()
    (root,) = sqlite_root(path, "counters")
    page = 4096 * (root - 1)
    torn = whole[:page] + b"\xff" * 4096 + whole[page + 4096 :]
    broken = {"empty": b"", "rubbish": b"no database" * 1000, "torn": torn}[damage]
    path.write_bytes(broken)
    with pytest.raises(StoreError, match="damaged") as caught:
        Store(path)
    assert "dlms-mqtt counter" in caught.value.hint
    assert path.read_bytes() == broken
    path.with_name(path.name + "-journal").touch()
    assert set_aside(path).name == "state.sqlite.damaged-1"
    Store(path).close()
    assert set_aside(path).name == "state.sqlite.damaged-2"
    assert not path.exists()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_is_deleted_while_it_is_open_is_written_anew(path, what):
    with Store(path) as store:
        counter = store.counter(KEY, TITLE)
        for number in range(FIRST, BLOCK + FIRST):
            assert counter.next() == number
        store.set("notes", "kept", 1)
        store.set_soon("notes", "soon", 2)
        assert not store.removed
        path.unlink() if what == "file" else shutil.rmtree(path.parent)
        assert store.removed and not path.exists()
        assert counter.next() == BLOCK + FIRST
        assert store.removed and path.exists()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir() if "new" in file.name] == []
    with Store(path) as store:
        assert store.counter(KEY, TITLE).next() == BLOCK + FIRST + 1
        assert store.items("notes") == {"kept": 1, "soon": 2} and not store.removed


def test_a_deleted_file_on_a_full_disk(path):
    """No number is given that is not on the disk, and nothing is left half written."""
    store = Store(path)
    counter = store.counter(KEY, TITLE)
    counter.next()
    counter.give_back()
    path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(StoreError, match="disk"):
            counter.next()
        assert not [file for file in path.parent.iterdir() if file.stat().st_size]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert counter.next() == FIRST + 1


def test_a_deleted_folder_that_can_not_be_made_again(path):
    store = Store(path)
    shutil.rmtree(path.parent)
    path.parent.touch()
    with pytest.raises(StoreError, match=r"can't be used: (Not a directory|File exists)") as caught:
        store.set("notes", "a", 1)
    assert caught.value.hint
    path.parent.unlink()
    store.set("notes", "a", 2)
    assert store.get("notes", "a") == 2


def test_another_file_in_its_place_is_left_alone(path):
    """It may be a backup, or another process was faster."""
    store = Store(path)
    path.unlink()
    with Store(path) as other:
        other.set("notes", "theirs", 1)
    with pytest.raises(StoreError, match="another file has come in its place"):
        store.set("notes", "ours", 1)
    assert store.removed
    with Store(path) as other:
        assert other.items("notes") == {"theirs": 1}


def test_another_process_is_faster_to_write_it_anew(path, monkeypatch):
    store = Store(path)
    path.unlink()

    def faster(new, name):
        monkeypatch.undo()
        Store(path).close()
        raise FileExistsError(name)

    monkeypatch.setattr(state_file.os, "link", faster)
    with pytest.raises(StoreError, match="another file has come in its place"):
        store.set("notes", "ours", 1)
    assert store.removed and path.exists()


def test_a_folder_that_can_not_be_looked_at_is_no_deleted_file(path, monkeypatch):
    store = Store(path)

    def denied(_path):
        raise PermissionError

    monkeypatch.setattr(state_file.os, "stat", denied)
    assert not store.removed


def test_a_place_that_can_not_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be used"):
        Store(tmp_path / "file" / "state.sqlite")


def test_a_file_of_a_newer_version(path):
    Store(path).close()
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE components SET version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        Store(path)


def test_for_the_owner_only(path):
    old = os.umask(0)
    try:
        Store(path).close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with Store(path) as store:
        store.set("a", "b", 1)
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert [file.name for file in path.parent.iterdir() if "new" in file.name] == []


def test_migrations_go_forward_only(path):
    steps = [["CREATE TABLE waiting (topic TEXT)"]]
    with Store(path) as store:
        store.migrate("bridge", steps)
        with store.transaction() as db:
            db.execute("INSERT INTO waiting VALUES ('a')")
        store.migrate("bridge", [*steps, ["ALTER TABLE waiting ADD COLUMN payload TEXT DEFAULT 'p'"]])
        assert store.read("SELECT * FROM waiting") == [("a", "p")]
        with pytest.raises(StoreError, match="newer"):
            store.migrate("bridge", steps)
    with Store(path) as store, pytest.raises(StoreError):
        store.migrate("bridge", [*steps, [], ["CREATE TABLE more (x)", "rubbish"]])
    with Store(path) as store, pytest.raises(StoreError):
        store.read("SELECT * FROM more")


def test_a_transaction_is_all_or_nothing(store):
    with pytest.raises(ZeroDivisionError), store.transaction() as db:
        db.execute("INSERT INTO facts VALUES ('a', 'b', '1')")
        1 / 0  # noqa: B018
    assert store.get("a", "b") is None


def test_where_the_command_line_keeps_it():
    assert default_path({"XDG_STATE_HOME": "/s"}) == Path("/s/dlms-mqtt/state.sqlite")
    assert default_path({"HOME": "/home/a"}) == Path("/home/a/.local/state/dlms-mqtt/state.sqlite")
    assert default_path().name == "state.sqlite"


def test_a_store_that_is_closed_or_was_refused_holds_no_file(tmp_path):
    path = tmp_path / "state.sqlite"
    store = Store(path)
    store.close()
    with pytest.raises(StoreError):
        store.get("a", "b")
    with Store(path) as store, store.transaction() as db:
        db.execute("UPDATE components SET version = 99 WHERE name = 'store'")
    opened = []
    real = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
        with pytest.raises(StoreError, match="newer"):
            Store(path)
    with pytest.raises(sqlite3.ProgrammingError):
        opened[-1].execute("SELECT 1")


@pytest.mark.parametrize("version", [-1, "'new'"])
def test_a_version_that_is_none_is_damage(path, version):
    with Store(path) as store, store.transaction() as db:
        db.execute(f"UPDATE components SET version = {version} WHERE name = 'store'")
    with pytest.raises(StateDamaged, match="the version of store is"):
        Store(path)


def test_a_table_that_is_damaged_is_said_to_be(path):
    with closing(StateFile(path)) as file:
        file.check("quick_check(components)", "components")
        file.read = lambda _sql, *_names: [("row 1 missing from index",)]
        with pytest.raises(StateDamaged, match="row 1 missing from index") as caught:
            file.check("quick_check(components)")
    assert "dlms-mqtt counter" in caught.value.hint


def test_a_damaged_file_is_set_aside_with_its_journal_and_none_twice_under_one_name(path):
    for number in (1, 2):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"damaged %d" % number)
        journal = path.with_name(path.name + "-journal")
        if number == 2:
            journal.write_bytes(b"journal")
        aside = set_aside(path)
        assert aside.name == f"{path.name}.damaged-{number}"
        assert aside.read_bytes() == b"damaged %d" % number
        assert not path.exists() and not journal.exists()
    assert aside.with_name(aside.name + "-journal").read_bytes() == b"journal"


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_whole(target, b"one")
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"one", 0o600)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(target, b"two")
        assert target.read_bytes() == b"one"
        sync_folder(tmp_path)  # what the system can't do is left
    sync_folder(tmp_path / "nowhere")
    write_whole(target, b"three")
    assert target.read_bytes() == b"three"


def test_a_folder_in_the_way_of_a_file_is_set_aside(tmp_path):
    for name in ("seal.key", "seal.key.new"):
        (tmp_path / name / "full").mkdir(parents=True)
    write_whole(tmp_path / "seal.key", b"one")
    assert (tmp_path / "seal.key").read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seal.key",
        "seal.key.damaged-1",
        "seal.key.new.damaged-1",
    ]


def test_a_rollback_that_the_disk_has_done_already_hides_nothing(path):
    with closing(StateFile(path)) as file, pytest.raises(KeyError, match="the caller's"), file.transaction() as db:
        db.execute("ROLLBACK")
        raise KeyError("the caller's own")


def test_trouble_that_sqlite_has_no_word_for_is_told_in_its_own(path):
    with closing(StateFile(path)) as file, pytest.raises(StoreError, match="no such table: nowhere"):
        file.read("SELECT 1 FROM nowhere")
    assert not file.damaged
