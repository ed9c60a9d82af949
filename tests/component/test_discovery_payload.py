"""The bridge's discovery messages in a real Home Assistant: accepted, with states, and the commands that come back."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from component_fixtures import Broker, settle
from fake_bridge import Message
from homeassistant.const import MAJOR_VERSION, MINOR_VERSION
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections.item import Action, Item
from dlms_mqtt.bridge.homeassistant.discovery import Device, bridge_payload, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import Entity, action_entities, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.catalogue.quantity import Kind
from dlms_mqtt.protocol.obis import Obis

TOPICS = Topics("dlms_mqtt", "main")
ROOT = TOPICS.meter("house").root
HAS_DATETIME = (MAJOR_VERSION, MINOR_VERSION) >= (2026, 5)
FEATURES = ("clock", "ciphering", "held", "poll", "events")
#: key -> (OBIS, class, attribute, what the user says, a state)
VALUES: dict[str, tuple[str, int, int, Item | None, str]] = {
    "energy_import": ("1.0.1.8.0.255", 3, 2, None, "123.456"),
    "reactive_energy_import": ("1.0.3.8.0.255", 3, 2, None, "1.5"),
    "power": ("1.0.16.7.0.255", 3, 2, None, "-250"),
    "voltage_l1": ("1.0.32.7.0.255", 3, 2, None, "231.4"),
    "power_factor": ("1.0.13.7.0.255", 3, 2, None, "0.98"),
    "clock": ("0.0.1.0.0.255", 8, 2, None, "2026-01-01T06:00:00+01:00"),
    "serial_number": ("0.0.96.1.0.255", 1, 2, None, "12345678"),
    "limit": ("0.0.94.34.1.255", 1, 2, Item(writable=True, min=0, max=10, step=0.5, unit="A"), "2.5"),
    "tariff": ("0.0.94.34.2.255", 1, 2, Item(writable=True, values={1: "day", 2: "night"}), "day"),
    "label": ("0.0.94.34.3.255", 1, 2, Item(writable=True, max_length=12), "kitchen"),
}
MOMENTS = {"start": ("datetime", "2026-01-01T06:00:00+01:00"), "night": ("time", "22:00:00")}


def _entities() -> list[Entity]:
    found = [*built_in(FEATURES, "en"), *action_entities({"restart": Action(name="Restart")})]
    for key, (obis, class_id, attribute, said, _) in VALUES.items():
        meant = replace(quantity(Obis.parse(obis), class_id, attribute), key=key)
        if said:
            kind = Kind.ENUM if said.values else Kind.TEXT if said.max_length else Kind.NUMBER
            meant = replace(meant, kind=kind, words=said.values)
        found += value_entities(meant, said, "en")
    return found


def _moments() -> list[Entity]:
    start = replace(quantity(Obis.parse("0.0.94.34.4.255")), key="start", kind=Kind.TIMESTAMP)
    night = replace(quantity(Obis.parse("0.0.94.34.5.255")), key="night", kind=Kind.TEXT)
    setting = [entity for entity in built_in(("datetime",), "en") if entity.platform == "datetime"]
    return [
        *value_entities(start, Item(writable=True, type="date-time"), "en", moments=True),
        *value_entities(night, Item(writable=True, type="time"), "en", moments=True),
        *setting,
    ]


async def announce(hass: HomeAssistant, broker: Broker, entities: list[Entity], states: dict[str, str]) -> None:
    """What the bridge publishes for a meter with these entities."""
    payload = json.dumps(meter_payload(TOPICS, Device("house", "House", "123"), entities, "1.0"))
    broker.fire(Message(TOPICS.discovery("dlms_mqtt_bridge_main"), json.dumps(bridge_payload(TOPICS, "B", "1", "en"))))
    broker.fire(Message(TOPICS.discovery("dlms_mqtt_house"), payload))
    await settle(hass)
    broker.fire(Message(TOPICS.state, "online"))
    broker.fire(Message(TOPICS.meter("house").availability, "online"))
    broker.fire(Message(TOPICS.meter("house").state, json.dumps({**states, "_time": {}})))
    for key, text in states.items():
        broker.fire(Message(TOPICS.meter("house").value(key), text))
    await settle(hass)


async def test_every_entity_is_made_and_has_its_state(
    hass: HomeAssistant, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    states = {key: row[-1] for key, row in VALUES.items()}
    await announce(hass, broker, _entities(), states)
    expected = {"energy_import": "123.456", "power": "-250", "clock": "2026-01-01T05:00:00+00:00", "limit": "2.5"}
    found = {state.entity_id.partition(".")[2]: state.state for state in hass.states.async_all()}
    for key, state in (states | expected).items():
        assert found[f"house_{key}"] == state, key
    for entity in _entities():
        assert not entity.enabled or f"house_{entity.key}" in found
    # an expired value is cleared: unavailable, and no complaint about an empty payload
    broker.fire(Message(TOPICS.meter("house").state, '{"_time": {}}'))
    for key in states:
        broker.fire(Message(TOPICS.meter("house").value(key), ""))
    await settle(hass)
    assert {hass.states.get(f"sensor.house_{key}").state for key in ("power", "clock")} == {"unavailable"}  # type: ignore[union-attr]
    said = [row.getMessage() for row in caplog.records if row.levelno >= logging.WARNING and "mqtt" in row.name]
    assert said == []


async def test_a_bridge_that_gets_another_id_or_base_topic_leaves_no_error_in_the_log(
    hass: HomeAssistant, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its topics are cleared while the entities are still there."""
    await announce(hass, broker, _entities(), {key: row[-1] for key, row in VALUES.items()})
    health = {"status": "ok", "reasons": [], "counters": {"unsent": 0}, "meters": {"house": {"status": "ok"}}}
    broker.fire(Message(TOPICS.health, json.dumps(health)))
    await settle(hass)
    meter = TOPICS.meter("house")
    for topic in (TOPICS.info, TOPICS.health, TOPICS.state, meter.state, meter.availability, *map(meter.value, VALUES)):
        broker.fire(Message(topic, ""))
    await settle(hass)
    loud = [row for row in caplog.records if row.levelno >= logging.WARNING]
    assert [row.getMessage() for row in loud if "mqtt" in row.name or "template" in row.name] == []


