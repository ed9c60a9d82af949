"""The files beside the code, as hassfest and HACS would check them: neither can be run here."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from component_fixtures import COMPONENT
from homeassistant.helpers.selector import validate_selector
from homeassistant.util.yaml import load_yaml

from custom_components.dlms_mqtt.api import ApiError
from custom_components.dlms_mqtt.const import API_VERSION, DOMAIN, EVENTS, MINIMUM_BRIDGE, STATUSES
from custom_components.dlms_mqtt.errors import CAUSES, CODES, sentence
from custom_components.dlms_mqtt.problems import METER_RULES
from custom_components.dlms_mqtt.repairs import FLOWS
from custom_components.dlms_mqtt.sensor import FILLS
from custom_components.dlms_mqtt.services import ACTIONS

ROOT = Path(__file__).parents[2]
LANGUAGES = sorted(path.stem for path in (COMPONENT / "translations").glob("*.json"))
MANIFEST = json.loads((COMPONENT / "manifest.json").read_text())


def texts(language: str) -> dict[str, str]:
    """Every text by its path."""

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, f"{path}.{key}" if path else key)
        else:
            yield path, value

    return dict(walk(json.loads((COMPONENT / "translations" / f"{language}.json").read_text()), ""))


ENGLISH = texts("en")


def test_the_languages_that_are_promised() -> None:
    assert {"en", "de", "sv", "nb", "da", "nl", "fr", "es", "cs", "fi", "sk", "pt", "it", "pl", "hu"} <= set(LANGUAGES)


def test_the_bridge_names_entities_in_each_of_them() -> None:
    assert {path.stem for path in (ROOT / "dlms_mqtt" / "languages").glob("*.json")} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_complete(language: str) -> None:
    translated = texts(language)
    assert translated.keys() == ENGLISH.keys()
    for path, text in translated.items():
        assert text == text.strip(), path
        assert text, path
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", ENGLISH[path])), path
        assert "://" not in text, path
        assert not re.search(r"<[a-z/]", text), path
        assert not re.search(r"'[^']*{[^']*'", text), path
        for key in path.split("."):
            assert re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", key), path


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_translations_are_translated(language: str) -> None:
    same = {path for path, text in texts(language).items() if text == ENGLISH[path] and re.search("[a-z]{5}", text)}
    assert {path.split(".", 1)[0] for path in same} <= {"config_subentries", "services", "selector", "config"}
    assert len(same) < 12, same


@pytest.mark.parametrize("language", LANGUAGES)
def test_choices_are_not_cut_off_on_a_phone(language: str) -> None:
    """A menu shows one line of each; 390 pixels hold 44 letters."""
    choices = {path: text for path, text in texts(language).items() if ".menu_options." in path}
    assert choices
    assert {path: text for path, text in choices.items() if len(text) > 43} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_of_menus_are_not_cut_off_on_a_phone(language: str) -> None:
    """One line as well, in larger letters; titles of forms go on in a second one."""
    menus = {path.partition(".menu_options.")[0] for path in ENGLISH if ".menu_options." in path}
    titles = [texts(language)[f"{path}.title"] for path in sorted(menus)]
    assert len(titles) == 9
    assert [title for title in titles if len(title) > 34] == []


def test_every_error_has_its_sentence() -> None:
    for key in {sentence(ApiError(code)) for code in CODES} | set(CAUSES.values()):
        for root in ("config.error.", "config_subentries.meter.error."):
            assert f"{root}{key}" in ENGLISH
        assert f"exceptions.{key}.message" in ENGLISH


def test_the_causes_of_a_search_have_their_sentences() -> None:
    """One for each cause that the finder knows, and none of another."""
    source = (ROOT / "dlms_mqtt" / "meter" / "finder" / "diagnosis.py").read_text()
    causes = set(re.findall(r'Case\(\s*"([a-z0-9-]+)"', source.partition("REMARKS:")[0]))
    root = "selector.find_cause.options."
    ours = {path.removeprefix(root) for path in ENGLISH if path.startswith(root)}
    # Home Assistant's search sends no password: causes about one that was sent cannot come.
    sent = {"password-refused", "password-unanswered", "refused-before"}
    assert ours == causes - sent | {"silent-network"}  # what silence means at a network address


def test_the_stages_of_a_search_have_their_words() -> None:
    folder = ROOT / "dlms_mqtt" / "meter" / "finder"
    source = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    root = "selector.find_stage.options."
    ours = {path.removeprefix(root) for path in ENGLISH if path.startswith(root)}
    said = re.findall(r'(?:stage|progress)\([^"\n]*"([a-z][a-z -]*)"', source)
    kinds = re.findall(r'Probe\(\s*"([a-z-]+)"', source)
    client = re.findall(r'(?:stage|progress)\([^"\n]*f"([a-z]+) {', source)
    assert ours == {name.replace(" ", "-") for name in (*said, *kinds, *client)} | {"sign-on-after-a-wake-up"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_hangs_on_the_words_of_the_bridge(language: str) -> None:
    """They are English: a sentence says what happened and what to do without them."""
    for path, text in texts(language).items():
        assert not re.search("{(message|hint)}", text), path


def test_every_translation_key_in_the_code_exists() -> None:
    code = "\n".join(path.read_text() for path in COMPONENT.glob("*.py"))
    for key in re.findall(r'translation_key="(\w+)"', code):
        assert f"exceptions.{key}.message" in ENGLISH
    for key in re.findall(r'reason="(\w+)"', code):
        assert any(path.endswith(f"abort.{key}") for path in ENGLISH), key


def test_every_repair_has_its_text() -> None:
    keys = {rule.key for rule in METER_RULES}
    keys |= {"history_jump", "orphan", "removal_failed", "password_refused", "bridge_too_old", "bridge_too_new"}
    assert {path.split(".")[1] for path in ENGLISH if path.startswith("issues.")} == keys
    for rule in METER_RULES:
        assert rule.fixable == (rule.key in FLOWS)
    for key in keys:
        tail = "fix_flow.step.confirm.description" if key in FLOWS else "description"
        assert f"issues.{key}.{tail}" in ENGLISH


def test_actions_their_selectors_texts_and_icons() -> None:
    described = load_yaml(str(COMPONENT / "services.yaml"))
    icons = json.loads((COMPONENT / "icons.json").read_text())["services"]
    names = {action.name for action in ACTIONS}
    assert isinstance(described, dict)
    assert set(described) == names == set(icons)
    for action in ACTIONS:
        fields = described[action.name]["fields"]
        accepted = {str(key) for key in action.schema.validators[0].schema}
        assert set(fields) | ({"type", "confirm"} & accepted) == accepted
        for name, field in fields.items():
            validate_selector(field["selector"])
            assert f"services.{action.name}.fields.{name}.description" in ENGLISH
        assert icons[action.name]["service"].startswith("mdi:")
        assert f"services.{action.name}.description" in ENGLISH
    device = described["read"]["fields"]["device_id"]["selector"]["device"]["filter"]
    assert device == [{"integration": "mqtt", "model_id": "DLMS"}]


def test_entities_their_states_and_icons() -> None:
    icons = json.loads((COMPONENT / "icons.json").read_text())["entity"]["sensor"]
    for key, states in {"meter_status": STATUSES, "meter_history": FILLS}.items():
        root = f"entity.sensor.{key}."
        assert f"{root}name" in ENGLISH
        assert {path for path in ENGLISH if path.startswith(f"{root}state.")} == {
            f"{root}state.{name}" for name in states
        }
        assert icons[key]["default"].startswith("mdi:")
        assert set(icons[key].get("state", {}).values()).isdisjoint({icons[key]["default"]})


def test_the_types_of_events_and_their_icons() -> None:
    root = "entity.event.meter_event.state_attributes.event_type.state."
    assert [path.removeprefix(root) for path in ENGLISH if path.startswith(root)] == list(EVENTS)
    icons = json.loads((COMPONENT / "icons.json").read_text())["entity"]["event"]["meter_event"]
    special = icons["state_attributes"]["event_type"]["state"]
    assert special.keys() <= set(EVENTS)
    assert all(icon.startswith("mdi:") for icon in (icons["default"], *special.values()))


@pytest.mark.parametrize(("name", "ours"), [("STATUS", STATUSES), ("EVENTS", EVENTS)])
def test_words_are_those_of_the_bridge(name: str, ours: tuple[str, ...]) -> None:
    source = (ROOT / "dlms_mqtt" / "bridge" / "homeassistant" / "entities.py").read_text()
    told = re.search(rf"^{name} = \((.*?)\)", source, re.M | re.S)
    assert told
    assert set(re.findall(r'"(\w+)"', told[1])) == set(ours)


def test_manifest() -> None:
    assert list(MANIFEST) == ["domain", "name", *sorted(set(MANIFEST) - {"domain", "name"})]
    assert MANIFEST["domain"] == DOMAIN == COMPONENT.name
    assert MANIFEST["requirements"] == []
    assert MANIFEST["dependencies"] == ["mqtt"]
    assert MANIFEST["after_dependencies"] == ["recorder"]  # a house without one loads as well
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    home = {key: MANIFEST[key] for key in ("documentation", "issue_tracker") if key in MANIFEST}
    assert all(address.startswith("https://") for address in home.values())
    assert len(home) == (2 if MANIFEST["codeowners"] else 0)  # published with all three, or with none
    allowed = {"codeowners", "config_flow", "integration_type", "iot_class", "mqtt", "quality_scale"}
    assert set(MANIFEST) <= allowed | {
        "domain",
        "name",
        "requirements",
        "dependencies",
        "after_dependencies",
        "version",
        "documentation",
        "issue_tracker",
    }


def test_versions_belong_together() -> None:
    package = re.search(r'__version__ = "(.+)"', (ROOT / "dlms_mqtt" / "__init__.py").read_text())
    assert package
    assert MANIFEST["version"] == package[1]
    assert API_VERSION == 1
    assert MINIMUM_BRIDGE


def test_hacs() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text())
    allowed = {"name", "homeassistant", "render_readme", "country", "hide_default_branch", "zip_release", "filename"}
    assert set(hacs) <= allowed
    assert hacs["homeassistant"] == "2025.4.0"


def test_hacs_takes_the_zip_whose_manifest_is_stamped() -> None:
    hacs = json.loads((ROOT / "hacs.json").read_text())
    assert hacs["zip_release"]
    assert hacs["hide_default_branch"]  # a branch has no zip
    assert f'output / "{hacs["filename"]}"' in (ROOT / "scripts/release").read_text()
    release = (ROOT / ".github/workflows/release.yml").read_text()
    assert (
        release.index("scripts/publish") < release.index("scripts/release extra") < release.index("gh release create")
    )


def test_the_component_imports_nothing_of_the_package() -> None:
    for path in COMPONENT.glob("*.py"):
        assert not re.search(r"^\s*(from|import) dlms_mqtt", path.read_text(), re.M), path


@pytest.mark.parametrize(("name", "size"), [("icon", 256), ("icon@2x", 512), ("dark_icon", 256), ("dark_icon@2x", 512)])
def test_brand(name: str, size: int) -> None:
    header = (COMPONENT / "brand" / f"{name}.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (size, size)


def test_quality_scale() -> None:
    """Every rule is done or exempt with a reason; the list is that of the developers' documentation."""
    rules = load_yaml(str(COMPONENT / "quality_scale.yaml"))
    assert isinstance(rules, dict)
    assert set(rules["rules"]) == set((Path(__file__).parent / "quality_rules.txt").read_text().split())
    for name, rule in rules["rules"].items():
        status = rule if isinstance(rule, str) else rule["status"]
        assert status in ("done", "exempt"), name
        assert status == "done" or rule["comment"].strip(), name
    assert (rules["rules"]["integration-owner"] == "done") is bool(MANIFEST["codeowners"])
