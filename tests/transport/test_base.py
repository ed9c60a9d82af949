"""The inbox that every transport fills: what came is read before the end of the line is told."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.errors import ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import Inbox, SerialFormat


async def test_the_last_words_of_a_peer_that_hangs_up_are_read() -> None:
    """Bytes and the end arrive together, before the waiting reader runs."""
    inbox = Inbox()
    reader = asyncio.create_task(inbox.read(5))
    await asyncio.sleep(0)
    inbox.feed(b"answer")
    inbox.fail(ConnectionLost("closed"))
    assert await reader == b"answer"
    with pytest.raises(ConnectionLost, match="closed"):
        await inbox.read(5)


async def test_the_first_cause_counts_and_each_reader_gets_its_own_error() -> None:
    inbox = Inbox()
    inbox.fail(ConnectionLost("first"))
    inbox.fail(ConnectionLost("second"))
    caught = []
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="first") as error:
            await inbox.read(None)
        caught.append(error.value)
    assert caught[0] is not caught[1]


async def test_after_a_timeout_reading_goes_on() -> None:
    inbox = Inbox()
    with pytest.raises(ResponseTimeout):
        await inbox.read(0.001)
    inbox.feed(b"a")
    inbox.feed(b"b")
    assert await inbox.read(5) == b"ab"


async def test_datagrams_are_read_one_by_one() -> None:
    inbox = Inbox(datagram=True)
    inbox.feed(b"a")
    inbox.feed(b"b")
    assert [await inbox.read(5), inbox.discard()] == [b"a", b"b"]


def test_bits_of_a_character() -> None:
    assert [SerialFormat(300, 7, "even").bits, SerialFormat().bits, SerialFormat(stop_bits=2).bits] == [10, 10, 11]
    assert SerialFormat(9600).seconds(96) == 0.1
    assert str(SerialFormat(300, 7, "even")) == "300 7E1"
