"""The state file: numbers never repeat, whatever is killed, full or damaged; and it keeps what it is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter as Count
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlms_mqtt.client.state.store import BLOCK, FIRST, LIMIT, PEER_COUNTERS, Store
from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError, StoreError
from dlms_mqtt.protocol.security import PeerCounters, key_id
from tests.client import killed

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
TITLE = b"DMQ00001"
ROOT = Path(__file__).parents[3]


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


# -- counters ---------------------------------------------------------------------------------------------------------


def test_counters_rise_by_one_per_key_and_title(store):
    counter = store.counter(KEY, TITLE)
    assert not counter.known
    assert [counter.next() for _ in range(200)] == list(range(FIRST, FIRST + 200))
    assert counter.known
    assert counter() == counter.value - 1
    assert store.counter(OTHER, TITLE).next() == FIRST
    assert store.counter(KEY, b"DMQ00002").next() == FIRST
    assert store.counter(KEY, TITLE) is counter


def test_a_number_is_on_the_disk_before_it_is_used(store, path):
    store.counter(KEY, TITLE).next()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT next FROM counters").fetchall() == [(FIRST + BLOCK,)]
    other.close()


def test_the_key_is_not_in_the_file(store, path):
    store.counter(KEY, TITLE).next()
    assert [(row.key_id, row.system_title) for row in store.counters()] == [(key_id(KEY), TITLE.hex())]
    assert KEY not in path.read_bytes()


def test_unused_numbers_are_given_back_when_closed(path):
    with Store(path) as store:
        counter = store.counter(KEY, TITLE)
        counter.next()
    assert next_stored(path) == FIRST + 1
    with Store(path) as store:
        assert store.counter(KEY, TITLE).next() == FIRST + 1


def test_a_counter_that_gave_no_number_leaves_nothing(path: Path) -> None:
    """Else it would be known next time, and the meter would not be asked for its own."""
    with Store(path) as store:
        counter = store.counter(KEY, TITLE)
        counter.give_back()
        assert (counter.value, counter.known, store.counters()) == (FIRST, False, [])
    with Store(path) as store:
        assert not store.counter(KEY, TITLE).known


def test_but_not_when_another_process_went_on(path):
    with Store(path) as second:
        with Store(path) as first:
            assert first.counter(KEY, TITLE).next() == FIRST
            assert second.counter(KEY, TITLE).next() == FIRST + BLOCK
        with Store(path) as third:
            assert third.counter(KEY, TITLE).next() == FIRST + 2 * BLOCK
        assert second.counter(KEY, TITLE).next() == FIRST + BLOCK + 1
        assert second.counters()[0].next == FIRST + 2 * BLOCK + 1
    assert next_stored(path) == FIRST + 2 * BLOCK + 1


def test_refresh_leaves_a_block_that_was_overtaken(path):
    with Store(path) as first, Store(path) as second:
        mine, theirs = first.counter(KEY, TITLE), second.counter(KEY, TITLE)
        mine.next()
        mine.refresh()
        assert mine.next() == FIRST + 1
        assert theirs.next() == FIRST + BLOCK
        mine.refresh()
        assert mine.next() == FIRST + 2 * BLOCK


@pytest.mark.parametrize("change", ["DELETE FROM counters", "UPDATE counters SET next = 1"])
def test_a_backup_restored_under_a_running_process_repeats_no_number(path: Path, change: str) -> None:
    with Store(path) as store:
        counter = store.counter(KEY, TITLE)
        used = [counter.next() for _ in range(3)]
        for _ in range(2):
            with store.transaction() as db:
                db.execute(change)
            counter.refresh()
            used += [counter.next() for _ in range(BLOCK)]
        with store.transaction() as db:
            db.execute(change)
    assert used == list(range(FIRST, FIRST + len(used)))
    assert next_stored(path) == FIRST + len(used)


def test_what_is_given_back_is_reserved_anew_before_it_is_used(store, path):
    counter = store.counter(KEY, TITLE)
    counter.next()
    counter.give_back()
    assert (counter.value, counter.next()) == (FIRST + 1, FIRST + 1)
    assert store.counters()[0].next == FIRST + 1 + BLOCK


def test_received_counters_that_make_no_sense_are_none(store):
    for odd in ([1, 2], "counters", 7):
        store.set(PEER_COUNTERS, "push tcp", odd)
        assert store.peer_counters("push tcp").keep() == {}


def test_another_session_may_come_further_while_the_meter_is_asked(path: Path) -> None:
    """Both found no number, both asked the meter; the one that comes second goes on behind the first."""
    with Store(path) as one, Store(path) as two:
        first, second = (store.counter(bytes(16), bytes(8)) for store in (one, two))
        first.raise_at_least_to(100)
        used = [first.next() for _ in range(5)]
        second.raise_at_least_to(100)
        assert used == [100, 101, 102, 103, 104]
        assert second.next() > used[-1]


def test_raised_but_never_lowered(store, path):
    counter = store.counter(KEY, TITLE)
    counter.raise_to(0)
    assert counter.next() == 0
    counter.raise_to(1000)
    assert counter.value == 1000
    assert counter.next() == 1000
    counter.raise_to(1001)
    assert counter.next() == 1001
    for number in (0, 1001):
        with pytest.raises(ConfigError, match="never lowered"):
            counter.raise_to(number)
    for number in (-1, LIMIT, LIMIT + 1):
        with pytest.raises(ConfigError):
            counter.raise_to(number)
    assert counter.next() == 1002
    with Store(path) as other, pytest.raises(ConfigError):
        other.counter(KEY, TITLE).raise_to(1002)


def test_start_is_a_floor(store):
    assert store.counter(KEY, TITLE, start=500).next() == 500
    assert store.counter(KEY, TITLE, start=100).next() == 501
    assert store.counter(KEY, TITLE, start=900).next() == 900
    assert store.counter(OTHER, TITLE, start=0).next() == 0


def test_adopted_only_upwards_and_within_a_bound(store):
    counter = store.counter(KEY, TITLE, start=100)
    counter.adopt(100, 50)
    counter.adopt(150, 50)
    assert counter.next() == 150
    for number in (0, 150, 202, LIMIT):
        with pytest.raises(SecurityError) as caught:
            counter.adopt(number, 50)
        assert caught.value.reason == "counter"
    assert counter.next() == 151
    counter.raise_to(LIMIT - 1)
    with pytest.raises(SecurityError):
        counter.adopt(LIMIT, 1000)


def test_the_end_of_the_numbers(store):
    counter = store.counter(KEY, TITLE, start=LIMIT - 2)
    assert [counter.next(), counter.next()] == [LIMIT - 2, LIMIT - 1]
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="end") as caught:
            counter.next()
        assert "key must be replaced" in caught.value.hint
    assert store.counters()[0].next == LIMIT


@given(st.lists(st.tuples(st.sampled_from("nnnraxcf"), st.integers(0, 1), st.integers(0, 300)), max_size=40))
@example([("n", 0, 0), ("n", 1, 0), ("c", 0, 0), ("n", 0, 0), ("n", 0, 0)])
def test_numbers_never_repeat(steps):
    """Two stores on one file, in any order: taking, raising, adopting, closing, being killed, refreshing."""
    with sqlite_file() as path:
        stores = [Store(path, block=2), Store(path, block=5)]
        used: list[int] = []
        for what, which, amount in steps:
            counter = stores[which].counter(KEY, TITLE)
            try:
                if what == "n":
                    used.append(counter.next())
                elif what == "r":
                    counter.raise_to(amount)
                elif what == "a":
                    counter.adopt(amount, 100)
                elif what == "f":
                    counter.refresh()
                elif what == "c":
                    stores[which].close()
                    stores[which] = Store(path, block=2)
                else:
                    stores[which]._db.close()
                    stores[which] = Store(path, block=2)
            except (ConfigError, SecurityError):
                pass
        for store in stores:
            store.close()
        assert len(used) == len(set(used))


class sqlite_file:
    """A path that is new for each example of a property test."""

    def __enter__(self) -> Path:
        import tempfile

        self.directory = tempfile.mkdtemp()
        return Path(self.directory) / "state.sqlite"

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory)


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow_once
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_point(tmp_path, seed):
    """60 processes, two at a time on one file, each ended by SIGKILL in the middle of its work: no number twice."""
    state, used = tmp_path / "state.sqlite", tmp_path / "used"
    command = [sys.executable, killed.__file__, state, used, "30", str(seed)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    records = used.read_bytes()
    assert len(records) % killed.RECORD.size == 0
    before = Count((index, n) for mark, index, n in killed.RECORD.iter_unpack(records) if mark == ord("<"))
    assert not [number for number, times in before.items() if times > 1]
    assert len(before) > 40
    with Store(state) as store:
        for index, key in enumerate(killed.KEYS):
            assert store.counter(key, killed.TITLE).next() > max(n for i, n in before if i == index)


# -- full, held, damaged ----------------------------------------------------------------------------------------------


# -- everything else it keeps -----------------------------------------------------------------------------------------


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_facts(values):
    with Store() as store:
        store.update("meter house", values)
        store.set("meter other", "x", 1)
        assert store.items("meter house") == values
        for key in values:
            assert store.get("meter house", key) == values[key]
            store.forget("meter house", key)
        assert store.items("meter house") == {}
        assert store.get("meter house", "x", "default") == "default"
        store.forget("meter other")
        assert store.items("meter other") == {}


def test_object_lists(path):
    with Store(path) as store:
        assert store.object_list("LGZ1", 16, "none", "1.0") is None
        store.keep_object_list("LGZ1", 16, "none", "1.0", b"old")
        store.keep_object_list("LGZ1", 1, "gmac", "1.0", b"more")
        store.keep_object_list("LGZ1", 16, "none", "1.1", b"new")
    with Store(path) as store:
        assert store.object_list("LGZ1", 16, "none", "1.0") is None
        assert store.object_list("LGZ1", 16, "none", "1.1") == b"new"
        assert store.object_list("LGZ1", 1, "gmac", "1.0") == b"more"


def test_received_counters(path):
    counters = PeerCounters()
    counters.take("key", b"METER001", 5)
    with Store(path) as store:
        assert store.peer_counters("push tcp").keep() == {}
        store.keep_peer_counters("push tcp", counters)
        assert store.peer_counters("push tcp").keep() == counters.keep()
        assert store.read("SELECT * FROM facts") == []  # hundreds of meters that end cost the disk one write
        store.write_soon()
        assert len(store.read("SELECT * FROM facts")) == 1
    with Store(path) as store:
        kept = store.peer_counters("push tcp")
        with pytest.raises(SecurityError):
            kept.take("key", b"METER001", 5)
        kept.take("key", b"METER001", 6)


# -- what a change of the store would otherwise survive --------------------------------------------------------------


def test_the_numbers_of_a_counter(tmp_path):
    path, key, title = tmp_path / "state.sqlite", bytes(16), bytes(8)
    killed = Store(path)
    assert killed.counter(key, title).next() == 1  # some meters take 0 as "no message yet"
    killed._db.close()  # as a kill leaves it: the rest of the block is not given back
    with Store(path) as store:
        counter = store.counter(key, title)
        assert counter.next() == 257
        with pytest.raises(ConfigError, match="from 0 to 4294967294, not 4294967295"):
            counter.raise_to(0xFFFF_FFFF)
        counter.raise_to(0xFFFF_FFFE)
        assert counter.next() == 0xFFFF_FFFE
        with pytest.raises(LocalProtocolError, match="at its end"):
            counter.next()


def test_what_may_be_lost_is_written_with_many_others(path):
    with Store(path) as store, Store(path) as other:
        store.set("space", "a", 1)
        store.set_soon("space", "a", 2)
        store.set_soon("space", "b", [3])
        assert store.items("space") == {"a": 2, "b": [3]} and store.get("space", "b") == [3]
        assert other.items("space") == {"a": 1}
        store.write_soon()
        assert other.items("space") == {"a": 2, "b": [3]}


def test_what_is_said_last_holds_however_it_was_said(path):
    with Store(path) as store:
        store.set_soon("space", "a", 1)
        store.set("space", "a", 2)
        store.set_soon("space", "b", 1)
        store.set_soon("other", "b", 1)
        store.forget("space", "b")
        store.write_soon()
        assert store.items("space") == {"a": 2} and store.items("other") == {"b": 1}
        store.set_soon("space", "c", 3)
        store.forget("space")
        store.set_soon("space", "d", 4)
    with Store(path) as store:  # closing writes it
        assert store.items("space") == {"d": 4}


def test_what_a_full_disk_does_not_take_is_written_later(path, monkeypatch):
    with Store(path) as store:
        store.set_soon("space", "a", 1)
        with monkeypatch.context() as full:
            full.setattr(store, "transaction", _no_room)
            with pytest.raises(StoreError):
                store.write_soon()
            assert store.get("space", "a") == 1
        store.write_soon()
        with Store(path) as other:
            assert other.get("space", "a") == 1


def _no_room() -> None:
    raise StoreError("the disk is full")


@pytest.mark.parametrize("of", ["a newer version", "an older one"])
def test_nothing_is_left_open(path: Path, monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    Store(path).close()
    if of == "a newer version":
        with sqlite3.connect(path) as database:
            database.execute("UPDATE components SET version = 99 WHERE name = 'store'")
        database.close()
    opened: list[Store] = []
    check = Store.migrate
    monkeypatch.setattr(Store, "migrate", lambda store, *what: (opened.append(store), check(store, *what))[1])
    if of == "a newer version":
        with pytest.raises(StoreError, match="newer dlms-mqtt"):
            Store(path)
    else:
        Store(path).close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0]._db.execute("SELECT 1")


def test_what_was_written_is_not_written_over_what_came_after_it(path: Path, store: Store) -> None:
    store.set_soon("space", "a", 1)
    store.write_soon()
    with Store(path) as other:
        other.set("space", "a", 2)
    store.write_soon()
    assert store.get("space", "a") == 2


def test_of_several_processes_all_agree_on_the_first_proposal(path: Path, store: Store) -> None:
    assert store.agree("space", "title", "first") == "first"
    with Store(path) as other:
        assert other.agree("space", "title", "second") == "first"


def test_one_key_is_forgotten_and_the_others_of_its_namespace_stay(store: Store) -> None:
    store.set("space", "a", 1)
    store.set_soon("space", "b", 2)
    store.forget("space", "a")
    store.write_soon()
    assert store.items("space") == {"b": 2}


def test_whether_an_object_list_is_kept(store: Store) -> None:
    assert not store.has_object_lists
    store.keep_object_list("meter", 16, "none", "1.0", b"\x01\x00")
    assert store.has_object_lists


def test_a_table_of_counters_that_is_gone_is_damage(path: Path, store: Store) -> None:
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE counters")
    with pytest.raises(StoreError, match="no table counters"):
        Store(path)


def test_an_object_list_that_was_damaged_is_read_again(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        store.keep_object_list("meter", 1, "none", "1.0", b"\x01\x02\x03")
        store.keep_object_list("meter", 2, "none", "1.0", b"\x04")
        assert store.object_list("meter", 1, "none", "1.0") == b"\x01\x02\x03"
        with store.transaction() as database:
            database.execute("UPDATE object_lists SET data = x'0102' WHERE client = 1")
        assert store.object_list("meter", 1, "none", "1.0") is None
        assert store.object_list("meter", 2, "none", "1.0") == b"\x04"
        store.forget("object list sums")  # as an earlier version left it
        assert store.object_list("meter", 1, "none", "1.0") == b"\x01\x02"
        store.keep_object_list("meter", 1, "none", "1.1", b"\x05")
        assert store.object_list("meter", 1, "none", "1.1") == b"\x05"