async def test_after_a_power_cut_of_broker_and_bridge_nothing_looks_alive(hass: HomeAssistant, broker: Broker) -> None:
    """The broker comes back with what it kept, forgets it after a while, and tells nobody so."""

    def states() -> set[str]:
        found = [hass.states.get(f"sensor.house_{key}") for key in ("power", "energy_import", "status")]
        return {state.state for state in found if state}

    async def wait(seconds: float) -> None:
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=seconds))
        await settle(hass)

    def speak() -> None:
        health = {"meters": {"house": {"status": "ok"}}}
        broker.fire(Message(TOPICS.health, json.dumps(health)))
        for key in ("power", "energy_import"):
            broker.fire(Message(TOPICS.meter("house").value(key), "5"))

    entities = [replace(entity, expires=240) for entity in _entities()]
    await announce(hass, broker, entities, {"power": "5", "energy_import": "5"})
    speak()
    await settle(hass)
    assert states() == {"5", "ok"}
    await wait(200)
    assert states() == {"5", "ok"}
    await wait(300)
    assert states() == {"unavailable"}
    speak()
    await settle(hass)
    assert states() == {"5", "ok"}
    # told anew, they are unavailable until the bridge says the values once more
    payload = meter_payload(TOPICS, Device("house", "House", "123", firmware="2"), entities, "1.0")
    broker.fire(Message(TOPICS.discovery("dlms_mqtt_house"), json.dumps(payload)))
    await settle(hass)
    assert states() == {"unavailable"}
    speak()
    await settle(hass)
    assert states() == {"5", "ok"}


