"""The line to the broker: MQTT 5 or 3.1.1, TLS, last will, growing pauses, everything sent again after each.

What is retained is remembered here and sent again on every connection, so a broker that lost its memory gets it back.
Replies wait in a short queue, readings in the outbox. Nothing here knows what a topic means.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

import aiomqtt

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, V5, V311, Client, Unsaid, Will, message_of, new_client, tls_context
from dlms_mqtt.bridge.mqtt.outbox import Entry, Outbox
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.bridge.mqtt.tasks import first_to_end
from dlms_mqtt.errors import ConfigError

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0  # s: a broker that comes back is found within ten
_REFUSED_PAUSE = 60.0  # s, where the broker answers and does not want us
_REFUSED_AGAIN = 60.0  # s until a topic that the broker refused is tried again
_LAST_TRY = 10  # times that a reply is sent which no broker confirms
_BACKLOG = 100  # readings that wait: from here on they are sent at the backlog's rate
_MUCH = 200  # retained topics that wait to be sent: then whoever has still more waits
_RATE_OVER = 10.0  # s over which it is counted how many are read
_STOOD = 10.0  # s that a line must have stood; a broker that accepts and drops us gets longer pauses too
_REPLIES = 16_000_000  # characters of replies that wait for the broker; then the oldest go
SPILL_EVERY = 2.4  # s; a killed bridge loses what is younger than two of these


class Handler(Protocol):
    """What the bridge does about the line."""

    async def broker_connected(self) -> None:
        """The line is up; nothing retained has been sent yet, subscriptions stand."""

    def broker_message(self, message: Message) -> None:
        """Something came on one of the filters."""


@dataclass(slots=True, eq=False)
class _Reply:
    topic: str
    payload: str
    correlation: bytes | None
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A retained message; ``until``: when the broker is to forget it, by the loop's clock (infinity: never)."""

    payload: str
    until: float = math.inf

    def expiry(self, now: float) -> int | None:
        """Seconds that are left, as the broker wants to know them."""
        return None if math.isinf(self.until) or not self.payload else max(1, math.ceil(self.until - now))


