"""What happened to a meter, in the language of Home Assistant: alarms, rows of its logs, another meter in its place."""

from __future__ import annotations

from homeassistant.components import mqtt
from homeassistant.components.event import EventEntity
from homeassistant.components.mqtt import ReceiveMessage
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import parse_object
from .const import EVENTS
from .coordinator import DlmsMqttConfigEntry
from .entity import MeterEntity, for_every_meter

PARALLEL_UPDATES = 0  # nothing is written, nothing is polled


async def async_setup_entry(
    hass: HomeAssistant, entry: DlmsMqttConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """An entity for every meter."""
    for_every_meter(entry, async_add_entities, [MeterEvents])


class MeterEvents(MeterEntity, EventEntity):
    """What the bridge says on the meter's event topic, with its details as attributes."""

    _attr_translation_key = "meter_event"
    _attr_event_types = list(EVENTS)  # noqa: RUF012 - nobody changes it

    async def async_added_to_hass(self) -> None:
        """Events are not kept by the broker: what comes is new."""
        await super().async_added_to_hass()
        topic = f"{self.bridge.api.base}/meter/{self.meter}/event"
        self.async_on_remove(await mqtt.async_subscribe(self.hass, topic, self._heard, 1))

    @callback
    def _heard(self, message: ReceiveMessage) -> None:
        said = parse_object(message.payload) or {}
        kind = said.pop("event_type", None)
        if kind in EVENTS:  # a newer bridge may have others
            self._trigger_event(kind, said)
            self.async_write_ha_state()
