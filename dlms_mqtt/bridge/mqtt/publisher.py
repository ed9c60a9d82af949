"""The way out for whoever has something to say: retained through the broker's memory, the rest through the outbox."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.outbox import Outbox


class Publisher:
    """Says things on topics, whether the line to the broker is up or not."""

    def __init__(self, broker: Broker, outbox: Outbox) -> None:
        self._broker, self._outbox = broker, outbox

    def retain(self, topic: str, payload: str, lifetime: float = math.inf) -> None:
        """Publish retained; an empty payload clears the topic, and so does the broker after ``lifetime`` (s)."""
        self._broker.retain(topic, payload, lifetime)

    def store_and_forward(self, topic: str, message: Mapping[str, Any]) -> None:
        """Publish through the outbox; ``seq`` is added."""
        self._outbox.put(topic, lambda seq: dumps({"seq": seq, **message}))
        self._broker.outbox_filled()

    async def room(self) -> None:
        """Wait while very much waits for the broker."""
        await self._broker.room()

    def keep(self) -> None:
        """Let what was handed over survive a kill."""
        self._outbox.spill()
