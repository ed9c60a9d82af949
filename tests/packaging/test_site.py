"""The pages: made of the program where they can be, their links lead somewhere, their examples are understood."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli import COMMANDS, _parser
from dlms_mqtt.meter.presets.preset import preset_connection, preset_names, preset_only_speaks
from tests.packaging.conftest import ROOT, need, run

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def calls(path: Path) -> list[str]:
    """The calls of ours in the shell blocks of a page, without what is piped on."""
    lines = [line for block in blocks(path, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [re.split(r" #| \| | > ", line)[0].strip() for line in lines if re.match(r"dlms-mqtt [a-z]", line.strip())]


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_pages_made_of_the_program_are_current() -> None:
    """After a change: scripts/pages."""
    done = subprocess.run([sys.executable, ROOT / "scripts/pages", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_call_is_understood(path: Path) -> None:
    for call in calls(path):
        words = shlex.split(call)[1:]
        assert words[0] in COMMANDS, call
        if "--help" not in words:
            assert _parser(words[0]).parse_args(words).command == words[0], call


def test_there_are_calls_to_check() -> None:
    assert sum(len(calls(path)) for path in PAGES) > 20


@pytest.mark.parametrize("path", [ROOT / "docs/index.md", ROOT / "docs/pushing.md"], ids=name)
def test_configurations_load(path: Path, tmp_path: Path) -> None:
    texts = blocks(path, "yaml")
    assert texts
    for text in texts:
        (tmp_path / "config.yaml").write_text(text)
        assert load_config(tmp_path / "config.yaml", preset_connection, {}).config.meters


def test_no_example_switches_the_supply() -> None:
    """Nothing that disconnects or reconnects is active in what people copy."""
    for path in (ROOT / "config.example.yaml", ROOT / "config.minimal.yaml"):
        meters = yaml.safe_load(path.read_text())["meters"]
        assert not any("96.3.10" in str(meter.get("actions", "")) for meter in meters.values()), path


def test_meters_and_commands_are_all_told() -> None:
    heads = anchors(ROOT / "docs/meters.md")
    assert set(preset_names()) <= heads
    assert set(COMMANDS) <= anchors(ROOT / "docs/commands.md")


def test_every_family_that_speaks_is_told_by_country() -> None:
    told = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", (ROOT / "docs/pushing.md").read_text()))
    assert {name for name in preset_names() if preset_only_speaks(name)} - told == set()


def test_the_readme_fits_on_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 95


@pytest.mark.packages
def test_the_site_is_built_without_a_complaint(tmp_path: Path) -> None:
    need("zensical")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    run("zensical", "build", "--strict", cwd=tmp_path)
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {page for page in pages if not (tmp_path / "site" / page / "index.html").exists()} == set()


@pytest.mark.packages
def test_a_dead_link_is_a_complaint(tmp_path: Path) -> None:
    need("zensical")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Start\n\n[gone](gone.md)\n")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    text = (tmp_path / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(re.sub(r"(?ms)^nav:\n.*?(?=^\w)", "", text))
    assert subprocess.run(["zensical", "build", "--strict"], cwd=tmp_path, capture_output=True).returncode != 0
