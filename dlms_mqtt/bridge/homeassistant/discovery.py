"""Home Assistant's device messages out of rows; pure: publishing is someone else's job.

Home Assistant rejects a whole device for one key too many at the top level or in ``device``, so nothing optional goes
there. Components are keyed ``<platform>_<key>``: a value that changes its platform is removed and added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dlms_mqtt.bridge.api.topics import MeterTopics, Topics
from dlms_mqtt.bridge.homeassistant.announcement import platform_of
from dlms_mqtt.bridge.homeassistant.entities import DIAGNOSTIC, Entity
from dlms_mqtt.bridge.homeassistant.pace import paced
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.languages.texts import translated

Component = dict[str, Any]
# A topic that is cleared is empty: Home Assistant logs an error for a template that takes it for JSON.
_HEALTH = "(value_json | default({}, true))"
ORIGIN_NAME = "dlms-mqtt"


@dataclass(frozen=True, slots=True)
class Device:
    """Who the meter is, as far as it is known."""

    id: str
    name: str
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""


def meter_payload(
    topics: Topics, device: Device, entities: Iterable[Entity], version: str, removed: Iterable[str] = ()
) -> dict[str, Any]:
    """The device message of one meter; ``removed`` are component names of before that are taken away."""
    place = _Place(topics, topics.meter(device.id), topics.device(device.id), device.id)
    components = {component_name(entity): _component(place, entity) for entity in entities}
    return {
        "origin": {"name": ORIGIN_NAME, "sw_version": version},
        "device": _device(topics, device),
        "components": {**_removals(removed, components), **components},
    }


def bridge_payload(topics: Topics, name: str, version: str, language: str, expires: int = 0) -> dict[str, Any]:
    """The device message of the bridge itself; ``expires``: seconds without a message that say that it is gone."""
    identifier = topics.bridge_device
    place = _Place(topics, topics.meter(""), identifier, f"bridge_{topics.bridge}")
    return {
        "origin": {"name": ORIGIN_NAME, "sw_version": version},
        "device": {"identifiers": [identifier], "name": name, "model": "dlms-mqtt", "sw_version": version},
        "components": {
            component_name(entity): {
                **_bridge_component(place, entity, template, translated(entity.name, language)),
                **_expiry(entity.platform, expires),
            }
            for entity, template in BRIDGE
        },
    }


def _removals(removed: Iterable[str], components: Mapping[str, Component]) -> dict[str, Component]:
    gone = [name for name in removed if name not in components]
    return {name: {"platform": platform_of(name)} for name in gone}


def component_name(entity: Entity) -> str:
    """Its key among the components of a device message."""
    return f"{entity.platform}_{entity.key}"


def _device(topics: Topics, device: Device) -> dict[str, Any]:
    facts = {
        "name": device.name,
        "serial_number": device.serial,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "model_id": "DLMS",
        "sw_version": device.firmware,
        "via_device": topics.bridge_device,
    }
    return {"identifiers": [topics.device(device.id)], **{key: value for key, value in facts.items() if value}}


@dataclass(frozen=True, slots=True)
class _Place:
    topics: Topics
    meter: MeterTopics
    identifier: str
    id: str

    def health(self, field: str) -> str:
        """A template for one field of this meter in the bridge's health."""
        return f"{{{{ {_HEALTH}.get('meters', {{}}).get('{self.id}', {{}}).get('{field}') }}}}"

    def health_attributes(self, fields: Iterable[str]) -> str:
        pairs = ", ".join(f"'{name}': m.get('{name}')" for name in fields)
        start = f"{{% set m = {_HEALTH}.get('meters', {{}}).get('{self.id}', {{}}) %}}"
        return f"{start}{{{{ {{{pairs}}} | tojson }}}}"


