"""An id within ten minutes runs once: after a restart too, with a disk that takes nothing, and within bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address, Topics
from dlms_mqtt.bridge.requests import repeated_ids
from dlms_mqtt.bridge.requests.repeated_ids import RepeatedIds
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from tests.fake_clock import FakeClock

TOPICS = Topics("dlms_mqtt", "main")


def address(topic: str) -> Address:
    found = TOPICS.address(topic)
    assert found is not None
    return found


WRITE = address("dlms_mqtt/meter/house/request/write")
READ = address("dlms_mqtt/meter/house/request/read")
SET = address("dlms_mqtt/meter/house/set/read")


def test_the_same_id_runs_once(clock: FakeClock) -> None:
    ids = RepeatedIds(Store(MEMORY), clock)
    ids.note(WRITE, "1")
    ids.note(WRITE, "2")
    ids.note(READ, "1")
    with pytest.raises(RequestError, match="used within the last ten minutes"):
        ids.note(WRITE, "1")


@pytest.mark.parametrize(("where", "kept"), [(WRITE, True), (SET, True), (READ, False)])
def test_what_changes_something_is_known_after_a_restart(clock: FakeClock, where: Address, kept: bool) -> None:
    store = Store(MEMORY)
    RepeatedIds(store, clock).note(where, "1")
    again = RepeatedIds(store, clock)
    if kept:
        with pytest.raises(RequestError):
            again.note(where, "1")
    else:
        again.note(where, "1")


async def test_ten_minutes_later_it_is_another_one(clock: FakeClock) -> None:
    store = Store(MEMORY)
    ids = RepeatedIds(store, clock)
    ids.note(WRITE, "1")
    await asyncio.sleep(601)  # of the fake clock
    ids.note(WRITE, "2")
    ids.note(WRITE, "1")
    assert len(store.items("requests")) == 2


async def test_more_than_can_be_kept_are_refused(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_ids, "_MOST", 3)
    ids = RepeatedIds(Store(MEMORY), clock)
    for number in range(3):
        ids.note(READ, str(number))
    with pytest.raises(RequestError, match="Too many ids"):
        ids.note(READ, "3")
    await asyncio.sleep(601)  # of the fake clock
    ids.note(READ, "3")


async def test_a_disk_that_takes_nothing_stops_no_request(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(MEMORY)
    monkeypatch.setattr(store, "write_soon", failing)
    ids = RepeatedIds(store, clock)
    ids.note(WRITE, "1")
    await ids.written()
    with pytest.raises(RequestError):
        ids.note(WRITE, "1")


def failing(*_: object) -> None:
    raise StoreError("the disk is full")


def test_a_disk_that_cannot_be_read_costs_only_what_ran_before(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(MEMORY)
    RepeatedIds(store, clock).note(WRITE, "1")
    with monkeypatch.context() as patch:
        patch.setattr(store, "items", failing)
        ids = RepeatedIds(store, clock)
    ids.note(WRITE, "1")
    with pytest.raises(RequestError):
        ids.note(WRITE, "1")


def test_a_disk_from_which_nothing_can_be_deleted_keeps_no_request_from_running(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(MEMORY)
    ids = RepeatedIds(store, clock)
    ids.note(WRITE, "1")
    clock.elapsed += 601
    monkeypatch.setattr(store, "forget", failing)
    ids.note(WRITE, "1")


async def test_many_are_written_and_forgotten_at_once(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk takes ten milliseconds and more each time: a flood of requests held the bridge for a minute."""
    with Store(tmp_path / "state.sqlite") as store:
        ids, written = RepeatedIds(store, clock), list[int]()
        monkeypatch.setattr(store, "transaction", lambda: written.append(len(store._soon)) or Store.transaction(store))
        for number in range(50):
            ids.note(WRITE, str(number))
        assert written == []
        await asyncio.gather(*(ids.written() for _ in range(50)))
        assert written == [50]
        assert store.read("SELECT count(*) FROM facts WHERE namespace = 'requests'") == [(50,)]
        await asyncio.sleep(601)  # of the fake clock
        ids.note(READ, "1")
        assert len(written) == 2
        assert store.read("SELECT count(*) FROM facts WHERE namespace = 'requests'") == [(0,)]


def test_an_old_id_that_is_used_again_before_it_was_deleted_stays(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, names = Store(MEMORY), [str(number) for number in range(5)]
    before = RepeatedIds(store, clock)
    for name in names:
        before.note(WRITE, name)
    clock.elapsed += 601
    monkeypatch.setattr(repeated_ids, "_AT_ONCE", 1)
    ids = RepeatedIds(store, clock)
    for name in (*names, *"abcde"):  # each deletes one of the old ones
        ids.note(WRITE, name)
    again = RepeatedIds(store, clock)
    for name in names:
        with pytest.raises(RequestError):
            again.note(WRITE, name)
