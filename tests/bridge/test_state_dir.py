"""The state directory in trouble: what is damaged is set aside, the rest goes on, and nothing needs a human."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sqlite3

import pytest

from dlms_mqtt.bridge import state_dir
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.state_dir import STATE_FILE, is_usable, locked, mark_closed, open_state
from dlms_mqtt.client.state.facts import DOUBTFUL, LOST, TITLE
from dlms_mqtt.client.state.rescue import raise_all
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from tests.bridge.house import write_config

NOW = 1_800_000_000.0
KEY, OURS = bytes(range(16)), b"DMQ\x01\x02\x03\x04\x05"
LOCKED = {"settings": "x", "refusals": 2, "until": NOW, "worked": ""}


def _filled(folder):
    """A state as a bridge leaves it: a counter at 5001, facts of every kind, an unsent reading."""
    state = open_state(folder, os.urandom, NOW)
    state.store.set(*TITLE, OURS.hex())
    state.store.counter(KEY, OURS, 5000).next()
    state.store.set("lockout", "house", LOCKED)
    for number in range(3000):
        state.store.set("profile", f"house/{number}", "x" * 50) if number % 300 == 0 else None
    outbox = Outbox(state.store, 100)
    outbox.put("topic", lambda seq: f'{{"seq":{seq}}}')
    outbox.spill()
    state.store.close()
    mark_closed(folder, NOW)


def _page(folder, table):
    """Overwrite the first page of a table."""
    path = folder / STATE_FILE
    database = sqlite3.connect(path)
    (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    octets = bytearray(path.read_bytes())
    octets[(root - 1) * size : root * size] = b"\xa5" * size
    path.write_bytes(octets)


def _damage(folder, kind):
    path = folder / STATE_FILE
    whole = path.read_bytes()
    if kind in ("counters", "facts", "outbox", "object_lists"):
        _page(folder, kind)
    else:
        path.write_bytes({"empty": b"", "rubbish": b"\xa5" * 5000, "half": whole[: len(whole) // 2]}[kind])


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
@pytest.mark.parametrize("kind", ["empty", "rubbish", "half", "counters", "facts", "outbox", "object_lists"])
def test_a_damaged_file_is_set_aside_and_what_is_sound_goes_on(tmp_path, kind, caplog):
    _filled(tmp_path)
    _damage(tmp_path, kind)
    damaged = (tmp_path / STATE_FILE).read_bytes()
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert state.store.path == str(tmp_path / STATE_FILE) and not state.trouble
    assert (tmp_path / "state.sqlite.damaged-1").read_bytes() == damaged, "nothing of it is thrown away"
    counters_sound = kind in ("facts", "outbox", "object_lists")
    assert ("counters are lost" in caplog.text) is not counters_sound
    if counters_sound:
        assert state.store.counter(KEY, OURS).value > 5000 + 1_000_000
    else:
        assert not state.store.counters() and state.store.get(*LOST)
        assert state.store.get(*TITLE) is None, "with another title the numbers of a key are others"
    if kind in ("counters", "outbox", "object_lists"):
        assert state.store.get("lockout", "house") == LOCKED, "a wrong password is not repeated"
    if kind in ("counters", "facts", "object_lists"):
        assert len(Outbox(state.store, 100)) == 1
    state.store.close()
    mark_closed(tmp_path, NOW + 5)
    assert not open_state(tmp_path, os.urandom, NOW + 6).trouble


@pytest.mark.expect_log("going on without a memory")
def test_where_nothing_can_be_set_aside_it_is_waited_for(tmp_path, monkeypatch):
    _filled(tmp_path)
    _damage(tmp_path, "rubbish")

    def refused(_):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(state_dir, "set_aside", refused)
    state = open_state(tmp_path, os.urandom, NOW)
    assert state.store.path == MEMORY and "damaged" in state.trouble


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
@pytest.mark.parametrize("number", ["'abc'", "-5", "4294967296", "1.5"])
def test_a_counter_that_is_no_number_is_damage(tmp_path, number, caplog):
    _filled(tmp_path)
    database = sqlite3.connect(tmp_path / STATE_FILE)
    database.execute(f"UPDATE counters SET next = {number}")
    database.commit()
    database.close()
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert not state.store.counters() and "counters are lost" in caplog.text
    assert state.store.get("lockout", "house") == LOCKED


@pytest.mark.parametrize(
    "text", ["{", "", "NaNa", "\x00", "[" * 100_000, "NaN", "[1e400]", '{"a":-Infinity}', "9" * 400, "9" * 5000]
)
def test_a_fact_that_is_no_json_is_as_good_as_forgotten(tmp_path, text):
    _filled(tmp_path)
    with Store(tmp_path / STATE_FILE) as store, store.transaction() as database:
        database.execute("INSERT OR REPLACE INTO facts VALUES ('bridge', 'sequence', ?)", (text,))
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert not state.trouble and state.store.get("bridge", "sequence", 7) == 7
    assert state.store.get("lockout", "house") == LOCKED


# -- a state that is older than what was sent --------------------------------------------------------------------------


def _counter_after(folder, away, *, killed=False):
    _filled(folder)
    with Store(folder / STATE_FILE) as store:
        if killed:
            (folder / "closed").unlink()
        before = store.counter(KEY, OURS).value
    state = open_state(folder, os.urandom, NOW + away)
    jump = state.store.counter(KEY, OURS).value - before
    doubtful = state.store.get(*DOUBTFUL)
    state.store.close()
    return jump, doubtful


@pytest.mark.parametrize(("away", "jump"), [(0, 0), (1, 0), (11, 1100), (60, 6000), (600, 10_000)])
def test_a_file_that_was_closed_just_now_is_believed_but_for_what_a_copy_may_have_used(tmp_path, away, jump):
    """A backup of minutes ago, used on and put back: its first message had a number that the meter had seen."""
    assert _counter_after(tmp_path, away) == (jump, jump > 0)


def test_a_mark_that_is_a_pipe_is_none(tmp_path):
    """Reading it waited for whoever would write into it: the bridge neither started nor ended."""
    _filled(tmp_path)
    (tmp_path / "closed").unlink()
    os.mkfifo(tmp_path / "closed")
    with open_state(tmp_path, os.urandom, NOW).store as store:
        assert store.get(*DOUBTFUL)
    assert not (tmp_path / "closed").exists()


def test_a_bridge_that_starts_anew_at_once_skips_nothing(tmp_path):
    with Store(tmp_path / STATE_FILE) as store:
        store.counter(KEY, OURS, 5000)
    mark_closed(tmp_path, NOW + 0.6)
    assert open_state(tmp_path, os.urandom, NOW + 0.7).store.counter(KEY, OURS).value == 5000


def test_after_a_kill_numbers_are_skipped(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert _counter_after(tmp_path, 60, killed=True) == (10_000, True)
    assert "skip 10000 numbers" in caplog.text


@pytest.mark.parametrize("days", [1, 30, 366, 5000])
def test_a_restored_backup_skips_what_may_have_been_used_since(tmp_path, days):
    jump, doubtful = _counter_after(tmp_path, days * 86400)
    assert doubtful and jump == 10_000 + 5 * 86400 * min(days, 366)


def test_a_clock_that_was_set_back_is_a_state_from_the_future(tmp_path):
    assert _counter_after(tmp_path, -3600) == (10_000, True)


def test_no_counter_is_raised_beyond_its_end(tmp_path):
    with Store(tmp_path / STATE_FILE) as store:
        store.counter(KEY, OURS, 0xFFFF_FFF0)
        raise_all(store, 100)
        assert store.counters()[0].next == 0xFFFF_FFFE
        raise_all(store, 100)
        assert store.counters()[0].next == 0xFFFF_FFFE


# -- a disk that takes nothing -----------------------------------------------------------------------------------------


@pytest.mark.expect_log("going on without a memory")
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_first_start_on_a_full_disk_waits(tmp_path, monkeypatch, fault):
    def full(*_):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr("dlms_mqtt.bridge.config.seal.write_whole", full)
    state = open_state(tmp_path, os.urandom, NOW)
    assert state.store.path == MEMORY and os.strerror(fault) in state.trouble
    assert not is_usable(tmp_path)
    monkeypatch.undo()
    assert is_usable(tmp_path) and not open_state(tmp_path, os.urandom, NOW).trouble


@pytest.mark.expect_log("going on without a memory")
@pytest.mark.parametrize("message", ["the disk can't be read or written", "another process holds it"])
def test_what_cannot_be_looked_at_now_is_not_set_aside(tmp_path, monkeypatch, message):
    _filled(tmp_path)

    def fails(*_):
        raise StoreError(f"the state file can't be used: {message}")

    monkeypatch.setattr(state_dir, "_check", fails)
    assert open_state(tmp_path, os.urandom, NOW).store.path == MEMORY
    assert not list(tmp_path.glob("*.damaged-*"))
    monkeypatch.undo()
    assert open_state(tmp_path, os.urandom, NOW).store.counter(KEY, OURS).known


def test_a_folder_that_cannot_be_one_is_told_and_systemd_tries_again(tmp_path):
    """Exit status 1: the unit restarts that, but not 2."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        open_state(tmp_path / "file" / "state", os.urandom, NOW)
    assert errno.EACCES not in state_dir._PASSING


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
def test_a_folder_in_the_place_of_the_file_is_set_aside(tmp_path):
    (tmp_path / STATE_FILE).mkdir()
    state = open_state(tmp_path, os.urandom, NOW)
    assert state.store.path == str(tmp_path / STATE_FILE)
    assert (tmp_path / "state.sqlite.damaged-1").is_dir()


