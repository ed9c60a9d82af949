"""Reads the configuration's YAML and remembers the file and line of every value, so that mistakes can be pointed at.

Scalars follow YAML 1.2 and a little less: ``on``, ``12:30``, ``0123`` and ``4E41`` stay text. Nothing is raised for one
mistake: all are collected in ``Document.mistakes``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dlms_mqtt.errors import ConfigError

KeyPath = tuple[Any, ...]
_MAX_NODES = 100_000  # an alias of an alias of an alias can be a bomb
_MAX_WORDS = 500  # characters of a mistake
_MAX_DEPTH = 100  # levels; a configuration has less than ten

_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?(0|[1-9]\d{0,17})"), int),
    (re.compile(r"[-+]?(0|[1-9]\d{0,17})\.\d{1,18}"), float),
)


class Mark(NamedTuple):
    """Where a value was written; ``hidden``: it came from ``!secret`` or ``!env`` and is never shown."""

    file: str
    line: int
    hidden: bool = False


@dataclass
class Document:
    """What was loaded: plain data, the mark of every key path, every file read, and the mistakes so far."""

    data: Any = None
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    mistakes: list[ConfigError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def mark(self, path: KeyPath) -> Mark:
        """The mark of ``path`` or of the nearest key above it."""
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path, Mark("", 0))

    def value(self, path: KeyPath) -> Any:
        """The value at ``path``; None when there is none."""
        value = self.data
        for key in path:
            try:
                value = value[key]
            except (LookupError, TypeError):
                return None
        return value

    def mistake(self, path: KeyPath, message: str, mark: Mark | None = None) -> None:
        """Note one mistake at ``path``."""
        place = mark or self.mark(path)
        self.mistakes.append(ConfigError(_short(message), file=place.file, line=place.line, key=_short(key_text(path))))


def _short(text: str) -> str:
    """A text that quotes what may be megabytes, as a log and a page can show it."""
    return text if len(text) <= _MAX_WORDS else f"{text[:_MAX_WORDS]}... ({len(text)} characters)"


def key_text(path: KeyPath) -> str:
    """``meters.house.read.also[0].obis``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def load(path: Path, environment: Mapping[str, str], most: int | None = None) -> Document:
    """Read the file and what it includes; mistakes are in the document, none is raised.

    ``most``: a file of more octets is not read, and a pipe neither, which would be waited for.
    """
    document = Document()
    if most is not None and path.exists() and (path.is_fifo() or path.stat().st_size > most):
        document.mistakes.append(
            ConfigError(f"a pipe, or a file of more than {most} octets, is not read", file=str(path))
        )
        return document
    _File(document, path, path.parent, environment, ()).load(())
    return document


