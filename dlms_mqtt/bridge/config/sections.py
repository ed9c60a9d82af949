"""The configuration: every key with its default and sentence, as rows. ``config_file`` loads, ``manual`` prints it."""
# ruff: noqa: RUF009 - row() makes fields

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.broker_address import broker_of
from dlms_mqtt.bridge.config.expression import Expression, parse_expression
from dlms_mqtt.bridge.config.kinds import (
    AT,
    DURATION,
    FLAG,
    ID,
    INTERVAL,
    KEY,
    NUMBER,
    OBIS,
    POSITIVE,
    SECRET,
    SYSTEM_TITLE,
    TEXT,
    TOPIC,
    UNIT,
    ZONE,
    Kind,
    choice,
    duration,
    integer,
    list_of,
    mapping_of,
    parsed,
    row,
    section,
)
from dlms_mqtt.bridge.config.transform import Transform, parse_transform
from dlms_mqtt.client.option_values import SECRET_KINDS
from dlms_mqtt.client.settings import LINES, ConnectionSettings, key_apart
from dlms_mqtt.cosem.catalogue import default_class
from dlms_mqtt.cosem.reference import split_reference
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.languages.texts import languages
from dlms_mqtt.meter.catalogue.reference import object_of, of_key
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

STATE_DIR = Path("/var/lib/dlms-mqtt")
HTTP_PORT = 9780
Problems = Iterator[tuple[str, str]]


def _data_type(value: Any) -> str:
    from dlms_mqtt.protocol.axdr.data import DataType

    found = DataType.from_text(str(value))
    if found is None:
        raise ConfigError(f"expected a type such as long-unsigned, not {value!r}")
    return found.text


def _password(value: Any) -> Secret:
    """The broker's password is text, so it may also be written without ``text:``."""
    if isinstance(value, str) and value.partition(":")[0] not in SECRET_KINDS:
        return Secret(value.encode())
    secret = SECRET.convert(value)
    assert isinstance(secret, Secret)  # noqa: S101
    return secret


def key_of_line(value: Any) -> Any:
    """The key in the address of an ESPHome device is a secret as every other."""
    return key_apart(value) if isinstance(value, dict) else value


def _protocol(value: Any) -> str:
    """The version of MQTT, also as a number or with a v."""
    word = {"5": "5", "5.0": "5", "3.1.1": "3.1.1", "4": "3.1.1", "auto": "auto"}.get(str(value).lower().lstrip("v"))
    if word is None or isinstance(value, bool):
        raise ConfigError(f"expected one of auto, 5, 3.1.1, not {value!r}")
    return word


def _other_id(value: Any) -> str:
    return str(ID.convert(value)) if value != "" else ""


def _path(value: Any) -> Path:
    return Path(TEXT.convert(value))


def _listen(value: Any) -> str:
    from dlms_mqtt.transport.listen import listen_address

    text: str = TEXT.convert(value)
    if text not in ("", "connection"):
        listen_address(text)
    return text


def _address(value: Any) -> str:
    from dlms_mqtt.transport.base import parse_address

    text: str = TEXT.convert(value)
    if text:
        parse_address(text, HTTP_PORT, least_port=0)
    return text


def _label(value: Any) -> str:
    if isinstance(value, bool | float) or not str(value):
        raise ConfigError(f"expected a word, not {value!r}; put it in quotes")
    return str(value)


LABEL = parsed(_label)
WHOLE = integer(-(2**63), 2**64)
PATH = parsed(_path)
CLASS = integer(0, 0xFFFF)
ATTRIBUTE = integer(1, 127)
TYPE = parsed(_data_type)


def _anything(value: Any) -> Any:
    return value