def _component(place: _Place, entity: Entity) -> Component:
    component = _common(place, entity)
    component |= _STATES[entity.source](place, entity)
    component |= _PLATFORMS[entity.platform](place, entity)
    component |= _expiry(entity.platform, entity.expires)
    if entity.command:
        component["command_topic"] = f"{place.meter.root}/{entity.command}"
    return component


def _expiry(platform: str, seconds: int) -> Component:
    """Home Assistant is told of no message that the broker forgets: after a power cut all would look alive for ever."""
    return {"expire_after": seconds} if seconds and platform in _EXPIRING else {}


_EXPIRING = ("sensor", "binary_sensor")  # other platforms know no expire_after


def _common(place: _Place, entity: Entity) -> Component:
    slug = place.id.replace("-", "_")
    component: Component = {
        "platform": entity.platform,
        "unique_id": f"{place.identifier}_{entity.key}",
        "name": entity.name,
        # 2025.4 reads object_id, newer ones default_entity_id; each ignores the other
        "object_id": f"{slug}_{entity.key}",
        "default_entity_id": f"{entity.platform}.{slug}_{entity.key}",
        "availability": _availability(place, entity),
        "availability_mode": "all",
    }
    if entity.category and not (entity.platform in ("sensor", "binary_sensor") and entity.category != DIAGNOSTIC):
        component["entity_category"] = entity.category
    if not entity.enabled:
        component["enabled_by_default"] = False
    if entity.device_class:
        component["device_class"] = entity.device_class
    if entity.key in _ICONS:
        component["icon"] = _ICONS[entity.key]
    return component


# Where no device class brings one: Home Assistant would show an eye.
_ICONS: dict[str, str] = {
    "accept_energy": "mdi:check-circle-outline",
    "alarm": "mdi:bell-alert-outline",
    "disconnect_state": "mdi:power-plug-outline",
    "error": "mdi:alert-circle-outline",
    "event": "mdi:calendar-alert",
    "firmware": "mdi:chip",
    "invocation_counter": "mdi:counter",
    "line_errors": "mdi:alert-outline",
    "line_quality": "mdi:signal",
    "retries": "mdi:repeat",
    "check_errors": "mdi:alert-octagon-outline",
    "sign_on_success": "mdi:handshake-outline",
    "logical_device_name": "mdi:identifier",
    "operating_status": "mdi:list-status",
    "pause": "mdi:pause-circle-outline",
    "read_now": "mdi:refresh",
    "serial_number": "mdi:identifier",
    "set_clock": "mdi:clock-check-outline",
    "status": "mdi:meter-electric-outline",
    "tariff": "mdi:label-percent-outline",
}


def _availability(place: _Place, entity: Entity) -> list[dict[str, str]]:
    bridge = {"topic": place.topics.state}
    if entity.source not in ("value", "event"):
        return [bridge]
    meter = {"topic": place.meter.availability}
    if entity.source == "event":
        return [bridge, meter]
    key = entity.field or entity.key
    present = f"{{{{ 'online' if value_json is mapping and '{key}' in value_json else 'offline' }}}}"
    return [bridge, meter, {"topic": place.meter.state, "value_template": present}]


# A cleared topic is "unknown" to these; without the template Home Assistant warns of an empty time or option.
_EMPTY_IS_NONE = frozenset({"sensor", "number", "select", "datetime"})


def _value_state(place: _Place, entity: Entity) -> Component:
    state: Component = {"state_topic": place.meter.value(entity.field or entity.key)}
    if entity.platform in _EMPTY_IS_NONE:
        expression = f"{_with_offset(entity)} if value else None"
        state["value_template"] = paced(entity.pace, "value", expression) if entity.pace else f"{{{{ {expression} }}}}"
    if entity.platform == "time":  # a part that is not specified is a star
        state["value_template"] = "{{ value if value and '*' not in value else None }}"
    return state


def _with_offset(entity: Entity) -> str:
    """A new meter whose register does not begin at 0 is no consumption: its entity goes on where the old one ended."""
    if not entity.offset:
        return "value"
    return f"(value | float + {entity.offset:f}) | round(6)"


