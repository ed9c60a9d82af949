"""What may stand behind a key of the configuration: how each kind is read, and what the JSON schema says about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from dlms_mqtt.bridge.api.topics import is_sendable
from dlms_mqtt.client import option_values
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.keys import of_key
from dlms_mqtt.meter.catalogue.unit_names import unit_named
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.times import DURATION_PATTERN, parse_duration

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Kind:
    """What may stand behind a key: how it is read, and what the JSON schema says about it."""

    convert: Convert
    schema: Mapping[str, Any]
    section: type | None = None  # the dataclass of its parts, for the manuals
    many: str = ""  # "list" or the word for the key of a mapping: "<id>"


def parsed(parse: Convert, **schema: Any) -> Kind:
    """A kind out of a function that raises ConfigError."""
    return Kind(parse, schema or {"type": "string"})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"expected text, not {value!r}; put it in quotes")
    return value


def _pattern(pattern: str, what: str) -> Kind:
    def convert(value: Any) -> str:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(pattern, text):
            raise ConfigError(f"expected {what}, not {value!r}")
        return text

    return Kind(convert, {"type": "string", "pattern": f"^{pattern}$"})


TEXT = Kind(_text, {"type": "string"})


def _sendable(value: Any) -> str:
    """Text that MQTT carries."""
    text = _text(value)
    if not is_sendable(text):
        raise ConfigError(f"expected text without control characters, not {value!r}")
    if len(text.encode()) > 65535:
        raise ConfigError("expected text of at most 65535 octets")
    return text


MQTT_TEXT = Kind(_sendable, TEXT.schema)
ID = _pattern(r"[a-z0-9-]+", "lower-case letters, digits and hyphens")
KEY = _pattern(r"[a-z0-9_]+", "lower-case letters, digits and underscores")
SYSTEM_TITLE = _pattern(r"([0-9A-Fa-f]{16})?", "16 hexadecimal digits")
_TOPIC = r"[^+#/\s$\x00-\x1f\x7f][^+#/\s\x00-\x1f\x7f]*(/[^+#/\s\x00-\x1f\x7f]+)*"


def _topic(value: Any) -> str:
    """What a topic may not be, each with its sentence."""
    text = _text(value)
    sendable = is_sendable(text)
    faults = (
        (not text, "a topic"),
        (set(text) & set("+#"), "a topic without the wildcards + and #"),
        (text.startswith("$"), "a topic that does not begin with $: brokers keep those for themselves"),
        (
            text.startswith("/") or text.endswith("/") or "//" in text,
            "a topic without / at its ends, and with none doubled",
        ),
        (not sendable or not re.fullmatch(_TOPIC, text), "a topic without blanks and control characters"),
        (sendable and len(text.encode()) > 256, "a topic of at most 256 octets"),
    )
    for wrong, wanted in faults:
        if wrong:
            raise ConfigError(f"expected {wanted}, not {value!r}")
    return text


TOPIC = Kind(_topic, {"type": "string", "pattern": f"^{_TOPIC}$", "maxLength": 256})
FLAG = Kind(option_values.parse_bool, {"type": "boolean"})


def integer(low: int, high: int) -> Kind:
    """A whole number."""
    return Kind(option_values.parse_int(low, high), {"type": "integer", "minimum": low, "maximum": high})


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"expected a number, not {value!r}")
    return value


def _positive(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ConfigError(f"expected a number above 0, not {value!r}")
    return number


NUMBER = Kind(_number, {"type": "number"})
POSITIVE = Kind(_positive, {"type": "number", "exclusiveMinimum": 0})


def choice(*words: str) -> Kind:
    """One of the words."""
    return Kind(option_values.parse_choice(*words), {"enum": list(words)})


DURATION = Kind(parse_duration, {"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["30s", "5m"]})


def duration(low: str, high: str) -> Kind:
    """A time within bounds."""
    least, most = parse_duration(low), parse_duration(high)

    def convert(value: Any) -> float:
        seconds = parse_duration(value)
        if not least <= seconds <= most:
            raise ConfigError(f"expected a time from {low} to {high}, not {value!r}")
        return seconds

    return Kind(convert, DURATION.schema)


def _interval(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds < 1:
        raise ConfigError(f"expected at least 1s, not {value!r}")
    return seconds


INTERVAL = Kind(_interval, DURATION.schema)


def parse_at(value: Any) -> tuple[int, int]:
    """Hour and minute out of ``00:05``."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if not match:
        raise ConfigError(f'expected a time of day such as "00:05", not {value!r}')
    return int(match[1]), int(match[2])


AT = Kind(parse_at, {"type": "string", "pattern": "^([01]\\d|2[0-3]):[0-5]\\d$"})


def _secret(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ConfigError("expected a secret, not an unquoted number; write text:... or hex:... in quotes")
    return option_values.parse_secret(value)


SECRET = Kind(_secret, {"type": "string", "format": "password", "examples": ["text:12345678", "hex:00112233"]})


def _obis(value: Any) -> Obis:
    if isinstance(value, Obis):
        return value
    named = of_key(str(value))
    return named.obis if named else Obis.parse(str(value))


OBIS = Kind(_obis, {"type": "string", "examples": ["1.0.1.8.0.255", "1-0:1.8.0", "energy_import"]})


def _zone(value: Any) -> str:
    try:
        return ZoneInfo(_text(value)).key
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ConfigError(f"expected a time zone such as Europe/Vienna, not {value!r}") from None


def _unit(value: Any) -> str:
    return unit_named(_text(value))


UNIT = Kind(_unit, {"type": "string", "examples": ["kWh", "m³"]})
ZONE = Kind(_zone, {"type": "string", "examples": ["Europe/Vienna"]})


def _label(value: Any) -> str:
    if isinstance(value, bool | float) or not str(value):
        raise ConfigError(f"expected a word, not {value!r}; put it in quotes")
    return str(value)


LABEL = parsed(_label)
