"""Every topic of the MQTT API in one place, and the way back from a topic to what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum, auto
from typing import NamedTuple

from dlms_mqtt.frozen import dataclass

DEFAULT_BASE = "dlms_mqtt"
_DEEPEST = 32  # levels of a topic that somebody else has chosen: brokers hang up on what is too deep (Mosquitto: 200)
_LONGEST = 1024  # characters of one
DEVICES = "dlms_mqtt"  # what the identifiers of our devices in Home Assistant begin with


def is_sendable(text: str) -> bool:
    """May MQTT carry it? Brokers hang up on control characters and on what is no character (MQTT 5, 1.5.4)."""
    return not any(map(_is_odd, map(ord, text)))


def is_topic(text: str) -> bool:
    """May it be published on? Brokers hang up on wildcards too."""
    return bool(text) and is_sendable(text) and not set(text) & set("+#") and len(text.encode()) < 1 << 16


def _is_odd(code: int) -> bool:
    control = code < 0x20 or 0x7F <= code <= 0x9F
    return control or 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


class Address(NamedTuple):
    """A command topic taken apart: ``meter`` is empty for the bridge; ``verb`` is ``set``, ``do`` or ``request``."""

    meter: str
    verb: str
    name: str


class Concern(Enum):
    """What a message is about, by its topic."""

    BIRTH = auto()  # Home Assistant's own "online"
    COMMAND = auto()  # something is asked of this bridge or a meter
    BRIDGE = auto()  # what a bridge says of itself, this or another one
    RETAINED = auto()  # whatever else is subscribed to: topics on which we say something ourselves


@dataclass(frozen=True, slots=True)
class MeterTopics:
    """The topics of one meter."""

    root: str

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained."""
        return f"{self.root}/availability"

    @property
    def state(self) -> str:
        """All fresh values as one JSON object, retained."""
        return f"{self.root}/state"

    @property
    def reading(self) -> str:
        """One reading a message, not retained."""
        return f"{self.root}/reading"

    @property
    def event(self) -> str:
        """Alarms and log entries, not retained."""
        return f"{self.root}/event"

    def value(self, key: str) -> str:
        """The plain value, retained."""
        return f"{self.root}/value/{key}"

    def profile(self, key: str) -> str:
        """Rows of a profile, not retained."""
        return f"{self.root}/profile/{key}"

    def set(self, key: str) -> str:
        """Where a new value for a writable item is asked for."""
        return f"{self.root}/set/{key}"

    def do(self, action: str) -> str:
        """Where an action is asked for."""
        return f"{self.root}/do/{action}"

    def request(self, verb: str) -> str:
        """Where a request is made."""
        return f"{self.root}/request/{verb}"

    @property
    def commands(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(f"{self.root}/{verb}/#" for verb in _VERBS)

    @property
    def retained(self) -> tuple[str, ...]:
        """Filters for everything this meter keeps at the broker."""
        return self.availability, self.state, f"{self.root}/value/+"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one bridge and its meters."""

    base: str
    bridge: str
    prefix: str = "homeassistant"
    devices: str = DEVICES  # what identifiers begin with, see presence/device_ids
    aliases: Mapping[str, str] = field(default_factory=dict)  # ids under which Home Assistant knows renamed meters

    def device(self, meter: str) -> str:
        """The identifier of a meter's device in Home Assistant."""
        return f"{self.devices}_{self.aliases.get(meter, meter)}"

    @property
    def bridge_device(self) -> str:
        """The identifier of the bridge's own device."""
        return f"{self.devices}_bridge_{self.bridge}"

    @property
    def root(self) -> str:
        """The bridge's own part of the tree."""
        return f"{self.base}/bridge/{self.bridge}"

    @property
    def state(self) -> str:
        """``online`` or ``offline`` (last will), retained."""
        return f"{self.root}/state"

    @property
    def info(self) -> str:
        """What this bridge is, retained."""
        return f"{self.root}/info"

    @property
    def health(self) -> str:
        """How it is, retained."""
        return f"{self.root}/health"

    @property
    def commands(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (f"{self.root}/request/#",)

    @property
    def birth(self) -> str:
        """Home Assistant's own ``online``."""
        return f"{self.prefix}/status"

    @property
    def all_bridges(self) -> tuple[str, str]:
        """Filters for the state and info of every bridge on this base."""
        return f"{self.base}/bridge/+/state", f"{self.base}/bridge/+/info"

    def meter(self, meter: str) -> MeterTopics:
        """The topics of a meter."""
        return MeterTopics(f"{self.base}/meter/{meter}")

    def discovery(self, identifier: str) -> str:
        """Where a device is announced; ``identifier`` is that of ``device`` or ``bridge_device``."""
        return f"{self.prefix}/device/{identifier}/config"

    def concern(self, topic: str) -> Concern:
        """What a message on this topic is about."""
        if topic == self.birth:
            return Concern.BIRTH
        if self.address(topic):
            return Concern.COMMAND
        return Concern.BRIDGE if topic.startswith(f"{self.base}/bridge/") else Concern.RETAINED

    def address(self, topic: str) -> Address | None:
        """The command a topic stands for; None when it is no command topic of this bridge or a meter."""
        if topic.startswith(f"{self.root}/request/"):
            return Address("", "request", topic.removeprefix(f"{self.root}/request/"))
        parts = topic.removeprefix(f"{self.base}/meter/").split("/", 2)
        if not topic.startswith(f"{self.base}/meter/") or len(parts) < 3 or parts[1] not in _VERBS:
            return None
        return Address(*parts)

    def response(self, address: Address) -> str:
        """Where the reply goes when the request names no place: the path repeats the request's."""
        root = self.meter(address.meter).root if address.meter else self.root
        path = address.name if address.verb == "request" else f"{address.verb}/{address.name}"
        return f"{root}/response/{'/'.join(path.split('/')[:_DEEPEST])[:_LONGEST]}"

    def allowed_response(self, topic: str) -> bool:
        """May a request choose this response topic? Never below the base or the discovery prefix.

        Nor one over which a broker would hang up on us, again with each try.
        """
        if len(topic) > _LONGEST or topic.count("/") >= _DEEPEST or not is_topic(topic):
            return False
        inside = any(topic == root or topic.startswith(f"{root}/") for root in (self.base, self.prefix))
        return not inside and not topic.startswith("$")


_VERBS = ("set", "do", "request")
