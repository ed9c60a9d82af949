"""The configuration of the bridge itself, of its line to the broker, and of its page."""
# ruff: noqa: RUF009 - row() makes fields

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.kinds import (
    DURATION,
    FLAG,
    ID,
    MQTT_TEXT,
    SECRET,
    TEXT,
    TOPIC,
    ZONE,
    choice,
    duration,
    integer,
    parsed,
)
from dlms_mqtt.bridge.config.rows import Problems, mapping_of, row, section
from dlms_mqtt.client.option_values import SECRET_KINDS
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.languages.texts import languages
from dlms_mqtt.protocol.secret import Secret

STATE_DIR = Path("/var/lib/dlms-mqtt")
HTTP_PORT = 9780


def _password(value: Any) -> Secret:
    """The broker's password is text, so it may also be written without ``text:``."""
    if isinstance(value, str) and value.partition(":")[0] not in SECRET_KINDS:
        value = f"text:{value}"
    secret = SECRET.convert(value)
    assert isinstance(secret, Secret)  # noqa: S101
    try:
        secret.decode()
    except UnicodeDecodeError:
        raise ConfigError("expected a password that is text (UTF-8)") from None
    return secret


def _protocol(value: Any) -> str:
    """The version of MQTT, also as a number or with a v."""
    word = {"5": "5", "5.0": "5", "3.1.1": "3.1.1", "4": "3.1.1", "auto": "auto"}.get(str(value).lower().lstrip("v"))
    if word is None or isinstance(value, bool):
        raise ConfigError(f"expected one of auto, 5, 3.1.1, not {value!r}")
    return word


def _websocket_path(value: Any) -> str:
    """As it stands in the first line of a request, which blanks divide: from its / on."""
    text: str = MQTT_TEXT.convert(value)
    if " " in text:
        raise ConfigError(f"expected a path such as /mqtt, without blanks, not {value!r}")
    return text if text.startswith("/") else f"/{text}"


def _path(value: Any) -> Path:
    return Path(TEXT.convert(value))


def _address(value: Any) -> str:
    from dlms_mqtt.transport.base import parse_address

    text: str = TEXT.convert(value)
    if text:
        parse_address(text, HTTP_PORT, least_port=0)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """``bridge:``"""

    id: str = row("main", ID, "Name of this bridge in topics; bridges that share a broker need different ones.")
    name: str = row("DLMS bridge", TEXT, "Name of the bridge's device in Home Assistant.")
    state_dir: Path = row(
        STATE_DIR,
        parsed(_path),
        "Directory for counters, object lists, unsent readings and managed meters; relative to this file. Without it "
        "$STATE_DIRECTORY, else /var/lib/dlms-mqtt, else the user's state folder.",
    )
    management: bool = row(False, FLAG, "Let publishers of the broker add, change and remove meters.")
    timezone: str = row("", ZONE, "Time zone of the meters' clocks; without it the system's.", "Europe/Vienna")
    unsent: int = row(
        100_000,
        integer(100, 10_000_000),
        "How many readings and profile messages are kept while the broker is away; then the oldest go.",
    )
    health_every: float = row("60s", DURATION, "How often health is published when nothing changes.")
    watch_files: bool = row(True, FLAG, "Reload when the configuration files change.")
    log_level: str = row("info", choice("debug", "info", "warning", "error"), "What is logged.")


def _unreadable(file: Path) -> str:
    """Why a file cannot be read; empty when it can."""
    try:
        file.open("rb").close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """``mqtt.tls:``"""

    ca: str = row("", TEXT, "File with the certificate authority of the broker; without it the system's.", "ca.pem")
    certificate: str = row("", TEXT, "File with our client certificate.", "client.pem")
    key: str = row("", TEXT, "File with the key of our client certificate.", "client.key")
    verify: bool = row(True, FLAG, "Check the broker's certificate and name; switch off for a trial only.")

    def problems(self) -> Problems:
        """A key without its certificate, files that cannot be read."""
        if self.key and not self.certificate:
            yield "key", "a key needs a certificate beside it"
            return
        for name, file in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if file and (why := _unreadable(Path(file))):
                yield name, f"{file} cannot be read: {why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """``mqtt.discovery:``"""

    enabled: bool = row(True, FLAG, "Announce meters to Home Assistant.")
    prefix: str = row("homeassistant", TOPIC, "Discovery prefix of Home Assistant.")
    style: str = row(
        "device",
        choice("device", "components"),
        "One message for a whole device, or one for each of its components: openHAB and others know those alone.",
    )
    language: str = row(
        "auto",
        choice("auto", *languages()),
        "Language of entity names; auto is that of Home Assistant as its component tells it, else English.",
        "de",
    )
    every: float = row(
        "5min",
        duration("0s", "1h"),
        "How often Home Assistant takes energies, voltages and currents, of which its database keeps every change; a "
        "jump at once. Power, and what has a row of its own below read, is taken as it is read; so is all with 0s.",
    )
    datetime: bool = row(False, FLAG, "Add datetime and time entities (Home Assistant 2026.5 or newer).")
    reactive_energy: bool = row(
        False,
        FLAG,
        "Give reactive energy its device class (Home Assistant 2025.9 or newer; older ones refuse the meter).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mqtt:
    """``mqtt:``"""

    host: str = row(
        "localhost",
        TEXT,
        "Host name or address of the broker; also HOST:PORT, [::1]:1883, mqtt://HOST or mqtts://HOST.",
    )
    port: int = row(0, integer(0, 65535), "Port of the broker; 0 is 1883, or 8883 with TLS.")
    username: str = row("", MQTT_TEXT, "User name at the broker.", "dlms")
    password: Secret | None = row(None, parsed(_password, type="string", format="password"), "Password at the broker.")
    client_id: str = row(
        "", MQTT_TEXT, "Client id at the broker; without it <base topic>-<bridge id>, such as dlms_mqtt-main."
    )
    protocol: str = row(
        "auto", parsed(_protocol, enum=["auto", "5", "3.1.1"]), "MQTT version; auto is 5, and 3.1.1 where 5 is refused."
    )
    transport: str = row("tcp", choice("tcp", "websockets"), "How the broker is reached.")
    websocket_path: str = row("/mqtt", parsed(_websocket_path), "Path of the broker's WebSocket.")
    websocket_headers: Mapping[str, str] = row(
        dict, mapping_of(MQTT_TEXT, MQTT_TEXT, "name"), "HTTP headers that the broker's WebSocket wants."
    )
    backlog_rate: int = row(
        100,
        integer(0, 100_000),
        "Readings per second that are sent after an outage, so that slow subscribers lose none; 0 is as fast as the "
        "broker takes them. Never less than twice what is being read.",
    )
    keepalive: float = row("60s", duration("0s", "65535s"), "How long the line to the broker may be silent.")
    tls: Tls | None = row(None, section(Tls), "Encrypt the line to the broker; {} is enough.")
    base_topic: str = row("dlms_mqtt", TOPIC, "First part of every topic.")
    discovery: Discovery = row(Discovery, section(Discovery), "What Home Assistant is told.")

    @property
    def broker_port(self) -> int:
        """The port in force."""
        return self.port or (8883 if self.tls else 1883)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """``http:``"""

    listen: str = row(
        "",
        parsed(_address),
        "HOST:PORT of a page that shows the meters, /metrics, /health and /state.json, all read only; without it none. "
        "There is no password: beyond this machine put a reverse proxy before it.",
        f"127.0.0.1:{HTTP_PORT}",
    )