class Broker:
    """One connection after another. ``run`` it as a task; everything else may be called whether it is up or not."""

    def __init__(self, config: Mqtt, client_id: str, will: Will, outbox: Outbox, first: str = "") -> None:
        """``first``: a client id of its own for the first look around, which throws no other bridge off the broker."""
        self._first = first
        self._config, self._client_id, self._will = config, client_id, will
        self._outbox = outbox
        self._retained: dict[str, _Kept] = {}
        self._unsent: dict[str, None] = {}  # retained topics that wait to be sent
        self._replies: dict[_Reply, None] = {}
        self._replies_size = 0
        self._filters: dict[str, None] = {}
        self._confirmed: set[str] = set()  # retained topics of which the broker has taken a message, in this run
        self._skipped: dict[str, int] = {}  # topics whose message is larger than the broker takes
        self._refusals = Refusals()
        self._blocked: set[str] = set()  # topics of readings that it refused lately
        self._unblocks = 0.0
        self._passed = 0  # the number of the last reading that was sent, or left because it is refused
        self._rate = _Rate(config.backlog_rate)
        self._backlog = outbox.newest  # the last reading that an outage, or an earlier run, left unsent
        self._outbox_waits = True  # is there a reading that has not been handed to the broker?
        self._unsaid = Unsaid()
        self._wake, self._wake_outbox = asyncio.Event(), asyncio.Event()
        self._renew, self._room = asyncio.Event(), asyncio.Event()
        self._client: Client | None = None
        self._version = V311 if config.protocol == "3.1.1" else V5
        self._idle = asyncio.Event()
        self.connected = self._silent = self._stood_before = False
        self.trouble = ""

    # -- sending ------------------------------------------------------------------------------------------------------

    def retain(self, topic: str, payload: str, lifetime: float = math.inf) -> None:
        """Publish retained, now and after every reconnection; an empty payload clears the topic.

        ``lifetime``: seconds after which a broker with MQTT 5 forgets it by itself, should nobody renew it.
        """
        if self._silent:
            return
        until = math.inf if math.isinf(lifetime) else asyncio.get_running_loop().time() + lifetime
        self._retained[topic] = _Kept(payload, until)
        self._send_retained(topic)

    async def room(self) -> None:
        """Until little waits to be sent, or nothing can be: who has very much to say lets others speak in between."""
        while self.connected and len(self._unsent) > _MUCH:
            self._room.clear()
            await self._room.wait()

    def retained(self, topic: str) -> str | None:
        """What this topic should hold; None when it is not ours."""
        kept = self._retained.get(topic)
        return kept.payload if kept else None

    def has_taken(self, topic: str) -> bool:
        """Did the broker confirm a retained message of ours on this topic, in this run?"""
        return topic in self._confirmed

    @property
    def refusals(self) -> list[str]:
        """What the broker refuses, and why."""
        return self._refusals.sentences

    def _note_refusal(self, topic: str, why: str, *, reading: bool = False) -> None:
        self._refusals.refused(topic, why)
        if reading:
            if not self._blocked:
                self._unblocks = asyncio.get_running_loop().time() + _REFUSED_AGAIN
            self._blocked.add(topic)

    @property
    def too_large(self) -> str:
        """What is not sent because the broker does not take so large a message; empty when there is nothing."""
        names = ", ".join(sorted(self._skipped))
        return f"the broker takes no messages as large as {names}; raise its limit" if names else ""

    @property
    def clearing(self) -> bool:
        """Is there a topic to be cleared of which the broker has not confirmed it?"""
        return any(not kept.payload for kept in self._retained.values())

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
        self._replies[_Reply(topic, payload, correlation)] = None
        self._replies_size += len(payload)
        while self._replies_size > _REPLIES and len(self._replies) > 1:
            self._forget_reply(next(iter(self._replies)))
        self._woken()

    def _forget_reply(self, reply: _Reply) -> None:
        if reply in self._replies:  # it may have been pushed out meanwhile
            del self._replies[reply]
            self._replies_size -= len(reply.payload)

    async def send_now(self, topic: str, payload: str) -> None:
        """Publish a message that is not retained, also before the line is taken into use; nothing when it is down."""
        if self._client:
            await self._client.send(topic, payload)

    def _woken(self) -> None:
        self._idle.clear()
        self._wake.set()

    def outbox_filled(self) -> None:
        """Something was put into the outbox."""
        self._idle.clear()
        self._outbox_waits = True
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
            self._note_deaf(await self._client.subscribe_to(fresh))

    async def subscribe_at_work(self, filters: Iterable[str]) -> None:
        """``subscribe`` for whoever is not at fault where the broker does not answer: the line is made anew."""
        with self._anew_where_it_fails():
            await self.subscribe(filters)

    async def unsubscribe_at_work(self, filters: Iterable[str]) -> None:
        """The opposite."""
        with self._anew_where_it_fails():
            await self.unsubscribe(filters)

    @contextmanager
    def _anew_where_it_fails(self) -> Iterator[None]:
        try:
            yield
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            _LOG.info("The broker did not answer a subscription: %s", error)
            self.renew()

    def _note_deaf(self, refused: dict[str, str]) -> None:
        for name, why in refused.items():
            self._refusals.deaf(name, why)

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
        spilling = asyncio.create_task(self._spill())
        try:
            await self._reconnect(handler)
        finally:
            spilling.cancel()
            self._outbox.spill()

    def _new_client(self) -> Client:
        """With the files of TLS as they are now: certificates are renewed."""
        self._renew.clear()
        context = tls_context(self._config.tls) if self._config.tls else None
        identifier = self._first or self._client_id
        client = new_client(self._config, self._version, identifier, self._will, context, self._skipped)
        client.largest = self._unsaid.largest
        return client

    def renew(self) -> None:
        """Connect anew, with the files of TLS as they are now."""
        self._renew.set()

    async def _until_renewed(self) -> None:
        await self._renew.wait()
        _LOG.info("The line to the broker is made anew")

    async def _reconnect(self, handler: Handler) -> None:
        pause, loop = _FIRST_PAUSE, asyncio.get_running_loop()
        while True:
            since = math.inf
            try:
                client = self._new_client()
            except ConfigError as error:  # of files that are being renewed
                self._tell_trouble(error.message, told=True)
                await asyncio.sleep(_LONGEST_PAUSE)
                continue
            try:
                async with client:
                    since = loop.time()
                    await self._serve(client, handler)
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                self._broken(client, error)
            finally:
                self.connected, self._client = False, None
                self._room.set()
                client.ask()
            if self._first and client.reason is None:
                self._first = ""
                continue
            self._first = ""
            stood = loop.time() - since > _STOOD
            self._unsaid.broken(client, stood=stood)
            if stood:
                pause = _FIRST_PAUSE
            await asyncio.sleep(_REFUSED_PAUSE if client.unwanted else pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _broken(self, client: Client, error: Exception) -> None:
        client.reason = error
        if self._config.protocol == "auto" and not self.connected and client.may_be_the_version(error):
            # 5 is refused in words by some brokers, by silence or a closed line by others: take turns
            self._version = V311 if self._version is V5 else V5
        self._tell_trouble(client.why(error), told=client.told_why(error))

    def _tell_trouble(self, words: str, *, told: bool) -> None:
        """One line an outage, however often the words change; another where somebody has ``told`` why."""
        if not self.trouble or (told and words != self.trouble):
            place = f"{self._config.host}:{self._config.broker_port}"
            _LOG.warning(
                "No line to the broker %s: %s. Check mqtt: in the configuration; it is tried again", place, words
            )
        self.trouble = words

    async def _serve(self, client: Client, handler: Handler) -> None:
        """Until the line breaks, which raises MqttError in one of the tasks."""
        self._client = client
        self._refusals.clear()
        self._blocked.clear()
        self._passed, self._outbox_waits = 0, True
        await first_to_end(self._receive(client, handler), self._live(client, handler), client.answers_in_time())

    async def _live(self, client: Client, handler: Handler) -> None:
        if self._filters:
            self._note_deaf(await client.subscribe_to(list(self._filters)))
        await handler.broker_connected()
        if self._first:
            return
        self.connected = True
        if self.trouble:
            self._backlog = self._outbox.newest
            _LOG.warning("The line to the broker is there again")
        elif not self._stood_before:
            _LOG.info("The line to the broker %s:%d is there", self._config.host, self._config.broker_port)
        self._stood_before = True
        self.trouble = ""
        self.send_again()
        await first_to_end(self._send_all(client), self._send_outbox(client), self._until_renewed())

    async def _receive(self, client: Client, handler: Handler) -> None:
        async for message in client.messages:
            handler.broker_message(message_of(message))

    async def _send_all(self, client: Client) -> None:
        while True:
            self._wake.clear()
            while self._replies or self._unsent:
                if self._replies:
                    await self._send_replies(client)
                await self._send_some_retained(client)
            self._check_idle(client)
            await self._wake.wait()

    async def _send_replies(self, client: Client) -> None:
        await asyncio.gather(*(self._send_reply(client, reply) for reply in list(islice(self._replies, IN_FLIGHT))))

    async def _send_reply(self, client: Client, reply: _Reply) -> None:
        """Each is done with by itself: another one that breaks the line has it not sent again."""
        reply.tries += 1
        if reply.tries <= _LAST_TRY:
            payload = reply.payload if client.takes(reply.topic, reply.payload) else _too_large(reply.payload)
            why = await client.send(reply.topic, payload, CorrelationData=reply.correlation)
            if why and not client.takes(reply.topic, payload):  # as we know now
                why = await client.send(reply.topic, _too_large(payload), CorrelationData=reply.correlation)
            if why:
                self._note_refusal(reply.topic, why)
        self._forget_reply(reply)

    async def _send_some_retained(self, client: Client) -> None:
        """In this order; a broken line sends everything again, and what changes meanwhile is sent again too."""
        for topic in list(islice(self._unsent, IN_FLIGHT)):
            self._unsent.pop(topic, None)
            kept = self._retained.get(topic)
            if kept and client.takes(topic, kept.payload):
                expiry = kept.expiry(asyncio.get_running_loop().time())
                answered = partial(self._kept_answered, client, topic, kept)
                await client.start(topic, kept.payload, answered, retain=True, MessageExpiryInterval=expiry)
        if len(self._unsent) <= _MUCH:
            self._room.set()

    def _kept_answered(self, client: Client, topic: str, kept: _Kept, why: str) -> None:
        if not why:
            self._confirmed.add(topic)
            self._refusals.taken(topic)
        elif client.takes(topic, kept.payload):  # else that is what is told
            self._note_refusal(topic, why)
        if not kept.payload and self._retained.get(topic) == kept and topic not in self._unsent:
            del self._retained[topic]
        self._check_idle(client)

    async def _send_outbox(self, client: Client) -> None:
        while True:
            self._wake_outbox.clear()
            self._unblock()
            while batch := self._outbox.batch(IN_FLIGHT, self._passed):
                if batch[0].number <= self._backlog:
                    await self._rate.wait(len(batch), self._outbox)
                    if len(self._outbox) > _BACKLOG:  # what is read while it is sent would come in a burst after it
                        self._backlog = self._outbox.newest
                for entry in batch:
                    await self._send_entry(client, entry)
                    self._passed = entry.number
            self._outbox_waits = self._wake_outbox.is_set()
            self._check_idle(client)
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFUSED_AGAIN if self._blocked else None):
                    await self._wake_outbox.wait()

    def _unblock(self) -> None:
        """What was refused may be allowed by now: one batch tries it."""
        now = asyncio.get_running_loop().time()
        if self._blocked and now >= self._unblocks:
            self._unblocks, self._passed = now + _REFUSED_AGAIN, 0
            self._blocked.clear()
            self._backlog = self._outbox.newest

    async def _send_entry(self, client: Client, entry: Entry) -> None:
        """One that the broker refuses stays in the outbox, which is bounded."""
        if entry.topic in self._blocked:
            return
        if client.takes(entry.topic, entry.payload):
            await client.start(entry.topic, entry.payload, partial(self._entry_answered, client, entry))
        else:
            self._outbox.done([entry.number])

    def _entry_answered(self, client: Client, entry: Entry, why: str) -> None:
        if why:
            self._note_refusal(entry.topic, why, reading=True)
        else:
            self._refusals.taken(entry.topic)
            self._outbox.done([entry.number])
        self._check_idle(client)

    def _check_idle(self, client: Client) -> None:
        if not (self._replies or self._unsent or self._outbox_waits or client.under_way):
            self._idle.set()

    async def _spill(self) -> None:
        while True:
            await asyncio.sleep(SPILL_EVERY)
            self._outbox.spill_old()


class _Rate:
    """How fast a backlog is sent: so many a second, but never less than twice of what is being read."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._since, self._number, self._read = 0.0, 0, 0.0
        self._due = 0.0  # when the next are to be sent: what sending takes is part of the pause

    async def wait(self, count: int, outbox: Outbox) -> None:
        """Before so many readings are sent; at once where there is next to no backlog."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= _RATE_OVER:
            self._read = (outbox.newest - self._number) / (now - self._since) if self._number else 0.0
            self._since, self._number = now, outbox.newest
        if self._wanted and len(outbox) > _BACKLOG:
            pause = self._due - now
            self._due = max(self._due, now) + count / max(self._wanted, 2 * self._read)
            await asyncio.sleep(max(pause, 0.0))


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
