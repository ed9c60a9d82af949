"""The fields of the flows' forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import voluptuous as vol
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)

from .api import Json
from .const import HISTORY_DAYS
from .meter_config import CIPHERING, object_label, pushed_label, reference

AUTHENTICATIONS = ("automatic", "none", "low", "hls", "md5", "sha1", "gmac", "sha256")
SUITES = ("automatic", "0", "1", "2")
SECURITIES = ("automatic", "none", "authentication", "encryption", "both")
PASSWORD_FORMATS = ("text", "hex")
REMOTE_PROTOCOLS = ("rfc2217", "socket")
BIND_PROTOCOLS = ("tcp", "udp")
DLMS_PORT = 4059
REMOTE_PORT = 2217  # a usual one; without a default the page fills in 1
READER_PORT = 6638  # that of ESPHome's stream server
TYPED_PORTS = {"esphome": "esphome://HOST/?port_name=NAME&noise_psk=KEY"}  # translations hold no addresses
GENERIC = "generic"  # the preset that assumes nothing

TEXT = TextSelector()
PASSWORD = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))


def choice(key: str, options: Iterable[str]) -> SelectSelector:
    """A choice whose words are in the translations under ``selector.<key>``."""
    return SelectSelector(
        SelectSelectorConfig(options=list(options), translation_key=key, mode=SelectSelectorMode.DROPDOWN)
    )


def number(low: int, high: int, unit: str | None = None) -> NumberSelector:
    """A whole number."""
    config = NumberSelectorConfig(min=low, max=high, step=1, mode=NumberSelectorMode.BOX)
    if unit:
        config["unit_of_measurement"] = unit
    return NumberSelector(config)


ADDRESS = number(0, 0x3FFF)
PORT = number(1, 65535)
INTERVAL = number(1, 86400, "s")

_PASSWORD: dict[vol.Required | vol.Optional, Any] = {
    vol.Optional("password"): PASSWORD,
    vol.Required("password_format", default="text"): choice("password_format", PASSWORD_FORMATS),
}
_KEYS: dict[vol.Required | vol.Optional, Any] = {
    vol.Optional("encryption_key"): PASSWORD,
    vol.Optional("authentication_key"): PASSWORD,
}

REAUTH_SCHEMA = vol.Schema({**_PASSWORD, **_KEYS})


def access_schema(ciphered: bool) -> vol.Schema:
    """Name, addresses and secrets; what only ciphered meters need is folded away unless this is one."""
    ciphering: dict[vol.Required | vol.Optional, Any] = {
        **_KEYS,
        vol.Required("security", default="automatic"): choice("security", SECURITIES),
        vol.Required("suite", default="automatic"): choice("suite", SUITES),
        vol.Optional("system_title"): TEXT,
    }
    return vol.Schema(
        {
            vol.Required("name"): TEXT,
            vol.Required("authentication", default="automatic"): choice("authentication", AUTHENTICATIONS),
            **_PASSWORD,
            vol.Optional("client"): ADDRESS,
            vol.Optional("server"): ADDRESS,
            vol.Required(CIPHERING): section(vol.Schema(ciphering), {"collapsed": not ciphered}),
        }
    )


NETWORK_SCHEMA = vol.Schema({vol.Required("host"): TEXT, vol.Required("port", default=DLMS_PORT): PORT})

REMOTE_SCHEMA = vol.Schema(
    {
        vol.Required("protocol", default="rfc2217"): choice("remote_protocol", REMOTE_PROTOCOLS),
        vol.Required("host"): TEXT,
        vol.Required("port", default=REMOTE_PORT): PORT,
    }
)


PUSH_NETWORK_SCHEMA = vol.Schema(
    {
        vol.Required("protocol", default="socket"): choice("remote_protocol", REMOTE_PROTOCOLS),
        vol.Required("host"): TEXT,
        vol.Required("port", default=READER_PORT): PORT,
    }
)

BIND_SCHEMA = vol.Schema(
    {
        vol.Required("protocol", default="tcp"): choice("bind_protocol", BIND_PROTOCOLS),
        vol.Required("port", default=DLMS_PORT): PORT,
    }
)


def push_access_schema() -> vol.Schema:
    """Name and keys of a meter that sends by itself."""
    return vol.Schema({vol.Required("name"): TEXT, **_KEYS})


def pushed_schema(values: Iterable[Mapping[str, Any]]) -> vol.Schema:
    """The values that came, to tick."""
    options = [SelectOptionDict(value=str(row["key"]), label=pushed_label(row)) for row in values]
    several = SelectSelector(SelectSelectorConfig(options=options, multiple=True, mode=SelectSelectorMode.LIST))
    return vol.Schema({vol.Required("items"): several})


def serial_schema(ports: Iterable[Mapping[str, Any]]) -> vol.Schema:
    """The bridge's serial ports; another name may be typed."""
    options = [SelectOptionDict(value=str(row["port"]), label=_port_label(row)) for row in ports if row.get("port")]
    selector = SelectSelector(
        SelectSelectorConfig(options=options, custom_value=True, mode=SelectSelectorMode.DROPDOWN)
    )
    return vol.Schema({vol.Required("port"): selector})


def _port_label(row: Mapping[str, Any]) -> str:
    parts = [str(row.get("name") or row["port"])]
    if row.get("description"):
        parts.append(str(row["description"]))
    if row.get("in_use_by"):
        parts.append(f"({row['in_use_by']})")
    return " ".join(parts)


def preset_schema(presets: Iterable[Mapping[str, Any]]) -> vol.Schema:
    """The meter families that the bridge knows and can ask: those that only push cannot be tested from here."""
    return _family_schema(row for row in presets if not row.get("push_only"))


def pushing_schema(presets: Iterable[Mapping[str, Any]]) -> vol.Schema:
    """The families that send by themselves."""
    return _family_schema(row for row in presets if row.get("pushes", row.get("push_only")) or row.get("id") == GENERIC)


def _family_schema(presets: Iterable[Mapping[str, Any]]) -> vol.Schema:
    rows = sorted((row for row in presets if row.get("id")), key=lambda row: row["id"] != GENERIC) or [{"id": GENERIC}]
    options = [SelectOptionDict(value=str(row["id"]), label=_preset_label(row)) for row in rows]
    selector = SelectSelector(SelectSelectorConfig(options=options, mode=SelectSelectorMode.DROPDOWN))
    return vol.Schema({vol.Required("preset", default=GENERIC): selector})


def _preset_label(row: Mapping[str, Any]) -> str:
    name, manufacturer = str(row.get("name") or row["id"]), str(row.get("manufacturer") or "")
    return name if manufacturer.lower() in name.lower() else f"{manufacturer} {name}"


_HISTORY: dict[vol.Required | vol.Optional, Any] = {
    vol.Required("history", default=False): BooleanSelector(),
    vol.Optional("history_days", default=HISTORY_DAYS): number(1, 3660, "d"),
}
HISTORY_SCHEMA = vol.Schema(_HISTORY)


def items_schema(objects: Iterable[Json]) -> vol.Schema:
    """The meter's own objects to tick, the interval, a second interval for a few of them, and its history."""
    options = [SelectOptionDict(value=reference(row), label=object_label(row)) for row in objects]
    several = SelectSelector(SelectSelectorConfig(options=options, multiple=True, mode=SelectSelectorMode.DROPDOWN))
    return vol.Schema(
        {
            vol.Optional("every"): INTERVAL,
            vol.Optional("fast_every"): INTERVAL,
            vol.Optional("fast_items"): several,
            vol.Required("items"): several,
            **_HISTORY,
        }
    )
