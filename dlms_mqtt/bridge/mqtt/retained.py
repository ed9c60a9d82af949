"""The retained topics of the bridge: what each is to hold, which wait to be sent, which the broker has confirmed.

Everything is sent again after each reconnection, so a broker that lost its memory gets it back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple
from zlib import compress, decompress

from dlms_mqtt.bridge.mqtt.client import IN_FLIGHT, Client
from dlms_mqtt.bridge.mqtt.refusals import Refusals

_LONG, _FAST = 4096, 1  # characters that are kept compressed, and how: quickly
_MUCH = 200  # topics that wait to be sent: then whoever has still more waits


class _Kept(NamedTuple):
    """A retained message; ``until``: when the broker is to forget it, by the loop's clock (infinity: never)."""

    packed: str | bytes  # long ones compressed: of a thousand meters' announcements to a tenth of their 22 MB
    until: float = math.inf

    @property
    def payload(self) -> str:
        """As it is sent."""
        return self.packed if isinstance(self.packed, str) else decompress(self.packed).decode()

    def expiry(self, now: float) -> int | None:
        """Seconds that are left, as the broker wants to know them."""
        return None if math.isinf(self.until) or not self.packed else max(1, math.ceil(self.until - now))


class RetainedTopics:
    """``answered`` is called after each answer of the broker, when everything that follows from it is done."""

    def __init__(self, refusals: Refusals, answered: Callable[[], None]) -> None:
        self._refusals, self._answered = refusals, answered
        self._kept: dict[str, _Kept] = {}
        self._unsent: dict[str, None] = {}  # topics that wait to be sent, in this order
        self._refused: dict[str, None] = {}  # topics whose message the broker did not take
        self._confirmed: set[str] = set()  # topics of which the broker has taken a message, in this run
        self._room = asyncio.Event()

    def keep(self, topic: str, payload: str, lifetime: float) -> None:
        """This is what the topic holds from now on, for ``lifetime`` seconds; an empty payload clears it."""
        until = math.inf if math.isinf(lifetime) else asyncio.get_running_loop().time() + lifetime
        packed = payload if len(payload) < _LONG else compress(payload.encode(), _FAST)
        self._kept[topic] = _Kept(packed, until)
        self._unsent[topic] = None

    def payload(self, topic: str) -> str | None:
        """What this topic should hold; None when it is not ours."""
        kept = self._kept.get(topic)
        return kept.payload if kept else None

    def has_taken(self, topic: str) -> bool:
        """Did the broker confirm a message of ours on this topic, in this run?"""
        return topic in self._confirmed

    @property
    def clearing(self) -> bool:
        """Is there a topic to be cleared of which the broker has not confirmed it?"""
        return any(not kept.packed for kept in self._kept.values())

    @property
    def waiting(self) -> int:
        """Topics that wait to be sent."""
        return len(self._unsent)

    def send_again(self, *topics: str) -> None:
        """These, or all, wait to be sent once more."""
        self._unsent.update(dict.fromkeys(topics or self._kept))

    def try_refused(self) -> None:
        """What the broker did not take waits to be sent once more."""
        self._unsent.update(self._refused)
        self._refused.clear()

    def forget_below(self, *roots: str) -> None:
        """These topics (and all below them) are somebody else's: neither send nor clear them."""
        gone = [topic for topic in self._kept if any(topic == root or topic.startswith(f"{root}/") for root in roots)]
        for topic in gone:
            del self._kept[topic]
            self._unsent.pop(topic, None)

    def forget(self) -> None:
        """Nothing is ours."""
        self._kept.clear()
        self._unsent.clear()

    @property
    def crowded(self) -> bool:
        """Does so much wait that who has still more shall wait?"""
        return len(self._unsent) > _MUCH

    async def room(self) -> None:
        """Until less waits, or the line has broken."""
        self._room.clear()
        await self._room.wait()

    def line_broke(self) -> None:
        """Whoever waits for room shall look again whether there is a line."""
        self._room.set()

    async def send_some(self, client: Client) -> None:
        """In this order; a broken line sends everything again, and what changes meanwhile is sent again too."""
        for topic in list(islice(self._unsent, IN_FLIGHT)):
            self._unsent.pop(topic, None)
            kept = self._kept.get(topic)
            if kept and client.takes(topic, payload := kept.payload):
                expiry = kept.expiry(asyncio.get_running_loop().time())
                answered = partial(self._taken, client, topic, kept)
                await client.start(topic, payload, answered, retain=True, MessageExpiryInterval=expiry)
        if not self.crowded:
            self._room.set()

    def _taken(self, client: Client, topic: str, kept: _Kept, why: str) -> None:
        if not why:
            self._confirmed.add(topic)
            self._refused.pop(topic, None)
            self._refusals.taken(topic)
        elif client.takes(topic, kept.payload):  # else that is what is told
            self._refusals.refused(topic, why)
            self._refused[topic] = None
        if not kept.packed and self._kept.get(topic) == kept and topic not in self._unsent:
            del self._kept[topic]
        self._answered()
