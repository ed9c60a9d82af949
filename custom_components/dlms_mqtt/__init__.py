"""Meters read by a dlms-mqtt bridge: set up, changed and repaired from Home Assistant's own pages.

The values themselves come by MQTT discovery; this component adds how each meter is, in the language of Home Assistant.
"""

from __future__ import annotations

from homeassistant.components import mqtt
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .const import CONF_BASE_TOPIC, DOMAIN, SUBENTRY_METER
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry
from .services import register_services

PLATFORMS = [Platform.EVENT, Platform.SENSOR]
CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions: they exist, and are validated, also while no bridge is loaded."""
    register_services(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> bool:
    """Follow one bridge."""
    if not await mqtt.async_wait_for_mqtt_client(hass):
        raise ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="mqtt_unavailable")
    coordinator = BridgeCoordinator(hass, entry)
    entry.async_on_unload(coordinator.stop)
    entry.runtime_data = coordinator
    entry.async_on_unload(entry.add_update_listener(_updated))
    await coordinator.start()
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> bool:
    """Subscriptions and repairs go by themselves; an open form about a meter cannot go on without its bridge."""
    flows = hass.config_entries.subentries
    for flow in flows.async_progress_by_handler((entry.entry_id, SUBENTRY_METER)):
        flows.async_abort(flow["flow_id"])
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def _updated(hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> None:
    """The one listener: another base topic needs a new start, other subentries only a look."""
    if entry.data[CONF_BASE_TOPIC] != entry.runtime_data.api.base:
        hass.config_entries.async_schedule_reload(entry.entry_id)
    else:
        entry.runtime_data.subentries_changed()
