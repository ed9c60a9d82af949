"""The address of a serial port on an ESPHome device: ``esphome://HOST[:PORT]/?port_name=NAME&noise_psk=KEY``.

The key is taken out of the text wherever one is read, so that what names a line holds no secret.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.base import parse_address

SCHEME = "esphome://"
PORT = 6053
_KEY_LENGTH = 32
_KEYS = ("noise_psk", "key")
#: What else may follow the question mark: which port, by its name or by the device that is plugged in there.
_PARTS = frozenset({"port_name", "port_manufacturer", "port_product", "port_serial_number", "port_udev_id"})
_EXAMPLE = "Write esphome://HOST/?port_name=NAME, and the key as noise_psk."


class Address(NamedTuple):
    """Where the port is. ``port_name`` may be empty; ``only``: nothing says which port, so the device has one."""

    host: str
    port: int
    port_name: str
    only: bool


def is_esphome(line: str) -> bool:
    """Whether a serial line is a port of an ESPHome device."""
    return line[: len(SCHEME)].lower() == SCHEME


def split_key(line: str) -> tuple[str, str]:
    """A serial line without the key in it, and that key as it stands there ("" without one)."""
    base, _, query = line.partition("?")
    if "://" not in base:
        return line, ""
    parts = [(unquote(part.partition("=")[0]).strip(), part) for part in query.split("&") if part]
    keys = [part.partition("=")[2] for name, part in parts if name in _KEYS]
    if not keys:
        return line, ""
    kept = "&".join(part for name, part in parts if name not in _KEYS)
    # "+" is a letter of base64; who reads "+" as a blank has written a blank
    return f"{base}?{kept}" if kept else base, unquote(keys[-1]).strip().replace(" ", "+")


def parse(line: str) -> Address:
    """The address in a line without a key. ConfigError."""
    base, _, query = line[len(SCHEME) :].partition("?")
    where, _, path = base.partition("/")
    parts = dict(parse_qsl(query, keep_blank_values=True))
    if "@" in where or "#" in line or "password" in parts:
        raise ConfigError("ESPHome has no users and passwords any more", key="serial", hint=_EXAMPLE)
    unknown = sorted(set(parts) - _PARTS)
    if path.strip("/") or unknown:
        what = unknown[0] if unknown else "a path"
        raise ConfigError(f"an esphome:// address does not know '{what}'", key="serial", hint=_EXAMPLE)
    host, port = parse_address(where, PORT)
    return Address(host, port, parts.get("port_name", ""), not parts)


def key_text(key: bytes) -> str:
    """The key as the native API's client wants it, in base64; it is given so, or as its 32 octets. ConfigError."""
    try:
        octets = key if len(key) == _KEY_LENGTH else base64.b64decode(key, validate=True)
    except binascii.Error:
        octets = b""
    if len(octets) != _KEY_LENGTH:
        raise ConfigError(
            "this key of an ESPHome device is none: it has 32 octets, 44 characters in base64",
            key="noise_psk",
            hint="Copy `key:` below `api: encryption:` of the device's ESPHome configuration.",
        )
    return base64.b64encode(octets).decode()
