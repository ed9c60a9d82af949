"""Serial ports of ESPHome devices that Home Assistant knows, as the bridge reaches them: over the network, by name."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_loaded_integration

from .api import Json
from .meter_config import HEAD_KEY, host_port

_SCHEME = "esphome-hass"  # Home Assistant's own name of such a port: esphome-hass://esphome/ENTRY?port_name=NAME
_API_PORT = 6053
#: What the bridge can tell ports of one device apart by.
_PARTS = ("port_name", "port_udev_id", "port_manufacturer", "port_product", "port_serial_number")


class Head(NamedTuple):
    """A port as the bridge's list has them, and the key of its device, which no form shows."""

    row: Json
    key: str


async def known_heads(hass: HomeAssistant) -> list[Head]:
    """Of devices that are connected now; none where Home Assistant is too old for serial proxies (before 2026)."""
    if "usb" not in hass.config.components:
        return []
    usb = async_get_loaded_integration(hass, "usb").get_component()  # no dependency: its requirements are not ours
    scan = getattr(usb, "async_scan_serial_ports", None)
    ports = await scan(hass) if scan else []
    found = [_head(hass, str(port.device), str(port.description or "")) for port in ports]
    return [head for head in found if head is not None]


def _head(hass: HomeAssistant, device: str, description: str) -> Head | None:
    url = urlsplit(device)
    entry: ConfigEntry | None = hass.config_entries.async_get_entry(url.path.strip("/"))
    parts = {name: text for name, text in parse_qsl(url.query) if name in _PARTS}
    if url.scheme != _SCHEME or entry is None or not entry.data.get(CONF_HOST) or not parts:
        return None
    where = host_port(str(entry.data[CONF_HOST]), int(entry.data.get(CONF_PORT) or _API_PORT))
    what = description or next(iter(parts.values()))
    row = {"port": f"esphome://{where}/?{urlencode(parts)}", "name": f"{entry.title}: {what}"}
    return Head(row, str(entry.data.get(HEAD_KEY) or ""))
