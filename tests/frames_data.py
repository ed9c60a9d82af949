"""Published frames and vectors as test cases: ``entries("vectors_data")`` is a list of dicts in the file's order."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FRAMES = Path(__file__).parent / "frames"
PUSH_FILES = tuple(sorted(path.stem for path in FRAMES.glob("push_*.yaml")))
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Entry = dict[str, Any]


@cache
def _load(name: str) -> list[Entry]:
    with (FRAMES / f"{name}.yaml").open("rb") as file:
        entries: list[Entry] = yaml.load(file, Loader=_Loader)["entries"]
    return entries


def entries(*names: str, **wanted: Any) -> list[Entry]:
    """Entries of these files ("push": all push files), only those whose keys equal ``wanted`` (group="association")."""
    files = [file for name in names for file in (PUSH_FILES if name == "push" else (name,))]
    found = [entry for file in files for entry in _load(file)]
    return [entry for entry in found if all(entry.get(key) == value for key, value in wanted.items())]


def entry(file: str, entry_id: str) -> Entry:
    """The one entry with this id."""
    (found,) = entries(file, id=entry_id)
    return found


def entry_id(value: object) -> str | None:
    """``ids=`` for ``pytest.mark.parametrize``: the id of an entry."""
    return str(value["id"]) if isinstance(value, dict) and "id" in value else None
