"""The configuration's own manual, made of its rows: the example file, the reference and the JSON schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.kinds import DURATION, Kind
from dlms_mqtt.bridge.config.rows import default_of, kind_of
from dlms_mqtt.bridge.config.sections.config import CONFIG, Config
from dlms_mqtt.bridge.config.sections.item import Action, Derive, Item, Profile
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

_NAMES = {"name": "X-Token", "<id>": "house", "<key>": "round_clock", "<number>": "1", "<bit>": "0"}
_TYPES = {"string": "text", "boolean": "`true`, `false`", "integer": "whole number", "array": "list"}
_FORMATS = {
    "password": "secret",
    "hex": "hexadecimal octets",
    "seconds": "seconds or duration",
    "address": "`HOST:PORT`",
}
_UNSET: tuple[Any, ...] = (None, "", (), {}, b"")

#: What the example says where neither a row's own example nor its default will do.
_EXAMPLES: dict[tuple[type, str], str] = {
    (ConnectionSettings, "serial"): "/dev/ttyUSB0",
    (ConnectionSettings, "tcp"): "192.0.2.5:4059",
    (ConnectionSettings, "udp"): "192.0.2.5:4059",
    (ConnectionSettings, "framing"): "hdlc",
    (ConnectionSettings, "opening"): "sign-on",
    (ConnectionSettings, "authentication"): "low",
    (ConnectionSettings, "password"): '"text:12345678"',
    (Meter, "allow"): "[write, invoke]",
}
#: Rows that are live in the example although they are unset by default.
_LIVE = {
    (ConnectionSettings, "serial"),
    (ConnectionSettings, "authentication"),
    (ConnectionSettings, "password"),
    (Item, "obis"),
    (Action, "obis"),
    (Profile, "obis"),
    (Derive, "value"),
}

_HEAD = """\
# Every key of the configuration of dlms-mqtt with its sentence. A key that is left out has the value shown, but for
# those marked as example; keys behind '#' are unset. Most can go. `dlms-mqtt check --config FILE` checks a file.
# Secrets: "text:...", "hex:...", "env:NAME" or "file:PATH"; or !secret NAME with secrets.yaml beside this file.
"""


def example() -> str:
    """The text of config.example.yaml."""
    return _HEAD + "\n".join(_section(Config, 0, live=True)) + "\n"


_REFERENCE_HEAD = """\
# Every key of the configuration

How the keys fit together is shown by `config.example.yaml`; `dlms-mqtt service --config` prints a minimal one. `[]` is
an item of a list. Secrets are `text:...`, `hex:...`, `env:NAME`, `file:PATH`, or `!secret NAME` from a `secrets.yaml`
beside the file; durations are `10s`, `5m`, `1h30m`, `2d`. `!env NAME` and `!include FILE` may stand for any value.

| key | may be | default | what it is |
|---|---|---|---|
"""


def reference() -> str:
    """The text of docs/configuration.md: one line per key."""
    rows = (f"| `{path}` | {kind} | {default} | {text} |\n" for path, kind, default, text in _walk(Config, ""))
    return _REFERENCE_HEAD + "".join(rows)


def _may_be(schema: Mapping[str, Any]) -> str:
    """The words that are allowed, or the type, in a cell of a table."""
    if words := schema.get("enum"):
        return ", ".join(f"`{word}`" for word in words)
    if named := _FORMATS.get(schema.get("format", "")):
        return named
    if schema.get("type") == "array":
        items = _may_be(schema["items"])
        return "list" if items == "section" else f"list of {items}"
    if schema.get("type") == "object":
        return "section"
    if schema == DURATION.schema:
        return "duration"
    kind = schema.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    bounds = [f"{schema[key]}" for key in ("minimum", "maximum") if key in schema]
    return " or ".join(_TYPES.get(name, str(name)) for name in kinds) + (f", {' to '.join(bounds)}" if bounds else "")


def schema() -> dict[str, Any]:
    """The JSON schema of a whole configuration; a meter is under ``properties.meters.additionalProperties``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CONFIG.schema}


def _walk(cls: type, above: str) -> Iterator[tuple[str, str, str, str]]:
    for item in fields(cls):
        kind, path = kind_of(item), above + item.name.rstrip("_")
        yield path, _may_be(kind.schema), _default_text(item), item.metadata["help"]
        if kind.section:
            yield from _walk(kind.section, path + {"": "", "list": "[]"}.get(kind.many, f".{kind.many}") + ".")


def _default_text(item: Field[Any]) -> str:
    value = default_of(item)
    if kind_of(item).section or value in _UNSET:
        return "" if value in _UNSET else "a section"
    return f"`{_yaml(value, item)}`"


def _section(cls: type, depth: int, *, live: bool) -> list[str]:
    lines: list[str] = []
    for item in fields(cls):
        lines += _entry(cls, item, depth, live)
    return lines


def _entry(cls: type, item: Field[Any], depth: int, live: bool) -> Iterator[str]:
    kind, name, pad = kind_of(item), item.name.rstrip("_"), "  " * depth
    set_here = live and (_is_set(item) or (cls, item.name) in _LIVE)
    text = item.metadata["help"]
    if set_here and not kind.section:
        text = text.rstrip(".") + _departure(cls, item) + "." * text.endswith(".")
    yield from textwrap.wrap(text, 100, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")
    mark = "" if set_here else "#"
    if kind.section:
        yield from _below(kind, f"{pad}{mark}{name}:", depth, set_here)
    elif kind.many == "" or item.metadata.get("example") is not None:
        yield f"{pad}{mark}{name}: {_shown(cls, item)}".rstrip()
    else:
        yield f"{pad}{mark}{name}: {_small(kind)}"


def _departure(cls: type, item: Field[Any]) -> str:
    """What to add where the example shows something else than the default."""
    value = default_of(item)
    if value in _UNSET:
        return " (example)"
    default = _yaml(value, item)
    return "" if _shown(cls, item) == default else f" (example; default {default})"


def _is_set(item: Field[Any]) -> bool:
    value = default_of(item)
    return value is not None if kind_of(item).section else value not in _UNSET


def _small(kind: Kind) -> str:
    return "[]" if kind.many == "list" else f"{{{_NAMES[kind.many]}: word}}"


def _below(kind: Kind, head: str, depth: int, live: bool) -> Iterator[str]:
    assert kind.section is not None  # noqa: S101
    pad = "  " * (depth + 1) + ("" if live else "#")
    yield head
    if kind.many == "":
        yield from _section(kind.section, depth + 1, live=live)
    elif kind.many == "list":
        lines = _section(kind.section, depth + 2, live=live)
        yield f"{pad}-"
        yield from lines
    else:
        yield f"{pad}{_NAMES[kind.many]}:"
        yield from _section(kind.section, depth + 2, live=live)


def _shown(cls: type, item: Field[Any]) -> str:
    if (cls, item.name) in _EXAMPLES:
        return _EXAMPLES[cls, item.name]
    example = item.metadata.get("example")
    return _yaml(default_of(item) if example is None else example, item)


def _yaml(value: Any, item: Field[Any]) -> str:
    if value is None or value in ("", b""):
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Obis | Path):
        return str(value)
    if isinstance(value, bytes | Secret):
        return json.dumps(value.hex())
    if isinstance(value, str) and (value.replace("_", "").isalpha()):
        return value
    return json.dumps(value)
