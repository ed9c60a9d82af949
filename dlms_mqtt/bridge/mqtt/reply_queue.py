"""Replies and other messages that are not retained: they wait in a short queue until the broker has taken them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, TAKEN_ALWAYS, Client
from dlms_mqtt.bridge.mqtt.refusals import Refusals

_LAST_TRY = 3  # times that a reply is sent which no broker confirms: it may be what breaks the line
_LAST_TRY_OF_LARGE = 10  # meanwhile the limit of a broker that does not say it is found, and an error goes instead
_MOST = 16_000_000  # characters of replies that wait for the broker; then the oldest go


@dataclass(slots=True, eq=False)
class _Reply:
    topic: str
    payload: str
    correlation: bytes | None
    tries: int = 0

    @property
    def beside(self) -> int:
        """Octets of the correlation data."""
        return len(self.correlation or b"")

    @property
    def size(self) -> int:
        """Of all that makes it large."""
        return len(self.payload) + self.beside


class ReplyQueue:
    """In the order of their coming; each is done with by itself."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._replies: dict[_Reply, None] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._replies)

    def put(self, topic: str, payload: str, correlation: bytes | None) -> None:
        """One more; where they are too large together the oldest are dropped."""
        reply = _Reply(topic, payload, correlation)
        self._replies[reply] = None
        self._size += reply.size
        while self._size > _MOST and len(self._replies) > 1:
            self._forget(next(iter(self._replies)))

    def _forget(self, reply: _Reply) -> None:
        if reply in self._replies:  # it may have been pushed out meanwhile
            del self._replies[reply]
            self._size -= reply.size

    async def send_some(self, client: Client) -> None:
        """As many as the broker takes at once; alone what a broken line left. MqttError where the line breaks."""
        waiting = list(islice(self._replies, IN_FLIGHT))
        if waiting and waiting[0].tries:
            del waiting[1:]  # they are not to be lost with one that breaks the line
        await asyncio.gather(*(self._send(client, reply) for reply in waiting))

    async def _send(self, client: Client, reply: _Reply) -> None:
        """Another one that breaks the line has this one not sent again."""
        reply.tries += 1
        if reply.tries <= (_LAST_TRY if reply.size < TAKEN_ALWAYS else _LAST_TRY_OF_LARGE):
            if taken := client.takes(reply.topic, reply.payload, reply.beside):
                why = await client.send(reply.topic, reply.payload, CorrelationData=reply.correlation)
                taken = not why or client.takes(reply.topic, reply.payload, reply.beside)  # as we know now
            if not taken:
                why = await _send_error(client, reply)
            if why:
                self._refusals.refused(reply.topic, why)
        self._forget(reply)


async def _send_error(client: Client, reply: _Reply) -> str:
    """Instead of a reply that is too large; why the broker refuses that too."""
    fits = reply.beside + TAKEN_ALWAYS <= client.largest
    correlation = reply.correlation if fits else None
    return await client.send(reply.topic, _too_large(reply.payload), CorrelationData=correlation)


def _too_large(payload: str) -> str:
    """What is said instead of a reply that the broker would not take."""
    error = {
        "code": "internal",
        "message": "The reply is larger than the broker takes in one message",
        "hint": "Ask for less, or raise the broker's limit.",
        "detail": {},
    }
    reply = json.loads(payload, parse_float=Decimal)  # an id is given back as it came
    return dumps({**({"id": reply["id"]} if "id" in reply else {}), "status": "error", "error": error})
