"""What the bridge says of itself: which meters it has, that it is there, and how they all do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from dlms_mqtt import __version__
from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.load import Loaded
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.homeassistant.announcement import messages
from dlms_mqtt.bridge.homeassistant.discovery import bridge_payload
from dlms_mqtt.bridge.meters.association import CLOCK_SET
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.health import bridge_health, meter_health, pause_between_looks, signature
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.presence.presence import Presence
from dlms_mqtt.bridge.reading.latest_values import expiry, lifetime
from dlms_mqtt.bridge.reading.schedule import Every
from dlms_mqtt.transport.clock import Clock

if TYPE_CHECKING:
    from dlms_mqtt.bridge.http.server import Server

_ALIVE = 120.0  # s: the shortest life of "online"


class Source(Protocol):
    """The bridge, as far as it is told here; ``refused``: meters that another bridge holds, and a sentence for each."""

    started: str
    trouble: str
    loaded: Loaded
    seal: SealKey
    topics: Topics
    broker: Broker
    outbox: Outbox
    fleet: Fleet
    presence: Presence
    refused: dict[str, str]
    http: Server | None

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    def settle_leftovers(self) -> None:
        """Clear what an earlier run left at the broker."""


class SelfReport:
    """Retained at the broker; ``run`` renews what the broker would forget."""

    def __init__(self, bridge: Source, clock: Clock) -> None:
        self._bridge, self._clock = bridge, clock
        self._renewed = 0.0  # when "online" is to be said again (monotonic)
        self._last: Any = None  # what the last health message said

    def publish(self) -> None:
        """Which meters there are, that the bridge is there, and its device for Home Assistant."""
        topics, broker = self._bridge.topics, self._bridge.broker
        broker.retain(topics.info, dumps(self._info()))
        self._publish_alive()
        discovery = self._bridge.config.mqtt.discovery
        if discovery.enabled:
            payload = bridge_payload(
                topics, self._bridge.config.bridge.name, __version__, discovery.language, self._expires
            )
            for topic, text in messages(topics, topics.bridge_device, payload, discovery.style).items():
                broker.retain(topic, text)

    @property
    def _expires(self) -> int:
        """Of what is told by health and by being there."""
        return expiry(lifetime(Every(self._bridge.config.bridge.health_every)))

    def _publish_alive(self) -> None:
        """Renewed now and then: a broker with MQTT 5 forgets it when we are gone."""
        self._renewed = self._clock.monotonic() + _ALIVE / 3
        self._bridge.broker.retain(self._bridge.topics.state, "online", _ALIVE)

    def _info(self) -> dict[str, Any]:
        loaded, config = self._bridge.loaded, self._bridge.config
        rows = [
            {
                "id": name,
                "name": meter.name or name,
                "managed": name in loaded.managed,
                "device": self._bridge.topics.device(name),
            }
            for name, meter in config.meters.items()
            if name not in self._bridge.refused
        ]
        return {
            "api": 1,
            "version": __version__,
            "bridge": config.bridge.id,
            "started": self._bridge.started,
            "management": config.bridge.management,
            "meters": rows,
            "seal": self._bridge.seal.public,
        }

    async def run(self) -> None:
        """Tell health at once when a verdict changes, else now and then."""
        published = float("-inf")
        await self._bridge.fleet.complete.wait()
        while True:
            health = self.health()
            sign = signature(health)
            if sign != self._last or self._clock.monotonic() - published >= self._bridge.config.bridge.health_every:
                self._last, published = sign, self._clock.monotonic()
                self._bridge.broker.retain(self._bridge.topics.health, dumps(health))
            if self._clock.monotonic() >= self._renewed:
                self._publish_alive()
            self._bridge.settle_leftovers()
            await asyncio.sleep(pause_between_looks(len(self._bridge.fleet.meters)))

    def health(self) -> dict[str, Any]:
        """The health message now."""
        bridge = self._bridge
        meters = {name: meter_health(meter) for name, meter in bridge.fleet.meters.items()}
        troubles = [
            "" if self._clock.time() >= CLOCK_SET else "the system's clock is not set",
            bridge.trouble,
            bridge.outbox.trouble,
            *(f"{name}: its file is damaged: {error.message}" for name, error in bridge.loaded.broken.items()),
            bridge.broker.too_large,
            bridge.http.trouble if bridge.http else "",
            *bridge.broker.refusals,
            *bridge.refused.values(),
            *bridge.presence.collisions.values(),
            *bridge.fleet.pushes.trouble.values(),
        ]
        counters = {"unsent": len(bridge.outbox), "dropped": bridge.outbox.dropped, "meters": len(meters)}
        return bridge_health(meters, troubles, counters)
