"""Everything a user can say about a connection: one row per option, for the command line and the configuration.

A row carries its default, how text or YAML becomes a value, and the sentence that documents it; ``--max-baud`` on the
command line and ``max_baud:`` in the configuration are the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from dlms_mqtt.client.option_values import (
    SECRET_KINDS,
    Parse,
    parse_bind,
    parse_bool,
    parse_choice,
    parse_counter,
    parse_hex,
    parse_host,
    parse_int,
    parse_obis,
    parse_patience,
    parse_seconds,
    parse_secret,
    parse_services,
)
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.framing.registry import FRAMINGS, default_framing
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret


def _option(default: Any, parse: Parse, help_text: str, metavar: str = "", *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help_text, "metavar": metavar, "secret": secret})


AUTHENTICATIONS = ("none", "low", "hls", "md5", "sha1", "gmac", "sha256", "ecdsa")
#: Keys that name a line; the last one where meters connect by themselves.
NETWORK_LINES = ("tcp", "udp")  # that have HOST:PORT
CALLED_LINES = ("serial", *NETWORK_LINES)  # that we open; what calls by itself is waited for
LINES = (*CALLED_LINES, "bind")
SECURITIES = ("none", "authentication", "encryption", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How to reach one meter. Exactly one of ``serial``, ``tcp``, ``udp`` and ``bind`` names the line."""

    serial: str | None = _option(
        None,
        str,
        "serial port: a device, esphome://HOST/?port_name=NAME, or any pyserial URL (rfc2217://, socket://)",
        "PORT",
    )
    tcp: tuple[str, int] | None = _option(
        None, parse_host, "TCP address of the meter or of a serial converter", "HOST:PORT"
    )
    udp: tuple[str, int] | None = _option(None, parse_host, "UDP address of the meter", "HOST:PORT")
    bind: str = _option(
        "", parse_bind, "address of ours where the meter connects by itself, to be asked there", "tcp://ADDR:PORT"
    )
    noise_psk: Secret | None = _option(
        None,
        parse_secret,
        "encryption key of the ESPHome device of serial: esphome://, in base64 as its configuration has it (text:...)",
        "SECRET",
        secret=True,
    )
    framing: str | None = _option(
        None, parse_choice(*FRAMINGS), "hdlc (default on serial lines) or wrapper (default on TCP and UDP)"
    )
    opening: str = _option(
        "direct",
        parse_choice("direct", "sign-on", "readout", "auto"),
        "how the line is opened: directly, by IEC 62056-21 sign-on, as a clear-text readout, or all tried",
    )
    baud: int | None = _option(None, parse_int(50, 4_000_000), "speed to start with (300 with sign-on, else 9600)", "N")
    parity: str | None = _option(
        None, parse_choice("none", "even", "odd"), "parity to start with (even and 7 bits with sign-on, else none)"
    )
    max_baud: int | None = _option(None, parse_int(300, 4_000_000), "highest speed to agree to in a sign-on", "N")
    dtr: bool | None = _option(
        None, parse_bool, "set DTR on or off (many optical heads take their power from it)", "on|off"
    )
    rts: bool | None = _option(None, parse_bool, "set RTS on or off", "on|off")
    iec_address: str = _option("", str, "device address in the sign-on request", "TEXT")
    opening_delay: float = _option(0.0, parse_seconds, "seconds between opening the port and the first byte", "S")
    echo: str = _option("auto", parse_choice("auto", "yes", "no"), "does the line give back what is sent")
    wake_up: bytes = _option(b"", parse_hex(), "octets sent first to wake a sleeping meter", "HEX")
    wake_up_break: float = _option(
        0.0, parse_seconds, "seconds of line break after the port opens, to wake a sleeping meter (0: none)", "S"
    )

    referencing: str = _option("ln", parse_choice("ln", "sn"), "logical names or short names")
    client: int = _option(16, parse_int(0, 0x3FFF), "client address (16 is the public client)", "N")
    server: int = _option(1, parse_int(0, 0x3FFF), "address of the logical device", "N")
    physical: int | None = _option(None, parse_int(0, 0x3FFF), "physical HDLC address", "N")
    address_size: int = _option(0, parse_int(0, 4), "octets of the HDLC server address, 1, 2 or 4 (0: as needed)", "N")
    association: Obis = _option(
        Obis((0, 0, 40, 0, 0, 255)),
        parse_obis,
        "association object of this client",
        "OBIS",
    )

    authentication: str = _option(
        "none", parse_choice(*AUTHENTICATIONS), "authentication mechanism; ecdsa is not supported"
    )
    password: Secret | None = _option(
        None, parse_secret, "password of low and HLS authentication", "SECRET", secret=True
    )
    hls_algorithm: str | None = _option(
        None, parse_choice("aes", "landis-gyr"), "the manufacturer's algorithm of authentication hls (mechanism 2)"
    )
    challenge_length: int = _option(16, parse_int(8, 64), "octets of our challenge", "N")
    security: str | None = _option(
        None,
        parse_choice(*SECURITIES),
        "protection of messages (default: both where there is an encryption key, else none)",
    )
    suite: int = _option(0, parse_int(0, 2), "security suite", "N")
    ciphering: str = _option(
        "global",
        parse_choice("global", "dedicated", "general-global", "general-dedicated"),
        "how protected messages are tagged",
    )
    accept_unauthenticated: bool = _option(
        False, parse_bool, "accept messages without a tag, or without a key to check it (one warning)", "true|false"
    )
    system_title: bytes | None = _option(None, parse_hex(8), "our system title (default: made once and kept)", "HEX")
    omit_system_title: bool = _option(
        False, parse_bool, "leave our system title out of general messages (some meters want it empty)", "true|false"
    )
    meter_system_title: bytes | None = _option(
        None, parse_hex(8), "the meter's system title: another is refused (default: the one it tells)", "HEX"
    )
    authentication_key: Secret | None = _option(None, parse_secret, "authentication key", "SECRET", secret=True)
    encryption_key: Secret | None = _option(None, parse_secret, "global unicast encryption key", "SECRET", secret=True)
    dedicated_key: Secret | None = _option(
        None, parse_secret, "dedicated key (default: made for each association)", "SECRET", secret=True
    )
    broadcast_key: Secret | None = _option(None, parse_secret, "global broadcast encryption key", "SECRET", secret=True)
    invocation_counter: int | Obis | None = _option(
        None,
        parse_counter,
        "auto (kept, else read from the meter), a number, or the OBIS of the meter's counter",
        "auto|N|OBIS",
    )
    conformance: tuple[str, ...] = _option(
        (), parse_services, "services to propose (default: all that we have)", "NAMES"
    )
    gbt_window: int = _option(0, parse_int(0, 63), "window of general block transfer (0: not proposed)", "N")
    pre_established: bool = _option(False, parse_bool, "the association exists already: no AARQ", "true|false")
    no_release: bool = _option(False, parse_bool, "never send a release request", "true|false")

    timeout: float = _option(5.0, parse_patience, "seconds to wait for an answer", "S")
    octet_timeout: float = _option(1.5, parse_patience, "seconds of silence allowed inside a frame", "S")
    exchange_timeout: float = _option(
        300.0,
        parse_patience,
        "seconds that one question with all its blocks may take; a single value is given up when nothing of it "
        "came for 2 x timeout x (retries + 1) seconds, 40 by default and 20 at least",
        "S",
    )
    retries: int = _option(3, parse_int(0, 20), "how often a frame is repeated", "N")
    max_pdu: int = _option(0xFFFF, parse_int(0, 0xFFFF), "largest message we offer to take (0: no limit)", "N")
    max_info: int | None = _option(
        None, parse_int(16, 2030), "HDLC information field to propose (128 on serial lines)", "N"
    )
    window: int = _option(1, parse_int(1, 7), "HDLC window to propose", "N")

    def __post_init__(self) -> None:
        if self.noise_psk or "://" in (self.serial or ""):
            _check_esphome(self)
        for rule, key, sentence in _RULES:
            if rule(self):
                raise ConfigError(sentence, key=key)

    @property
    def line(self) -> str:
        """The physical line in words: meters with the same line share it."""
        if self.serial is not None:
            return self.serial
        if self.bind:
            return self.bind
        from dlms_mqtt.transport.base import format_address  # no options need it

        kind, address = ("tcp", self.tcp) if self.tcp else ("udp", self.udp)
        return f"{kind}://{format_address(*address)}" if address else ""

    @property
    def link_framing(self) -> str:
        """The framing in force."""
        return self.framing or default_framing(serial=self.serial is not None)

    @property
    def info_length(self) -> int:
        """The HDLC information field to propose, octets."""
        return self.max_info or (128 if self.serial is not None else 1024)

    @property
    def protection(self) -> str:
        """The protection in force, a word of SECURITIES."""
        return self.security or ("both" if self.encryption_key else "none")

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that the meter is told or that protects what it is told (for redaction)."""
        values = (getattr(self, row.name) for row in fields(self) if row.name in ACCESS_SECRETS)
        return tuple(value for value in values if value)


#: Options whose values nobody is shown.
SECRET_KEYS = frozenset(row.name for row in fields(ConnectionSettings) if row.metadata["secret"])
#: Those that open the line; they go where the line goes, and no meter ever hears of them.
LINE_SECRETS = frozenset({"noise_psk"})
#: Those that open the meter.
ACCESS_SECRETS = SECRET_KEYS - LINE_SECRETS


def _key_length(settings: ConnectionSettings) -> bool:
    length = 32 if settings.suite == 2 else 16
    keys = (settings.encryption_key, settings.authentication_key, settings.dedicated_key, settings.broadcast_key)
    return any(key and len(key) != length for key in keys)


def _check_esphome(settings: ConnectionSettings) -> None:
    """The address of an ESPHome device holds no key any more, and it and the key are sound. ConfigError."""
    from dlms_mqtt.transport.esphome.address import is_esphome, key_text, parse  # asyncio comes with it

    apart = key_apart({"serial": settings.serial, "noise_psk": settings.noise_psk})
    object.__setattr__(settings, "serial", apart["serial"])
    object.__setattr__(settings, "noise_psk", parse_secret(apart["noise_psk"]) if apart["noise_psk"] else None)
    if is_esphome(apart["serial"] or ""):
        parse(apart["serial"])
    elif settings.noise_psk:
        raise ConfigError("noise_psk is for serial: esphome:// alone", key="noise_psk")
    if settings.noise_psk:
        key_text(settings.noise_psk)


_RULES: tuple[tuple[Callable[[ConnectionSettings], bool], str, str], ...] = (
    (
        lambda s: sum(line is not None for line in (s.serial, s.tcp, s.udp, s.bind or None)) > 1,
        "serial",
        "name one line only: serial, tcp, udp or bind",
    ),
    (_key_length, "encryption_key", "keys of this suite are 16 octets (suites 0 and 1) or 32 octets (suite 2)"),
    (
        lambda s: s.authentication in ("low", "md5", "sha1", "sha256", "hls") and s.password is None,
        "password",
        "this authentication needs a password",
    ),
    (
        lambda s: s.authentication == "gmac" and not (s.encryption_key and s.authentication_key),
        "encryption_key",
        "gmac authentication needs an encryption_key and an authentication_key",
    ),
    (lambda s: s.authentication == "ecdsa", "authentication", "ecdsa authentication is not supported yet"),
    (lambda s: s.protection != "none" and not s.encryption_key, "encryption_key", "security needs an encryption_key"),
    (
        lambda s: s.protection in ("authentication", "both") and not s.authentication_key,
        "authentication_key",
        "this security needs an authentication_key (or choose security: encryption)",
    ),
    (lambda s: s.address_size == 3, "address_size", "an HDLC address has 1, 2 or 4 octets"),
)


def key_apart(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they are written, with the key that stands in the address of an ESPHome device as ``noise_psk``.

    ConfigError: two keys.
    """
    serial = values.get("serial")
    if not isinstance(serial, str) or "?" not in serial:
        return dict(values)
    from dlms_mqtt.transport.esphome.address import split_key  # asyncio comes with it

    line, key = split_key(serial)
    if not key:
        return dict(values)
    if values.get("noise_psk"):
        raise ConfigError("the key stands in the address of the line too", key="noise_psk", hint="Leave one out.")
    return {**values, "serial": line, "noise_psk": key if key.partition(":")[0] in SECRET_KINDS else f"text:{key}"}


def parse_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name, each parsed by its row; ConfigError names the key."""
    rows = {row.name: row for row in fields(ConnectionSettings)}
    parsed: dict[str, Any] = {}
    for name, value in key_apart(values).items():
        key = name.replace("-", "_")
        if key not in rows:
            raise ConfigError(f"there is no connection option '{name}'", key=name)
        try:
            parsed[key] = rows[key].metadata["parse"](value)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.message}", key=name, hint=error.hint) from None
    return parsed


def implied(own: Mapping[str, Any], base: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The user's ``own`` parsed options over those of a ``base``, and what is meant without being said.

    A password alone is one of low authentication. ConfigError: a password that would never be sent.
    """
    merged = {**base, **own}
    if own.get("password") is None or merged.get("authentication", "none") != "none":
        return merged
    if "authentication" in own:
        raise ConfigError(
            "with authentication: none the password is never sent", key="password", hint="Leave one of the two out."
        )
    return merged | {"authentication": "low"}


def parse_settings(values: Mapping[str, Any]) -> ConnectionSettings:
    """Settings out of texts or YAML values by name, with what they imply; ConfigError names the key."""
    return ConnectionSettings(**implied(parse_options(values)))