def _health_state(place: _Place, entity: Entity) -> Component:
    template = place.health(entity.field)
    if entity.pace:
        template = f"{{% set known = {template[2:-2]} %}}{paced(entity.pace, 'known', 'known')}"
    state: Component = {"state_topic": place.topics.health, "value_template": template}
    if entity.attributes:
        state["json_attributes_topic"] = place.topics.health
        state["json_attributes_template"] = place.health_attributes(entity.attributes)
    return state


_STATES: dict[str, Callable[[_Place, Entity], Component]] = {
    "value": _value_state,
    "health": _health_state,
    "event": lambda place, entity: {"state_topic": place.meter.event},
    "": lambda place, entity: {},
}


def _sensor(place: _Place, entity: Entity) -> Component:
    facts: Component = {"unit_of_measurement": entity.unit, "state_class": entity.state_class}
    if entity.device_class == "enum":
        facts["options"] = list(entity.options)
    if entity.precision is not None:
        facts["suggested_display_precision"] = entity.precision
    return {key: value for key, value in facts.items() if value not in ("", None)}


def _number(place: _Place, entity: Entity) -> Component:
    facts: Component = {"min": entity.min, "max": entity.max, "step": entity.step, "unit_of_measurement": entity.unit}
    return {"mode": "box", **{key: value for key, value in facts.items() if value not in ("", None)}}


def _switch(place: _Place, entity: Entity) -> Component:
    return {"payload_on": "ON", "payload_off": "OFF", "state_on": "True", "state_off": "False"}


_PLATFORMS: dict[str, Callable[[_Place, Entity], Component]] = {
    "sensor": _sensor,
    "binary_sensor": lambda place, entity: {"payload_on": "on", "payload_off": "off"},
    "number": _number,
    "select": lambda place, entity: {"options": list(entity.options)},
    "text": lambda place, entity: {"max": entity.max_length},
    "button": lambda place, entity: {"payload_press": entity.payload},
    "switch": _switch,
    "event": lambda place, entity: {"event_types": list(entity.options)},
    "datetime": lambda place, entity: {"command_template": entity.payload} if entity.payload else {},
    "time": lambda place, entity: {},
}


BRIDGE: tuple[tuple[Entity, str], ...] = (
    (
        Entity(
            platform="sensor", key="status", name="Status", device_class="enum", options=("ok", "degraded", "failing")
        ),
        f"{{{{ {_HEALTH}.status | default(None) }}}}",
    ),
    (
        Entity(platform="sensor", key="unsent", name="Unsent readings", state_class="measurement", enabled=False),
        f"{{{{ {_HEALTH}.get('counters', {{}}).unsent | default(None) }}}}",
    ),
    (
        Entity(platform="sensor", key="dropped", name="Lost readings", state_class="total_increasing", enabled=False),
        f"{{{{ {_HEALTH}.get('counters', {{}}).dropped | default(None) }}}}",
    ),
    (
        Entity(platform="binary_sensor", key="connection", name="Connection", device_class="connectivity"),
        "",
    ),
)


def _bridge_component(place: _Place, entity: Entity, template: str, name: str) -> Component:
    component = _common(place, entity) | {"name": name, "entity_category": DIAGNOSTIC}
    component["availability"] = [{"topic": place.topics.state}]
    if entity.platform == "binary_sensor":
        del component["availability"], component["availability_mode"]
        return component | {"state_topic": place.topics.state, "payload_on": "online", "payload_off": "offline"}
    component |= _sensor(place, entity) | {"state_topic": place.topics.health, "value_template": template}
    if entity.key == "status":
        component["json_attributes_topic"] = place.topics.health
        component["json_attributes_template"] = f"{{{{ {{'reasons': {_HEALTH}.reasons | default([])}} | tojson }}}}"
    return component
