"""A meter is added to a configuration file: as text, so that comments and everything else stay as they are.

Nothing is written before ``write``, which puts whole files in the place of the old ones.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.errors import ConfigError

SECRETS = "secrets.yaml"
_QUOTED = re.compile(r"!secret '(\w+)'")
_BY_NAME = ("env", "file")  # secrets that are named, not written: they may stand in the configuration
_FIRST_LINE = (
    "# Made by `dlms-mqtt setup`; `dlms-mqtt check` tells what is read. Every other key: docs/configuration.md\n"
)
_SECRETS_FIRST_LINE = "# Passwords and keys of the configuration beside this file: nobody else may read it.\n"


class SecretName(str):
    """A value that stands in secrets.yaml: written as ``!secret NAME``."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes ``!secret NAME`` plainly; no value is written as an alias of another."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never."""
        return True


def _secret_name(dumper: yaml.SafeDumper, name: SecretName) -> yaml.Node:
    return dumper.represent_scalar("!secret", str(name))


_Dumper.add_representer(SecretName, _secret_name)


class _Loader(yaml.SafeLoader):
    """Reads any tag as a pair of its name and its value."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: (tag, node.value))


def block(data: Mapping[str, Any], indent: int = 0) -> str:
    """As YAML, each line moved to the right."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    text = _QUOTED.sub(r"!secret \1", text)
    return "".join(f"{' ' * indent}{line}" for line in text.splitlines(keepends=True))


@dataclass(slots=True)
class Addition:
    """What is to be added to ``file``, and to secrets.yaml beside it."""

    file: Path
    old: str = ""
    secrets_old: str = ""
    secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def to(cls, file: Path) -> Addition:
        """Of the file as it is now, which need not be there; ConfigError where we may not write."""
        file = file.resolve() if file.exists() else file
        folder = file.absolute().parent
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}", hint="Make it, or give --config FILE.")
        if not os.access(folder if not file.exists() else file, os.W_OK) or not os.access(folder, os.W_OK):
            raise ConfigError(f"{file} cannot be written", hint="Run it with sudo, or give --config FILE.")
        return cls(file, _text(file), _text(file.with_name(SECRETS)))

    def keep_secret(self, name: str, value: str) -> str:
        """What the configuration says of a secret; its value goes to secrets.yaml, under a name that is free."""
        if value.partition(":")[0] in _BY_NAME:
            return value
        there = self._secrets_there()
        known = there | self.secrets
        number, free = 1, name
        while known.get(free, value) != value:
            number += 1
            free = f"{name}_{number}"
        if free not in there:
            self.secrets[free] = value
        return SecretName(free)

    def _secrets_there(self) -> dict[str, str]:
        try:
            found = yaml.load(self.secrets_old, _Loader) or {}  # noqa: S506 - a safe loader
            return {str(name): str(value) for name, value in found.items()}
        except (yaml.YAMLError, AttributeError):
            file = self.file.with_name(SECRETS)
            raise ConfigError("this is no mapping of names to secrets", file=str(file), line=1) from None

    def new_text(self, meter_id: str, meter: Mapping[str, Any], mqtt: Mapping[str, Any] | None) -> str:
        """The configuration with the meter in it, and with ``mqtt`` where that is not None. ConfigError."""
        text = self.old if self.old.strip() else _FIRST_LINE
        if mqtt is not None:
            text = f"{_ended(text)}{block({'mqtt': dict(mqtt)})}"
        text = _with_meter(text, meter_id, meter)
        self._prove(text, meter_id, meter, mqtt)
        return text

    def _prove(self, text: str, meter_id: str, meter: Mapping[str, Any], mqtt: Mapping[str, Any] | None) -> None:
        """Only what was meant has changed: the file may be written in ways that no insertion fits."""
        before = yaml.load(self.old, _Loader) or {}  # noqa: S506 - a safe loader
        try:
            after = yaml.load(text, _Loader)  # noqa: S506
        except yaml.YAMLError:  # a document in braces ends before what was put behind it
            after = None
        added = yaml.load(block(meter), _Loader)  # noqa: S506
        wanted = {**before, "meters": {**(before.get("meters") or {}), meter_id: added}}
        wanted |= {} if mqtt is None else {"mqtt": yaml.load(block(mqtt), _Loader)}  # noqa: S506
        if after != wanted:
            raise by_hand(self.file, meter_id, meter)

    def write(self, text: str) -> None:
        """Both files, whole; an interrupt waits until they are there. OSError: then the configuration is as it was."""
        owner = self.file.stat() if self.file.exists() else None
        with _uninterrupted():
            if self.secrets:
                file = self.file.with_name(SECRETS).resolve()
                lines = _ended(self.secrets_old or _SECRETS_FIRST_LINE)
                _replace(file, lines + block(self.secrets), _secrets_mode(file, owner), owner)
            _replace(self.file, text, stat.S_IMODE(owner.st_mode) if owner else 0o644, owner)


def _secrets_mode(file: Path, config: os.stat_result | None) -> int:
    """0600; 0640 where the group of the configuration may read that and nobody else: a service then reads both."""
    if file.exists():
        return stat.S_IMODE(file.stat().st_mode) & ~stat.S_IRWXO
    of_service = config is not None and config.st_mode & stat.S_IRGRP and not config.st_mode & stat.S_IROTH
    return 0o640 if of_service else 0o600


def by_hand(file: Path, meter_id: str, meter: Mapping[str, Any]) -> ConfigError:
    """What cannot be added for the user, as what he may add himself; secrets are named, not shown."""
    return ConfigError(
        f"{file} is written in a way that nothing can be added to it",
        hint=f"Add this below meters: yourself:\n{block({meter_id: dict(meter)}, 2)}",
    )


def _text(file: Path) -> str:
    if not file.exists():
        return ""
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _with_meter(text: str, meter_id: str, meter: Mapping[str, Any]) -> str:
    """The meter behind the last one, as deep as that stands; else below ``meters:``, which is made if need be."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next(((key, value) for key, value in pairs if key.value == "meters"), None)
    if found is None:
        return _ended(text) + block({"meters": {meter_id: dict(meter)}})
    key, value = found
    lines = text.splitlines(keepends=True)
    if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
        column = value.value[0][0].start_mark.column
        at = _line_behind(value, lines, column)
    elif not value.value and (value.end_mark.line, value.end_mark.column) == (
        key.end_mark.line,
        key.end_mark.column + 1,
    ):
        column, at = 2, key.end_mark.line + 1  # `meters:` and nothing
    elif not value.value and value.start_mark.line == value.end_mark.line:  # `meters: {}`
        line = lines[value.start_mark.line]
        lines[value.start_mark.line] = line[: value.start_mark.column].rstrip() + line[value.end_mark.column :]
        column, at = 2, value.start_mark.line + 1
    else:
        return text  # which proves nothing
    lines[:at] = [_ended(line) for line in lines[:at]]
    return "".join([*lines[:at], block({meter_id: dict(meter)}, column), *lines[at:]])


def _line_behind(node: yaml.Node, lines: list[str], column: int) -> int:
    """The first line behind the last value, and behind the comments that belong to it (being deeper than its key)."""
    last = node
    while isinstance(last, yaml.MappingNode | yaml.SequenceNode) and last.value and not last.flow_style:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    at = last.end_mark.line + (1 if last.end_mark.column or last.start_mark == last.end_mark else 0)
    while at < len(lines) and (stripped := lines[at].lstrip()).startswith("#"):
        if len(lines[at]) - len(stripped) <= column:
            break
        at += 1
    return at


def _replace(file: Path, text: str, mode: int, like: os.stat_result | None) -> None:
    """The new text in the place of the old one at once; it belongs to whom the file (or the one ``like``) belongs."""
    owner = file.stat() if file.exists() else like
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        if owner is not None:
            with suppress(PermissionError):
                os.chown(name, owner.st_uid, owner.st_gid)
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end us wait."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
