"""What Home Assistant shows of each meter by itself, in its own language: how the meter is, and its history's fill.

The meter's values are entities of MQTT discovery. A device belongs to one integration only: ours leads to MQTT's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import CONF_HISTORY, DOMAIN, STATUSES
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry
from .errors import in_sentence, local_time
from .problems import error_of

PARALLEL_UPDATES = 0  # nothing is written, nothing is polled
FILLS = ("off", "waiting", "filling", "complete", "failed")


async def async_setup_entry(
    hass: HomeAssistant, entry: DlmsMqttConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Entities for every meter's subentry, those that come later too."""
    known: set[str] = set()

    @callback
    def add_new() -> None:
        known.intersection_update(entry.subentries)
        for subentry in entry.subentries.values():
            if subentry.subentry_id not in known:
                known.add(subentry.subentry_id)
                entities = [MeterStatus(entry.runtime_data, subentry), MeterHistory(entry.runtime_data, subentry)]
                async_add_entities(entities, config_subentry_id=subentry.subentry_id)

    entry.async_on_unload(entry.runtime_data.listen(add_new))
    add_new()


class MeterEntity(SensorEntity):
    """One meter's entity on its own device, which leads to the one with the values."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_device_class = SensorDeviceClass.ENUM
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, bridge: BridgeCoordinator, subentry: ConfigSubentry, options: Iterable[str]) -> None:
        self.bridge = bridge
        self._attr_options = list(options)
        self.meter = str(subentry.unique_id)
        self.subentry_id = subentry.subentry_id
        self._attr_unique_id = f"{bridge.api.bridge}_{self.meter}_{self.translation_key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, f"{bridge.api.bridge}_{self.meter}")},
            entry_type=DeviceEntryType.SERVICE,
            name=subentry.title,
            configuration_url=self._values_url(),
        )

    def _values_url(self) -> str | None:
        device = self.bridge.device(self.meter)
        return f"homeassistant://config/devices/device/{device.id}" if device else None

    async def async_added_to_hass(self) -> None:
        """Follow what the bridge says."""
        self.async_on_remove(self.bridge.listen(self._changed))
        self._take()

    @callback
    def _changed(self) -> None:
        self._take()
        self._keep_device()
        self.async_write_ha_state()

    @callback
    def _take(self) -> None:
        """Take over what is known now."""

    def _keep_device(self) -> None:
        """Name and link follow: the meter may be renamed, and MQTT's device may come later than ours."""
        subentry, device = self.bridge.entry.subentries.get(self.subentry_id), self.device_entry
        if subentry is None or device is None:
            return
        wanted = {"name": subentry.title, "configuration_url": self._values_url()}
        if any(getattr(device, key) != value for key, value in wanted.items()):
            changed = dr.async_get(self.hass).async_update_device(device.id, **wanted)  # type: ignore[arg-type]
            self.device_entry = changed or device

    @property
    def available(self) -> bool:
        """Without its bridge nobody knows."""
        return bool(self.bridge.online)


class MeterStatus(MeterEntity):
    """How the meter is, with the last error in a sentence and the next try."""

    _attr_translation_key = "meter_status"

    def __init__(self, bridge: BridgeCoordinator, subentry: ConfigSubentry) -> None:
        super().__init__(bridge, subentry, STATUSES)

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


class MeterHistory(MeterEntity):
    """How far the gaps are filled from the load profile."""

    _attr_translation_key = "meter_history"

    def __init__(self, bridge: BridgeCoordinator, subentry: ConfigSubentry) -> None:
        super().__init__(bridge, subentry, FILLS)
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
