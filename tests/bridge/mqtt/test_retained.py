"""Retained topics: sent once until something changes, all again on another line, forgotten when they are cleared."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import pytest

from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, Client
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.bridge.mqtt.retained import RetainedTopics
from tests.bridge.mqtt.odd_client import OddClient


def topics(**payloads: str) -> tuple[RetainedTopics, Refusals, list[int]]:
    answers: list[int] = []
    refusals = Refusals()
    retained = RetainedTopics(refusals, lambda: answers.append(1))
    for topic, payload in payloads.items():
        retained.keep(topic, payload, math.inf)
    return retained, refusals, answers


async def send(retained: RetainedTopics, client: OddClient) -> None:
    await retained.send_some(cast(Client, client))


async def test_each_is_sent_once_and_all_again_on_another_line() -> None:
    retained, _, answers = topics(a="1", b="2")
    client = OddClient()
    await send(retained, client)
    await send(retained, client)
    assert client.sent == [("a", "1"), ("b", "2")]
    assert not retained.waiting
    assert not retained.has_taken("a")
    client.answer()
    assert retained.has_taken("a")
    assert len(answers) == 2
    retained.send_again()
    await send(retained, client)
    assert client.sent == [("a", "1"), ("b", "2")] * 2
    retained.send_again("b")
    await send(retained, client)
    assert client.sent[4:] == [("b", "2")]


async def test_a_cleared_topic_is_ours_until_the_broker_has_confirmed_it() -> None:
    retained, _, _ = topics(a="1")
    retained.keep("a", "", math.inf)
    client = OddClient()
    await send(retained, client)
    assert client.sent == [("a", "")]  # the older message is not sent any more
    assert retained.clearing
    assert retained.payload("a") == ""
    client.answer()
    assert not retained.clearing
    assert retained.payload("a") is None


async def test_what_was_filled_again_meanwhile_is_not_forgotten() -> None:
    retained, _, _ = topics(a="")
    client = OddClient()
    await send(retained, client)
    retained.keep("a", "2", math.inf)
    client.answer()
    assert retained.payload("a") == "2"
    assert retained.waiting == 1


async def test_a_lifetime_counts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    retained, _, _ = topics(a="1")
    now = asyncio.get_running_loop().time()
    retained.keep("b", "2", 60.0)
    retained.keep("c", "", 60.0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now + 50.0)
    client = OddClient()
    await send(retained, client)
    expiry = [properties["MessageExpiryInterval"] for properties in client.properties]
    assert expiry[0] is None
    assert expiry[1] in (10, 11)
    assert expiry[2] is None  # clearing has no end


@pytest.mark.expect_log("does not take what is sent to")
async def test_refusals_are_told_but_not_of_what_is_too_large() -> None:
    retained, refusals, _ = topics(a="1", b="22")
    client = OddClient()
    client.refused = {"a": "not authorized", "b": "too large"}
    await send(retained, client)
    client.largest = 1  # as the answer tells
    client.answer()
    assert refusals.sentences == ["a: not authorized"]
    assert not retained.has_taken("b")


@pytest.mark.expect_log("does not take what is sent to", "takes what is sent to")
async def test_what_was_refused_is_sent_again_and_what_was_to_be_cleared_is_not() -> None:
    retained, refusals, _ = topics(a="1", b="2", c="")
    client = OddClient()
    client.refused = {"a": "not authorized", "c": "not authorized"}
    await send(retained, client)
    retained.try_refused()
    assert not retained.waiting  # nothing is known yet
    client.answer()
    retained.try_refused()
    client.refused.clear()
    await send(retained, client)
    client.answer()
    assert client.sent == [("a", "1"), ("b", "2"), ("c", ""), ("a", "1")]
    retained.try_refused()
    assert not retained.waiting and refusals.sentences == ["c: not authorized"]


async def test_what_is_somebody_elses_is_neither_sent_nor_cleared() -> None:
    retained, _, _ = topics(**{"m/house": "1", "m/house/x": "2", "m/house2": "3"})
    retained.forget_below("m/house")
    client = OddClient()
    await send(retained, client)
    assert client.sent == [("m/house2", "3")]
    retained.forget()
    retained.send_again()
    assert not retained.waiting


async def test_who_has_much_waits_until_less_does_or_the_line_breaks() -> None:
    retained, _, _ = topics(**{str(number): "1" for number in range(200 + IN_FLIGHT)})
    assert retained.crowded
    room = asyncio.ensure_future(retained.room())
    await asyncio.sleep(0)
    assert not room.done()
    await send(retained, OddClient())
    await asyncio.wait_for(room, 60)
    assert not retained.crowded
    again = asyncio.ensure_future(retained.room())
    await asyncio.sleep(0)
    retained.line_broke()
    await asyncio.wait_for(again, 60)


def test_nothing_is_known_of_others() -> None:
    retained: Any = topics()[0]
    assert (retained.payload("x"), retained.has_taken("x"), retained.clearing, retained.waiting) == (
        None,
        False,
        False,
        0,
    )


async def test_what_is_long_is_kept_in_little_room_and_sent_whole() -> None:
    long = '{"name": "Zähler", "unit": "kWh"}' * 1000
    retained, _, _ = topics(a=long)
    assert retained.payload("a") == long
    assert len(retained._kept["a"].packed) < len(long) // 20
    client = OddClient(largest=len(long))
    await send(retained, client)
    assert client.sent == [("a", long)]
