"""One version and one address: what scripts/publish writes, and that this checkout is in step with it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dlms_mqtt import __version__

ROOT = Path(__file__).parents[2]
STAMPED = (
    "README.md", "CHANGELOG.md", "SECURITY.md", "compose.example.yaml", "pyproject.toml", "repository.yaml",
    "mkdocs.yml", "docs", "app", "custom_components", "dlms_mqtt/__init__.py", "scripts",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in STAMPED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    return tmp_path


def publish(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "scripts/publish"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def everything(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}


def test_the_version_is_the_same_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert json.loads((ROOT / "custom_components/dlms_mqtt/manifest.json").read_text())["version"] == __version__
    assert yaml.safe_load((ROOT / "app/config.yaml").read_text())["version"] == __version__
    for changelog in ("CHANGELOG.md", "app/CHANGELOG.md"):
        (newest, *_) = re.findall(r"^## (?!Unreleased)(\S+)", (ROOT / changelog).read_text(), re.M)
        assert newest == __version__, changelog
    images = re.findall(r"ghcr\.io/\S+/dlms-mqtt:(\S+)", (ROOT / "compose.example.yaml").read_text())
    assert images == [__version__]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_this_checkout_is_in_step(tree: Path) -> None:
    """After a new version: run scripts/publish."""
    done = publish(tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_address_is_written_everywhere(tree: Path) -> None:
    assert publish(tree, "Anna-B/dlms-mqtt").returncode == 0
    url = "https://github.com/Anna-B/dlms-mqtt"
    manifest = json.loads((tree / "custom_components/dlms_mqtt/manifest.json").read_text())
    assert list(manifest) == ["domain", "name", *sorted(set(manifest) - {"domain", "name"})]
    assert manifest["documentation"] == url
    assert manifest["issue_tracker"] == f"{url}/issues"
    assert manifest["codeowners"] == ["@Anna-B"]
    rules = yaml.safe_load((tree / "custom_components/dlms_mqtt/quality_scale.yaml").read_text())["rules"]
    assert rules["integration-owner"] == "done"
    app = yaml.safe_load((tree / "app/config.yaml").read_text())
    assert (app["url"], app["image"]) == (url, "ghcr.io/anna-b/dlms-mqtt-app")
    assert yaml.safe_load((tree / "repository.yaml").read_text())["url"] == url
    urls = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["urls"]
    assert all(address.startswith(url) for address in urls.values())
    assert f"ghcr.io/anna-b/dlms-mqtt:{__version__}" in (tree / "compose.example.yaml").read_text()
    assert yaml.safe_load((tree / "mkdocs.yml").read_text().replace("!!python", "python"))["repo_url"] == url


def test_no_placeholder_and_no_relative_link_is_left(tree: Path) -> None:
    publish(tree, "anna/meters")
    pages = [tree / "README.md", tree / "compose.example.yaml", *tree.glob("docs/*.md"), *tree.glob("app/*.md")]
    assert [path for path in pages if "OWNER/dlms-mqtt" in path.read_text()] == []
    links = re.findall(r"\]\(([^)]+)\)", (tree / "README.md").read_text())
    assert len(links) >= 5
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_again_changes_nothing_and_another_address_everything(tree: Path) -> None:
    publish(tree, "anna/dlms-mqtt")
    once = everything(tree)
    assert publish(tree, "anna/dlms-mqtt").stdout == ""
    assert publish(tree).stdout == ""
    publish(tree, "berta/meters")
    assert not [name for name, octets in everything(tree).items() if b"anna/" in octets]
    publish(tree, "anna/dlms-mqtt")
    assert everything(tree) == once


def test_a_new_version_is_carried_over(tree: Path) -> None:
    init = tree / "dlms_mqtt/__init__.py"
    init.write_text(init.read_text().replace(__version__, "7.8.9"))
    changed = publish(tree).stdout.split()
    assert {"app/config.yaml", "custom_components/dlms_mqtt/manifest.json", "compose.example.yaml"} <= set(changed)
    assert publish(tree).stdout == ""
    assert yaml.safe_load((tree / "app/config.yaml").read_text())["version"] == "7.8.9"


@pytest.mark.parametrize("address", ["anna", "anna/", "/x", "https://github.com/anna/x", "a b/c"])
def test_what_is_no_address(tree: Path, address: str) -> None:
    before = everything(tree)
    assert publish(tree, address).returncode == 2
    assert everything(tree) == before
