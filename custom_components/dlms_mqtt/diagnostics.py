"""What a bug report needs: the bridge's info, health and configuration, without secrets and identities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.core import HomeAssistant

from .api import ApiError, Json, as_object
from .const import API_VERSION
from .coordinator import BridgeCoordinator, DlmsMqttConfigEntry
from .meter_config import LINE_KEYS

TO_REDACT = {
    # secrets, should a bridge ever fail to mask one
    "password",
    "authentication_key",
    "encryption_key",
    "dedicated_key",
    "broadcast_key",
    "noise_psk",
    # whose meter it is, and where
    "system_title",
    "meter_system_title",
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


_ADDRESS = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)"  # IPv4; an OBIS code has more groups
_TITLE = r"\b[0-9A-Fa-f]{16}\b"


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: DlmsMqttConfigEntry) -> dict[str, Any]:
    """The entry, its bridge and every meter of it; those of the bridge's own file are shown here only."""
    bridge = entry.runtime_data
    meters = await _meters(hass, bridge)
    hosts = (rf"(?<![\w-]){re.escape(host)}(?![\w-])" for host in _hosts(meters))
    hidden = re.compile("|".join((*hosts, _ADDRESS, _TITLE)))
    shown: dict[str, Any] = _without(
        hidden,
        {
            "component": {"api": API_VERSION, "data": dict(entry.data)},
            "bridge": {"online": bridge.online, "compatible": bridge.compatible, "info": bridge.info},
            "health": {key: value for key, value in bridge.health.items() if key != "meters"},
            "meters": meters,
            "subentries": [{"meter": sub.unique_id, "title": sub.title} for sub in entry.subentries.values()],
        },
    )
    return shown


def _hosts(meters: Json) -> Iterator[str]:
    """The machines that the meters are reached at: messages of the bridge name them."""
    for meter in meters.values():
        connection = as_object(as_object(meter["configuration"]).get("connection"))
        for line in (str(connection[key]) for key in LINE_KEYS if connection.get(key)):
            if not line.startswith("/"):  # a device of the bridge's own machine tells no address
                host = (line.partition("://")[2] or line).partition("/")[0]
                yield host.rpartition(":")[0] or host


def _without(hidden: re.Pattern[str], value: Any) -> Any:
    """The data without the values of certain keys, and without addresses and titles in its texts."""
    if isinstance(value, dict):
        return {key: _without(hidden, item) for key, item in async_redact_data(value, TO_REDACT).items()}
    if isinstance(value, list):
        return [_without(hidden, item) for item in value]
    return hidden.sub(REDACTED, value) if isinstance(value, str) else value


async def _meters(hass: HomeAssistant, bridge: BridgeCoordinator) -> Json:
    configured = await _configured(bridge)
    return {
        meter: {
            "managed": bool(row.get("managed")),
            "device_found": bridge.device(meter) is not None,
            "health": bridge.meter_health()[meter],
            "configuration": configured.get(meter),
            "history": {"last": bridge.history.last.get(meter), "running": bridge.history.running.get(meter)},
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
