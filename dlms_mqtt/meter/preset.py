"""Presets: what is known of a meter family, one YAML file each, with the source of every claim.

A preset fills in connection options that the user left out. A file of the user's own works the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.errors import ConfigError

DIRECTORY = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The presets that come with the program."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """A preset by name, or by the path of the user's own file. ConfigError."""
    own = "/" in name or name.endswith((".yaml", ".yml"))
    path = Path(name) if own else DIRECTORY / f"{name}.yaml"
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no preset '{name}'", hint="`dlms-mqtt presets` lists them.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the preset {path} cannot be read: {error}", file=str(path)) from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"the preset {path} is not a mapping", file=str(path))
    return loaded


def preset_connection(name: str) -> Mapping[str, Any]:
    """What a preset puts below ``connection:``. ConfigError."""
    connection: Mapping[str, Any] = load_preset(name).get("connection") or {}
    return connection
