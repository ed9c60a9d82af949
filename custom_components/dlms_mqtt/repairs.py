"""The repairs that can be done with one click: setting a clock, and forgetting a meter the bridge has lost."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import voluptuous as vol
from homeassistant.components.repairs import RepairsFlow
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResult

from .api import ApiError
from .const import CONF_BRIDGE, CONF_METER, DOMAIN
from .coordinator import DlmsMqttConfigEntry


def _loaded_entry(hass: HomeAssistant, bridge: str) -> DlmsMqttConfigEntry | None:
    entries = hass.config_entries.async_loaded_entries(DOMAIN)
    return next((entry for entry in entries if entry.unique_id == bridge), None)


class ConfirmFlow(RepairsFlow):
    """One question, then the repair."""

    def __init__(self, bridge: str, meter: str, data: str) -> None:
        self.bridge = bridge
        self.meter = meter
        self.payload = data

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> FlowResult[Any, Any]:
        """Ask first."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> FlowResult[Any, Any]:
        """Repair on confirmation; say what went wrong and let it be tried again."""
        errors: dict[str, str] = {}
        if user_input is not None:
            if (entry := _loaded_entry(self.hass, self.bridge)) is None:
                return self.async_abort(reason="not_loaded")
            if await self.repair(entry):
                return self.async_create_entry(data={})
            errors["base"] = "failed"
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({}),
            errors=errors,
            description_placeholders={"meter": self.meter, "bridge": self.bridge},
        )

    @abstractmethod
    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """Do it; False when it failed."""


class SetClockFlow(ConfirmFlow):
    """Set the meter's clock."""

    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """True when the meter took the time."""
        try:
            await entry.runtime_data.api.command(self.meter, "request/clock", {"set": True})
        except ApiError:
            return False
        return True


class ForgetMeterFlow(ConfirmFlow):
    """Remove the subentry of a meter that the bridge no longer has."""

    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """The subentry may be gone already: that is as good."""
        if self.payload in entry.subentries:
            self.hass.config_entries.async_remove_subentry(entry, self.payload)
        return True


FLOWS: dict[str, type[ConfirmFlow]] = {"clock_drift": SetClockFlow, "orphan": ForgetMeterFlow}


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, Any] | None) -> RepairsFlow:
    """The flow for a fixable repair."""
    facts = data or {}
    return FLOWS[facts["key"]](facts[CONF_BRIDGE], facts[CONF_METER], facts["data"])
