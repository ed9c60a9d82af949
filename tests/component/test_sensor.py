"""The entities of our own: how each meter is, in Home Assistant's language, on a device that leads to its values."""

from __future__ import annotations

from typing import Any

import pytest
from component_fixtures import Broker, add_mqtt_device, settle
from fake_bridge import FakeBridge
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.dlms_mqtt.const import CONF_HISTORY, CONF_METER, DOMAIN
from custom_components.dlms_mqtt.coordinator import find_device

STATUS = "sensor.house_meter_status"
HISTORY = "sensor.house_energy_history"


@pytest.fixture
async def house(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> MockConfigEntry:
    bridge.stored["house"] = {"name": "House", "connection": {}}
    bridge.health["house"] = {"status": "ok"}
    await tell(hass, broker, bridge)
    return entry


async def tell(hass: HomeAssistant, broker: Broker, bridge: FakeBridge) -> None:
    broker.fire(bridge.publish_info())
    broker.fire(bridge.publish_health())
    await settle(hass)


def state(hass: HomeAssistant, entity: str = STATUS) -> Any:
    found = hass.states.get(entity)
    assert found
    return found


async def test_status_and_what_went_wrong(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    assert state(hass).state == "ok"
    assert state(hass).attributes["last_error"] is None
    bridge.health["house"] = {
        "status": "no_answer",
        "error": {"code": "no-answer"},
        "next_try": "2026-11-29T20:00:00+00:00",
    }
    await tell(hass, broker, bridge)
    assert state(hass).state == "no_answer"
    assert state(hass).attributes["last_error"].startswith("No answer from the meter.")
    assert state(hass).attributes["next_try"].startswith("2026-11-29")
    bridge.health["house"] = {"status": "of a newer bridge"}
    await tell(hass, broker, bridge)
    assert state(hass).state == "unknown"
    broker.fire(bridge.publish_state("offline"))
    await settle(hass)
    assert state(hass).state == "unavailable"


async def test_in_the_language_of_home_assistant(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    hass.config.language = "de"
    bridge.health["house"] = {"status": "no_answer", "error": {"code": "no-answer"}}
    await tell(hass, broker, bridge)
    assert state(hass).attributes["last_error"].startswith("Keine Antwort")


async def test_another_language_renames_at_once(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    """Not only after a restart; whatever else is configured disturbs nobody."""
    coordinator = house.runtime_data
    await hass.config.async_update(time_zone="Europe/Oslo")
    await settle(hass)
    assert house.runtime_data is coordinator
    await hass.config.async_update(language="de")
    await settle(hass)
    assert state(hass).name == "House Zählerstatus"
    assert (row := er.async_get(hass).async_get(STATUS)) and row.original_name == "Zählerstatus"


async def test_the_device_leads_to_the_values(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    def own() -> dr.DeviceEntry:
        (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), house.entry_id)
        return device

    assert own().configuration_url is None
    assert own().identifiers == {(DOMAIN, "main_house")}
    assert own().entry_type is dr.DeviceEntryType.SERVICE
    device = add_mqtt_device(hass, "house")
    bridge.stored["house"]["name"] = "Home"
    await tell(hass, broker, bridge)
    assert own().configuration_url == f"homeassistant://config/devices/device/{device.id}"
    assert own().name == "Home"


async def test_meters_come_and_go(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    bridge.health["garden"] = {"status": "paused"}
    await tell(hass, broker, bridge)
    assert state(hass, "sensor.garden_meter_status").state == "paused"
    del bridge.yaml["garden"]
    await tell(hass, broker, bridge)
    assert hass.states.get("sensor.garden_meter_status") is None
    assert await hass.config_entries.async_unload(house.entry_id)
    assert state(hass).state == "unavailable"


async def test_the_history_is_shown_where_it_is_filled(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    registry = er.async_get(hass)
    row = registry.async_get(HISTORY)
    assert row and row.disabled_by is er.RegistryEntryDisabler.INTEGRATION
    registry.async_update_entity(HISTORY, disabled_by=None)
    assert await hass.config_entries.async_reload(house.entry_id)
    await settle(hass)
    assert state(hass, HISTORY).state == "off"
    (subentry,) = house.subentries.values()
    data = {CONF_METER: "house", CONF_HISTORY: 30}
    hass.config_entries.async_update_subentry(house, subentry, data=data)
    await settle(hass)
    assert state(hass, HISTORY).state == "waiting"
    history = house.runtime_data.history
    history.running["house"] = {"done": 1, "total": 30}
    house.runtime_data.changed()
    assert state(hass, HISTORY).state == "filling"
    assert state(hass, HISTORY).attributes["days_done"] == 1
    history.running.clear()
    for last, shown in (({"error": "busy"}, "failed"), ({"entities": {"x": {"hours": 5}}}, "complete")):
        history.last["house"] = {"time": "2026-11-29T20:00:00+00:00", **last}
        house.runtime_data.changed()
        assert state(hass, HISTORY).state == shown
    assert state(hass, HISTORY).attributes["hours"] == 5


async def test_the_device_that_the_bridge_names(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    """With a base topic of its own a bridge has identifiers of its own."""
    add_mqtt_device(hass, "house")
    ours = add_mqtt_device(hass, "house", devices="dlms_mqtt-attic")
    bridge.devices = "dlms_mqtt-attic"
    await tell(hass, broker, bridge)
    device = dr.async_get(hass).async_get(er.async_get(hass).async_get(STATUS).device_id)  # type: ignore[union-attr, arg-type]
    assert device
    assert device.configuration_url == f"homeassistant://config/devices/device/{ours.id}"


async def test_a_device_of_another_entry_of_mqtt(hass: HomeAssistant, broker: Broker) -> None:
    entry = MockConfigEntry(domain="mqtt", title="Another broker")
    entry.add_to_hass(hass)
    made = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mqtt", "dlms_mqtt_house")}
    )
    found = find_device(hass, "dlms_mqtt_house")
    assert found
    assert found.id == made.id
    assert find_device(hass, None) is None
