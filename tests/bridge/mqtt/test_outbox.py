from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.client.state.facts import UNSENT
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        yield store


def _put(outbox, *values):
    for value in values:
        outbox.put("t", lambda seq, value=value: json.dumps([seq, value]))


def _values(entries):
    return [json.loads(entry.payload)[1] for entry in entries]


def test_order_is_kept_over_memory_and_disk(store):
    outbox = Outbox(store, 100)
    _put(outbox, 1, 2)
    outbox.spill()
    _put(outbox, 3, 4)
    assert _values(outbox.batch(10)) == [1, 2, 3, 4]
    first = outbox.batch(3)
    assert _values(first) == [1, 2, 3]
    assert _values(outbox.batch(3, after=first[-1].number)) == [4]
    outbox.done([entry.number for entry in first])
    assert _values(outbox.batch(9)) == [4] and len(outbox) == 1


def test_with_the_broker_there_the_disk_is_not_written(store, tmp_path):
    outbox = Outbox(store, 100)
    _put(outbox, 0)
    before = (tmp_path / "state.sqlite").stat().st_mtime_ns
    for number in range(200):
        _put(outbox, number)
        outbox.done([entry.number for entry in outbox.batch(10)])
    assert len(outbox) == 0
    assert (tmp_path / "state.sqlite").stat().st_mtime_ns == before


def test_what_was_spilled_survives_and_seq_rises(tmp_path):
    with Store(tmp_path / "s") as store:
        outbox = Outbox(store, 100)
        _put(outbox, 1, 2)
        outbox.spill()
        _put(outbox, 3)  # the last seconds before kill -9
        last = outbox.batch(9)[-1].number
    with Store(tmp_path / "s") as store:
        outbox = Outbox(store, 100)
        assert len(outbox) == 2
        _put(outbox, 4)
        assert _values(outbox.batch(9)) == [1, 2, 4]
        assert outbox.batch(9)[-1].number > last


def test_the_oldest_go_first_and_are_counted(store):
    outbox = Outbox(store, 10)
    _put(outbox, *range(8))
    outbox.spill()
    _put(outbox, *range(8, 15))
    assert _values(outbox.batch(99)) == list(range(5, 15))
    assert outbox.dropped == 5
    memory = Outbox(store, 3)
    _put(memory, 1, 2, 3, 4)
    assert len(memory) == 3


class _Full:
    """A store whose disk is full."""

    def migrate(self, *arguments):
        raise StoreError("the disk is full")

    read = get = set = transaction = migrate


@pytest.mark.expect_log("cannot be stored")
def test_a_full_disk_is_told_and_survived():
    outbox = Outbox(_Full(), 5)
    _put(outbox, *range(8))
    outbox.spill()
    assert "the disk is full" in outbox.trouble
    assert _values(outbox.batch(9)) == [3, 4, 5, 6, 7] and outbox.dropped == 3
    outbox.done([entry.number for entry in outbox.batch(9)])
    assert len(outbox) == 0


@pytest.mark.expect_log("cannot be stored")
def test_the_table_of_a_newer_version_is_left_alone(store):
    before = Outbox(store, 5)
    _put(before, 1)
    before.spill()
    with store.transaction() as database:
        database.execute("UPDATE components SET version = 2 WHERE name = 'outbox'")
    outbox = Outbox(store, 5)
    assert "written by a newer dlms-mqtt" in outbox.trouble
    _put(outbox, *range(8))
    for spill in (outbox.spill_old, outbox.spill_old, outbox.spill):
        spill()
    assert _values(outbox.batch(9)) == [3, 4, 5, 6, 7]
    assert outbox.batch(9)[0].number > before.newest  # numbers rise all the same
    outbox.done([entry.number for entry in outbox.batch(9)])
    assert len(outbox) == 0
    assert store.read("SELECT payload FROM outbox") == [(json.dumps([before.newest, 1]),)]


