"""The rules of the house that a program can check: which room may import which, and what may stand in a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dlms_mqtt"

#: room -> the rooms that it may import besides itself
BELOW = {
    "errors": set(),
    "times": {"errors"},
    "lazy": set(),
    "frozen": set(),
    "languages": set(),
    "protocol": {"errors"},
    "transport": {"errors"},
    "cosem": {"errors", "protocol", "transport"},
    "client": {"errors", "times", "protocol", "transport", "cosem"},
    "simulator": {"errors", "times", "protocol", "transport", "cosem"},
    "meter": {"errors", "languages", "protocol", "transport", "cosem", "client", "simulator"},
    "bridge": {"errors", "times", "languages", "protocol", "transport", "cosem", "client", "simulator", "meter"},
    "library": {"errors", "languages", "protocol", "transport", "cosem", "client", "simulator", "meter", "bridge"},
    "cli": {"errors", "times", "languages", "protocol", "transport", "cosem", "client", "simulator", "meter", "bridge"},
}
#: room -> its sub-rooms and files, lowest shelf first: each may import from the shelves below its own
SHELVES = {
    "languages": ("texts",),
    "protocol": (
        "buffer obis secret units",
        "axdr conformance",
        "layout",
        "acse p1_telegram",
        "apdu",
        "framing security states general_block_transfer",
        "connection",
    ),
    "transport": (
        "base clock holder network ports",
        "listen memory overheard serial_wire tcp udp",
        "esphome incoming serial",
        "registry",
    ),
    "cosem": ("access local_names pattern rows structures", "catalogue classes data_lines object_list", "reference"),
    "client": (
        "option_values quality refusals state",
        "settings",
        "line push",
        "association services",
        "session",
        "repetition",
        "client",
        "capture procedures",
    ),
    "simulator": ("server", "household lines", "replay", "description"),
    "meter": (
        "catalogue clock_care json_text local_zone presets",
        "dump readings",
        "finder json_shapes push",
        "explain",
    ),
    "bridge": (
        "alive api",
        "config systemd tasks",
        "mqtt reading state_dir",
        "homeassistant store_watch",
        "meters",
        "http presence requests",
        "router self_report",
        "bridge",
        "app",
        "demo remote_status run supervisor",
    ),
    "cli": ("chart configuration files output process", "options print_values", "bridge meter tools", "setup"),
    "library": (
        "connection results values",
        "meter_line",
        "gurux meter pushes",
        "decoding listening search sync",
        "pytest_plugin",
    ),
}
SIDE_BY_SIDE = 14  # modules in one folder
LONG = 300  # lines of a file that holds one idea, mostly
NOT_IN_PROTOCOL = {"asyncio", "time", "random", "secrets", "socket", "serial", "threading", "sqlite3", "yaml"}
#: Modules that only these rooms may know: whoever needs them elsewhere needs that room.
HOME = {
    "serial": ("transport", "simulator"),
    "serialx": ("transport",),
    "aioesphomeapi": ("transport",),
    "paho": ("bridge",),
    "aiomqtt": ("bridge",),
    "amqtt": ("bridge",),
    "h11": ("bridge",),
    "matplotlib": ("cli",),
    "plotille": ("cli",),
}


@cache
def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def module_names() -> set[str]:
    return {name_of(module) for module in modules()}


def imports(path: Path) -> Iterator[str]:
    """Every module named in an import, those for annotations and inside functions too."""
    for node in ast.walk(tree(path)):
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
    allowed = BELOW[room] | {room, "lazy", "frozen"}
    for name in imports(path):
        assert not name.startswith("."), f"{path}: relative import"
        top, _, rest = name.partition(".")
        if top == "dlms_mqtt" and rest:
            assert rest.split(".")[0] in allowed, f"{room} may not import {name}"
        if room == "protocol":
            assert top not in NOT_IN_PROTOCOL, f"protocol may not import {name}"
        assert room in HOME.get(top, (room,)), f"{room} may not import {name}"


def shelf_of(room: str, name: str) -> int:
    """Which shelf of the room a module of it (as "room.file" or "room.folder.file") stands on."""
    part = name.split(".")[1]
    shelf = next((number for number, names in enumerate(SHELVES[room]) if part in names.split()), None)
    assert shelf is not None, f"{room}/{part} stands on no shelf: give it one in SHELVES"
    return shelf


def wrong_arrows(name: str, wanted: Iterable[str]) -> list[str]:
    """What a module ("room.folder.file") names of its own room that is not below it."""
    room, part = name.split(".")[:2]
    others = [other for other in wanted if other.startswith(f"{room}.") and other.split(".")[1] != part]
    return [other for other in others if shelf_of(room, other) >= shelf_of(room, name)]


@pytest.mark.slow_once
@pytest.mark.parametrize("path", [path for path in modules() if room_of(path) in SHELVES], ids=ids)
def test_every_import_points_down_within_the_room(path: Path) -> None:
    name = name_of(path).partition(".")[2]
    if "." in name:  # the room itself stands above its shelves
        assert wrong_arrows(name, (other.partition(".")[2] for other in needed(path, module_names()))) == []


def test_a_wrong_arrow_is_seen() -> None:
    assert wrong_arrows("bridge.meters.fleet", ["bridge.config.load", "client.client", "bridge.meters.profiles"]) == []
    assert wrong_arrows("bridge.meters.fleet", ["bridge.requests.arguments"]) == ["bridge.requests.arguments"]
    assert wrong_arrows("bridge.mqtt.broker", ["bridge.reading.plan"]) == ["bridge.reading.plan"]  # the same shelf


@pytest.mark.parametrize("room", SHELVES)
def test_every_shelf_holds_what_is_there(room: str) -> None:
    there = {
        path.stem for path in (PACKAGE / room).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    listed = [name for names in SHELVES[room] for name in names.split()]
    assert sorted(listed) == sorted(there - {"__init__"})


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules()}), ids=ids)
def test_no_shelf_is_crowded(folder: Path) -> None:
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert len(names) <= SIDE_BY_SIDE, f"{len(names)} modules side by side in {folder}: make sub-rooms"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def needed(path: Path, known: set[str]) -> Iterator[str]:
    """The package's modules that this one names; ``from room import file`` names the file, not the room."""
    for node in ast.walk(tree(path)):
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


