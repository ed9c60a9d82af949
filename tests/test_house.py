"""The rules of the house that a program can check: which room may import which, and what may stand in a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dlms_mqtt"

#: room -> the rooms that it may import besides itself
BELOW = {
    "errors": set(),
    "protocol": {"errors"},
    "transport": {"errors"},
    "cosem": {"errors", "protocol", "transport"},
    "client": {"errors", "protocol", "transport", "cosem"},
    "simulator": {"errors", "protocol", "transport", "cosem"},
    "meter": {"errors", "protocol", "transport", "cosem", "client", "simulator"},
    "bridge": {"errors", "protocol", "transport", "cosem", "client", "simulator", "meter"},
    "cli": {"errors", "protocol", "transport", "cosem", "client", "simulator", "meter", "bridge"},
}
NOT_IN_PROTOCOL = {"asyncio", "time", "random", "secrets", "socket", "serial", "threading", "sqlite3", "yaml"}
#: Modules that only one room may know: whoever needs them elsewhere needs that room.
HOME = {"serial": "transport", "paho": "bridge", "aiomqtt": "bridge", "amqtt": "bridge"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module named in an import, those for annotations and inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_every_import_points_down(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    allowed = BELOW[room] | {room, "__version__"}
    for name in imports(path):
        assert not name.startswith("."), f"{path}: relative import"
        top, _, rest = name.partition(".")
        if top == "dlms_mqtt" and rest:
            assert rest.split(".")[0] in allowed, f"{room} may not import {name}"
        if room == "protocol":
            assert top not in NOT_IN_PROTOCOL, f"protocol may not import {name}"
        assert HOME.get(top, room) in (room, *(("cli",) if room == "cli" else ())), f"{room} may not import {name}"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def needed(path: Path, known: set[str]) -> Iterator[str]:
    """The package's modules that this one names; ``from room import file`` names the file, not the room."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ({name if name in known else str(node.module) for name in names} & known)


def circle(files: dict[str, Path]) -> list[str]:
    """The modules of one import circle, [] when there is none."""
    try:
        TopologicalSorter({name: set(needed(path, set(files))) - {name} for name, path in files.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_two_files_need_each_other() -> None:
    """Imports for annotations and inside functions count: what both need belongs below both."""
    assert circle({name_of(path): path for path in modules()}) == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    texts = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import B\n",
        "b": "def f():\n    import c\n",
        "c": "import a\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    files = {name: tmp_path / f"{name}.py" for name in texts}
    assert circle({"a": files["a"], "b": files["b"]}) == []
    assert set(circle(files)) == {"a", "b", "c"}


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_the_component_knows_nothing_of_the_package() -> None:
    """By text: Home Assistant's Python is newer than the oldest that these tests run on."""
    for path in sorted((ROOT / "custom_components").rglob("*.py")):
        assert not re.search(r"^\s*(from|import) dlms_mqtt", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_ci_runs_what_the_readme_says() -> None:
    assert "sh tests/run" in (ROOT / ".ci/run").read_text()
    assert "sh tests/run" in (ROOT / "README.md").read_text()
