"""Replies: sent in their order, shortened where the broker wants it, given up in the end, bounded."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import cast

import aiomqtt
import pytest

from dlms_mqtt.bridge.mqtt import reply_queue
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.bridge.mqtt.reply_queue import ReplyQueue
from tests.bridge.mqtt.odd_client import OddClient

LARGE = json.dumps({"id": "7", "status": "ok", "text": "x" * 1000})


async def send(queue: ReplyQueue, client: OddClient) -> None:
    await queue.send_some(cast(Client, client))


async def test_they_are_sent_once_with_their_correlation() -> None:
    queue, client = ReplyQueue(Refusals()), OddClient()
    queue.put("a", "1", b"one")
    queue.put("b", "2", None)
    await send(queue, client)
    assert client.sent == [("a", "1"), ("b", "2")]
    assert [properties["CorrelationData"] for properties in client.properties] == [b"one", None]
    assert not len(queue)


async def test_a_reply_that_is_too_large_says_so() -> None:
    queue, client = ReplyQueue(Refusals()), OddClient(500)
    queue.put("a", LARGE, None)
    queue.put("a", json.dumps({"text": "x" * 1000}), None)
    queue.put("a", LARGE.replace('"7"', "0.10000000000000000001"), None)
    await send(queue, client)
    assert client.sent.pop()[1].startswith('{"id": 0.10000000000000000001,')
    first, second = (json.loads(payload) for _, payload in client.sent)
    assert (first["id"], first["status"], first["error"]["code"]) == ("7", "error", "internal")
    assert "id" not in second


async def test_correlation_data_is_a_part_of_what_is_too_large() -> None:
    """The broker would hang up on us for what somebody else has sent."""
    queue, client = ReplyQueue(Refusals()), OddClient(3000)
    for length in (1000, 1999, 2001):
        queue.put("a", LARGE, bytes(length))
    await send(queue, client)
    assert [json.loads(payload)["status"] for _, payload in client.sent] == ["ok", "error", "error"]
    assert [len(properties["CorrelationData"] or b"") for properties in client.properties] == [1000, 1999, 0]


async def test_correlation_data_is_a_part_of_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_queue, "_MOST", 100)
    queue = ReplyQueue(Refusals())
    for number in range(9):
        queue.put(str(number), "{}", bytes(30))
    assert len(queue) == 3


@pytest.mark.expect_log("does not take what is sent to")
async def test_a_limit_that_is_learned_with_the_answer() -> None:
    class Learning(OddClient):
        async def send(self, topic: str, payload: str, **properties: object) -> str:
            await super().send(topic, payload, **properties)
            self.largest = 500
            return "the message is larger than the broker takes" if len(payload) > 500 else self.refused.get(topic, "")

    refusals, client = Refusals(), Learning(5000)
    queue = ReplyQueue(refusals)
    queue.put("a", LARGE, None)
    await send(queue, client)
    assert [len(payload) > 500 for _, payload in client.sent] == [True, False]
    assert refusals.sentences == []
    client.refused = {"a": "not authorized"}
    queue.put("a", "{}", None)
    await send(queue, client)
    assert refusals.sentences == ["a: not authorized"]


@pytest.mark.parametrize(("payload", "tries"), [("{}", 3), (LARGE, 10)])
async def test_what_no_broker_confirms_is_given_up(payload: str, tries: int) -> None:
    """A large one later: it is answered with an error as soon as the broker's limit is known."""

    class Dead(OddClient):
        async def send(self, topic: str, payload: str, **properties: object) -> str:
            await super().send(topic, payload, **properties)
            raise aiomqtt.MqttError("Operation timed out")

    queue, client = ReplyQueue(Refusals()), Dead()
    queue.put("a", payload, None)
    for _ in range(tries):
        with pytest.raises(aiomqtt.MqttError):
            await send(queue, client)
    assert len(queue) == 1
    await send(queue, client)
    assert (len(client.sent), len(queue)) == (tries, 0)


async def test_one_that_breaks_the_line_takes_no_other_with_it() -> None:
    class Frail(OddClient):
        broken = False

        async def send(self, topic: str, payload: str, **properties: object) -> str:
            await super().send(topic, payload, **properties)
            self.broken |= topic == "poison"
            await asyncio.sleep(0)
            if self.broken:
                raise aiomqtt.MqttError("Connection reset by peer")
            confirmed.append(topic)
            return ""

    queue, confirmed, breaks, sent = ReplyQueue(Refusals()), list[str](), 0, Counter[str]()
    for topic in ("a", "poison", "b", "poison", "c"):
        queue.put(topic, "{}", None)
    while len(queue):
        client = Frail()
        try:
            await send(queue, client)
        except aiomqtt.MqttError:
            breaks += 1
        sent.update(topic for topic, _ in client.sent)
        assert breaks < 10
    assert (confirmed, breaks) == (["a", "b", "c"], 5)  # both at once, then each of them twice
    assert sent == {"a": 2, "b": 2, "c": 2, "poison": 6}


async def test_the_oldest_go_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_queue, "_MOST", 100)
    queue, client = ReplyQueue(Refusals()), OddClient()
    for number in range(9):
        queue.put(str(number), "x" * 30, None)
    assert len(queue) == 3
    queue.put("large", "x" * 500, None)  # the last one stays, however large
    await send(queue, client)
    assert [topic for topic, _ in client.sent] == ["large"]
