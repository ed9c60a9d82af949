"""Which topics a device is announced on: one for all of it, or one for each of its components; pure.

Home Assistant takes both, openHAB and others know the second alone (``mqtt.discovery.style: components``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.api.topics import Topics

DEVICE, COMPONENTS = "device", "components"
PLATFORMS = ("binary_sensor", "button", "datetime", "event", "number", "select", "sensor", "switch", "text", "time")


def messages(topics: Topics, identifier: str, payload: Mapping[str, Any], style: str) -> dict[str, str]:
    """What is retained, by topic; what the other style would have left there is cleared by an empty text."""
    whole = topics.discovery(identifier)
    if style == DEVICE:
        return {whole: dumps(payload)}
    shared = {name: part for name, part in payload.items() if name != "components"}
    found = {whole: ""}
    for name, component in payload["components"].items():
        facts = {key: value for key, value in component.items() if key != "platform"}
        found[component_topic(topics, identifier, name)] = dumps({**facts, **shared}) if facts else ""
    return found


def component_topic(topics: Topics, identifier: str, name: str) -> str:
    """The topic of a component by its name in a device message (``sensor_power``)."""
    platform = platform_of(name)
    return f"{topics.prefix}/{platform}/{identifier}/{name.removeprefix(platform + '_')}/config"


def platform_of(name: str) -> str:
    """The platform that a component's name begins with."""
    return next((word for word in PLATFORMS if name.startswith(f"{word}_")), name.partition("_")[0])


def component_topics(topics: Topics, identifier: str, names: Iterable[str]) -> list[str]:
    """Where the components of a device are announced one by one."""
    return [component_topic(topics, identifier, name) for name in names]


def roots(topics: Topics, identifier: str) -> list[str]:
    """Everything that announces a device is one of these or below one."""
    return [topics.discovery(identifier), *(f"{topics.prefix}/{platform}/{identifier}" for platform in PLATFORMS)]
