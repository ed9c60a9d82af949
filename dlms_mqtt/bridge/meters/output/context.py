"""What all meters of a bridge share."""

from __future__ import annotations

from dataclasses import dataclass

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections.bridge import Discovery
from dlms_mqtt.bridge.mqtt.publisher import Publisher
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.transport.clock import Clock


@dataclass(slots=True)
class Context:
    """Topics, the way out, the memory and the time; what Home Assistant is told may change at work."""

    topics: Topics
    discovery: Discovery
    publisher: Publisher
    store: Store
    clock: Clock
    version: str
    component: bool = False  # has Home Assistant's component been there
    health_every: float = 60.0  # s, the longest time between two messages of health
