"""What Home Assistant shows of each meter by itself, in its own language: how the meter is, and its history's fill."""

from __future__ import annotations

from typing import Any

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import CONF_HISTORY, STATUSES
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry
from .entity import MeterEntity, for_every_meter
from .errors import in_sentence, local_time
from .problems import error_of

PARALLEL_UPDATES = 0  # nothing is written, nothing is polled
FILLS = ("off", "waiting", "filling", "complete", "failed")


async def async_setup_entry(
    hass: HomeAssistant, entry: DlmsMqttConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Two entities for every meter."""
    for_every_meter(entry, async_add_entities, [MeterStatus, MeterHistory])


class MeterStatus(MeterEntity, SensorEntity):
    """How the meter is, with the last error in a sentence and the next try."""

    _attr_translation_key = "meter_status"
    _attr_device_class = SensorDeviceClass.ENUM
    _attr_options = list(STATUSES)  # noqa: RUF012 - nobody changes it

    async def async_added_to_hass(self) -> None:
        """The sentence needs the translations, which are loaded with a pause."""
        await super().async_added_to_hass()
        await self._say()

    @callback
    def _changed(self) -> None:
        super()._changed()
        self.hass.async_create_task(self._say_anew())

    @callback
    def _take(self) -> None:
        status = self.bridge.meter_health().get(self.meter, {}).get("status")
        self._attr_native_value = status if status in STATUSES else None

    async def _say_anew(self) -> None:
        before = self._attr_extra_state_attributes
        await self._say()
        if self._attr_extra_state_attributes != before:
            self.async_write_ha_state()

    async def _say(self) -> None:
        health = self.bridge.meter_health().get(self.meter, {})
        error, next_try = error_of(health), health.get("next_try")
        self._attr_extra_state_attributes = {
            "last_error": await in_sentence(self.hass, error) if error else None,
            "next_try": local_time(next_try) if next_try else None,
        }


class MeterHistory(MeterEntity, SensorEntity):
    """How far the gaps are filled from the load profile."""

    _attr_translation_key = "meter_history"
    _attr_device_class = SensorDeviceClass.ENUM
    _attr_options = list(FILLS)  # noqa: RUF012 - nobody changes it

    def __init__(self, bridge: BridgeCoordinator, subentry: ConfigSubentry) -> None:
        super().__init__(bridge, subentry)
        self._attr_entity_registry_enabled_default = bool(subentry.data.get(CONF_HISTORY))

    @callback
    def _take(self) -> None:
        history = self.bridge.history
        running, last = history.running.get(self.meter), history.last.get(self.meter)
        details: dict[str, Any] = {}
        if running is not None:
            state, details = "filling", {"days_done": running["done"], "days": running["total"]}
        elif last is not None:
            state = "failed" if "error" in last else "complete"
            details = {"time": last["time"], "hours": sum(row["hours"] for row in last.get("entities", {}).values())}
        else:
            state = "waiting" if self.meter in dict(history.switched_on()) else "off"
        self._attr_native_value, self._attr_extra_state_attributes = state, details