@pytest.mark.expect_log("going on without a memory")
def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    with Store(tmp_path / STATE_FILE) as store, store.transaction() as db:
        db.execute("UPDATE components SET version = 99 WHERE name = 'store'")
    before = (tmp_path / STATE_FILE).read_bytes()
    assert "newer" in open_state(tmp_path, os.urandom, NOW).trouble
    assert (tmp_path / STATE_FILE).read_bytes() == before


@pytest.mark.parametrize("version", ["'x'", "-1", "1.5", "x'ff'"])
@pytest.mark.parametrize("component", ["store", "outbox"])
@pytest.mark.expect_log("is set aside")
def test_a_version_of_tables_that_is_none_is_damage(tmp_path, component, version):
    _filled(tmp_path)
    database = sqlite3.connect(tmp_path / STATE_FILE)
    database.execute(f"UPDATE components SET version = {version} WHERE name = '{component}'")
    database.commit()
    database.close()
    store = open_state(tmp_path, os.urandom, NOW + 5).store
    assert store.counter(KEY, OURS).next() > 5000 and store.get("lockout", "house") == LOCKED
    Outbox(store, 100)


@pytest.mark.parametrize("change", ["DROP TABLE {}", "ALTER TABLE {} RENAME TO other"])
@pytest.mark.parametrize("table", ["counters", "facts", "object_lists"])
@pytest.mark.expect_log("is set aside")
def test_a_table_that_is_missing_is_damage(tmp_path, table, change):
    _filled(tmp_path)
    database = sqlite3.connect(tmp_path / STATE_FILE)
    database.execute(change.format(table))
    database.close()
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert not state.trouble and state.store.set("any", "fact", 1) is None
    assert table == "counters" or state.store.counter(KEY, OURS).next() > 5000


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE outbox",
        "DROP TABLE components",
        "DELETE FROM components",
        "ALTER TABLE facts RENAME COLUMN value TO text",
        "ALTER TABLE outbox ADD COLUMN more",
        "ALTER TABLE counters ADD COLUMN more",
    ],
)
@pytest.mark.expect_log("is set aside")
def test_tables_that_are_not_as_they_were_made_are_damage(tmp_path, change):
    _filled(tmp_path)
    database = sqlite3.connect(tmp_path / STATE_FILE)
    database.execute(change)
    database.commit()
    database.close()
    assert is_usable(tmp_path)
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert not state.trouble and state.store.set("any", "fact", 1) is None
    assert not Outbox(state.store, 100).trouble
    assert "counters" in change or state.store.counter(KEY, OURS).next() > 5000


