"""The line to the broker: MQTT 5 or 3.1.1, TLS, last will, growing pauses, everything sent again after each.

What is retained is remembered here and sent again on every connection, so a broker that lost its memory gets it back.
Replies wait in a short queue, readings in the outbox. Nothing here knows what a topic means.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import aiomqtt

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.config.sections import Mqtt
from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, V5, V311, Client, Unsaid, Will, message_of, new_client, tls_context
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.tasks import first_to_end

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # s
_STOOD = 10.0  # s that a line must have stood; a broker that accepts and drops us gets longer pauses too
_REPLIES = 16_000_000  # characters of replies that wait for the broker; then the oldest go
SPILL_EVERY = 2.4  # s; a killed bridge loses what is younger than two of these


class Handler(Protocol):
    """What the bridge does about the line."""

    async def broker_connected(self) -> None:
        """The line is up; nothing retained has been sent yet, subscriptions stand."""

    def broker_message(self, message: Message) -> None:
        """Something came on one of the filters."""


@dataclass(frozen=True, slots=True)
class _Reply:
    topic: str
    payload: str
    correlation: bytes | None


class Broker:
    """One connection after another. ``run`` it as a task; everything else may be called whether it is up or not."""

    def __init__(self, config: Mqtt, client_id: str, will: Will, outbox: Outbox) -> None:
        self._config, self._client_id, self._will = config, client_id, will
        self._outbox = outbox
        self._retained: dict[str, str] = {}
        self._unsent: dict[str, None] = {}  # retained topics that wait to be sent
        self._replies: deque[_Reply] = deque()
        self._replies_size = 0
        self._filters: dict[str, None] = {}
        self._skipped: dict[str, int] = {}  # topics whose message is larger than the broker takes
        self._unsaid = Unsaid()
        self._wake, self._wake_outbox = asyncio.Event(), asyncio.Event()
        self._client: Client | None = None
        self._version = V311 if config.protocol == "3.1.1" else V5
        self._idle = asyncio.Event()
        self.connected = self._silent = self._stood_before = False
        self.trouble = ""

    # -- sending ------------------------------------------------------------------------------------------------------

    def retain(self, topic: str, payload: str) -> None:
        """Publish retained, now and after every reconnection; an empty payload clears the topic."""
        if self._silent:
            return
        self._retained[topic] = payload
        self._send_retained(topic)

    def retained(self, topic: str) -> str | None:
        """What this topic should hold; None when it is not ours."""
        return self._retained.get(topic)

    @property
    def too_large(self) -> str:
        """What is not sent because the broker does not take so large a message; empty when there is nothing."""
        names = ", ".join(sorted(self._skipped))
        return f"the broker takes no messages as large as {names}; raise its limit" if names else ""

    @property
    def clearing(self) -> bool:
        """Is there a topic to be cleared of which the broker has not confirmed it?"""
        return "" in self._retained.values()

    def send_again(self, *topics: str) -> None:
        """Publish these retained topics, or all of them, once more."""
        for topic in topics or self._retained:
            self._send_retained(topic)

    def forget_below(self, *roots: str) -> None:
        """These topics (and all below them) are somebody else's: neither send nor clear them."""
        gone = [
            topic for topic in self._retained if any(topic == root or topic.startswith(f"{root}/") for root in roots)
        ]
        for topic in gone:
            del self._retained[topic]
            self._unsent.pop(topic, None)

    def silence(self) -> None:
        """Nothing is ours: send nothing more, no last words either."""
        self._silent = True
        self._retained.clear()
        self._unsent.clear()

    def _send_retained(self, topic: str) -> None:
        self._unsent[topic] = None
        self._woken()

    def reply(self, topic: str, payload: str, correlation: bytes | None = None) -> None:
        """Publish a message that is not retained, at once or when the broker is back."""
        self._replies.append(_Reply(topic, payload, correlation))
        self._replies_size += len(payload)
        while self._replies_size > _REPLIES and len(self._replies) > 1:
            self._forget_reply()
        self._woken()

    def _forget_reply(self) -> None:
        self._replies_size -= len(self._replies.popleft().payload)

    async def send_now(self, topic: str, payload: str) -> None:
        """Publish a message that is not retained, also before the line is taken into use; nothing when it is down."""
        if self._client:
            await self._client.publish(topic, payload, qos=1)

    def _woken(self) -> None:
        self._idle.clear()
        self._wake.set()

    def outbox_filled(self) -> None:
        """Something was put into the outbox."""
        self._idle.clear()
        self._wake_outbox.set()

    async def flush(self, seconds: float) -> None:
        """Wait until everything was handed to the broker, at most so long."""
        if self.connected:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                _LOG.warning("The broker did not take the last messages in time")

    # -- receiving ----------------------------------------------------------------------------------------------------

    async def subscribe(self, filters: Iterable[str]) -> None:
        """Subscribe now and after every reconnection."""
        fresh = [name for name in filters if name not in self._filters]
        self._filters.update(dict.fromkeys(fresh))
        if self._client and fresh:
            await self._client.subscribe_to(fresh)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """The opposite."""
        gone = [name for name in filters if name in self._filters]
        for name in gone:
            del self._filters[name]
        if self._client and gone:
            await self._client.unsubscribe(gone)

    # -- the connection -----------------------------------------------------------------------------------------------

    async def run(self, handler: Handler) -> None:
        """Connect, serve, reconnect, for ever. ConfigError when the TLS files cannot be used."""
        context = tls_context(self._config.tls) if self._config.tls else None
        spilling = asyncio.create_task(self._spill())
        try:
            await self._reconnect(context, handler)
        finally:
            spilling.cancel()
            self._outbox.spill()

    async def _reconnect(self, context: ssl.SSLContext | None, handler: Handler) -> None:
        pause, loop = _FIRST_PAUSE, asyncio.get_running_loop()
        while True:
            since = math.inf
            client = new_client(self._config, self._version, self._client_id, self._will, context, self._skipped)
            client.largest = self._unsaid.largest
            try:
                async with client:
                    since = loop.time()
                    await self._serve(client, handler)
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                self._broken(client, error)
            finally:
                self.connected, self._client = False, None
                client.ask()
            stood = loop.time() - since > _STOOD
            self._unsaid.broken(client, stood=stood)
            if stood:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _broken(self, client: Client, error: Exception) -> None:
        if self._config.protocol == "auto" and not self.connected and client.may_be_the_version(error):
            # 5 is refused in words by some brokers, by silence or a closed line by others: take turns
            self._version = V311 if self._version is V5 else V5
        words = client.why(error)
        if words != self.trouble:
            place = f"{self._config.host}:{self._config.broker_port}"
            _LOG.warning(
                "No line to the broker %s: %s. Check mqtt: in the configuration; it is tried again", place, words
            )
        self.trouble = words

    async def _serve(self, client: Client, handler: Handler) -> None:
        """Until the line breaks, which raises MqttError in one of the tasks."""
        self._client = client
        await first_to_end(self._receive(client, handler), self._live(client, handler))

    async def _live(self, client: Client, handler: Handler) -> None:
        if self._filters:
            await client.subscribe_to(list(self._filters))
        await handler.broker_connected()
        self.connected = True
        if self.trouble:
            _LOG.warning("The line to the broker is there again")
        elif not self._stood_before:
            _LOG.info("The line to the broker %s:%d is there", self._config.host, self._config.broker_port)
        self._stood_before = True
        self.trouble = ""
        self.send_again()
        await first_to_end(self._send_all(client), self._send_outbox(client))

    async def _receive(self, client: Client, handler: Handler) -> None:
        async for message in client.messages:
            handler.broker_message(message_of(message))

    async def _send_all(self, client: Client) -> None:
        while True:
            self._wake.clear()
            while self._replies or self._unsent:
                await self._send_replies(client)
                await self._send_some_retained(client)
            self._check_idle()
            await self._wake.wait()

    async def _send_replies(self, client: Client) -> None:
        batch = list(islice(self._replies, IN_FLIGHT))
        await asyncio.gather(*(self._send_reply(client, reply) for reply in batch))
        for reply in batch:
            if self._replies and self._replies[0] is reply:  # it may have been pushed out meanwhile
                self._forget_reply()

    async def _send_reply(self, client: Client, reply: _Reply) -> None:
        payload = reply.payload if client.takes(reply.topic, reply.payload) else _too_large(reply.payload)
        await client.publish(reply.topic, payload, qos=1, properties=client.answering(reply.correlation))

    async def _send_some_retained(self, client: Client) -> None:
        batch = {topic: self._retained.get(topic) for topic in islice(self._unsent, IN_FLIGHT)}
        for topic in batch:  # whatever changes from here on is sent again
            del self._unsent[topic]
        # published in this order, confirmed in any; a broken line sends everything again
        await asyncio.gather(*(_publish(client, topic, payload, retain=True) for topic, payload in batch.items()))
        for topic, payload in batch.items():
            if payload == "" and self._retained.get(topic) == "" and topic not in self._unsent:
                del self._retained[topic]

    async def _send_outbox(self, client: Client) -> None:
        while True:
            self._wake_outbox.clear()
            while batch := self._outbox.batch(IN_FLIGHT):
                await asyncio.gather(*(_publish(client, entry.topic, entry.payload) for entry in batch))
                self._outbox.done([entry.number for entry in batch])
            self._check_idle()
            await self._wake_outbox.wait()

    def _check_idle(self) -> None:
        if not (self._replies or self._unsent or self._wake_outbox.is_set()):
            self._idle.set()

    async def _spill(self) -> None:
        while True:
            await asyncio.sleep(SPILL_EVERY)
            self._outbox.spill_old()


async def _publish(client: Client, topic: str, payload: str | None, *, retain: bool = False) -> None:
    if payload is not None and client.takes(topic, payload):
        await client.publish(topic, payload, qos=1, retain=retain)


def _too_large(payload: str) -> str:
    """What is said instead of a reply that the broker would not take."""
    error = {
        "code": "internal",
        "message": "The reply is larger than the broker takes in one message",
        "hint": "Ask for less, or raise the broker's limit.",
        "detail": {},
    }
    reply = json.loads(payload)
    return dumps({**({"id": reply["id"]} if "id" in reply else {}), "status": "error", "error": error})