def _composed(text: str) -> yaml.Node | None:
    """By libyaml where PyYAML has it: a thousand meters take it a second, and Python ten.

    What libyaml does not like is read once more by Python, so that mistakes are told in the same words everywhere.
    """
    with suppress(yaml.YAMLError, AttributeError):
        if not _is_deep(text):
            return yaml.compose(text, Loader=yaml.CSafeLoader)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _is_deep(text: str) -> bool:
    """Levels without number would end the process: composing in C has no bound of its own on some Pythons."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            return True
    return False


def _scalar(node: yaml.ScalarNode) -> Any:
    if not node.style:  # plain, neither quoted nor a block
        for pattern, convert in _SCALARS:
            if pattern.fullmatch(node.value):
                return convert(node.value)
    return node.value


class _File:
    """One file on its way into the document."""

    def __init__(
        self, document: Document, path: Path, root: Path, environment: Mapping[str, str], parents: tuple[Path, ...]
    ) -> None:
        self._document, self._path, self._root = document, path, root
        self._environment, self._parents = environment, parents
        self._tags = {"!secret": self._secret, "!env": self._env, "!include": self._include}

    def load(self, at: KeyPath) -> Any:
        node = self._compose(at)
        value = self._value(node, at, ()) if node else None
        if not self._parents:
            self._document.data = value
        return value

    def _compose(self, at: KeyPath) -> yaml.Node | None:
        self._document.files.add(self._path)
        try:
            return _composed(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            self._document.mistake(at, f"{self._path} cannot be read: {error.strerror}", Mark(str(self._path), 0))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            self._document.mistake(at, "this is not UTF-8: save the file in that encoding", Mark(str(self._path), line))
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or type(error).__name__
            advice = "; indent with spaces" if "'\\t'" in problem else ""
            place = Mark(str(self._path), mark.line + 1 if mark else 1)
            self._document.mistake(at, f"not YAML: {problem}{advice}", place)
        return None

    def _mark(self, node: yaml.Node, hidden: bool = False) -> Mark:
        return Mark(str(self._path), node.start_mark.line + 1, hidden)

    def _value(self, node: yaml.Node, at: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        self._document.marks[at] = self._mark(node)
        if node in above or len(above) > _MAX_DEPTH or len(self._document.marks) > _MAX_NODES:
            self._document.mistake(at, "an alias that contains itself, too many levels, or far too many values")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, number), (*above, node)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101
        return self._tagged(node, at) if node.tag.startswith("!") else _scalar(node)

    def _mapping(self, node: yaml.MappingNode, at: KeyPath, above: tuple[yaml.Node, ...]) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.mistake(at, "a key must be a single word", self._mark(key_node))
                continue
            key = _scalar(key_node)
            if key in result:
                self._document.mistake((*at, key), "this key is there twice", self._mark(key_node))
                continue
            result[key] = self._value(value_node, (*at, key), above)
            if self._document.marks[*at, key].file == str(self._path):
                self._document.marks[*at, key] = self._document.marks[*at, key]._replace(
                    line=key_node.start_mark.line + 1
                )
        return result

    def _tagged(self, node: yaml.Node, at: KeyPath) -> Any:
        handler = self._tags.get(node.tag)
        if handler is None:
            self._document.mistake(at, f"unknown tag {node.tag}; there are {', '.join(self._tags)}")
            return None
        return handler(node.value, at, node)

    def _secret(self, name: str, at: KeyPath, node: yaml.Node) -> Any:
        for folder in dict.fromkeys((self._path.parent, self._root)):
            found = self._find_secret(folder / "secrets.yaml", name)
            if found:
                value_node, file = found
                self._document.marks[at] = Mark(str(file), value_node.start_mark.line + 1, hidden=True)
                return _scalar(value_node)
        file = self._path.parent / "secrets.yaml"
        self._document.mistake(at, f'no secret \'{name}\' in {file}; write there: {name}: "text:..." or "hex:..."')
        return None

    def _find_secret(self, file: Path, name: str) -> tuple[yaml.ScalarNode, Path] | None:
        if not file.exists():
            return None
        self._warn_if_open(file)
        node = _File(self._document, file, self._root, self._environment, (self._path,))._compose(())
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if getattr(key, "value", None) == name and isinstance(value, yaml.ScalarNode):
                return value, file
        return None

    def _warn_if_open(self, file: Path) -> None:
        warning = f"{file} can be read by every user of this machine; chmod 600 it"
        if file.stat().st_mode & 0o004 and warning not in self._document.warnings:
            self._document.warnings.append(warning)

    def _env(self, name: str, at: KeyPath, node: yaml.Node) -> str | None:
        self._document.marks[at] = self._mark(node, hidden=True)
        if name not in self._environment:
            self._document.mistake(
                at, f"the environment variable {name} is not set; set it where the bridge is started"
            )
        return self._environment.get(name)

    def _include(self, name: str, at: KeyPath, node: yaml.Node) -> Any:
        path = self._path.parent / name
        if path in (*self._parents, self._path):
            self._document.mistake(at, f"{path} includes itself")
            return None
        parents = (*self._parents, self._path)
        return _File(self._document, path, self._root, self._environment, parents).load(at)
