"""Public names of a package that are imported when they are first used: importing the package itself costs nothing."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # what type checkers take for true; the import of `typing` costs more than the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


def public(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of ``package``. ``homes``: module below it -> the names that it holds."""
    modules = {name: f"{package}.{home}" for home, names in homes.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        from importlib import import_module

        value = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattribute, lambda: sorted({*vars(sys.modules[package]), *modules})
