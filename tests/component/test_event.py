"""What happened to a meter is an event in the language of Home Assistant, with its details."""

from __future__ import annotations

import json
from typing import Any

import pytest
from component_fixtures import Broker, settle
from fake_bridge import FakeBridge, Message
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.translation import async_get_translations
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.dlms_mqtt.const import DOMAIN, EVENTS

EVENT = "event.house_meter_event"


@pytest.fixture
async def house(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> MockConfigEntry:
    bridge.stored["house"] = {"name": "House", "connection": {}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    return entry


async def happens(hass: HomeAssistant, broker: Broker, payload: Any, meter: str = "house") -> State:
    """The entity after a message on the event topic of a meter."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    broker.fire(Message(f"dlms_mqtt/meter/{meter}/event", text))
    await settle(hass)
    found = hass.states.get(EVENT)
    assert found
    return found


async def test_an_alarm(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry) -> None:
    state = hass.states.get(EVENT)
    assert state and state.state == "unknown"
    assert state.attributes["event_types"] == list(EVENTS)
    said = {"event_type": "alarm", "time": "2026-11-29T20:00:00+01:00", "key": "alarm", "bit": 3, "name": "cover"}
    state = await happens(hass, broker, said)
    assert state.state != "unknown"
    assert said.items() <= state.attributes.items()


@pytest.mark.parametrize(
    "payload", ["", "no JSON", "[1]", {"event_type": "of a newer bridge"}, {"event_type": ["alarm"]}]
)
async def test_what_is_no_event_is_none(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry, payload: Any
) -> None:
    assert (await happens(hass, broker, payload)).state == "unknown"


async def test_each_meter_has_its_own(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    assert (await happens(hass, broker, {"event_type": "alarm"}, "garden")).state == "unknown"
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    await happens(hass, broker, {"event_type": "notification"}, "garden")
    garden = hass.states.get("event.garden_meter_event")
    assert garden and garden.attributes["event_type"] == "notification"


async def test_on_the_device_of_the_status(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    row = er.async_get(hass).async_get(EVENT)
    assert row and row.unique_id == "main_house_meter_event"
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), house.entry_id)
    assert row.device_id == device.id
    assert device.identifiers == {(DOMAIN, "main_house")}


async def test_without_the_bridge_nobody_knows(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    broker.fire(bridge.publish_state("offline"))
    await settle(hass)
    state = hass.states.get(EVENT)
    assert state and state.state == "unavailable"


async def test_its_types_are_said_in_german(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    texts = await async_get_translations(hass, "de", "entity", {DOMAIN})
    root = f"component.{DOMAIN}.entity.event.meter_event.state_attributes.event_type.state."
    assert texts[f"{root}meter_changed"] == "Zähler ausgetauscht"
    assert all(f"{root}{kind}" in texts for kind in EVENTS)
