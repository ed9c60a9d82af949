"""The lines of Settings > System > Repairs > System information."""

from __future__ import annotations

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .const import API_VERSION, DOMAIN


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Announce our lines."""
    register.async_register_info(system_health_info)


async def system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """How many bridges and meters there are, and how they are."""
    bridges = [entry.runtime_data for entry in hass.config_entries.async_loaded_entries(DOMAIN)]
    return {
        "api": API_VERSION,
        "bridges": len(bridges),
        "bridges_online": sum(bool(bridge.online) for bridge in bridges),
        "bridge_versions": ", ".join(sorted({str(bridge.info.get("version")) for bridge in bridges})),
        "meters": sum(len(bridge.meters) for bridge in bridges),
        "meters_ok": sum(
            health.get("status") == "ok" for bridge in bridges for health in bridge.meter_health().values()
        ),
    }
