"""Readings on their way to the broker: in their order, paced when they are a backlog, kept when they are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from dlms_mqtt.bridge.mqtt import outbox_sender
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.outbox_sender import OutboxSender
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.client.state.store import Store
from tests.bridge.mqtt.odd_client import OddClient
from tests.fake_clock import FakeClock


def put(outbox: Outbox, *numbers: int, topic: str = "base/a") -> None:
    for number in numbers:
        outbox.put(topic, lambda sequence, number=number: f"{number}")  # type: ignore[misc]


@asynccontextmanager
async def running(sender: OutboxSender, client: OddClient) -> AsyncIterator[None]:
    sender.new_line()
    task = asyncio.create_task(sender.run(cast(Client, client)))
    try:
        await turns()
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def turns() -> None:
    """The task does what it can without waiting."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_in_their_order_and_kept_until_they_are_confirmed(tmp_path: Path) -> None:
    with Store(tmp_path / "state.sqlite") as store:
        outbox, client = Outbox(store, 1000), OddClient()
        put(outbox, 1, 2, 3)
        settled: list[int] = []
        sender = OutboxSender(outbox, 0, Refusals(), lambda: settled.append(len(outbox)))
        async with running(sender, client):
            assert [payload for _, payload in client.sent] == ["1", "2", "3"]
            assert (len(outbox), sender.waits) == (3, False)
            client.answer()
            assert len(outbox) == 0
            assert settled == [3, 2, 1, 0]
            put(outbox, 4)
            sender.filled()
            assert sender.waits
            await turns()
            assert client.sent[3:] == [("base/a", "4")]
        async with running(sender, client):  # another line: what was not confirmed comes again
            assert client.sent[4:] == [("base/a", "4")]


async def test_what_is_too_large_is_done_with(tmp_path: Path) -> None:
    with Store(tmp_path / "state.sqlite") as store:
        outbox, client = Outbox(store, 1000), OddClient(1)
        put(outbox, 1, 100, 2)
        async with running(OutboxSender(outbox, 0, Refusals(), lambda: None), client):
            assert [payload for _, payload in client.sent] == ["1", "2"]
            client.answer()
        assert len(outbox) == 0


async def test_what_the_broker_finds_too_large_is_done_with_too_and_holds_up_no_other(tmp_path: Path) -> None:
    with Store(tmp_path / "state.sqlite") as store:
        outbox, client, refusals = Outbox(store, 1000), OddClient(), Refusals()
        put(outbox, 100, 2)
        async with running(OutboxSender(outbox, 0, refusals, lambda: None), client):
            client.largest = 1
            _, answered = client.unanswered.pop(0)
            answered("the message is larger than the broker takes")
            assert len(outbox) == 1 and not refusals.sentences
            client.answer()
        assert len(outbox) == 0


@pytest.mark.expect_log("does not take what is sent to", "again")
def test_what_is_refused_is_tried_again_after_a_while(tmp_path: Path) -> None:
    clock = FakeClock()
    refusals = Refusals()

    async def story(outbox: Outbox, client: OddClient) -> None:
        sender = OutboxSender(outbox, 0, refusals, lambda: None)
        async with running(sender, client):
            client.answer()
            assert refusals.sentences == ["base/b: not authorized"]
            assert len(outbox) == 1
            put(outbox, 3, topic="base/b")
            sender.filled()
            await turns()
            assert len(client.sent) == 2  # neither the old nor the new one yet
            client.refused.clear()
            await asyncio.sleep(59.0)
            assert len(client.sent) == 2
            sender.filled()
            await asyncio.sleep(2.0)
            sender.filled()
            await turns()
            assert client.sent[2:] == [("base/b", "2"), ("base/b", "3")]
            client.answer()
        assert (len(outbox), refusals.sentences) == (0, [])

    with Store(tmp_path / "state.sqlite") as store:
        outbox, client = Outbox(store, 1000), OddClient()
        client.refused = {"base/b": "not authorized"}
        put(outbox, 1)
        put(outbox, 2, topic="base/b")
        clock.run(story(outbox, client))


def test_what_sending_takes_is_part_of_the_pause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else a broker that is as slow as the pause halves the rate, and a backlog of many meters never shrinks."""
    monkeypatch.setattr(outbox_sender, "_BACKLOG", 0)
    clock = FakeClock()

    async def send(batches: int, seconds: float) -> float:
        rate, began = outbox_sender._Rate(100), clock.elapsed
        for _ in range(batches):
            await asyncio.sleep(rate.pause(20, outbox))
            await asyncio.sleep(seconds)
        return clock.elapsed - began

    with Store(tmp_path / "state.sqlite") as store:
        outbox = Outbox(store, 10)
        put(outbox, 1)
        assert clock.run(send(11, 0.0)) == pytest.approx(2.0)
        assert clock.run(send(11, 0.15)) == pytest.approx(2.15)
        assert clock.run(send(10, 0.3)) == pytest.approx(3.0), "no slower than the broker"


def test_whoever_leaves_does_not_wait_for_a_backlog(tmp_path: Path) -> None:
    """It is on the disk, and takes minutes: what is not paced is waited for."""
    clock = FakeClock()

    async def story(outbox: Outbox, client: OddClient) -> None:
        idle: list[int] = []
        sender = OutboxSender(outbox, 100, Refusals(), lambda: None if sender.waits else idle.append(len(client.sent)))
        async with running(sender, client):
            while not idle:
                await asyncio.sleep(0.01)
                client.answer()
        assert 0 < idle[0] < 1000

    with Store(tmp_path / "state.sqlite") as store:
        outbox = Outbox(store, 2000)
        put(outbox, *range(1000))
        clock.run(story(outbox, OddClient()))
