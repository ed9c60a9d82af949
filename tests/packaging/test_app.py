"""The app's files, by the rules of the Supervisor and of the app linter: neither comes with this checkout."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt.bridge.config.rows import kind_of
from dlms_mqtt.bridge.config.sections.bridge import Bridge, Discovery

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
CONFIG: dict[str, Any] = yaml.safe_load((APP / "config.yaml").read_text())
LANGUAGES = sorted(path.stem for path in (APP / "translations").glob("*.yaml"))
#: What the Supervisor takes for granted, and the linter forbids to say again.
DEFAULTS = {
    "boot": "auto",
    "backup": "hot",
    "apparmor": True,
    "init": True,
    "hassio_role": "default",
    "stage": "stable",
}
SUFFIXES = {".yaml", ".yml", ".json"}
#: It reads this one too, finds that it is no app and says so in its log; that is all.
KNOWN = {"config.example.yaml", "config.minimal.yaml", "dlms_mqtt/bridge/config.minimal.yaml"}


def test_the_supervisor_finds_one_app() -> None:
    """It searches the whole repository for config.*, but for hidden folders and rootfs."""
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("**/config.*")
        if path.suffix in SUFFIXES
        and not any(part.startswith(".") or part == "rootfs" for part in path.relative_to(ROOT).parts)
        and "site-packages" not in path.parts
    }
    assert found - KNOWN == {"app/config.yaml"}
    assert not any("slug" in yaml.safe_load((ROOT / name).read_text()) for name in KNOWN)


def test_the_app() -> None:
    assert {"name", "version", "slug", "description", "arch"} <= set(CONFIG)
    assert CONFIG["slug"] == "dlms_mqtt"
    assert set(CONFIG["arch"]) == {"aarch64", "amd64"}  # the others are gone since 2025.12
    assert CONFIG["services"] == ["mqtt:want"]  # not need: a broker of one's own is as good
    assert CONFIG["uart"] is True
    assert CONFIG["homeassistant_api"] is True  # for its language
    assert CONFIG["backup"] == "cold"  # a copy of a database at work may be torn
    assert CONFIG["timeout"] >= 30  # s to release associations in
    assert CONFIG["map"] == [{"type": "addon_config", "read_only": False}]
    assert not [key for key, value in DEFAULTS.items() if CONFIG.get(key) == value]
    assert not {"watchdog", "full_access", "devices", "build_from", "codenotary", "advanced"} & set(CONFIG)
    assert ("image" in CONFIG) == ("url" in CONFIG)


def test_it_starts_with_the_options_as_they_come() -> None:
    """A mapping of the schema is never optional: it must be there by default, empty as it may be."""
    required = {key for key, kind in CONFIG["schema"].items() if isinstance(kind, dict) or not str(kind).endswith("?")}
    assert required == set(CONFIG["options"])
    for key, kind in CONFIG["schema"].items():
        if isinstance(kind, dict):
            assert all(part.endswith("?") for part in kind.values()), key


def test_the_choices_are_those_of_the_bridge() -> None:
    def choices(section: type, key: str) -> set[str]:
        return set(kind_of(section.__dataclass_fields__[key]).schema["enum"])  # type: ignore[attr-defined]

    def offered(option: str) -> set[str]:
        return set(re.findall(r"list\((.*)\)", CONFIG["schema"][option])[0].split("|"))

    assert offered("language") == choices(Discovery, "language") - {"auto"}  # left empty: Home Assistant's
    assert offered("log_level") == choices(Bridge, "log_level")


def test_there_are_english_and_german() -> None:
    assert {"en", "de"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_its_words(language: str) -> None:
    texts = yaml.safe_load((APP / f"translations/{language}.yaml").read_text())
    assert set(texts) == {"configuration", "network"}
    assert set(texts["network"]) == set(CONFIG["ports"])
    assert set(texts["configuration"]) == set(CONFIG["schema"])
    for option, kind in CONFIG["schema"].items():
        row = texts["configuration"][option]
        assert row["name"] and row["description"]
        assert set(row.get("fields", ())) == (set(kind) if isinstance(kind, dict) else set())
        assert all(field["name"] and field["description"] for field in row.get("fields", {}).values())


@pytest.mark.parametrize(("name", "size"), [("icon", (128, 128)), ("logo", (250, 100))])
def test_pictures(name: str, size: tuple[int, int]) -> None:
    header = (APP / f"{name}.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == size


def test_the_profile() -> None:
    """Named as the app, or the Supervisor refuses it; what the bridge opens is in it."""
    profile = (APP / "apparmor.txt").read_text()
    assert re.findall(r"^profile (\S+) flags=", profile, re.M) == [CONFIG["slug"]]
    assert profile.count("{") == profile.count("}") == 1
    for rule in ("/dev/tty* rwk,", "/dev/serial/** r,", "/data/** rwk,", "/config/** rwk,", "/opt/dlms-mqtt/** mr,"):
        assert f"  {rule}" in profile
    assert "/** rw" not in re.sub(r"/(data|config|tmp|dev/shm|run/dlms-mqtt)/\*\* rwk?", "", profile)


def test_the_store_finds_pages_and_repository() -> None:
    for page in ("README.md", "DOCS.md", "CHANGELOG.md"):
        assert (APP / page).read_text().startswith("# ")
    assert yaml.safe_load((ROOT / "repository.yaml").read_text())["name"]
