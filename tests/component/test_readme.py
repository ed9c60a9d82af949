"""The component's README: its YAML is valid and names what exists; every sentence a user may meet is explained."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from component_fixtures import COMPONENT
from homeassistant.components.automation.config import PLATFORM_SCHEMA
from homeassistant.helpers import config_validation as cv

from custom_components.dlms_mqtt.services import ACTIONS

README = (COMPONENT / "README.md").read_text()
PLAIN = re.sub(r"\s+", " ", README.replace("`", ""))
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README, re.S)]
TEXTS = json.loads((COMPONENT / "translations" / "en.json").read_text())
METER = TEXTS["config_subentries"]["meter"]
SCHEMAS = {f"dlms_mqtt.{action.name}": action.schema for action in ACTIONS}


def steps(value: Any) -> Any:
    """Every step that calls one of our actions, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from steps(item)
    elif isinstance(value, dict):
        if str(value.get("action")).startswith("dlms_mqtt."):
            yield value
        for item in value.values():
            yield from steps(item)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.get("alias") or block.get("action") or "bridge"))
def test_yaml(block: dict[str, Any]) -> None:
    if "triggers" in block:
        PLATFORM_SCHEMA(block)
    elif "action" in block:
        cv.SCRIPT_SCHEMA([block])
    else:
        assert set(block) == {"bridge", "mqtt"}
    for step in steps(block):
        # what a template will say is one of these
        data = {name: "2026-11-01" if "today" in str(value) else value for name, value in step["data"].items()}
        SCHEMAS[step["action"]](data)


def test_every_action_is_documented_with_its_fields() -> None:
    assert len(BLOCKS) > 8
    for name, schema in SCHEMAS.items():
        (row,) = re.findall(rf"^\| `{re.escape(name)}` \| (.*?) \|", README, re.M)
        fields = {str(key) for key in schema.validators[0].schema} - {"device_id"}
        assert set(re.findall(r"`(\w+)`", row)) == fields, name


def beginning(text: str) -> str:
    """What of a sentence is the same for everybody: up to the first placeholder, or its first sentence."""
    return re.split(r"(?<=\.) | ?\(?{", text)[0].strip()


@pytest.mark.parametrize("root", [TEXTS["config"], METER], ids=["bridge", "meter"])
def test_every_error_is_explained(root: dict[str, Any]) -> None:
    for key, text in root["error"].items():
        sentence = beginning(text)
        if ":" in sentence:
            sentence = sentence.partition(":")[0]
        assert f"| {sentence}" in PLAIN, key


def test_every_repair_is_explained() -> None:
    for key, issue in TEXTS["issues"].items():
        constant = max(re.split(r"{\w+}", issue["title"]), key=len).strip()
        assert f"| {constant} |" in PLAIN or f"| {constant}" in PLAIN, key


def test_every_parameter_is_explained() -> None:
    for step in (*TEXTS["config"]["step"].values(), *METER["step"].values()):
        parts = [step, *step.get("sections", {}).values()]
        for label in (label for part in parts for label in part.get("data", {}).values()):
            assert re.search(rf"^\| (?:[^|]*, )?{re.escape(label)}(?:,[^|]*)? \|", README, re.M), label
