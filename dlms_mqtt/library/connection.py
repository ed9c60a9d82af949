"""How a program says which meter it means: a line, and the connection keys of the configuration as keywords."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import tzinfo
from typing import Any, Literal, TypedDict

from dlms_mqtt.client.option_values import parse_secret
from dlms_mqtt.client.settings import LINES, NETWORK_LINES, SECRET_KEYS, ConnectionSettings, key_apart, parse_settings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.secret import Secret


class Connection(TypedDict, total=False):
    """The keywords of ``Meter`` and ``SyncMeter``: the connection keys of the configuration (docs/configuration.md).

    A password may be plain ``str`` or ``bytes``, and with a password ``authentication`` is ``"low"`` where it is not
    given. A key is ``bytes`` or hexadecimal text (``noise_psk``, the key of an ESPHome device: base64 text). Either may
    also be written as in the configuration: ``text:...``, ``hex:...``, ``env:NAME``, ``file:PATH``.
    """

    serial: str | None
    tcp: str | tuple[str, int] | None
    udp: str | tuple[str, int] | None
    bind: str
    noise_psk: str | bytes | None
    framing: Literal["hdlc", "wrapper"] | None
    opening: Literal["direct", "sign-on", "readout", "auto"]
    baud: int | None
    parity: Literal["none", "even", "odd"] | None
    max_baud: int | None
    dtr: bool | None
    rts: bool | None
    iec_address: str
    opening_delay: float
    echo: Literal["auto", "yes", "no"]
    wake_up: bytes | str
    wake_up_break: float
    referencing: Literal["ln", "sn"]
    client: int
    server: int
    physical: int | None
    address_size: int
    association: str
    authentication: Literal["none", "low", "hls", "md5", "sha1", "gmac", "sha256", "ecdsa"]
    password: str | bytes | None
    hls_algorithm: Literal["aes", "landis-gyr"] | None
    challenge_length: int
    security: Literal["none", "authentication", "encryption", "both"] | None
    suite: int
    ciphering: Literal["global", "dedicated", "general-global", "general-dedicated"]
    accept_unauthenticated: bool
    system_title: bytes | str | None
    omit_system_title: bool
    meter_system_title: bytes | str | None
    authentication_key: bytes | str | None
    encryption_key: bytes | str | None
    dedicated_key: bytes | str | None
    broadcast_key: bytes | str | None
    invocation_counter: int | str | None
    conformance: list[str] | tuple[str, ...] | str
    gbt_window: int
    pre_established: bool
    no_release: bool
    timeout: float
    octet_timeout: float
    exchange_timeout: float
    retries: int
    max_pdu: int
    max_info: int | None
    window: int


_KEYWORDS = frozenset(row.name for row in fields(ConnectionSettings))
_WRITTEN = ("text:", "hex:", "env:", "file:")


@contextmanager
def value_errors() -> Iterator[None]:
    """What a configuration would call a mistake is a ValueError of a program; it names the keyword."""
    try:
        yield
    except ConfigError as error:
        place = f"{error.key}: " if error.key and not error.message.startswith(f"{error.key}:") else ""
        raise ValueError(f"{place}{error.told}") from None


def settings_of(line: str, keywords: Mapping[str, Any], *, lineless: bool = False) -> ConnectionSettings:
    """The settings that line and keywords ask for; ``lineless``: the line comes by itself. ValueError, TypeError."""
    unknown = sorted(set(keywords) - _KEYWORDS)
    if unknown:
        raise TypeError(f"there is no connection keyword '{unknown[0]}'")
    given = {name: value for name, value in keywords.items() if value is not None}
    with value_errors():
        given = key_apart(given | line_of(line))
    if not lineless and not set(LINES) & set(given):
        raise ValueError("which meter? The line is tcp://HOST:PORT, udp://HOST:PORT, a serial port or serial URL")
    with value_errors():
        given |= {name: secret(name, given[name]) for name in SECRET_KEYS & set(given)}
        return parse_settings(given | {name: _address(given[name]) for name in NETWORK_LINES if name in given})


def line_of(line: str) -> dict[str, str]:
    """``tcp://`` and ``udp://`` are ours; everything else is pyserial's: a device or one of its URLs."""
    if not line:
        return {}
    scheme, separator, rest = line.partition("://")
    return {scheme: rest} if separator and scheme in NETWORK_LINES else key_apart({"serial": line})


def _address(value: Any) -> Any:
    from dlms_mqtt.transport.base import format_address

    return format_address(*value) if isinstance(value, tuple) else value


def secret(name: str, value: str | bytes) -> Secret:
    """A password or key as a program has it: octets, text (a key: hexadecimal), or written as in the configuration.

    ConfigError names the key and does not show the value.
    """
    try:
        if isinstance(value, str):
            written = value.startswith(_WRITTEN)
            return parse_secret(value if written else f"{'hex' if name.endswith('_key') else 'text'}:{value}")
        if isinstance(value, bytes | bytearray):
            return Secret(value)
    except ConfigError as error:
        raise ConfigError(error.message, key=name, hint=error.hint) from None
    raise ConfigError("expected str or bytes", key=name)


def zone_named(name: str | tzinfo | None) -> tzinfo:
    """A time zone by its IANA name; None: this computer's. ValueError."""
    if name is None:
        from dlms_mqtt.meter.local_zone import system_zone

        return system_zone(os.environ)
    if not isinstance(name, str):
        return name
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"timezone: there is no time zone '{name}'; write one such as Europe/Vienna") from None
