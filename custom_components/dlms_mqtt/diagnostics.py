"""What a bug report needs: the bridge's info, health and configuration, without secrets and identities."""

from __future__ import annotations

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant

from .api import ApiError, Json
from .const import API_VERSION
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry, find_device

TO_REDACT = {
    # secrets, should a bridge ever fail to mask one
    "password",
    "authentication_key",
    "encryption_key",
    "dedicated_key",
    "broadcast_key",
    # whose meter it is, and where
    "system_title",
    "serial_number",
    "logical_device_name",
    "identification",
    "device",
    "host",
    "tcp",
    "udp",
    "iec_address",
    "listen",
}


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> dict[str, Any]:
    """The entry, its bridge and every meter of it; those of the bridge's own file are shown here only."""
    bridge = entry.runtime_data
    return async_redact_data(
        {
            "component": {"api": API_VERSION, "data": dict(entry.data)},
            "bridge": {"online": bridge.online, "compatible": bridge.compatible, "info": bridge.info},
            "health": {key: value for key, value in bridge.health.items() if key != "meters"},
            "meters": await _meters(hass, bridge),
            "subentries": [{"meter": sub.unique_id, "title": sub.title} for sub in entry.subentries.values()],
        },
        TO_REDACT,
    )


async def _meters(hass: HomeAssistant, bridge: BridgeCoordinator) -> Json:
    configured = await _configured(bridge)
    return {
        meter: {
            "managed": bool(row.get("managed")),
            "device_found": find_device(hass, meter) is not None,
            "health": bridge.meter_health()[meter],
            "configuration": configured.get(meter),
        }
        for meter, row in bridge.meters.items()
    }


async def _configured(bridge: BridgeCoordinator) -> Json:
    """The meters' configuration; without an answer, why there is none."""
    try:
        meters = (await bridge.api.request("config")).get("meters")
    except ApiError as error:
        return {key: {"error": error.code} for key in bridge.meters}
    return meters if isinstance(meters, dict) else {}
