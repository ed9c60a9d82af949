"""Loads a configuration: file, managed meters and presets in, one ``Config`` or all mistakes out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import voluptuous as vol

from dlms_mqtt.bridge.config import yaml_file
from dlms_mqtt.bridge.config.kinds import ID
from dlms_mqtt.bridge.config.secret_files import files_with_secrets, named_files
from dlms_mqtt.bridge.config.sections.bridge import STATE_DIR
from dlms_mqtt.bridge.config.sections.config import CONFIG, Config
from dlms_mqtt.bridge.config.sections.meter import METER, Meter
from dlms_mqtt.bridge.config.speaking import bind_of_caller, listening
from dlms_mqtt.bridge.config.spoken import AUTO, kept_language, known_language
from dlms_mqtt.bridge.config.yaml_file import Document, KeyPath
from dlms_mqtt.client.settings import LINES, SECRET_KEYS, ConnectionSettings, implied
from dlms_mqtt.client.state.state_file import default_path
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.languages.texts import ENGLISH
from dlms_mqtt.meter.presets.preset import is_own, preset_only_speaks, preset_scalers
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport.esphome.address import split_key

#: name or path of a preset -> what it puts below ``connection:``; ConfigError when there is none.
Presets = Callable[[str], Mapping[str, Any]]
Scalers = Mapping[Obis, ScalerUnit]
STATE_FILE = "state.sqlite"


class ConfigMistakes(ConfigError):
    """Every mistake of a configuration at once; the text has one line for each."""

    def __init__(self, mistakes: list[ConfigError]) -> None:
        first = mistakes[0]
        super().__init__(
            "\n".join(map(_line, mistakes)), file=first.file, line=first.line, key=first.key, hint=first.hint
        )
        self.mistakes = mistakes


def _line(mistake: ConfigError) -> str:
    place = f"{mistake.file}:{mistake.line}: " if mistake.line else ""
    return f"{place}{mistake.key + ': ' if mistake.key else ''}{mistake.told}"


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
    secret_files: frozenset[Path] = frozenset()  # in which passwords and keys stand in plain text
    broken: Mapping[str, ConfigMistakes] = field(default_factory=dict)  # managed meters that cannot be read
    spoken: str = ""  # the language that Home Assistant's component has told; empty: it was never there


def load_config(path: Path, presets: Presets, environment: Mapping[str, str], *, strict: bool = True) -> Loaded:
    """Read ``path`` and the managed meters of its state directory; ConfigMistakes with everything that is wrong.

    Not ``strict``: a managed meter whose file is damaged is ``broken`` and keeps no other one from working.
    """
    document = yaml_file.load(path, environment)
    config: Config | None = _convert(document, CONFIG.convert, document.data or {}, ())
    if config is None:
        _judge_sound_meters(path.parent, presets, document)
        raise _all(document)
    shown = {key: _public(document, ("meters", key)) for key in config.meters}
    configured = document.value(("bridge", "state_dir"))
    place = _state_dir(config.bridge.state_dir, path, document) if configured else default_state_dir(environment)
    config = replace(config, bridge=replace(config.bridge, state_dir=place))
    spoken = kept_language(place)
    config = _in_language(config, known_language(spoken) or ENGLISH)
    managed, broken = _managed_meters(place, document, environment, shown, partial(_fits, path.parent, presets))
    if strict:
        document.mistakes += [mistake for mistakes in broken.values() for mistake in mistakes.mistakes]
    managed = {key: meter for key, meter in managed.items() if key not in config.meters}
    config = replace(config, meters=_with_presets(path.parent, {**config.meters, **managed}))
    connections = _connections(config.meters, presets, document)
    scalers = _scalers(config.meters, document)
    if document.mistakes:
        raise _all(document)
    files = frozenset((*document.files, *_own_presets(config), *named_files(document)))
    secret_files = frozenset(files_with_secrets(document))
    warnings = tuple(document.warnings)
    return Loaded(
        config, connections, scalers, frozenset(managed), shown, files, warnings, secret_files, broken, spoken
    )


def _in_language(config: Config, language: str) -> Config:
    discovery = config.mqtt.discovery
    if discovery.language != AUTO:
        return config
    return replace(config, mqtt=replace(config.mqtt, discovery=replace(discovery, language=language)))


def default_state_dir(environment: Mapping[str, str], usual: Path = STATE_DIR) -> Path:
    """Where the state is kept if the configuration does not say: the same by hand and as a service.

    What systemd or the image names; else the usual place, if it is there (whoever may not open it is told so, as a
    second state would use the meters' counters again) or may be made; else the user's own.
    """
    if named := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(named)
    there = usual.exists() or os.access(usual.parent, os.W_OK)
    return usual if there else default_path(environment).parent


def _state_dir(state_dir: Path, file: Path, document: Document) -> Path:
    """Relative to the configuration file, and ``~`` the home folder; a state in a folder named ``~`` goes on.

    So does one in the working directory, where it once was; that is said.
    """
    place, old_place = file.absolute().parent / state_dir, Path.cwd() / state_dir
    place = place if place.exists() else file.absolute().parent / os.path.expanduser(state_dir)  # noqa: PTH111
    if place.exists() or not (old_place / STATE_FILE).exists():
        return place
    document.warnings.append(
        f"the state is still in {old_place}; stop the bridge and move it to {place}: state_dir is relative to the "
        "configuration file"
    )
    return old_place


def _all(document: Document) -> ConfigMistakes:
    return ConfigMistakes(sorted(document.mistakes, key=lambda item: (item.file, item.line)))


def _judge_sound_meters(folder: Path, presets: Presets, document: Document) -> None:
    """Note what is wrong with the lines and families of the meters that are no mistake otherwise."""
    meters = document.value(("meters",))
    sound: dict[str, Meter] = {}
    for key, data in meters.items() if isinstance(meters, dict) else ():
        with contextlib.suppress(vol.MultipleInvalid, ConfigError):
            sound[key] = METER.convert(data)
    sound = _with_presets(folder, sound)
    _connections(sound, presets, document)
    _scalers(sound, document)


def parse_meter(meter_id: str, data: Any, presets: Presets) -> tuple[Meter, ConnectionSettings]:
    """One meter out of a request; ConfigMistakes with everything that is wrong."""
    document = Document(data)
    meter: Meter | None = _convert(document, METER.convert, data, ())
    settings = _connection(meter, presets, document, ("connection",)) if meter else None
    if meter is None or settings is None or document.mistakes:
        raise ConfigMistakes(document.mistakes)
    return _listening(meter), settings


def managed_file(state_dir: Path, meter_id: str) -> Path:
    """Where a managed meter is kept."""
    return state_dir / "meters" / f"{meter_id}.yaml"


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
    return split_key(value)[0] if isinstance(value, str) else value


def _managed_meters(
    state_dir: Path,
    document: Document,
    environment: Mapping[str, str],
    shown: dict[str, Any],
    fits: Callable[[Meter, Document], bool],
) -> tuple[dict[str, Meter], dict[str, ConfigMistakes]]:
    """Those that can be used, and what is wrong with the others."""
    found: dict[str, Meter] = {}
    broken: dict[str, ConfigMistakes] = {}
    for file in sorted(state_dir.glob("meters/*.yaml")):
        part = yaml_file.load(file, environment, 1_000_000)  # a request has at most a quarter of that
        _convert(part, ID.convert, file.stem, ())  # its name stands in topics
        meter = None if part.data is None and part.mistakes else _convert(part, METER.convert, part.data, ())
        document.files |= part.files
        if meter and not part.mistakes and fits(meter, part):
            found[file.stem] = meter
            shown.setdefault(file.stem, _public(part, ()))
        else:
            for mistake in part.mistakes:
                mistake.file = mistake.file or str(file)  # one without a place in the text
            broken[file.stem] = _all(part)
    return found, broken


def _fits(folder: Path, presets: Presets, meter: Meter, part: Document) -> bool:
    """Can the meter's line be made with its preset? What is wrong is noted."""
    return _connection(_with_presets(folder, {"": meter})[""], presets, part, ("connection",)) is not None


def _convert(document: Document, convert: Callable[[Any], Any], data: Any, at: KeyPath) -> Any:
    try:
        return convert(data)
    except vol.MultipleInvalid as error:
        for item in error.errors:
            _note(document, (*at, *item.path), item.msg)
    except ConfigError as error:
        document.mistake(at, error.told)
    return None


def _note(document: Document, path: KeyPath, message: str) -> None:
    mark = document.mark(path)
    if mark.hidden:  # what came from !secret or !env is not repeated in a message
        message = message.replace(repr(document.value(path)), "*** (hidden)")
    document.mistake(path, message, mark)


def _connections(meters: Mapping[str, Meter], presets: Presets, document: Document) -> dict[str, ConnectionSettings]:
    made = {
        meter_id: _connection(meter, presets, document, ("meters", meter_id, "connection"))
        for meter_id, meter in meters.items()
    }
    return {meter_id: settings for meter_id, settings in made.items() if settings}


def _scalers(meters: Mapping[str, Meter], document: Document) -> dict[str, Scalers]:
    found: dict[str, Scalers] = {}
    for meter_id, meter in meters.items():
        try:
            found[meter_id] = preset_scalers(meter.preset) if meter.push else {}
        except ConfigError as error:
            _note(document, ("meters", meter_id, "preset"), error.told)
    return found


def _presets_beside(folder: Path, meters: Mapping[str, Meter]) -> dict[str, Meter]:
    """Preset files of the user's own are looked for beside the configuration, as included files are."""
    return {
        key: replace(meter, preset=str(folder / meter.preset)) if is_own(meter.preset) else meter
        for key, meter in meters.items()
    }


def _with_presets(folder: Path, meters: Mapping[str, Meter]) -> dict[str, Meter]:
    return {key: _listening(meter) for key, meter in _presets_beside(folder, meters).items()}


def _listening(meter: Meter) -> Meter:
    """A preset that cannot be read is told where its connection is made."""
    with contextlib.suppress(ConfigError):
        return listening(meter) if preset_only_speaks(meter.preset) else meter
    return meter


def _own_presets(config: Config) -> Iterator[Path]:
    """Preset files of the user's own: a change of one is a change of the configuration."""
    return (Path(meter.preset) for meter in config.meters.values() if is_own(meter.preset))


def _connection(meter: Meter, presets: Presets, document: Document, at: KeyPath) -> ConnectionSettings | None:
    try:
        preset = presets(meter.preset)
    except ConfigError as error:
        _note(document, (*at[:-1], "preset"), error.told)
        return None
    given = {**meter.connection, **bind_of_caller(meter)}
    own = {key for key in given if key in LINES}
    base = {key: value for key, value in preset.items() if not (own and key in LINES)}
    try:
        return ConnectionSettings(**implied(given, base))
    except ConfigError as error:
        _note(document, (*at, error.key) if error.key else at, error.told)
    return None