def test_long_files_were_asked_whether_they_hold_two_ideas() -> None:
    """docs/architecture.md names them, and why each is one; what has become short goes off its list."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = re.findall(
        r"`([\w/]+\.py)`", "".join(re.findall(r"^\| (`.*?) \|", page.partition("## Long files")[2], re.M))
    )
    long = [path for path in modules() if len(path.read_text(encoding="utf-8").splitlines()) > LONG]
    names = {str(path.relative_to(PACKAGE)) for path in long}
    assert sorted(names - set(told)) == [], "two ideas? Then two files; else a row of its table in docs/architecture.md"
    gone = [name for name in told if not (PACKAGE / name).exists()]
    assert gone == []


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


SOURCED = ("protocol/apdu", "protocol/acse", "protocol/security", "protocol/framing/hdlc", "cosem/rows")
#: Books and standards as docstrings cite them.
SOURCE = re.compile(r"Green Book|Blue Book|IEC 6[12]\d{3}|ISO/IEC 13239|EN 13757|NIST SP|X\.690|RFC \d+")


@pytest.mark.parametrize("folder", SOURCED)
def test_what_follows_a_standard_names_it(folder: str) -> None:
    """Edition and clause where they are sure; the book at least."""
    texts = {path: path.read_text(encoding="utf-8") for path in (PACKAGE / folder).glob("*.py")}
    heads = {path: ast.get_docstring(ast.parse(text)) or "" for path, text in texts.items() if len(text) > 200}
    assert len(heads) >= 3
    assert [ids(path) for path, head in heads.items() if not SOURCE.search(head)] == []


def holds_data_only(path: Path) -> bool:
    """Is there nothing in it that could run? Rows are tested where they are used."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return not any(isinstance(node, kinds) for node in ast.walk(tree(path)))


def without_test_file() -> set[str]:
    """The modules that no test file below the tests of their room is named after; of two namesakes, in their folder."""
    files = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    named = {(path.parts[0] if len(path.parts) > 1 else "", path.stem.removeprefix("test_")) for path in files}
    stems = [(room_of(path), path.stem) for path in modules()]
    missing = set()
    for path in modules():
        place, key = path.relative_to(PACKAGE), (room_of(path), path.stem)
        alone = stems.count(key) == 1 and {key, ("", path.stem)} & named
        own = place.parent / f"test_{path.stem}.py" in files
        if not (own or alone or path.stem.startswith("__") or holds_data_only(path)):
            missing.add(str(place))
    return missing


def test_a_module_has_a_test_file_of_its_name() -> None:
    assert sorted(without_test_file()) == []


#: What makes an object; asyncio makes its protocols in two steps.
MAKERS = {"__init__", "__post_init__", "__new__", "connection_made"}


