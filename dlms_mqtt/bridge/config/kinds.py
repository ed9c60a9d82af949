"""Configuration rows: a key, its default, its sentence and its kind together; schema and manuals are made of them.

A section is a frozen dataclass whose fields were made by ``row``. ``section(cls)`` turns a mapping into it through a
voluptuous schema; every mistake in it is found, not only the first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo

import voluptuous as vol

from dlms_mqtt.client import option_values
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.reference import of_key
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


def row(default: Any, kind: Kind, sentence: str, example: Any = None) -> Any:
    """A field that is a configuration key, its default as it would be written; ``example`` is for the manual."""
    metadata = {"kind": kind, "help": sentence, "example": example, "written": default}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, str) and default:
        default = kind.convert(default)
    return field(default=default, metadata=metadata)


def default_of(item: Field[Any]) -> Any:
    """The default of a row as it is written; made when it is a factory."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.metadata.get("written", item.default)


def parsed(parse: Convert, **schema: Any) -> Kind:
    """A kind out of a function that raises ConfigError."""
    return Kind(parse, schema or {"type": "string"})


# --- simple kinds ----------------------------------------------------------------------------------------------------


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
ID = _pattern(r"[a-z0-9-]+", "lower-case letters, digits and hyphens")
KEY = _pattern(r"[a-z0-9_]+", "lower-case letters, digits and underscores")
SYSTEM_TITLE = _pattern(r"([0-9A-Fa-f]{16})?", "16 hexadecimal digits")
_TOPIC = r"[^+#/\s$\x00-\x1f\x7f][^+#/\s\x00-\x1f\x7f]*(/[^+#/\s\x00-\x1f\x7f]+)*"


def _topic(value: Any) -> str:
    """What a topic may not be, each with its sentence."""
    text = _text(value)
    faults = (
        (not text, "a topic"),
        (set(text) & set("+#"), "a topic without the wildcards + and #"),
        (text.startswith("$"), "a topic that does not begin with $: brokers keep those for themselves"),
        (
            text.startswith("/") or text.endswith("/") or "//" in text,
            "a topic without / at its ends, and with none doubled",
        ),
        (not re.fullmatch(_TOPIC, text), "a topic without blanks and control characters"),
        (len(text.encode()) > 256, "a topic of at most 256 octets"),
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


# --- kinds made of kinds ---------------------------------------------------------------------------------------------


def _voluptuous(kind: Kind) -> Convert:
    def validate(value: Any) -> Any:
        try:
            return kind.convert(value)
        except ConfigError as error:
            raise vol.Invalid(error.told) from None

    return validate


def list_of(kind: Kind) -> Kind:
    """A list; a single value counts as a list of one."""
    schema = vol.Schema(_voluptuous(kind))

    def convert(value: Any) -> tuple[Any, ...]:
        made, errors = [], []
        for number, item in enumerate(value if isinstance(value, list | tuple) else [value]):
            try:
                made.append(schema(item))
            except vol.MultipleInvalid as error:  # a list of voluptuous would stop at the first bad row
                error.prepend([number])
                errors += error.errors
        if errors:
            raise vol.MultipleInvalid(errors)
        return tuple(made)

    return Kind(convert, {"type": "array", "items": kind.schema}, kind.section, "list")


def mapping_of(key: Kind, kind: Kind, word: str) -> Kind:
    """A mapping with free keys; ``word`` names them in the manuals."""
    schema = vol.Schema({_voluptuous(key): _voluptuous(kind)})

    def convert(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise ConfigError(f"expected {word}: ... below this key, not {value!r}")
        try:
            return dict(schema(value))
        except vol.MultipleInvalid as error:
            raise vol.MultipleInvalid([_bad_key(item, key) for item in error.errors]) from None

    return Kind(convert, {"type": "object", "additionalProperties": kind.schema}, kind.section, word)


def _bad_key(error: vol.Invalid, key: Kind) -> vol.Invalid:
    """voluptuous only says that a key is extra; say what a key should look like."""
    if error.msg != "extra keys not allowed" or len(error.path) != 1:
        return error
    try:
        key.convert(error.path[0])
    except ConfigError as reason:
        return vol.Invalid(reason.message, path=error.path)
    return error


def section(cls: type[Any], *, prepare: Convert | None = None, build: Convert | None = None) -> Kind:
    """A mapping with the rows of ``cls`` as keys. ``prepare`` takes short spellings, ``build`` replaces ``cls``."""
    rows = {item.name.rstrip("_"): item for item in fields(cls)}
    kinds = {name: kind_of(item) for name, item in rows.items()}
    schema = vol.Schema({vol.Optional(name): _voluptuous(kind) for name, kind in kinds.items()})

    def convert(value: Any) -> Any:
        value = prepare(value) if prepare else value
        if not isinstance(value, dict):
            raise ConfigError(f"expected keys such as {', '.join(list(rows)[:3])} here, not {value!r}")
        given = {key: item for key, item in value.items() if item is not None or key not in rows}
        try:
            values = schema(given)
        except vol.MultipleInvalid as error:
            raise vol.MultipleInvalid([_unknown_key(item, rows) for item in error.errors]) from None
        return (build or _builder(cls, rows))(values)

    return Kind(convert, _object_schema(rows, kinds), cls)


def kind_of(item: Field[Any]) -> Kind:
    """The kind of a row; connection options carry a bare parse function."""
    kind: Kind | None = item.metadata.get("kind")
    if kind:
        return kind
    if item.metadata["secret"]:
        return SECRET
    words = getattr(item.metadata["parse"], "choices", None)
    return Kind(item.metadata["parse"], {"enum": list(words)} if words else {"type": _json_type(item.default)})


def _json_type(default: Any) -> Any:
    kinds: tuple[tuple[type, str], ...] = ((bool, "boolean"), (int, "integer"), (float, "number"))
    return next((name for kind, name in kinds if isinstance(default, kind)), ["string", "integer", "boolean"])


def _builder(cls: type[Any], rows: Mapping[str, Field[Any]]) -> Convert:
    def build(values: dict[str, Any]) -> Any:
        made = cls(**{rows[name].name: value for name, value in values.items()})
        problems: Iterator[tuple[str, str]] = made.problems() if hasattr(made, "problems") else iter(())
        errors = [vol.Invalid(message, path=[key] if key else []) for key, message in problems]
        if errors:
            raise vol.MultipleInvalid(errors)
        return made

    return build


def _unknown_key(error: vol.Invalid, rows: Mapping[str, Any]) -> vol.Invalid:
    if error.msg != "extra keys not allowed" or len(error.path) != 1:
        return error
    near = difflib.get_close_matches(str(error.path[0]), list(rows), 1)
    known = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(rows)}"
    return vol.Invalid(f"unknown key; {known}", path=error.path)


def _object_schema(rows: Mapping[str, Field[Any]], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    properties = {
        name: {**kinds[name].schema, "description": item.metadata["help"], **_json_default(default_of(item))}
        for name, item in rows.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _json_default(value: Any) -> dict[str, Any]:
    return {"default": value} if isinstance(value, bool | int | float | str) else {}
