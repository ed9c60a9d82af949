"""Configuration rows: a key, its default, its sentence and its kind together; schema and manuals are made of them.

A section is a frozen dataclass whose fields were made by ``row``. ``section(cls)`` turns a mapping into it through a
voluptuous schema; every mistake in it is found, not only the first.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, replace
from functools import lru_cache
from typing import Any

import voluptuous as vol

from dlms_mqtt.bridge.config.kinds import SECRET, Convert, Kind
from dlms_mqtt.errors import ConfigError

Problems = Iterator[tuple[str, str]]
"""Of mistakes that need more than one key: the key, and what is wrong with it."""


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


def shared(kind: Kind) -> Kind:
    """The same word makes the same value once: of a thousand meters most have the items of others."""
    of_word = lru_cache(maxsize=1024)(kind.convert)

    def convert(value: Any) -> Any:
        return of_word(value) if isinstance(value, str) else kind.convert(value)

    return replace(kind, convert=convert)


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
    parse = item.metadata["parse"]
    return Kind(parse, getattr(parse, "schema", {"type": ["string", "integer"]}))  # else any word, as str takes it


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


def twice(names: Iterable[str]) -> list[str]:
    """The names that stand there more than once."""
    return sorted(name for name, count in Counter(names).items() if count > 1)