def own_attributes(method: ast.AST) -> set[str]:
    """What a method sets on its object; a bare annotation sets nothing."""
    bare = {node.target for node in ast.walk(method) if isinstance(node, ast.AnnAssign) and node.value is None}
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and node not in bare
    }


def own_calls(method: ast.AST) -> set[str]:
    """The methods of its own object that a method calls."""
    calls = (node.func for node in ast.walk(method) if isinstance(node, ast.Call))
    functions = (func for func in calls if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name))
    return {func.attr for func in functions if isinstance(func.value, ast.Name) and func.value.id == "self"}


def methods_of(kind: ast.ClassDef) -> dict[str, ast.AST]:
    return {item.name: item for item in kind.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}


def gives_what_it_promises(kind: ast.ClassDef) -> bool:
    """Do its annotations alone see to it that its objects have what they say?"""
    given = any("dataclass" in ast.unparse(row) for row in kind.decorator_list)
    given |= any(ast.unparse(base).partition("[")[0] in ("Protocol", "NamedTuple", "TypedDict") for base in kind.bases)
    return given or any(isinstance(item, ast.Assign) and "__slots__" in ast.unparse(item) for item in kind.body)


def promises(kind: ast.ClassDef) -> set[str]:
    """What the class only says that its objects have: annotations without a value."""
    rows = (row for row in kind.body if isinstance(row, ast.AnnAssign) and row.value is None)
    return {row.target.id for row in rows if isinstance(row.target, ast.Name)}


def there_when_made(kind: ast.ClassDef) -> set[str]:
    """The attributes that an object of this class has as soon as it is made; also what its makers call sets some."""
    methods = methods_of(kind)
    making, todo = set[str](), MAKERS & methods.keys()
    while todo:
        making |= todo
        todo = {name for made in todo for name in own_calls(methods[made])} & methods.keys() - making
    stored = (node for item in kind.body if not isinstance(item, ast.FunctionDef) for node in ast.walk(item))
    declared = {node.id for node in stored if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    declared -= set() if gives_what_it_promises(kind) else promises(kind)
    return declared | {name for made in making for name in own_attributes(methods[made])}


def half_made(sources: Iterable[str]) -> list[str]:
    """Attributes ("Class.attribute") that an object has only after some method was called."""
    kinds = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    by_name = {kind.name: kind for kind in kinds}

    def made(kind: ast.ClassDef) -> set[str]:
        names = {ast.unparse(base).partition("[")[0] for base in kind.bases} - {kind.name}
        return there_when_made(kind).union(*(made(by_name[name]) for name in names if name in by_name))

    later = {kind: promises(kind).union(*map(own_attributes, methods_of(kind).values())) - made(kind) for kind in kinds}
    return sorted(f"{kind.name}.{name}" for kind, names in later.items() for name in names if name != "args")


@pytest.mark.slow_once
def test_no_object_is_half_made() -> None:
    assert half_made(path.read_text(encoding="utf-8") for path in modules()) == []


def test_a_half_made_object_is_seen() -> None:
    base = "class Base:\n    def __init__(self):\n        self.a = 1\n        self._reset()\n"
    base += "    def _reset(self):\n        self.b = 1\n"
    later = "class Later(Base):\n    c: int = 0\n    def run(self):\n        self.a = self.b = self.c = self.d = 2\n"
    assert half_made([base, later]) == ["Later.d"]
    promised = "class Promised:\n    e: int\n    def __init__(self):\n        self.f: int\n"
    assert half_made([promised, promised.replace("Promised", "Row(Protocol)")]) == ["Promised.e"]
    assert half_made([promised + "    def run(self):\n        self.f = 1\n"]) == ["Promised.e", "Promised.f"]


def test_the_component_knows_nothing_of_the_package() -> None:
    """By text: Home Assistant's Python is newer than the oldest that these tests run on."""
    for path in sorted((ROOT / "custom_components").rglob("*.py")):
        assert not re.search(r"^\s*(from|import) dlms_mqtt", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_the_component_has_no_circle() -> None:
    """By text, for the same reason; imports for annotations count."""
    files = sorted((ROOT / "custom_components" / "dlms_mqtt").glob("*.py"))
    needs = {
        file.stem: set(re.findall(r"^\s*from \.(\w+) import", file.read_text(encoding="utf-8"), re.MULTILINE))
        for file in files
    }
    assert needs["coordinator"] >= {"history"}
    TopologicalSorter(needs).prepare()


def test_ci_runs_what_the_readme_says() -> None:
    assert "sh tests/run" in (ROOT / ".ci/run").read_text()
    assert "sh tests/run" in (ROOT / "README.md").read_text()
