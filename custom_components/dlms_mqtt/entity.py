"""What the entities of a meter share: the device of ours, which leads to MQTT's, and when they are there.

The meter's values are entities of MQTT discovery. A device belongs to one integration only: ours leads to MQTT's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry

type Make = Callable[[BridgeCoordinator, ConfigSubentry], Entity]


def for_every_meter(
    entry: DlmsMqttConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback, kinds: Iterable[Make]
) -> None:
    """Entities for every meter's subentry, those that come later too."""
    known: set[str] = set()
    kinds = tuple(kinds)

    @callback
    def add_new() -> None:
        known.intersection_update(entry.subentries)
        for subentry in entry.subentries.values():
            if subentry.subentry_id not in known:
                known.add(subentry.subentry_id)
                entities = [make(entry.runtime_data, subentry) for make in kinds]
                async_add_entities(entities, config_subentry_id=subentry.subentry_id)

    entry.async_on_unload(entry.runtime_data.listen(add_new))
    add_new()


class MeterEntity(Entity):
    """One meter's entity on its own device, which leads to the one with the values."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, bridge: BridgeCoordinator, subentry: ConfigSubentry) -> None:
        self.bridge = bridge
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
