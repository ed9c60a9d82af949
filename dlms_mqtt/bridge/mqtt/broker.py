"""The line to the broker: MQTT 5 or 3.1.1, TLS, last will, growing pauses, everything sent again after each.

What is sent waits in three places, each with a file of its own: retained topics, replies, the outbox of readings.
Nothing here knows what a topic means.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import aiomqtt

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.client import V5, V311, Client, Unsaid, Will, message_of, new_client, tls_context
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.mqtt.outbox_sender import OutboxSender
from dlms_mqtt.bridge.mqtt.refusals import Refusals
from dlms_mqtt.bridge.mqtt.reply_queue import ReplyQueue
from dlms_mqtt.bridge.mqtt.retained import RetainedTopics
from dlms_mqtt.bridge.tasks import first_to_end, raise_cancelled
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.base import format_address

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0  # s: a broker that comes back is found within ten
_REFUSED_PAUSE = 60.0  # s, where the broker answers and does not want us
_CUT = 3  # lines in a row that were in use and ended without a word: Mosquitto says nothing of an id that is taken over
_TAKEN_OVER = (
    "the broker ended {} lines without a word; another client may use the client id '{}': "
    "give each bridge its own bridge.id or mqtt.client_id"
)
_STOOD = 10.0  # s that a line must have stood; a broker that accepts and drops us gets longer pauses too
SPILL_EVERY = 2.4  # s; a killed bridge loses what is younger than two of these


class Handler(Protocol):
    """What the bridge does about the line."""

    async def broker_connected(self) -> None:
        """The line is up; nothing retained has been sent yet, subscriptions stand."""

    def broker_message(self, message: Message) -> None:
        """Something came on one of the filters."""


class Broker:
    """One connection after another. ``run`` it as a task; everything else may be called whether it is up or not."""

    def __init__(self, config: Mqtt, client_id: str, will: Will, outbox: Outbox, first: str = "") -> None:
        """``first``: a client id of its own for the first look around, which throws no other bridge off the broker."""
        self._first = first
        self._config, self._client_id, self._will = config, client_id, will
        self._outbox = outbox
        self._refusals = Refusals()
        self._retained = RetainedTopics(self._refusals, self._check_idle)
        self._replies = ReplyQueue(self._refusals)
        self._readings = OutboxSender(outbox, config.backlog_rate, self._refusals, self._check_idle)
        self._filters: dict[str, None] = {}
        self._skipped: dict[str, int] = {}  # topics whose message is larger than the broker takes
        self._unsaid = Unsaid()
        self._wake, self._renew, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._client: Client | None = None
        self._version = V311 if config.protocol == "3.1.1" else V5
        self.connected = self._silent = self._stood_before = False
        self.trouble = ""
        self._cut = 0

    # -- sending ------------------------------------------------------------------------------------------------------

    def retain(self, topic: str, payload: str, lifetime: float = math.inf) -> None:
        """Publish retained, now and after every reconnection; an empty payload clears the topic.

        ``lifetime``: seconds after which a broker with MQTT 5 forgets it by itself, should nobody renew it.
        """
        if not self._silent:
            self._retained.keep(topic, payload, lifetime)
            self._woken()

    async def room(self) -> None:
        """Until little waits to be sent, or nothing can be: who has very much to say lets others speak in between."""
        while self.connected and self._retained.crowded:
            await self._retained.room()

    def retained(self, topic: str) -> str | None:
        """What this topic should hold; None when it is not ours."""
        return self._retained.payload(topic)

    def has_taken(self, topic: str) -> bool:
        """Did the broker confirm a retained message of ours on this topic, in this run?"""
        return self._retained.has_taken(topic)

    @property
    def refusals(self) -> list[str]:
        """What the broker refuses, and why."""
        return self._refusals.sentences

    @property
    def too_large(self) -> str:
        """What is not sent because the broker does not take so large a message; empty when there is nothing."""
        names = ", ".join(sorted(self._skipped))
        return f"the broker takes no messages as large as {names}; raise its limit" if names else ""

    @property
    def clearing(self) -> bool:
        """Is there a topic to be cleared of which the broker has not confirmed it?"""
        return self._retained.clearing

    def send_again(self, *topics: str) -> None:
        """Publish these retained topics, or all of them, once more."""
        self._retained.send_again(*topics)
        self._woken()

    def forget_below(self, *roots: str) -> None:
        """These topics (and all below them) are somebody else's: neither send nor clear them."""
        self._retained.forget_below(*roots)

    def silence(self) -> None:
        """Nothing is ours: send nothing more, no last words either."""
        self._silent = True
        self._retained.forget()

    def reply(self, topic: str, payload: str, correlation: bytes | None = None) -> None:
        """Publish a message that is not retained, at once or when the broker is back."""
        self._replies.put(topic, payload, correlation)
        self._woken()

    async def send_now(self, topic: str, payload: str) -> None:
        """Publish a message that is not retained, also before the line is taken into use; nothing when it is down."""
        if self._client:
            try:
                await self._client.send(topic, payload)
            except (aiomqtt.MqttError, OSError, ValueError):  # whoever serves the line learns of it too
                raise_cancelled()

    def _woken(self) -> None:
        self._idle.clear()
        self._wake.set()

    def outbox_filled(self) -> None:
        """Something was put into the outbox."""
        self._idle.clear()
        self._readings.filled()

    def _check_idle(self) -> None:
        waiting = self._replies or self._retained.waiting or self._readings.waits
        if self._client and not (waiting or self._client.under_way):
            self._idle.set()

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
            await self._subscribe_to(self._client, fresh)

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

    async def _subscribe_to(self, client: Client, filters: list[str]) -> None:
        refused = await client.subscribe_to(filters)
        for name in filters:
            if why := refused.get(name):
                self._refusals.deaf(name, why)
            else:
                self._refusals.heard(name)

    async def _try_refused(self, client: Client) -> None:
        while True:
            await asyncio.sleep(self._refusals.again)
            self._retained.try_refused()
            if self._retained.waiting:
                self._woken()
            if filters := [name for name in self._refusals.unheard if name in self._filters]:
                await self._subscribe_to(client, filters)

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
                self._tell_trouble(error.message, explained=True)
                await asyncio.sleep(_LONGEST_PAUSE)
                continue
            try:
                async with client:
                    since = loop.time()
                    await self._serve(client, handler)
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                raise_cancelled()
                self._broken(client, error)
            finally:
                self.connected, self._client = False, None
                self._retained.line_broke()
                client.ask()
            if self._first and client.reason is None:
                self._first = ""
                continue
            self._first = ""
            stood = loop.time() - since > _STOOD
            self._unsaid.broken(client, stood=stood)
            if stood:
                pause, self._cut = _FIRST_PAUSE, 0
            await asyncio.sleep(_REFUSED_PAUSE if client.unwanted else pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _broken(self, client: Client, error: Exception) -> None:
        client.reason = error
        if self._config.protocol == "auto" and not self.connected and client.may_be_the_version(error):
            # 5 is refused in words by some brokers, by silence or a closed line by others: take turns
            self._version = V311 if self._version is V5 else V5
        words, explained = client.why(error), client.is_explained(error)
        self._cut = self._cut + 1 if self.connected and not explained else 0
        if self._cut >= _CUT:
            words, explained = _TAKEN_OVER.format(self._cut, self._client_id), True
        self._tell_trouble(words, explained=explained)

    def _tell_trouble(self, words: str, *, explained: bool) -> None:
        """One line an outage, however often the words change; another where it is ``explained``."""
        if not self.trouble or (explained and words != self.trouble):
            place = format_address(self._config.host, self._config.broker_port)
            _LOG.warning(
                "No line to the broker %s: %s. Check mqtt: in the configuration; it is tried again", place, words
            )
        self.trouble = words

    async def _serve(self, client: Client, handler: Handler) -> None:
        """Until the line breaks, which raises MqttError in one of the tasks."""
        raise_cancelled()  # aiomqtt's wait for the broker may have swallowed it (Python 3.11)
        self._client = client
        self._refusals.clear()
        self._readings.new_line()
        await first_to_end(self._receive(client, handler), self._live(client, handler), client.answers_in_time())

    async def _live(self, client: Client, handler: Handler) -> None:
        if self._filters:
            await self._subscribe_to(client, list(self._filters))
        await handler.broker_connected()
        raise_cancelled()
        if self._first:
            return
        self.connected = True
        if self.trouble:
            self._readings.pace()
            _LOG.warning("The line to the broker is there again")
        elif not self._stood_before:
            _LOG.info("The line to the broker %s:%d is there", self._config.host, self._config.broker_port)
        self._stood_before = True
        self.trouble = ""
        self.send_again()
        await first_to_end(
            self._send_all(client), self._readings.run(client), self._try_refused(client), self._until_renewed()
        )

    async def _receive(self, client: Client, handler: Handler) -> None:
        async for message in client.messages:
            for each in (message, *client.at_hand()):
                handler.broker_message(message_of(each))

    async def _send_all(self, client: Client) -> None:
        while True:
            self._wake.clear()
            while self._replies or self._retained.waiting:
                if self._replies:
                    await self._replies.send_some(client)
                await self._retained.send_some(client)
            self._check_idle()
            await self._wake.wait()

    async def _spill(self) -> None:
        while True:
            await asyncio.sleep(SPILL_EVERY)
            self._outbox.spill_old()