def test_a_fact_that_is_no_text_is_as_good_as_forgotten(tmp_path):
    _filled(tmp_path)
    database = sqlite3.connect(tmp_path / STATE_FILE)
    database.execute("UPDATE facts SET value = CAST(x'ff7b' AS TEXT) WHERE namespace = 'profile'")
    database.commit()
    database.close()
    state = open_state(tmp_path, os.urandom, NOW + 5)
    assert not state.trouble and state.store.items("profile") == {}
    assert state.store.get("lockout", "house") == LOCKED


@pytest.mark.parametrize("title", ["zz", 5, "00", {"a": 1}, 0, "", [], None])
def test_a_system_title_that_is_none_is_made_anew(tmp_path, title):
    _filled(tmp_path)
    with Store(tmp_path / STATE_FILE) as store:
        store.set(*TITLE, title)
    store = open_state(tmp_path, os.urandom, NOW + 5).store
    assert store.agree(*TITLE, OURS.hex()) == OURS.hex()


def test_the_lock_on_a_full_disk(tmp_path):
    """Who has it cannot be written; nothing is left that fails again when it is closed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with locked(tmp_path, "main"):
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        with locked(tmp_path, "main"), pytest.raises(StoreError, match="another bridge"), locked(tmp_path, "other"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_second_bridge_in_the_same_state_directory_is_refused(tmp_path):
    """It would clear the meters of the first one from Home Assistant: neither broker nor meter is touched."""
    path = write_config(tmp_path, 1, "", "id: second")
    with locked(tmp_path / "state", "first"):
        with pytest.raises(StoreError, match=rf"is in use by the bridge 'first' \(process {os.getpid()}\)") as caught:
            await App(path, environment={}).run()
        assert "state_dir of its own" in caught.value.hint
        assert not (tmp_path / "state" / STATE_FILE).exists()
    with locked(tmp_path / "state", "second"):  # what a killed one has written there is no lock
        pass
