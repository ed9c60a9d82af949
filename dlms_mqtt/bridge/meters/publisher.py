"""What a meter says on MQTT: values, state, readings, availability, events, discovery. Knows no line, no schedule."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from zlib import crc32

from dlms_mqtt.bridge.api.payload import dumps, plain_text
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections import Discovery, Meter
from dlms_mqtt.bridge.homeassistant.discovery import Device, component_name, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import LONGEST_STATE, Entity, action_entities, built_in, value_entities
from dlms_mqtt.bridge.reading.energy_guard import EnergyGuard, Reason
from dlms_mqtt.bridge.reading.interpret import UNUSABLE, bits_of, reading_json
from dlms_mqtt.bridge.reading.latest_values import MeterState, Value
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_ENERGY = frozenset(("kWh", "kvarh", "kVAh"))
_SERIALS = ("serial_number", "electricity_id", "logical_device_name")
_GUARD_EVERY = 3600.0  # s between two writes of the guard's memory, unless something new has happened
_DID = {Reason.FELL: "fell", Reason.ZERO: "turned zero", Reason.JUMPED: "jumped"}


class Publisher(Protocol):
    """The part of the bridge that a meter speaks through."""

    def retain(self, topic: str, payload: str) -> None:
        """Publish retained."""

    def store_and_forward(self, topic: str, message: Mapping[str, Any]) -> None:
        """Publish through the outbox; ``seq`` is added."""

    def keep(self) -> None:
        """Let what was handed over survive a kill."""


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
        self.guard = EnergyGuard(config.supply.watts)
        self._features = tuple(features)
        self._readings: dict[str, Reading] = {}
        self._entities: dict[str, tuple[PlanItem, str]] = {}
        self._waiting: dict[str, tuple[PlanItem, Reading, float]] = {}  # held back by the guard
        self._announced = ""
        self._facts: Any = None  # what the last announcement was made of
        self._said = crc32(repr((config.read, config.push)).encode())
        self._guard_kept = context.clock.monotonic()
        self.online: bool | None = None
        self._restore_guard()
        self._landmarks = self.guard.landmarks

    # -- values -------------------------------------------------------------------------------------------------------

    def publish(self, readings: Iterable[tuple[PlanItem, Reading, float]]) -> None:
        """New readings: each with its plan item and how long it lives (s)."""
        readings = list(readings)
        self._identify({item.key: reading for item, reading, _ in readings})
        for item, reading, lifetime in readings:
            if self._passes(item, reading):
                self._publish_one(item, reading, lifetime)
            else:
                self._waiting[item.key] = (item, reading, lifetime)
        self._publish_state()
        self._keep_guard(now=self.guard.landmarks != self._landmarks)

    def _identify(self, readings: Mapping[str, Reading]) -> None:
        serial = next((str(readings[key].value) for key in _SERIALS if key in readings and readings[key].value), "")
        if serial:
            self.guard.identify(serial)

    def _passes(self, item: PlanItem, reading: Reading) -> bool:
        watched = self.config.guard and reading.unit in _ENERGY and item.quantity.state_class.startswith("total")
        if not watched or not isinstance(reading.value, Decimal) or reading.quality != Quality.GOOD:
            return True
        rising = item.quantity.cumulative
        was_held = item.key in self.guard.held
        passes = self.guard.check(item.key, reading.value, reading.time.timestamp(), rising=rising)
        if not passes and not was_held:
            held = self.guard.held[item.key]
            _LOG.warning(
                "%s: %s %s is held back: it %s from %s", self.id, item.key, held.value, _DID[held.reason], held.last
            )
        if passes:
            self._waiting.pop(item.key, None)
        return passes

    def accept_held(self) -> list[str]:
        """Publish what is held back; the keys."""
        keys = self.guard.accept()
        self._keep_guard(now=True)
        waiting = [self._waiting.pop(key) for key in keys if key in self._waiting]
        for row in waiting:
            self._publish_one(*row)
        self._publish_state()
        return keys

    def _publish_one(self, item: PlanItem, reading: Reading, lifetime: float) -> None:
        reading = replace(reading, key=item.key)
        self._context.publisher.store_and_forward(self.topics.reading, reading_json(self.id, reading))
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

    def _shape(self, key: str) -> tuple[str, bool]:
        """What decides about the entity of a value: its unit, and whether it is too long for one."""
        value = self._readings[key].value
        return self._entities[key][1], isinstance(value, str) and len(value) > LONGEST_STATE

    def _pushed_before(self, before: Mapping[str, Any]) -> set[str]:
        """Components that a push brought, also in an earlier run, unless the configuration changed since."""
        return set(before.get("pushed", ())) if before.get("said") == self._said else set()

    @property
    def _discovery_topic(self) -> str:
        return self._context.topics.discovery(Device(self.id, "").identifier)

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
        return list({(entity.platform, entity.key): entity for entity in entities}.values())

    def _pushed_entities(self, plan: Plan | None) -> list[Entity]:
        planned, language = plan.by_key if plan else {}, self._context.discovery.language
        items = [item for key, (item, _) in self._entities.items() if key not in planned]
        return [entity for item in items for entity in self._entities_of(item, language)]

    def _entities_of(self, item: PlanItem, language: str) -> list[Entity]:
        reading = self._readings.get(item.key)
        quantity = item.quantity
        if reading is not None:
            quantity = replace(quantity, unit=reading.unit)
            if self._shape(item.key)[1]:
                return []
        wanted = self._context.discovery
        return list(
            value_entities(quantity, item.said, language, reactive=wanted.reactive_energy, moments=wanted.datetime)
        )

    def _device(self) -> Device:
        def text(*keys: str) -> str:
            return next((str(self._readings[key].value) for key in keys if key in self._readings), "")

        name = text("logical_device_name")
        maker = name[:3] if name[:3].isalpha() and name[:3].isupper() else ""
        return Device(
            self.id,
            self.config.name or self.id,
            text(*_SERIALS[:2]),
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

    # -- the guard's memory -------------------------------------------------------------------------------------------

    def _restore_guard(self) -> None:
        try:
            self.guard.restore(self._context.store.get("guard", self.id) or {})
        except (StoreError, ValueError, ArithmeticError):
            _LOG.warning("%s: the energy guard starts without a memory", self.id)

    def _keep_guard(self, *, now: bool = False) -> None:
        if now or self._context.clock.monotonic() - self._guard_kept >= _GUARD_EVERY:
            self._guard_kept, self._landmarks = self._context.clock.monotonic(), self.guard.landmarks
            try:
                self._context.store.set("guard", self.id, self.guard.dump())
            except StoreError as error:
                _LOG.debug("%s: the guard's memory is not kept: %s", self.id, error.message)

    def close(self) -> None:
        """Before the bridge ends."""
        self._keep_guard(now=True)


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
    names = [topics.availability, topics.state, context.topics.discovery(Device(meter_id, "").identifier)]
    for topic in (*names, *(topics.value(key) for key in keys)):
        context.publisher.retain(topic, "")
    try:
        for space in ("discovery", "guard", "lockout", PEER_COUNTERS):
            context.store.forget(space, meter_id)
    except StoreError as error:
        _LOG.debug("%s: the store does not forget: %s", meter_id, error.message)