ANY = Kind(_anything, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """``bridge:``"""

    id: str = row("main", ID, "Name of this bridge in topics; bridges that share a broker need different ones.")
    name: str = row("DLMS bridge", TEXT, "Name of the bridge's device in Home Assistant.")
    state_dir: Path = row(
        STATE_DIR,
        PATH,
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
    username: str = row("", TEXT, "User name at the broker.", "dlms")
    password: Secret | None = row(None, parsed(_password, type="string", format="password"), "Password at the broker.")
    client_id: str = row(
        "", TEXT, "Client id at the broker; without it <base topic>-<bridge id>, such as dlms_mqtt-main."
    )
    protocol: str = row(
        "auto", parsed(_protocol, enum=["auto", "5", "3.1.1"]), "MQTT version; auto is 5, and 3.1.1 where 5 is refused."
    )
    transport: str = row("tcp", choice("tcp", "websockets"), "How the broker is reached.")
    websocket_path: str = row("/mqtt", TEXT, "Path of the broker's WebSocket.")
    websocket_headers: Mapping[str, str] = row(
        dict, mapping_of(TEXT, TEXT, "name"), "HTTP headers that the broker's WebSocket wants."
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """``meters.<id>.supply:``"""

    phases: int = row(3, integer(1, 3), "Phases of the supply.")
    amperes: float = row(100, POSITIVE, "Amperes that the supply can carry per phase.", 63)
    volts: float = row(230, POSITIVE, "Volts between phase and neutral.")

    @property
    def watts(self) -> float:
        """The most that can flow, with a margin of a quarter for over-current and over-voltage."""
        return self.phases * self.amperes * self.volts * 1.25


# Of the entities that every meter has (`entities.BUILT_IN`): a value of that key would take their place.
RESERVED_KEYS = frozenset(
    [
        "status",
        "last_success",
        "clock_drift",
        "set_clock",
        "read_duration",
        "line_errors",
        "line_quality",
        "retries",
        "check_errors",
        "sign_on_success",
        "turn_round",
        "invocation_counter",
        "held_value",
        "accept_energy",
        "read_now",
        "pause",
        "event",
        "clock_setting",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """``meters.<id>.read.also[]:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the object.", "1.0.32.7.0.255")
    class_: int | None = row(None, CLASS, "Interface class; without it the catalogue's or the meter's object list.")
    attribute: int = row(2, ATTRIBUTE, "Attribute to read.")
    key: str = row("", KEY, "Key in topics; without it the catalogue's.")
    name: str = row("", TEXT, "Name in Home Assistant; without it the catalogue's.")
    every: float | None = row(None, INTERVAL, "Interval of this item.", "10s")
    at: tuple[tuple[int, int], ...] = row((), list_of(AT), "Times of day at which it is read, instead of an interval.")
    unit: str | None = row(None, UNIT, "Unit, where the meter gives none or a wrong one.")
    scaler: int | None = row(None, integer(-20, 20), "Power of ten, where the meter gives none or a wrong one.")
    transform: Transform | None = row(
        None, parsed(parse_transform), "Arithmetic of value, applied after the scaler.", "value / 1000"
    )
    device_class: str | None = row(None, TEXT, "Device class in Home Assistant; none switches it off.")
    state_class: str | None = row(
        None, choice("measurement", "total", "total_increasing", "none"), "State class in Home Assistant."
    )
    decimals: int | None = row(None, integer(0, 9), "Decimals that are published: rounded after the transform.", 1)
    precision: int | None = row(None, integer(0, 9), "Decimals that Home Assistant shows.")
    values: Mapping[int, str] = row(dict, mapping_of(WHOLE, LABEL, "<number>"), "Words for numbers.")
    bits: Mapping[int, str] = row(
        dict, mapping_of(integer(0, 63), KEY, "<bit>"), "Keys for single bits: each becomes a binary sensor."
    )
    writable: bool = row(False, FLAG, "Let publishers set it by its set/<key> topic.")
    confirm: bool = row(False, FLAG, "A write needs confirm: <meter id> in the request.")
    type: str = row(
        "", TYPE, "Type to write; without it the one that was read. date-time, date and time also tell what octets are."
    )
    min: float | None = row(None, NUMBER, "Lowest value that may be written.")
    max: float | None = row(None, NUMBER, "Highest value that may be written.")
    step: float | None = row(None, NUMBER, "Step of the number entity.")
    max_length: int = row(0, integer(0, 255), "Longest text that may be written; makes it a text entity.")
    enabled: bool = row(True, FLAG, "Is its entity enabled when Home Assistant first sees it.")

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "an item needs an obis"
        if self.key in RESERVED_KEYS:
            yield "key", f"'{self.key}' is the bridge's own entity of every meter; choose another key"
        if self.every is not None and self.at:
            yield "at", "every and at exclude each other"
        if (self.values or self.bits) and self.transform:
            yield "transform", "a transform and words for numbers exclude each other"
        if (self.min is None) != (self.max is None):
            yield "min", "min and max belong together"
        if self.min is not None and self.max is not None and self.min > self.max:
            yield "min", "min is greater than max"


def item_of_text(value: Any) -> Any:
    """``[CLASS/]OBIS[:ATTRIBUTE]`` or a key of the catalogue stands for the item with these keys. ConfigError."""
    if not isinstance(value, str):
        return _item_of_key(value)
    class_id, code, attribute = split_reference(value)
    if attribute and not attribute.isdigit():  # by its name, which depends on the class
        reference = object_of(value)
        attribute = str(reference.attribute(reference.class_id or default_class(reference.obis) or 0))
    item: dict[str, Any] = {"obis": code}
    return _item_of_key(
        item | ({"class": class_id} if class_id else {}) | ({"attribute": attribute} if attribute else {})
    )


def _item_of_key(value: Any) -> Any:
    """A key of the catalogue also says which attribute it is, and sometimes of which class."""
    named = of_key(value["obis"]) if isinstance(value, dict) and isinstance(value.get("obis"), str) else None
    if named is None:
        return value
    known = {"class": named.class_id, "attribute": named.number}
    return {name: number for name, number in known.items() if number is not None} | value | {"obis": str(named.obis)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """``meters.<id>.read:``"""

    set: str = row(
        "core", choice("core", "all", "none"), "core, all (everything with a known meaning) or none, of what it offers."
    )
    except_: tuple[str, ...] = row(
        (),
        list_of(LABEL),
        "Keys or OBIS codes of the set that are not read, and of pushes that are not published.",
        ["current_l1"],
    )
    also: tuple[Item, ...] = row(
        (), list_of(section(Item, prepare=item_of_text)), "More items, or other settings for items of the set."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Derive:
    """``meters.<id>.derive.<key>:``"""

    value: Expression | None = row(
        None,
        parsed(parse_expression),
        "Arithmetic of keys of this meter, with abs, sign, min and max.",
        "current_l1 * sign(power_l1)",
    )
    name: str = row("", TEXT, "Name in Home Assistant; without it the key.")
    unit: str | None = row(None, UNIT, "Unit; without it that of the parts, where they have the same.", "A")
    decimals: int | None = row(None, integer(0, 9), "Decimals that are published.", 1)
    device_class: str | None = row(None, TEXT, "Device class in Home Assistant; without it that of the unit.")
    state_class: str | None = row(
        None, choice("measurement", "total", "total_increasing", "none"), "State class in Home Assistant."
    )
    precision: int | None = row(None, integer(0, 9), "Decimals that Home Assistant shows.")
    enabled: bool = row(True, FLAG, "Is its entity enabled when Home Assistant first sees it.")

    def problems(self) -> Problems:
        """Without parts it would be a constant."""
        if self.value is None or not self.value.names:
            yield "value", "expected arithmetic of at least one key of this meter"


def derive_of_short(value: Any) -> Any:
    """``derive: {key: arithmetic}`` is short for the section."""
    return {"value": value} if isinstance(value, str) else value


def read_of_short(value: Any) -> Any:
    """``read: all`` and ``read: [items]`` are short for the section."""
    if isinstance(value, str):
        return {"set": value}
    return {"set": "none", "also": value} if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """``meters.<id>.actions.<key>:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the object.", "0.0.1.0.0.255")
    class_: int | None = row(None, CLASS, "Interface class; without it the catalogue's or the meter's object list.")
    method: int = row(1, integer(1, 127), "Method to run.", 3)
    name: str = row("", TEXT, "Name of the button in Home Assistant.", "Round the clock to the minute")
    value: Any = row(None, ANY, "Argument of the method; without it integer 0.")
    type: str = row("", TYPE, "Type of the argument.")
    confirm: bool = row(False, FLAG, "It needs confirm: <meter id> in the request, and gets no button.", True)

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "an action needs an obis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """``meters.<id>.profiles[]:``"""

    obis: Obis | None = row(None, OBIS, "Logical name of the profile.", "1.0.99.1.0.255")
    key: str = row("", KEY, "Key in topics; without it made of the OBIS code.", "load_profile")
    every: float | None = row(None, INTERVAL, "How often new rows are fetched; without it and without at 1h.", "1h")
    at: tuple[tuple[int, int], ...] = row((), list_of(AT), "Times of day at which new rows are fetched.")
    backfill: float = row("30d", DURATION, "How far back the first fetch goes.")
    event_log: bool = row(False, FLAG, "Its rows are events: each new one is published on the event topic.")

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if self.obis is None:
            yield "", "a profile needs an obis"
        if self.every is not None and self.at:
            yield "at", "every and at exclude each other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """``meters.<id>.push.match:``"""

    system_title: str = row("", SYSTEM_TITLE, "System title of the meter, in hexadecimal.", "4B414D4500000001")
    device: str = row("", LABEL, "Logical device name or serial number in the pushed values.")
    host: str = row("", LABEL, "Address from which the meter speaks.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """``meters.<id>.push:``"""

    listen: str = row(
        "",
        parsed(_listen),
        "Where pushes arrive: tcp://ADDRESS:PORT or udp://ADDRESS:PORT; connection: on the meter's own line.",
        "tcp://0.0.0.0:4059",
    )
    match: Match = row(
        Match, section(Match), "How this meter's pushes are known; without it all of that address are its."
    )
    ask: bool = row(
        False,
        FLAG,
        "Ask the meter too: on its own line (connection), or on the connection that it makes (tcp).",
    )
    every: float = row("1h", INTERVAL, "Longest time between two pushes; values expire after three of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCare:
    """``meters.<id>.clock:``"""

    sync: bool = row(False, FLAG, "Set the meter's clock when it is wrong; by half hours only with a timezone stated.")
    tolerance: float = row("30s", DURATION, "How wrong the clock may be.")
    per_day: int = row(1, integer(1, 24), "How often a day it may be set.")
    sense: str = row(
        "auto",
        choice("auto", "standard", "inverted"),
        "Sign of the deviation, which differs by country; auto compares.",
    )


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """``meters.<id>:``"""

    name: str = row("", TEXT, "Name of the device; without it the id.", "House meter")
    replaces: str = row(
        "",
        parsed(_other_id),
        "The id that this meter had before: Home Assistant keeps its entities and history.",
        "old-id",
    )
    enabled: bool = row(True, FLAG, "Switch a meter off without removing it.")
    preset: str = row("generic", TEXT, "Meter family (dlms-mqtt presets lists them) or a preset file of your own.")
    connection: Mapping[str, Any] = row(
        dict,
        section(ConnectionSettings, prepare=key_of_line, build=dict),
        "How the meter is reached; keys here go before the preset's.",
    )
    session: str = row(
        "auto",
        choice("auto", "keep", "close"),
        "keep the association between cycles, close it after each, or auto: keep it when the next cycle is near.",
    )
    timezone: str = row("", ZONE, "Time zone of this meter's clock; without it the bridge's.")
    supply: Supply = row(Supply, section(Supply), "What the supply can carry: the energy guard's bound.")
    guard: bool = row(
        True, FLAG, "Hold back energy values that fall, turn zero or jump beyond what the supply can carry."
    )
    attempts: int = row(
        2, integer(1, 5), "How often a refused password or key is tried before a pause, which grows up to a day."
    )
    every: float = row("30s", INTERVAL, "Interval of items that have none of their own.")
    read: Read = row(Read, section(Read, prepare=read_of_short), "What is read.")
    derive: Mapping[str, Derive] = row(
        dict,
        mapping_of(KEY, section(Derive, prepare=derive_of_short), "<key>"),
        "Values computed of several items: signed currents, sums, what a submeter leaves.",
    )
    actions: Mapping[str, Action] = row(
        dict, mapping_of(KEY, section(Action), "<key>"), "Methods that publishers may run."
    )
    allow: tuple[str, ...] = row(
        (), list_of(choice("write", "invoke")), "Requests with free addresses that publishers may send."
    )
    profiles: tuple[Profile, ...] = row((), list_of(section(Profile)), "Profiles whose rows are published.")
    push: Push | None = row(None, section(Push), "For a meter that speaks by itself.")
    clock: ClockCare = row(ClockCare, section(ClockCare), "Care for the meter's clock.")

    def problems(self) -> Problems:
        """Mistakes that need more than one key."""
        if not any(self.connection.get(line) for line in LINES) and not (self.push and self.push.listen):
            yield "connection", "expected serial, tcp or udp (or push.listen for a meter that only pushes)"
        if self.push and self.push.ask and not self.push.listen.startswith(("tcp:", "connection")):
            yield "push", "ask: true needs listen: connection or listen: tcp://ADDRESS:PORT"
        if twice := _twice(item.key or f"of {item.obis}:{item.attribute}" for item in self.read.also):
            yield "read", f"two items have the key {', '.join(twice)}"
        keys = {item.key for item in self.read.also} | RESERVED_KEYS
        for key, said in self.derive.items():
            if key in keys:
                yield "derive", f"'{key}' is the key of something else; choose another"
            if said.value and key in said.value.names:
                yield "derive", f"'{key}' is computed of itself"
        if twice := _twice(item.key or f"of {item.obis}" for item in self.profiles):
            yield "profiles", f"two profiles have the key {', '.join(twice)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    bridge: Bridge = row(Bridge, section(Bridge), "This bridge.")
    mqtt: Mqtt = row(Mqtt, section(Mqtt, prepare=broker_of), "The broker.")
    http: Http = row(Http, section(Http), "A page and figures for a browser, Prometheus and monitors.")
    meters: Mapping[str, Meter] = row(dict, mapping_of(ID, section(Meter), "<id>"), "The meters.")

    def problems(self) -> Problems:
        """A meter replaces an id that is none any more, and that no other meter replaces."""
        replaced = [meter.replaces for meter in self.meters.values() if meter.replaces]
        for name in _twice(replaced):
            yield "meters", f"two meters replace '{name}'"
        for name in replaced:
            if name in self.meters:
                yield "meters", f"'{name}' is replaced and still there; remove it, or the replaces of the other meter"


METER = section(Meter)
CONFIG = section(Config)
