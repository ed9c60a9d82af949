"""Presets: what is known of a meter family, one YAML file each, with the source of every claim.

A preset fills in connection options that the user left out, and says how the family pushes. A file of the user's own
works the same way; only in those that come with the program every claim must name its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.client.settings import parse_options
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.units import unit_code

DIRECTORY = Path(__file__).parent

#: What a preset file may hold, and of which type.
_KEYS: dict[str, type] = {
    "name": str,
    "manufacturer": str,
    "country": list,
    "match": dict,
    "connection": dict,
    "push": dict,
    "claims": list,
    "notes": list,
}
#: Of its sections: key -> type, and of lists the type of their items.
_SECTIONS: dict[str, dict[str, tuple[type, type | None]]] = {
    "match": {"flag": (list, str), "system_title": (list, str), "list": (list, str)},
    "push": {
        "framing": (list, str),
        "layout": (list, str),
        "ciphered": (str, None),
        "baud": (list, int),
        "parity": (str, None),
        "every": (int, None),
        "scalers": (list, dict),
    },
}


def preset_names() -> list[str]:
    """The presets that come with the program."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def is_own(name: str) -> bool:
    """Is this the path of a user's own preset file?"""
    return "/" in name or name.endswith((".yaml", ".yml"))


def load_preset(name: str) -> dict[str, Any]:
    """A preset by name, or by the path of the user's own file. ConfigError."""
    return deepcopy(_load_bundled(name)) if not is_own(name) else _load(name, Path(name))


@cache
def _load_bundled(name: str) -> dict[str, Any]:
    """These do not change while we run, and a thousand meters have the same one."""
    return _load(name, DIRECTORY / f"{name}.yaml")


def _load(name: str, path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no preset '{name}'", hint="`dlms-mqtt presets` lists them.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the preset {path} cannot be read: {error}", file=str(path)) from None
    _check(path, loaded)
    return dict(loaded)


def _check(path: Path, loaded: Any) -> None:
    if not isinstance(loaded, dict):
        raise ConfigError(f"the preset {path} is not a mapping", file=str(path))
    for key, value in loaded.items():
        if key not in _KEYS:
            raise ConfigError(
                f"a preset has no '{key}'", file=str(path), key=str(key), hint=f"It has {', '.join(_KEYS)}."
            )
        if value is not None and not isinstance(value, _KEYS[key]):
            raise ConfigError(f"'{key}' of a preset is not a {_KEYS[key].__name__}", file=str(path), key=key)
    if not _is(loaded.get("claims") or [], list, dict):
        raise ConfigError("'claims' of a preset is not a list of mappings", file=str(path), key="claims")
    for section in _SECTIONS:
        _check_section(path, section, loaded.get(section) or {})
    try:
        _scalers(loaded)
        parse_options(loaded.get("connection") or {})
        parse_options(_pushed_line(loaded))
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint, file=str(path), key=error.key) from None


def _check_section(path: Path, section: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key not in _SECTIONS[section]:
            raise ConfigError(f"'{section}' of a preset has no '{key}'", file=str(path), key=f"{section}.{key}")
        kind, items = _SECTIONS[section][key]
        if not _is(value, kind, items):
            wanted = f"list of {items.__name__}" if items else kind.__name__
            raise ConfigError(f"'{section}.{key}' is not a {wanted}", file=str(path), key=f"{section}.{key}")


def _is(value: Any, kind: type, items: type | None) -> bool:
    right = isinstance(value, kind)
    return right and (items is None or all(isinstance(item, items) for item in value))


def preset_connection(name: str) -> Mapping[str, Any]:
    """What a preset puts below ``connection:``; speed and parity of a port that pushes are among it. ConfigError.

    The values are parsed: octets and secrets are what they are.
    """
    preset = load_preset(name)
    return parse_options(_pushed_line(preset) | (preset.get("connection") or {}))


def _pushed_line(preset: Mapping[str, Any]) -> dict[str, Any]:
    pushed = preset.get("push") or {}
    speeds = pushed.get("baud") or []
    known = {"baud": speeds[0]} if len(speeds) == 1 else {}
    return known | ({"parity": pushed["parity"]} if "parity" in pushed else {})


def preset_only_speaks(name: str) -> bool:
    """Is this a family of which only pushes are known, and no way to ask it? ConfigError."""
    preset = load_preset(name)
    return bool(preset.get("push")) and not preset.get("connection")


def preset_scalers(name: str) -> dict[Obis, ScalerUnit]:
    """Scalers and units that a preset gives for a pushed list without any. ConfigError."""
    return _scalers(load_preset(name))


def _scalers(preset: Mapping[str, Any]) -> dict[Obis, ScalerUnit]:
    return dict(map(_scaler, (preset.get("push") or {}).get("scalers") or []))


def _scaler(row: Any) -> tuple[Obis, ScalerUnit]:
    try:
        code = unit_code(str(row["unit"]))
        found = Obis.parse(str(row["obis"])), ScalerUnit(int(row["scaler"]), code if code is not None else -1)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"scalers are rows of obis, scaler and unit, not {row!r}", key="push.scalers") from None
    if found[1].unit_code < 0:
        raise ConfigError(f"there is no unit '{row['unit']}'", key="push.scalers")
    return found


def stated(preset: Mapping[str, Any]) -> Iterator[str]:
    """Everything a preset states, as ``section.key``: each needs a claim."""
    for section in ("match", "connection", "push"):
        yield from (f"{section}.{key}" for key in preset.get(section) or {})


def matching(*, flag: str = "", system_title: bytes = b"", list_name: str = "") -> list[str]:
    """Presets whose family these signs speak for: letters of an identification, a system title, a list's name."""
    names = []
    for name in preset_names():
        match = load_preset(name).get("match") or {}
        by_flag = flag.upper() in (letters.upper() for letters in match.get("flag", ())) if flag else False
        by_title = any(system_title.startswith(bytes.fromhex(title)) for title in match.get("system_title", ()))
        if by_flag or by_title or (list_name and list_name in match.get("list", ())):
            names.append(name)
    return names
