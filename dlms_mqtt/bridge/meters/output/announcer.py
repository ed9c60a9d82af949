"""The device message of one meter for Home Assistant: published when it says something new, and remembered on the disk.

A meter that is silent after a restart keeps the entities that it had, and so does a list that is pushed but now and
then; what neither is planned nor was pushed any more is taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zlib import crc32

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.homeassistant.announcement import COMPONENTS, DEVICE, component_topics, messages
from dlms_mqtt.bridge.homeassistant.discovery import Device, component_name, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import LONGEST_STATE, Entity, action_entities, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.bridge.homeassistant.maker import maker, model
from dlms_mqtt.bridge.homeassistant.pace import pace_of
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.reading.identity import KEYS
from dlms_mqtt.bridge.reading.latest_values import expiry, lifetime
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem
from dlms_mqtt.bridge.reading.schedule import Every
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, StoreError
from dlms_mqtt.meter.presets.preset import load_preset
from dlms_mqtt.meter.readings import Reading

_SPACE = "discovery"  # namespace of the store
Shown = Mapping[str, tuple[PlanItem, Reading]]  # what is known of each value by key, and the last reading
Offsets = Mapping[str, Decimal]
Lives = Mapping[str, float]  # how long (s) values live that were read


class Announcer:
    """``features`` of the meter decide which built-in entities it has."""

    def __init__(self, meter_id: str, config: Meter, context: Context, features: Iterable[str]) -> None:
        self._id, self._config, self._context = meter_id, config, context
        self._features = tuple(features)
        self._device_id = context.topics.device(meter_id)
        self._fingerprint = crc32(repr((config.read, config.push, config.derive)).encode())
        self._preset = _family(config.preset)
        self._announced = 0  # a hash of the text, which is long
        self._held = False
        self._lives: Lives = {}
        self._facts: Any = None  # what the last announcement was made of

    def announce(self, plan: Plan | None, shown: Shown, offsets: Offsets, lives: Lives, *, held: bool = False) -> bool:
        """Publish what is new; ``plan`` None: nothing is known of the meter yet; ``held``: a value waits for a word.

        Were entities that Home Assistant had told anew? It then takes what expires for expired until its next message.
        """
        self._held, self._lives = held, lives
        shapes = {key: (*_shape(*row), offsets.get(key), lives.get(key)) for key, row in shown.items()}
        context = self._context
        facts = plan, self._device(shown), shapes, held, context.discovery.language, context.component
        if not self._context.discovery.enabled or facts == self._facts:
            return False  # nothing that goes into it has changed since: most cycles end here
        self._facts = facts
        before = remembered(self._context.store, self._id)
        pushed = self._pushed_before(before)
        payload = self._payload(plan, shown, offsets, before, pushed)
        text = dumps(payload)
        if hash(text) == self._announced:
            return False
        self._announced = hash(text)
        self._retain(payload, text, before)
        if plan is None and not before:
            return False  # nothing worth a write to the disk
        pushed |= {component_name(entity) for entity in self._pushed(plan, shown, offsets)}
        style = self._context.discovery.style
        kept = {**json.loads(text), "pushed": sorted(pushed), "said": self._fingerprint}
        self._remember(kept if style == DEVICE else {**kept, "style": style}, before)
        return bool(before)

    def _retain(self, payload: Mapping[str, Any], text: str, before: Mapping[str, Any]) -> None:
        topics, style = self._context.topics, self._context.discovery.style
        whole = {topics.discovery(self._device_id): text}  # as ``messages`` says, but it is long and written already
        found = whole if style == DEVICE else messages(topics, self._device_id, payload, style)
        if style == DEVICE and before.get("style") == COMPONENTS:
            found |= dict.fromkeys(component_topics(topics, self._device_id, before.get("components", ())), "")
        for topic, text in found.items():
            self._context.publisher.retain(topic, text)

    def _payload(
        self, plan: Plan | None, shown: Shown, offsets: Offsets, before: Mapping[str, Any], pushed: set[str]
    ) -> dict[str, Any]:
        known: dict[str, Any] = before.get("components", {})
        kept = {name: known[name] for name in known if plan is None or name in pushed}
        removed = [name for name in known if name not in kept]
        entities = self._entities(plan, shown, offsets)
        payload = meter_payload(self._context.topics, self._device(shown), entities, self._context.version, removed)
        payload["components"] = {**kept, **payload["components"]}
        if kept:
            payload["device"] = {**before.get("device", {}), **payload["device"]}
        return payload

    # -- entities -----------------------------------------------------------------------------------------------------

    def _entities(self, plan: Plan | None, shown: Shown, offsets: Offsets) -> list[Entity]:
        own = built_in(self._all_features(plan), self._context.discovery.language)
        entities = [
            *(self._told_by_health(entity) for entity in own),
            *action_entities(self._config.actions),
        ]
        for item in plan.items if plan else ():
            entities += self._of_value(item, shown, offsets)
        entities += self._pushed(plan, shown, offsets)
        chosen = {item.key for item in plan.items if item.config is not None} if plan else set()
        values = {key: reading.value for key, (_, reading) in shown.items()}
        found = {(entity.platform, entity.key): entity for entity in entities}
        return lean(found.values(), chosen, values, translated=self._context.component)

    def _told_by_health(self, entity: Entity) -> Entity:
        expires = expiry(lifetime(Every(self._context.health_every))) if entity.source == "health" else 0
        return self._paced(replace(entity, expires=expires), self._config.every)

    def _all_features(self, plan: Plan | None) -> tuple[str, ...]:
        features = (*self._features, *(("clock",) if plan and "clock" in plan.by_key else ()))
        features = (*features, "held") if self._held else features
        if plan and any(item.is_alarm for item in plan.items):
            features = (*features, "events")
        return (*features, "datetime") if "clock" in features and self._context.discovery.datetime else features

    def _pushed(self, plan: Plan | None, shown: Shown, offsets: Offsets) -> list[Entity]:
        planned = plan.by_key if plan else {}
        items = [item for key, (item, _) in shown.items() if key not in planned]
        return [entity for item in items for entity in self._of_value(item, shown, offsets)]

    def _of_value(self, item: PlanItem, shown: Shown, offsets: Offsets) -> list[Entity]:
        quantity = item.quantity
        if item.key in shown:
            known, reading = shown[item.key]
            if _is_too_long(reading):
                return []
            quantity = replace(known.quantity, unit=reading.unit)
        wanted = self._context.discovery
        found = value_entities(
            quantity, item.config, wanted.language, reactive=wanted.reactive_energy, moments=wanted.datetime
        )
        life = max(lifetime(item.schedule), self._lives.get(item.key, 0.0))
        found = (replace(entity, offset=offsets.get(item.key), expires=expiry(life)) for entity in found)
        if item.config or not isinstance(item.schedule, Every):
            return list(found)
        return [self._paced(entity, item.schedule.seconds) for entity in found]

    def _paced(self, entity: Entity, interval: float) -> Entity:
        discovery = self._context.discovery
        if entity.platform != "sensor" or discovery.style != DEVICE:  # those who read the other know no ``this``
            return entity
        return replace(entity, pace=pace_of(entity.device_class, entity.unit, interval, discovery.every))

    def _device(self, shown: Shown) -> Device:
        def text(*keys: str) -> str:
            return next((str(shown[key][1].value) for key in keys if key in shown), "")

        texts = {key: str(reading.value) for key, (_, reading) in shown.items() if isinstance(reading.value, str)}
        return Device(
            self._id,
            self._config.name or self._id,
            text(*KEYS[:2]),
            maker(texts, self._preset),
            model(texts, self._preset),
            text("firmware"),
        )

    # -- the memory ---------------------------------------------------------------------------------------------------

    def _pushed_before(self, before: Mapping[str, Any]) -> set[str]:
        """Components that a push brought, also in an earlier run, unless the configuration changed since."""
        return set(before.get("pushed", ())) if before.get("said") == self._fingerprint else set()

    def _remember(self, kept: dict[str, Any], before: dict[str, Any]) -> None:
        if kept != before:
            self._context.store.set_soon(_SPACE, self._id, kept)


def remembered(store: Store, meter_id: str) -> dict[str, Any]:
    """What was announced of a meter, as it was kept; nothing where that is of another shape."""
    try:
        found = store.get(_SPACE, meter_id)
    except StoreError:
        found = None
    return found if isinstance(found, dict) and _is_message(found) else {}


def _is_message(found: dict[str, Any]) -> bool:
    components, pushed = found.get("components", {}), found.get("pushed", [])
    if not isinstance(components, dict) or not isinstance(pushed, list):
        return False
    parts = [found.get("device", {}), *components.values()]
    return all(isinstance(part, dict) for part in parts) and all(isinstance(name, str) for name in pushed)


def _family(preset: str) -> dict[str, Any]:
    """What a preset says of its meters; one that cannot be read is told where its connection is made."""
    try:
        return load_preset(preset)
    except ConfigError:
        return {}


def _shape(item: PlanItem, reading: Reading) -> tuple[object, ...]:
    """What decides about the entity of a value: unit and kind, and whether it is too long for one."""
    return reading.unit, item.quantity, _is_too_long(reading)


def _is_too_long(reading: Reading) -> bool:
    return isinstance(reading.value, str) and len(reading.value) > LONGEST_STATE
