"""What a meter says on MQTT: values, state, readings, availability, events, discovery. Knows no line, no schedule."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from dlms_mqtt.bridge.api.payload import dumps, plain_text
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections import Discovery, Meter
from dlms_mqtt.bridge.homeassistant.discovery import Device, component_name, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import LONGEST_STATE, Entity, action_entities, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.bridge.meters.counter_watch import CounterWatch
from dlms_mqtt.bridge.meters.known_scalers import SPACE as SCALERS
from dlms_mqtt.bridge.meters.known_scalers import KnownScalers
from dlms_mqtt.bridge.mqtt.publisher import Publisher
from dlms_mqtt.bridge.reading.energy_guard import EnergyGuard
from dlms_mqtt.bridge.reading.identity import KEYS
from dlms_mqtt.bridge.reading.interpret import UNUSABLE, bits_of, reading_json, with_class
from dlms_mqtt.bridge.reading.latest_values import MeterState, Value
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """What all meters of a bridge share."""

    topics: Topics
    discovery: Discovery
    publisher: Publisher
    store: Store
    clock: Clock
    version: str


class MeterOutput:
    """The topics of one meter."""

    def __init__(self, meter_id: str, config: Meter, context: Context, features: Iterable[str]) -> None:
        self.id, self.config, self._context = meter_id, config, context
        self.topics = context.topics.meter(meter_id)
        self.state = MeterState()
        self._watch = CounterWatch(meter_id, config, context.store, context.clock)
        self.scalers = KnownScalers(meter_id, context.store)
        self._features = tuple(features)
        self._readings: dict[str, Reading] = {}
        self._entities: dict[str, tuple[PlanItem, str]] = {}
        self._waiting: dict[str, tuple[PlanItem, Reading, float]] = {}  # held back by the guard
        self._announced = ""
        self._facts: Any = None  # what the last announcement was made of
        self._said = crc32(repr((config.read, config.push)).encode())
        self.online: bool | None = None

    @property
    def guard(self) -> EnergyGuard:
        """What is held back, and why."""
        return self._watch.guard

    # -- values -------------------------------------------------------------------------------------------------------

    def publish(self, readings: Iterable[tuple[PlanItem, Reading, float]]) -> None:
        """New readings: each with its plan item and how long it lives (s)."""
        readings = [(self._known(item, reading), reading, lifetime) for item, reading, lifetime in readings]
        self._identify(readings)
        alive = self._watch.is_alive(readings)
        for item, reading, lifetime in readings:
            starts = self.guard.starts_anew(item.key)
            if self._watch.passes(item, reading, alive):
                self._waiting.pop(item.key, None)
                self._publish_one(item, reading, lifetime, starts=starts)
            elif item.key in self.guard.held:
                self._waiting[item.key] = (item, reading, lifetime)
        self._publish_state()
        self._watch.keep()
        self.scalers.keep()

    def _known(self, item: PlanItem, reading: Reading) -> PlanItem:
        """The item with what its unit (and what is on its M-Bus channel) tells of it."""
        return with_class(item, reading.unit, self._readings.get(f"mbus_{item.attribute.obis[1]}_device_type"))

    def _identify(self, readings: Sequence[tuple[PlanItem, Reading, float]]) -> None:
        """Another meter than before: every counter of it is a new start, its scalers are its own, and it is told."""
        change = self._watch.identify(readings)
        if change:
            self.scalers.forget()
            details = {"key": change.key, "old": change.old, "new": change.new}
            self.event("meter_changed", readings[0][1].time, details)

    def accept_held(self) -> list[str]:
        """Publish what is held back; the keys."""
        keys = self.guard.accept()
        self._watch.keep(now=True)
        waiting = [self._waiting.pop(key) for key in keys if key in self._waiting]
        for row in waiting:
            self._publish_one(*row)
        self._publish_state()
        return keys

    def _publish_one(self, item: PlanItem, reading: Reading, lifetime: float, *, starts: bool = False) -> None:
        reading = replace(reading, key=item.key)
        message = reading_json(self.id, reading) | ({"start": True} if starts else {})
        self._context.publisher.store_and_forward(self.topics.reading, message)
        if reading.value is None or reading.quality in UNUSABLE:
            return
        self._tell_alarms(item, reading)
        self._readings[item.key] = reading
        self._entities[item.key] = (item, reading.unit)
        self._show(item.key, reading.value, reading.time, lifetime)
        for key, is_set in bits_of(item, reading).items():
            self._show(key, is_set, reading.time, lifetime)

    def _tell_alarms(self, item: PlanItem, reading: Reading) -> None:
        """An alarm register whose bits change is an event for each of them; the first reading only shows."""
        before = self._readings.get(item.key)
        words = [row.value for row in (before, reading) if row is not None and isinstance(row.value, Decimal)]
        if not is_alarm(item) or len(words) < 2:
            return
        old, new = map(int, words)
        for bit in range((old | new).bit_length()):
            if (old ^ new) >> bit & 1:
                name = item.quantity.words.get(bit, f"bit {bit}")
                kind = "alarm" if new >> bit & 1 else "alarm_cleared"
                self.event(kind, reading.time, {"key": item.key, "bit": bit, "name": name})

    def _show(self, key: str, value: Any, time: datetime, lifetime: float) -> None:
        self.state.update(key, Value(value, time, self._context.clock.monotonic() + lifetime))
        self._context.publisher.retain(self.topics.value(key), plain_text(value))

    def expire(self) -> None:
        """Drop what is too old from every topic."""
        gone = self.state.expire(self._context.clock.monotonic())
        for key in gone:
            self._context.publisher.retain(self.topics.value(key), "")
        if gone:
            self._publish_state()

    def _publish_state(self) -> None:
        payload = self.state.payload(self._context.clock.monotonic())
        self._context.publisher.retain(self.topics.state, dumps(payload))

    def clear_stranger(self, topic: str) -> None:
        """A retained value of an earlier run: cleared unless it is fresh now."""
        key = topic.removeprefix(self.topics.value(""))
        if key not in self.state.fresh(self._context.clock.monotonic()):
            self._context.publisher.retain(topic, "")

    @property
    def last(self) -> Mapping[str, Reading]:
        """The last usable reading by key."""
        return self._readings

    # -- availability and events --------------------------------------------------------------------------------------

    def set_online(self, online: bool) -> None:
        """Publish availability when it changes."""
        if online != self.online:
            self.online = online
            self._context.publisher.retain(self.topics.availability, "online" if online else "offline")
            self._publish_state()  # also at the start: what a killed bridge left there is stale

    def event(self, event_type: str, time: datetime, details: Mapping[str, Any]) -> None:
        """Publish an event, stored and forwarded."""
        message = {"event_type": event_type, "time": time.isoformat(timespec="seconds"), **details}
        self._context.publisher.store_and_forward(self.topics.event, message)

    def profile(self, key: str, message: Mapping[str, Any]) -> None:
        """Publish rows of a profile, stored and forwarded."""
        self._context.publisher.store_and_forward(self.topics.profile(key), {"meter": self.id, **message})

    def flush_readings(self) -> None:
        """Let what was handed over survive a kill."""
        self._context.publisher.keep()

    # -- discovery ----------------------------------------------------------------------------------------------------

    def announce(self, plan: Plan | None) -> None:
        """Publish the device message when it says something new; ``plan`` None: nothing is known of the meter yet."""
        discovery = self._context.discovery
        facts = plan, self._device(), {key: self._shape(key) for key in self._entities}
        if not discovery.enabled or facts == self._facts:
            return  # nothing that goes into it has changed since: most cycles end here
        self._facts = facts
        entities = self._all_entities(plan)
        before = self._remembered()
        pushed = self._pushed_before(before)
        # a meter that is silent after a restart keeps what it had, and so does a list that is pushed but now and then
        known: dict[str, Any] = before.get("components", {})
        kept = {name: known[name] for name in known if plan is None or name in pushed}
        removed = [name for name in known if name not in kept]
        payload = meter_payload(self._context.topics, self._device(), entities, self._context.version, removed)
        payload["components"] = {**kept, **payload["components"]}
        if kept:
            payload["device"] = {**before.get("device", {}), **payload["device"]}
        text = dumps(payload)
        if text != self._announced:
            self._announced = text
            self._context.publisher.retain(self._discovery_topic, text)
            if plan is None and not before:
                return  # nothing worth a write to the disk
            pushed |= {component_name(entity) for entity in self._pushed_entities(plan)}
            self._remember({**payload, "pushed": sorted(pushed), "said": self._said}, before)

    def _shape(self, key: str) -> tuple[object, bool]:
        """What decides about the entity of a value: unit, kind and offset, and whether it is too long for one."""
        (item, unit), value = self._entities[key], self._readings[key].value
        told = unit, item.quantity, self.guard.offsets.get(key)
        return told, isinstance(value, str) and len(value) > LONGEST_STATE

    def _pushed_before(self, before: Mapping[str, Any]) -> set[str]:
        """Components that a push brought, also in an earlier run, unless the configuration changed since."""
        return set(before.get("pushed", ())) if before.get("said") == self._said else set()

    @property
    def _discovery_topic(self) -> str:
        return self._context.topics.discovery(self._context.topics.device(self.id))

    def _all_entities(self, plan: Plan | None) -> list[Entity]:
        language = self._context.discovery.language
        features = (*self._features, *(("clock",) if plan and "clock" in plan.by_key else ()))
        if plan and any(map(is_alarm, plan.items)):
            features = (*features, "events")
        if "clock" in features and self._context.discovery.datetime:
            features = (*features, "datetime")
        entities = [*built_in(features, language), *action_entities(self.config.actions)]
        for item in plan.items if plan else ():
            entities += self._entities_of(item, language)
        entities += self._pushed_entities(plan)
        chosen = {item.key for item in plan.items if item.said is not None} if plan else set()
        values = {key: reading.value for key, reading in self._readings.items()}
        return lean({(entity.platform, entity.key): entity for entity in entities}.values(), chosen, values)

    def _pushed_entities(self, plan: Plan | None) -> list[Entity]:
        planned, language = plan.by_key if plan else {}, self._context.discovery.language
        items = [item for key, (item, _) in self._entities.items() if key not in planned]
        return [entity for item in items for entity in self._entities_of(item, language)]

    def _entities_of(self, item: PlanItem, language: str) -> list[Entity]:
        reading = self._readings.get(item.key)
        quantity = self._entities.get(item.key, (item, ""))[0].quantity
        if reading is not None:
            quantity = replace(quantity, unit=reading.unit)
            if self._shape(item.key)[1]:
                return []
        wanted = self._context.discovery
        found = value_entities(quantity, item.said, language, reactive=wanted.reactive_energy, moments=wanted.datetime)
        offset = self.guard.offsets.get(item.key)
        return [replace(entity, offset=offset) for entity in found]

    def _device(self) -> Device:
        def text(*keys: str) -> str:
            return next((str(self._readings[key].value) for key in keys if key in self._readings), "")

        name = text("logical_device_name")
        maker = name[:3] if name[:3].isalpha() and name[:3].isupper() else ""
        return Device(
            self.id,
            self.config.name or self.id,
            text(*KEYS[:2]),
            maker,
            name[3:6] if maker and name[3:6].strip("0") else "",
            text("firmware"),
        )

    def _remembered(self) -> dict[str, Any]:
        try:
            found = self._context.store.get("discovery", self.id)
        except StoreError:
            found = None
        return found if isinstance(found, dict) else {}

    def _remember(self, payload: dict[str, Any], before: dict[str, Any]) -> None:
        import json

        plain = json.loads(dumps(payload))
        if plain != before:
            try:
                self._context.store.set("discovery", self.id, plain)
            except StoreError as error:
                _LOG.debug("%s: discovery is not remembered: %s", self.id, error.message)

    def remove(self) -> None:
        """The meter is gone: clear every topic of it."""
        clear_meter(self.id, self._context, self.state.fresh(0))
        self.online = None

    def close(self) -> None:
        """Before the bridge ends."""
        self._watch.keep(now=True)


def is_alarm(item: PlanItem) -> bool:
    """Is this an alarm register (0.x.97.98.0-9.255)?"""
    obis = item.attribute.obis
    return obis[0] == 0 and obis[2:4] == b"\x61\x62" and obis[4] < 10


def put_to_sleep(meter_id: str, context: Context) -> None:
    """A meter that is switched off: offline and without values, also where a killed bridge left them."""
    topics = context.topics.meter(meter_id)
    context.publisher.retain(topics.availability, "offline")
    context.publisher.retain(topics.state, dumps(MeterState().payload(0)))


def clear_meter(meter_id: str, context: Context, keys: Iterable[str]) -> None:
    """Clear the topics of a meter that is no more."""
    topics = context.topics.meter(meter_id)
    names = [topics.availability, topics.state]
    if meter_id not in context.topics.aliases.values():  # else its device is another meter's now
        names.append(context.topics.discovery(context.topics.device(meter_id)))
    for topic in (*names, *(topics.value(key) for key in keys)):
        context.publisher.retain(topic, "")
    try:
        for space in ("discovery", "guard", SCALERS, "lockout", PEER_COUNTERS):
            context.store.forget(space, meter_id)
    except StoreError as error:
        _LOG.debug("%s: the store does not forget: %s", meter_id, error.message)
