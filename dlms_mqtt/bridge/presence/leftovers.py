"""What an earlier run left at the broker and this one is not any more: cleared, and forgotten only when that is done.

A bridge may be killed, or the broker away, before the clearing messages are confirmed: then the next run clears again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.kinds import TOPIC
from dlms_mqtt.bridge.config.managed_meters import METER_ID
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.homeassistant.announcement import COMPONENTS, DEVICE, component_topics
from dlms_mqtt.bridge.homeassistant.discovery import BRIDGE, component_name
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.publisher import announced_topics, clear_meter
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.errors import ConfigError, StoreError

_LOG = logging.getLogger(__name__)
_SPACE = "bridge"  # namespace of the store
_FILE_LOST = (
    "%s: this meter was added over MQTT, and its file in state_dir/meters is gone; add it again, or clear what stands"
    " at the broker: dlms-mqtt check --broker --clear"
)


class Leftovers:
    """The names of an earlier run, as the store has them: its meters, discovery prefix, base topic and id."""

    def __init__(self, config: Config, context: Context, broker: Broker, broken: Iterable[str] = ()) -> None:
        """``broken``: meters that are ours and cannot be read now."""
        self._broken = frozenset(broken)
        self._config, self._context, self._broker = config, context, broker
        topics, discovery = context.topics, config.mqtt.discovery
        self._name = [topics.base, topics.bridge]
        self._prefix = discovery.prefix if discovery.enabled else ""
        self._style = discovery.style if discovery.enabled else ""
        self._owed = True  # something may have to be forgotten

    @property
    def base(self) -> str:
        """The base topic of the earlier run."""
        return (self._previous_name or self._name)[0]

    @property
    def _previous_name(self) -> list[str]:
        """Base topic and id of the earlier run; empty where nobody knows."""
        name = self._names("name")
        return name if len(name) == len(self._name) and _is_topic(name[0]) and METER_ID.fullmatch(name[1]) else []

    def clear(self) -> set[str]:
        """Clear what is no more; the meters that were ours in an earlier run and are not any more."""
        before = {name for name in self._names("meters") if METER_ID.fullmatch(name)}
        self._clear_announcements(before)
        self._clear_name()
        ghosts = before - self._broken - set(self._config.meters)
        for name in ghosts:
            clear_meter(name, self._context, ())
        return ghosts

    def clear_lost(self, announced: Mapping[str, bool]) -> set[str]:
        """Clear meters that only the broker knows as ours, and nobody has: the state directory was lost; which.

        ``announced``: was each added over MQTT? Then its file was lost too, and may come back with a backup: it stays.
        """
        lost = {name for name in announced if METER_ID.fullmatch(name)} - self._broken - set(self._config.meters)
        for name in sorted(lost):
            if announced[name]:
                _LOG.warning(_FILE_LOST, name)
            else:
                _LOG.warning("%s: this meter was ours and is not configured any more: its topics are cleared", name)
                clear_meter(name, self._context, ())
        return {name for name in lost if not announced[name]}

    def _clear_announcements(self, meters: Iterable[str]) -> None:
        """Discovery was switched off, or has another prefix than before: what was announced goes."""
        before = self._remembered("announced", "")
        before = before if _is_topic(before) else ""
        if before and before != self._prefix:
            there = replace(self._context, topics=replace(self._context.topics, prefix=before))
            for topic in (
                *self._of_bridge(there.topics),
                *(row for name in meters for row in announced_topics(name, there)),
            ):
                self._broker.retain(topic, "")
        elif not before:
            self._remember("announced", self._prefix)
        if before and self._remembered("style", DEVICE) == COMPONENTS != self._style:
            for topic in self._of_bridge(replace(self._context.topics, prefix=before))[1:]:
                self._broker.retain(topic, "")

    def _of_bridge(self, topics: Topics) -> list[str]:
        """Where the bridge's own device is announced, also by an earlier run in the other style."""
        device, names = topics.bridge_device, [component_name(entity) for entity, _ in BRIDGE]
        one_by_one = COMPONENTS in (self._style, self._remembered("style", DEVICE))
        return [topics.discovery(device), *(component_topics(topics, device, names) if one_by_one else ())]

    def _clear_name(self) -> None:
        """The bridge had another id or base topic: Home Assistant would offer the one that is no more for ever."""
        name = self._previous_name
        if not name:
            self._remember("name", self._name)
        base, bridge = name or self._name
        topics = self._context.topics
        previous = replace(topics, base=base, bridge=bridge)
        if previous.root != topics.root:
            for topic in (previous.info, previous.health, previous.state):
                self._broker.retain(topic, "")
        if bridge != topics.bridge:
            for topic in self._of_bridge(previous):
                self._broker.retain(topic, "")

    def remember(self, meters: Iterable[str]) -> None:
        """These meters are ours from now on, beside those that still have to be cleared."""
        self._owed = True
        self._remember("meters", sorted({*self._names("meters"), *meters}))

    def settle(self, meters: Iterable[str]) -> None:
        """Forget the rest, if the broker has confirmed that it is cleared."""
        if self._owed and not self._broker.clearing:
            self._owed = False
            self._remember("meters", sorted({*meters, *self._broken & {*self._names("meters")}}))
            self._remember("announced", self._prefix)
            self._remember("name", self._name)
            if self._style == COMPONENTS or self._remembered("style", DEVICE) == COMPONENTS:
                self._remember("style", self._style or DEVICE)

    def _names(self, what: str) -> list[str]:
        """What can be used of a list of names."""
        found = self._remembered(what, [])
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def _remembered(self, what: str, default: Any) -> Any:
        try:
            return self._context.store.get(_SPACE, what, default)
        except StoreError:
            return default

    def _remember(self, what: str, value: Any) -> None:
        try:
            if self._context.store.get(_SPACE, what) != value:
                self._context.store.set(_SPACE, what, value)
        except StoreError as error:
            _LOG.debug("%s: not remembered: %s", what, error.message)


def _is_topic(value: object) -> bool:
    """What is damaged on the disk may be anything, and a topic that is none would cost the line each time."""
    try:
        TOPIC.convert(value)
    except ConfigError:
        return False
    return True
