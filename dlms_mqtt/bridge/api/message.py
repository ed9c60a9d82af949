"""A message from the broker, as the bridge knows it."""

from __future__ import annotations

from dlms_mqtt.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the broker; response topic and correlation data as MQTT 5 has them."""

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str = ""
    correlation: bytes | None = None