@pytest.mark.skipif(not HAS_DATETIME, reason="MQTT has datetime and time entities since Home Assistant 2026.5")
async def test_datetime_and_time_entities(
    hass: HomeAssistant, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    states = {key: text for key, (_, text) in MOMENTS.items()} | {"clock": "2026-01-01T06:00:00+01:00"}
    await announce(hass, broker, _moments(), states)

    def state(entity_id: str) -> Any:
        found = hass.states.get(entity_id)
        return found and found.state

    assert state("datetime.house_start") == state("datetime.house_clock_setting") == "2026-01-01T05:00:00+00:00"
    assert state("time.house_night") == "22:00:00"
    await hass.services.async_call(
        "datetime", "set_value", {"entity_id": "datetime.house_start", "datetime": "2026-07-01 06:30:00+02:00"}, True
    )
    await hass.services.async_call(
        "datetime",
        "set_value",
        {"entity_id": "datetime.house_clock_setting", "datetime": "2026-07-01 06:30:00+02:00"},
        True,
    )
    await hass.services.async_call("time", "set_value", {"entity_id": "time.house_night", "time": "21:15:30"}, True)
    sent = dict(row.split(" ", 1) for row in broker.published if row.startswith(ROOT))
    assert sent == {
        f"{ROOT}/set/start": "2026-07-01T06:30:00+02:00",
        f"{ROOT}/request/clock": '{"set": "2026-07-01 06:30:00+02:00"}',
        f"{ROOT}/set/night": "21:15:30",
    }
    # parts that are not specified, and an expired value
    broker.fire(Message(TOPICS.meter("house").value("night"), "*:*:*"))
    broker.fire(Message(TOPICS.meter("house").value("start"), ""))
    await settle(hass)
    assert state("time.house_night") == state("datetime.house_start") == "unknown"
    said = [row.getMessage() for row in caplog.records if row.levelno >= logging.WARNING and "mqtt" in row.name]
    assert said == []


async def test_an_upgrade_from_0_1_0(hass: HomeAssistant, broker: Broker) -> None:
    """Entities of the version before stay enabled under their ids; of a new meter there is the lean set only."""
    entities = er.async_get(hass)
    before = json.loads((Path(__file__).parents[1] / "bridge" / "discovery-0.1.0.json").read_text())
    held = ("sensor_held_value", "button_accept_energy")

    async def hear(message: dict[str, Any]) -> None:
        broker.fire(Message("homeassistant/device/dlms_mqtt_house/config", json.dumps(message), True))
        await settle(hass)

    def enabled() -> dict[str, str]:
        rows = entities.entities.values()
        return {row.unique_id: row.entity_id for row in rows if row.platform == "mqtt" and row.disabled_by is None}

    await hear(before)
    first = enabled()
    assert len(first) == 53
    after = {name: {**row, "enabled_by_default": False} for name, row in before["components"].items()}
    await hear({**before, "components": after | {name: {"platform": name.partition("_")[0]} for name in held}})
    gone = {f"dlms_mqtt_house_{name.partition('_')[2]}" for name in held}
    assert enabled() == {key: entity for key, entity in first.items() if key not in gone}
    await hear(before)  # something is held
    assert enabled() == first


async def test_the_lean_default_set(hass: HomeAssistant, broker: Broker) -> None:
    payload = json.dumps(meter_payload(TOPICS, Device("new", "New"), lean(_entities(), (), {}), "0.2.0"))
    broker.fire(Message(TOPICS.discovery("dlms_mqtt_new"), payload))
    await settle(hass)
    rows = {row.unique_id: row.disabled_by for row in er.async_get(hass).entities.values()}
    off = er.RegistryEntryDisabler.INTEGRATION
    for key in ("clock", "last_success", "reactive_energy_import", "serial_number", "pause", "read_now"):
        assert rows[f"dlms_mqtt_new_{key}"] is off, key
    for key in ("power", "energy_import", "voltage_l1", "status"):
        assert rows[f"dlms_mqtt_new_{key}"] is None, key
