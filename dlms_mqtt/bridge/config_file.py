"""Loads a configuration: file, managed meters and presets in, one ``Config`` or all mistakes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import voluptuous as vol

from dlms_mqtt.bridge import yaml_loader
from dlms_mqtt.bridge.config import CONFIG, METER, Config, Meter
from dlms_mqtt.bridge.yaml_loader import Document, KeyPath
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.preset import is_own, preset_scalers
from dlms_mqtt.protocol.obis import Obis

#: name or path of a preset -> what it puts below ``connection:``; ConfigError when there is none.
Presets = Callable[[str], Mapping[str, Any]]
Scalers = Mapping[Obis, ScalerUnit]


class ConfigMistakes(ConfigError):
    """Every mistake of a configuration at once; the text has one line for each."""

    def __init__(self, mistakes: list[ConfigError]) -> None:
        first = mistakes[0]
        super().__init__(
            "\n".join(map(_line, mistakes)), file=first.file, line=first.line, key=first.key, hint=first.hint
        )
        self.mistakes = mistakes


def _line(mistake: ConfigError) -> str:
    place = f"{mistake.file}:{mistake.line}: " if mistake.file else ""
    return f"{place}{mistake.key + ': ' if mistake.key else ''}{mistake.message}"


@dataclass(frozen=True)
class Loaded:
    """A configuration in force: what was read from which files, and which meters are managed over MQTT."""

    config: Config
    connections: Mapping[str, ConnectionSettings]
    scalers: Mapping[str, Scalers]  # of pushed values, as presets state them
    managed: frozenset[str] = frozenset()
    shown: Mapping[str, Any] = field(default_factory=dict)  # meters as written, without secrets
    files: frozenset[Path] = frozenset()
    warnings: tuple[str, ...] = ()


def load_config(path: Path, presets: Presets, environment: Mapping[str, str]) -> Loaded:
    """Read ``path`` and the managed meters of its state directory; ConfigMistakes with everything that is wrong."""
    document = yaml_loader.load(path, environment)
    config: Config | None = _convert(document, CONFIG.convert, document.data or {}, ())
    shown = {key: _public(document, ("meters", key)) for key in config.meters} if config else {}
    managed = _managed_meters(config.bridge.state_dir, document, environment, shown) if config else {}
    if config:
        managed = {key: meter for key, meter in managed.items() if key not in config.meters}
        config = _presets_beside(path.parent, replace(config, meters={**config.meters, **managed}))
    connections = _connections(config, presets, document) if config else {}
    scalers = _scalers(config, document) if config else {}
    if document.mistakes or config is None:
        raise ConfigMistakes(sorted(document.mistakes, key=lambda item: (item.file, item.line)))
    files = frozenset((*document.files, *_own_presets(config)))
    return Loaded(config, connections, scalers, frozenset(managed), shown, files, tuple(document.warnings))


def parse_meter(meter_id: str, data: Any, presets: Presets) -> tuple[Meter, ConnectionSettings]:
    """One meter out of a request; ConfigMistakes with everything that is wrong."""
    document = Document(data)
    meter: Meter | None = _convert(document, METER.convert, data, ())
    settings = _connection(meter, presets, document, ("connection",)) if meter else None
    if meter is None or settings is None or document.mistakes:
        raise ConfigMistakes(document.mistakes)
    return meter, settings


def managed_file(state_dir: Path, meter_id: str) -> Path:
    """Where a managed meter is kept."""
    return state_dir / "meters" / f"{meter_id}.yaml"


SECRET_KEYS = frozenset(row.name for row in fields(ConnectionSettings) if row.metadata["secret"])


def _public(document: Document, at: KeyPath) -> Any:
    """What was written there, without secrets and what came from ``!secret`` or ``!env``."""
    value = document.value(at)
    if isinstance(value, dict):
        return {
            key: _public(document, (*at, key))
            for key in value
            if key not in SECRET_KEYS and not document.mark((*at, key)).hidden
        }
    if isinstance(value, list):
        return [_public(document, (*at, number)) for number in range(len(value))]
    return value


def _managed_meters(
    state_dir: Path, document: Document, environment: Mapping[str, str], shown: dict[str, Any]
) -> dict[str, Meter]:
    found: dict[str, Meter] = {}
    for file in sorted(state_dir.glob("meters/*.yaml")):
        part = yaml_loader.load(file, environment)
        meter = _convert(part, METER.convert, part.data, ())
        document.mistakes += part.mistakes
        document.files |= part.files
        if meter:
            found[file.stem] = meter
            shown.setdefault(file.stem, _public(part, ()))
    return found


def _convert(document: Document, convert: Callable[[Any], Any], data: Any, at: KeyPath) -> Any:
    try:
        return convert(data)
    except vol.MultipleInvalid as error:
        for item in error.errors:
            _note(document, (*at, *item.path), item.msg)
    except ConfigError as error:
        document.mistake(at, error.message)
    return None


def _note(document: Document, path: KeyPath, message: str) -> None:
    mark = document.mark(path)
    if mark.hidden:  # what came from !secret or !env is not repeated in a message
        message = message.replace(repr(document.value(path)), "*** (hidden)")
    document.mistake(path, message, mark)


def _connections(config: Config, presets: Presets, document: Document) -> dict[str, ConnectionSettings]:
    made = {
        meter_id: _connection(meter, presets, document, ("meters", meter_id, "connection"))
        for meter_id, meter in config.meters.items()
    }
    return {meter_id: settings for meter_id, settings in made.items() if settings}


def _scalers(config: Config, document: Document) -> dict[str, Scalers]:
    found: dict[str, Scalers] = {}
    for meter_id, meter in config.meters.items():
        try:
            found[meter_id] = preset_scalers(meter.preset) if meter.push else {}
        except ConfigError as error:
            _note(document, ("meters", meter_id, "preset"), error.message)
    return found


def _presets_beside(folder: Path, config: Config) -> Config:
    """Preset files of the user's own are looked for beside the configuration, as included files are."""
    own = {key: meter for key, meter in config.meters.items() if is_own(meter.preset)}
    found = {key: replace(meter, preset=str(folder / meter.preset)) for key, meter in own.items()}
    return replace(config, meters={**config.meters, **found})


def _own_presets(config: Config) -> Iterator[Path]:
    """Preset files of the user's own: a change of one is a change of the configuration."""
    return (Path(meter.preset) for meter in config.meters.values() if is_own(meter.preset))


def _connection(meter: Meter, presets: Presets, document: Document, at: KeyPath) -> ConnectionSettings | None:
    try:
        preset = presets(meter.preset)
    except ConfigError as error:
        _note(document, (*at[:-1], "preset"), error.message)
        return None
    lines = {"serial", "tcp", "udp"}
    own = {key for key in meter.connection if key in lines}
    base = {key: value for key, value in preset.items() if not (own and key in lines)}
    try:
        return ConnectionSettings(**{**base, **meter.connection})
    except ConfigError as error:
        _note(document, (*at, error.key) if error.key else at, error.message)
    return None