@pytest.mark.expect_log("cannot be stored", "can be stored again")
def test_a_disk_that_fills_later(store, monkeypatch, caplog):
    outbox = Outbox(store, 5)
    _put(outbox, 1)
    with monkeypatch.context() as full:
        full.setattr(store, "transaction", _Full().transaction)
        outbox.spill()
        outbox.spill_old()
        assert outbox.trouble and _values(outbox.batch(9)) == [1]
    outbox.spill_old()
    assert not outbox.trouble and _values(outbox.batch(9)) == [1]
    assert len(caplog.records) == 2  # when it began and when it ended


@pytest.mark.expect_log("cannot be stored", "can be stored again")
def test_a_disk_that_has_room_again_with_the_broker_there(store, monkeypatch):
    """Nothing has to be written then, but the trouble must not be told for ever, nor a number be given twice."""
    with monkeypatch.context() as full:
        for name in ("migrate", "read", "get", "set", "transaction"):
            full.setattr(store, name, _Full().migrate)
        outbox = Outbox(store, 5)
        _put(outbox, 1)
        outbox.done([entry.number for entry in outbox.batch(9)])
    store.set("bridge", "sequence", 70_000)  # what an earlier run had reserved
    outbox.spill_old()
    assert not outbox.trouble
    _put(outbox, 2)
    assert outbox.batch(9)[0].number > 70_000
    assert Outbox(store, 5).next_sequence() > outbox.batch(9)[0].number


@given(st.lists(st.sampled_from(["put", "spill", "send"]), max_size=60))
def test_nothing_is_lost_twice_or_out_of_order(steps):
    with Store(":memory:") as store:
        outbox, put, sent = Outbox(store, 1000), 0, []
        for step in [*steps, *["send"] * 60]:
            if step == "put":
                _put(outbox, put)
                put += 1
            elif step == "spill":
                outbox.spill()
            else:
                entries = outbox.batch(2)
                sent += _values(entries)
                outbox.done([entry.number for entry in entries])
        assert sent == list(range(put))


def test_what_is_confirmed_of_the_disk_is_deleted_with_many_others(store, tmp_path):
    """One writing for each message would take longer than the broker: it is made up for within seconds."""
    outbox = Outbox(store, 1000)
    _put(outbox, *range(150))
    outbox.spill()
    written = (tmp_path / "state.sqlite").stat().st_mtime_ns
    entries = outbox.batch(150)
    for entry in entries[:99]:
        outbox.done([entry.number])
    assert (tmp_path / "state.sqlite").stat().st_mtime_ns == written
    assert len(outbox) == 51 and _values(outbox.batch(999)) == list(range(99, 150))
    outbox.done([entries[99].number])
    assert len(Outbox(store, 1000)) == 50
    outbox.done([entries[100].number])
    outbox.spill_old()
    assert len(Outbox(store, 1000)) == 49


def test_a_message_that_is_dropped_on_its_way_is_counted_once(store):
    outbox = Outbox(store, 3)
    _put(outbox, 1, 2, 3)
    under_way = outbox.batch(3)
    _put(outbox, 4, 5)
    outbox.done([entry.number for entry in under_way])
    assert len(outbox) == 2 and outbox.dropped == 2


def failing(*_, **__):
    raise StoreError("the disk is full")


def test_what_waits_in_a_damaged_state_file_that_was_set_aside_is_sent(tmp_path, store):
    with Store(tmp_path / "damaged.sqlite") as before:
        outbox = Outbox(before, 100)
        _put(outbox, 1, 2)
        outbox.spill()
    store.set(*UNSENT, str(tmp_path / "damaged.sqlite"))
    assert _values(Outbox(store, 100).batch(10)) == [1, 2]
    assert store.get(*UNSENT) is None
    assert _values(Outbox(store, 100).batch(10)) == [1, 2]  # once


@pytest.mark.expect_log("Unsent readings cannot be stored: the disk is full")
def test_a_disk_that_cannot_be_read_holds_up_nothing_new(store, monkeypatch):
    outbox = Outbox(store, 100)
    _put(outbox, 1)
    outbox.spill()
    _put(outbox, 2)
    monkeypatch.setattr(store, "read", failing)
    assert _values(outbox.batch(10)) == [2]
    assert "the disk is full" in outbox.trouble


