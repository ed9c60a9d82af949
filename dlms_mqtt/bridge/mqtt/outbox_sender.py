"""How readings go from the outbox to the broker: in their order, a backlog paced, refused topics tried again later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, Client
from dlms_mqtt.bridge.mqtt.outbox import Entry, Outbox
from dlms_mqtt.bridge.mqtt.refusals import Refusals

_BACKLOG = 100  # readings that wait: from here on they are sent at the backlog's rate
_RATE_OVER = 10.0  # s over which it is counted how many are read


class OutboxSender:
    """``settled`` is called after each answer of the broker, and when nothing is left to be handed to it."""

    def __init__(self, outbox: Outbox, rate: int, refusals: Refusals, settled: Callable[[], None]) -> None:
        """``rate``: readings a second of a backlog; 0: as fast as the broker takes them."""
        self._outbox, self._refusals, self._settled = outbox, refusals, settled
        self._rate = _Rate(rate)
        self._blocked: set[str] = set()  # topics that the broker refused lately
        self._unblocks = 0.0
        self._passed = 0  # the number of the last reading that was sent, or left because it is refused
        self._backlog = outbox.newest  # the last reading that an outage, or an earlier run, left unsent
        self.waits = True  # is there a reading that has not been handed to the broker?
        self._wake = asyncio.Event()

    def filled(self) -> None:
        """Something was put into the outbox."""
        self.waits = True
        self._wake.set()

    def new_line(self) -> None:
        """Another line: what the last one did not confirm is sent again, what it refused may be allowed."""
        self._blocked.clear()
        self._passed, self.waits = 0, True

    def pace(self) -> None:
        """All that waits now is a backlog: an outage has left it."""
        self._backlog = self._outbox.newest

    async def run(self, client: Client) -> None:
        """Send for ever. MqttError where the line breaks."""
        while True:
            self._wake.clear()
            self._unblock()
            await self._send_waiting(client)
            self.waits = self._wake.is_set()
            self._settled()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._refusals.again if self._blocked else None):
                    await self._wake.wait()

    async def _send_waiting(self, client: Client) -> None:
        while batch := self._outbox.batch(IN_FLIGHT, self._passed):
            if batch[0].number <= self._backlog:
                if pause := self._rate.pause(len(batch), self._outbox):
                    self.waits = False  # it could be handed over, but goes by and by: whoever leaves does not wait
                    self._settled()
                    await asyncio.sleep(pause)
                if len(self._outbox) > _BACKLOG:  # what is read while it is sent would come in a burst after it
                    self.pace()
            for entry in batch:
                await self._send(client, entry)
                self._passed = entry.number

    def _unblock(self) -> None:
        """What was refused may be allowed by now: one batch tries it."""
        now = asyncio.get_running_loop().time()
        if self._blocked and now >= self._unblocks:
            self._unblocks, self._passed = now + self._refusals.again, 0
            self._blocked.clear()
            self.pace()

    async def _send(self, client: Client, entry: Entry) -> None:
        """One that the broker refuses stays in the outbox, which is bounded."""
        if entry.topic in self._blocked:
            return
        if client.takes(entry.topic, entry.payload):
            await client.start(entry.topic, entry.payload, partial(self._answered, client, entry))
        else:
            self._outbox.done([entry.number])

    def _answered(self, client: Client, entry: Entry, why: str) -> None:
        if why and client.takes(entry.topic, entry.payload):  # else that is what is told
            self._refused(entry.topic, why)
        else:
            if not why:
                self._refusals.taken(entry.topic)
            self._outbox.done([entry.number])
        self._settled()

    def _refused(self, topic: str, why: str) -> None:
        self._refusals.refused(topic, why)
        if not self._blocked:
            self._unblocks = asyncio.get_running_loop().time() + self._refusals.again
        self._blocked.add(topic)


class _Rate:
    """How fast a backlog is sent: so many a second, but never less than twice of what is being read."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._since, self._number, self._read = 0.0, 0, 0.0
        self._due = 0.0  # when the next are to be sent: what sending takes is part of the pause

    def pause(self, count: int, outbox: Outbox) -> float:
        """Seconds before so many readings are sent; 0 where there is next to no backlog."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= _RATE_OVER:
            self._read = (outbox.newest - self._number) / (now - self._since) if self._number else 0.0
            self._since, self._number = now, outbox.newest
        if not self._wanted or len(outbox) <= _BACKLOG:
            return 0.0
        pause = self._due - now
        self._due = max(self._due, now) + count / max(self._wanted, 2 * self._read)
        return max(pause, 0.0)
