"""sdist and wheel: complete, installable without a compiler; an upgrade leaves nothing of the old version."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, build, copy_sources, run

pytestmark = pytest.mark.packages
SHARE = "dlms_mqtt-{}.data/data/share"


def tracked(*folders: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_is_complete(packages: dict[str, Path]) -> None:
    version = packages["wheel"].name.split("-")[1]
    with zipfile.ZipFile(packages["wheel"]) as wheel:
        names = set(wheel.namelist())
        head = Parser().parsestr(wheel.read(f"dlms_mqtt-{version}.dist-info/METADATA").decode())
    share = SHARE.format(version)
    assert tracked("dlms_mqtt") <= names
    wanted = {name.replace("docs/", f"{share}/doc/dlms-mqtt/", 1) for name in tracked("docs")}
    wanted |= {f"{share}/dlms-mqtt/{name}" for name in tracked("custom_components/dlms_mqtt")}
    wanted |= {f"{share}/doc/dlms-mqtt/{name}" for name in ("config.example.yaml", "CHANGELOG.md")}
    assert wanted <= names
    assert "Programming Language :: Python :: 3.14" in head.get_all("Classifier", [])
    assert head["License-Expression"] == "Apache-2.0"
    assert f"dlms_mqtt-{version}.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_the_sdist_builds_the_same_wheel(packages: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(packages["sdist"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    (again,) = build(unpacked, tmp_path / "dist", "--wheel")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(packages["wheel"]) as other:
        assert {(item.filename, item.CRC) for item in one.infolist()} == {
            (item.filename, item.CRC) for item in other.infolist()
        }


def installed(folder: Path, *words: str | Path) -> Path:
    """A new environment of this Python with pip, and something installed from the given sources alone."""
    if not folder.exists():
        run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin/python"
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *words)
    return python


def test_an_upgrade_leaves_no_deleted_module(tmp_path: Path) -> None:
    """Built twice in the same folder, as `git pull && pip install .` does: a module that went is gone."""
    source = copy_sources(tmp_path / "source")
    (source / "dlms_mqtt/left_over.py").write_text('"""Deleted in the next version."""\n')
    init = source / "dlms_mqtt/__init__.py"
    (old,) = build(source, tmp_path / "old", "--wheel")
    python = installed(tmp_path / "venv", old)
    run(python, "-I", "-c", "import dlms_mqtt.left_over")
    (source / "dlms_mqtt/left_over.py").unlink()
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    (new,) = build(source, tmp_path / "new", "--wheel")
    installed(tmp_path / "venv", "--upgrade", new)
    program = "import importlib.util as u, dlms_mqtt as d; print(d.__version__[:2], u.find_spec('dlms_mqtt.left_over'))"
    assert run(python, "-I", "-c", program).split() == ["9.", "None"]
    assert list((tmp_path / "venv").rglob("left_over*")) == []


def test_the_installed_package_prints_unit_and_configuration(packages: dict[str, Path], tmp_path: Path) -> None:
    """From the wheel alone: nothing of a checkout is on its path."""
    installed(tmp_path / "venv", packages["wheel"])
    program = tmp_path / "venv/bin/dlms-mqtt"
    clean = {"PATH": os.environ["PATH"]}
    unit = run(program, "service", env=clean, cwd=tmp_path)
    assert f"ExecStart={program} run" in unit
    assert run(program, "service", "--config", env=clean, cwd=tmp_path).startswith("# The least that a bridge needs")
    assert (tmp_path / "venv/share/doc/dlms-mqtt/mqtt.md").exists()