@pytest.mark.expect_log("Unsent readings cannot be stored: the disk is full")
def test_the_bound_is_kept_though_nothing_can_be_deleted(store, monkeypatch):
    outbox = Outbox(store, 3)
    _put(outbox, 1, 2, 3)
    outbox.spill()
    monkeypatch.setattr(store, "transaction", failing)
    _put(outbox, 4)
    assert len(outbox) == 3 and outbox.dropped == 1
    assert _values(outbox.batch(10)) == [2, 3, 4]


@pytest.mark.parametrize(
    "row",
    [
        ("a/+/b", "{}"),
        ("#", "{}"),
        ("", "{}"),
        ("a\x00b", "{}"),
        ("a\x01", "{}"),
        ("a" * 65536, "{}"),
        (b"\xff", "{}"),
        ("t", b"\xff"),
        (5, None),
    ],
)
def test_what_is_damaged_on_the_disk_and_no_broker_would_take_is_left_out(store, row):
    """Brokers hang up on such a topic, and would do so again with each line."""
    outbox = Outbox(store, 100)
    _put(outbox, 1, 2)
    outbox.spill()
    with store.transaction() as database:
        database.execute("DROP TABLE outbox")
        database.execute("CREATE TABLE outbox (number INTEGER PRIMARY KEY, topic, payload)")
        database.execute("INSERT INTO outbox VALUES (1, ?, ?)", row)
        database.execute("INSERT INTO outbox VALUES (2, 't', '[2, 2]')")
    outbox = Outbox(store, 100)
    assert _values(outbox.batch(9)) == [2] and len(outbox) == 1
    outbox.done([2])
    outbox.spill_old()
    assert store.read("SELECT * FROM outbox") == []


@pytest.mark.parametrize("number", [-(2**63), -1, 0, 2**53, 2**62, 2**63 - 1])
def test_behind_a_number_that_is_damaged_the_readings_go_on(store, number):
    outbox = Outbox(store, 100)
    _put(outbox, 1, 2)
    outbox.spill()
    with store.transaction() as database:
        database.execute("INSERT INTO outbox VALUES (?, 't', '[0, \"damaged\"]')", (number,))
    outbox = Outbox(store, 100)
    assert len(outbox) == 2
    first = outbox.batch(9)
    assert _values(first) == [1, 2]
    _put(outbox, 3)
    assert _values(outbox.batch(9, after=first[-1].number)) == [3]
    outbox.spill_old()
    assert store.read("SELECT count(*) FROM outbox") == [(2,)]


@pytest.mark.expect_log("cannot be stored", "can be stored again")
def test_nor_does_such_a_number_of_a_store_that_works_again_hold_them_back(store, monkeypatch):
    before = Outbox(store, 100)
    _put(before, 1)
    before.spill()
    with store.transaction() as database:
        database.execute("INSERT INTO outbox VALUES (?, 't', '[0, \"damaged\"]')", (2**62,))
    with monkeypatch.context() as away:
        for name in ("migrate", "read", "get", "set", "transaction"):
            away.setattr(store, name, _Full().migrate)
        outbox = Outbox(store, 100)
    outbox.spill_old()
    waiting = outbox.batch(9)
    assert _values(waiting) == [1]
    _put(outbox, 2)
    assert _values(outbox.batch(9, after=waiting[-1].number)) == [2]


def test_new_readings_are_numbered_behind_those_that_wait(store):
    """Where the reserved ones were lost and the clock is set back: else they would wait for the next line."""
    outbox = Outbox(store, 100, first=5000)
    _put(outbox, 1, 2)
    outbox.spill()
    store.forget("bridge", "sequence")
    outbox = Outbox(store, 100, first=1000)
    waiting = outbox.batch(9)
    _put(outbox, 3)
    assert _values(outbox.batch(9, after=waiting[-1].number)) == [3]


def test_an_octet_that_is_no_text_costs_one_message(store):
    outbox = Outbox(store, 100)
    _put(outbox, 1, 2)
    outbox.spill()
    with store.transaction() as database:
        database.execute(
            "UPDATE outbox SET payload = CAST(x'5bff' AS TEXT) WHERE number = (SELECT min(number) FROM outbox)"
        )
    outbox = Outbox(store, 100)
    assert [entry.payload[0] for entry in outbox.batch(9)] == ["[", "["] and not outbox.trouble
