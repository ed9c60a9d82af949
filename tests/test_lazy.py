"""Names that are imported when they are first asked for."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from dlms_mqtt.lazy import public


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package whose module ``json`` is not loaded yet."""
    made, below = ModuleType("lazy_package"), ModuleType("lazy_package.home")
    below.name = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lazy_package", made)
    monkeypatch.setitem(sys.modules, "lazy_package.home", below)
    made.__getattr__, made.__dir__ = public("lazy_package", {"home": ("name",)})  # type: ignore[method-assign]
    return made


def test_a_name_comes_from_its_home_and_stays(package: ModuleType) -> None:
    assert "name" not in vars(package) and "name" in dir(package)
    assert package.name is sys.modules["lazy_package.home"].name
    assert "name" in vars(package)


def test_a_name_that_is_none(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'other'"):
        _ = package.other
