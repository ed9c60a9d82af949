"""aiomqtt's client with what it lacks: a broker's largest message is kept to, and why a line broke is always asked."""

from __future__ import annotations

import logging
import math
from typing import Any

import aiomqtt

_LOG = logging.getLogger(__name__)
_AROUND = 64  # octets of a message beside topic, payload and correlation data, at most


class Client(aiomqtt.Client):
    """``skipped``: topics whose last message was larger than the broker takes, and how large it was."""

    largest: float = math.inf  # octets of a message that the broker takes (MQTT 5; others do not say)
    skipped: dict[str, int]

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.largest = getattr(properties, "MaximumPacketSize", None) or math.inf
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, *args: Any, **more: Any) -> None:
        super()._on_disconnect(*args, **more)
        self.ask()

    def ask(self) -> None:
        """Take note of why the line broke, if it did: asyncio logs exceptions that nobody asked for."""
        if self._disconnected.done():
            self._disconnected.exception()

    def takes(self, topic: str, payload: str) -> bool:
        """Is a message small enough? A broker hangs up on one that is not, and would do so for ever."""
        size = len(topic.encode()) + len(payload.encode()) + _AROUND
        if size <= self.largest:
            self.skipped.pop(topic, None)
            return True
        if topic not in self.skipped:
            _LOG.warning(
                "%s: %d octets are more than the broker takes (%d), so it is not sent", topic, size, self.largest
            )
        self.skipped[topic] = size
        return False
