"""The repairs of one click: setting a clock, accepting an energy value, raising sums, forgetting a meter."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import voluptuous as vol
from homeassistant.components.repairs import RepairsFlow
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResult

from .api import ApiError, Json
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
        # The page fills the text from the repair's own placeholders.
        return self.async_show_form(step_id="confirm", data_schema=vol.Schema({}), errors=errors)

    @abstractmethod
    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """Do it; False when it failed."""


class CommandFlow(ConfirmFlow):
    """A repair that is a command to the meter."""

    path: ClassVar[str]
    request: ClassVar[Json]

    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """True when the meter (or the bridge for it) did it."""
        try:
            await entry.runtime_data.api.command(self.meter, self.path, self.request)
        except ApiError:
            return False
        return True


class SetClockFlow(CommandFlow):
    """Set the meter's clock."""

    path: ClassVar[str] = "request/clock"
    request: ClassVar[Json] = {"set": True}


class AcceptEnergyFlow(CommandFlow):
    """Let the energy values through that the bridge holds back."""

    path: ClassVar[str] = "do/accept_energy"
    request: ClassVar[Json] = {"value": "PRESS"}


class ForgetMeterFlow(ConfirmFlow):
    """Remove the subentry of a meter that the bridge no longer has."""

    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """The subentry may be gone already: that is as good."""
        if self.payload in entry.subentries:
            self.hass.config_entries.async_remove_subentry(entry, self.payload)
        return True


class RaiseSumsFlow(ConfirmFlow):
    """Fill the history and raise the sums that started anew within it."""

    async def repair(self, entry: DlmsMqttConfigEntry) -> bool:
        """Rows that are there already are changed here only."""
        try:
            await entry.runtime_data.history.mend(self.meter)
        except ApiError:
            return False
        return True


FLOWS: dict[str, type[ConfirmFlow]] = {
    "clock_drift": SetClockFlow,
    "energy_held": AcceptEnergyFlow,
    "meter_changed": AcceptEnergyFlow,
    "history_jump": RaiseSumsFlow,
    "orphan": ForgetMeterFlow,
}


async def async_create_fix_flow(hass: HomeAssistant, issue_id: str, data: dict[str, Any] | None) -> RepairsFlow:
    """The flow for a fixable repair."""
    facts = data or {}
    return FLOWS[facts["key"]](facts[CONF_BRIDGE], facts[CONF_METER], facts["data"])
