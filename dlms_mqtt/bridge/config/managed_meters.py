"""Meters that are added and changed over MQTT: what a publisher may say, and the files in which it is kept.

A publisher can't grant itself more: what a meter allows is set in a file only. Secrets come sealed; a serial line is a
device or a network address and nothing else that pyserial understands; presets have names, not paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import yaml_file
from dlms_mqtt.bridge.config.load import managed_file
from dlms_mqtt.bridge.config.seal import PREFIX, SealKey
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.client.settings import LINES, SECRET_KEYS
from dlms_mqtt.client.state.state_file import sync_folder, write_whole
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.json_text import plain
from dlms_mqtt.transport.esphome.address import split_key

_GRANTS = ("allow", "actions")
_SERIAL = re.compile(
    r"/dev/(?!.*\.\.)[\w./:+-]+|(rfc2217|socket)://[\w.:\[\]-]+|COM\d+|esphome://[\w.:\[\]-]+/?(\?[\w.=&%+-]*)?"
)
_PRESET = re.compile(r"[a-z0-9_-]+")
METER_ID = re.compile(r"[a-z0-9-]{1,64}")


def meter_id_of(body: Mapping[str, Any], otherwise: str = "") -> str:
    """The meter that a bridge verb is about: ``meter``, else ``id`` where that can be one, else ``otherwise``."""
    found = body.get("meter", body.get("id"))
    if not isinstance(found, str) or not METER_ID.fullmatch(found):
        if otherwise and "meter" not in body:
            return otherwise
        raise RequestError("bad-request", "'meter' is an id of lower-case letters, digits and hyphens")
    return found


def remote_config(request: Any, seal: SealKey, meter: str) -> dict[str, Any]:
    """A meter's configuration out of a request, with its secrets opened; RequestError."""
    if not isinstance(request, dict):
        raise RequestError("bad-request", "'config' is a JSON object")
    config: dict[str, Any] = {str(key): plain(value) for key, value in request.items()}
    connection = config.get("connection")
    if isinstance(connection, dict):
        config["connection"] = remote_connection(connection, seal, meter, _line(config))
    _check_grants(config)
    preset = config.get("preset", "generic")
    if not isinstance(preset, str) or not _PRESET.fullmatch(preset):
        raise RequestError("invalid-value", "'preset' is the name of a preset")
    return config


def remote_connection(
    connection: Mapping[str, Any], seal: SealKey, meter: str, line: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A ``connection:`` out of a request, sealed for ``line`` where that is said elsewhere too; RequestError."""
    line = connection if line is None else line
    serial = connection.get("serial")
    if isinstance(serial, str) and split_key(serial)[1]:
        raise RequestError("not-allowed", "A key in the address is not sealed", hint="Send it sealed, as noise_psk.")
    if serial is not None and not (isinstance(serial, str) and _SERIAL.fullmatch(serial)):
        raise RequestError(
            "not-allowed",
            "This serial line can't be set over MQTT",
            hint="A /dev/ path, esphome://, rfc2217:// or socket://.",
        )
    return {
        key: _open(key, value, lambda sealed: seal.open(sealed, meter, line)) if key in SECRET_KEYS else value
        for key, value in connection.items()
    }


def _line(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where a secret of this meter may go: the lines of its connection, and where it calls to be asked."""
    connection, push = (config.get(name) or {} for name in ("connection", "push"))
    line = {name: connection[name] for name in LINES if isinstance(connection, dict) and connection.get(name)}
    if isinstance(push, dict) and push.get("ask") and push.get("listen", OWN_LINE) != OWN_LINE:
        line.setdefault("bind", push["listen"])
    return line


def seals_in(request: Any) -> list[str]:
    """The sealed secrets of a meter's configuration in a request."""
    connection = request.get("connection") if isinstance(request, dict) else None
    values = [connection.get(key) for key in SECRET_KEYS] if isinstance(connection, dict) else []
    return [value for value in values if isinstance(value, str) and value.startswith(PREFIX)]


def _open(key: str, value: Any, opened: Callable[[str], str]) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not value.startswith(PREFIX):
        raise RequestError("not-allowed", f"'{key}' must be sealed", hint="Seal it with the key in bridge/<id>/info.")
    try:
        secret = opened(value)
    except ConfigError as error:
        raise RequestError("invalid-value", error.message, hint=error.hint, detail={"reason": "seal"}) from None
    if not secret.startswith(("text:", "hex:")):
        raise RequestError("not-allowed", f"A sealed '{key}' is text:... or hex:...")
    return secret


def _check_grants(config: Mapping[str, Any]) -> None:
    granted = [key for key in _GRANTS if config.get(key)]
    read = config.get("read")
    rows = read.get("also") if isinstance(read, dict) else read if isinstance(read, list) else ()
    if isinstance(rows, list) and any(isinstance(row, dict) and row.get("writable") for row in rows):
        granted.append("writable")
    if granted:
        raise RequestError(
            "not-allowed",
            f"{', '.join(granted)} can't be set over MQTT",
            hint="Set it in the meter's file on the bridge.",
        )


def completed(config: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A new configuration with what the stored one has and a publisher can't say: grants, and secrets left out.

    Secrets go along only while the line stays the same: they are not sent to an address that a publisher names.
    """
    kept = {key: stored[key] for key in _GRANTS if key in stored}
    old, new = (row.get("connection", {}) for row in (stored, config))
    new = {} if new is None else new
    if isinstance(old, dict) and isinstance(new, dict) and _line(stored) == _line(config):
        secrets = {key: old[key] for key in SECRET_KEYS if key in old and key not in new}
        config = {**config, "connection": {**new, **secrets}}
    return {**config, **kept, **_with_writables(config, stored)}


def _with_writables(config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Rows that the file makes writable stay as they are."""
    rows = [row for row in _also(stored) if isinstance(row, dict) and row.get("writable")]
    if not rows:
        return {}
    kept = {(row.get("obis"), row.get("attribute", 2)) for row in rows}
    others = [
        row
        for row in _also(config)
        if not (isinstance(row, dict) and (row.get("obis"), row.get("attribute", 2)) in kept)
    ]
    read = config.get("read")
    base = dict(read) if isinstance(read, dict) else {"set": read} if isinstance(read, str) else {}
    if isinstance(read, list):
        base = {"set": "none"}
    return {"read": {**base, "also": [*others, *rows]}}


def _also(config: Mapping[str, Any]) -> list[Any]:
    read = config.get("read")
    rows = read.get("also") if isinstance(read, dict) else read
    return rows if isinstance(rows, list) else []


def stored_config(state_dir: Path, meter_id: str) -> dict[str, Any]:
    """The file of a managed meter as it is; empty when there is none."""
    file = managed_file(state_dir, meter_id)
    found = yaml_file.load(file, {}).data if file.exists() else None
    return found if isinstance(found, dict) else {}


def write_meter(state_dir: Path, meter_id: str, config: Mapping[str, Any]) -> None:
    """Keep a managed meter (mode 0600, whole or not at all); OSError."""
    file = managed_file(state_dir, meter_id)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(file, yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False).encode())


def remove_meter(state_dir: Path, meter_id: str) -> None:
    """Forget a managed meter; OSError."""
    file = managed_file(state_dir, meter_id)
    file.unlink(missing_ok=True)
    sync_folder(file.parent)
