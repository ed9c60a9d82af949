"""The configuration's own manual: example, reference and schema are made of the rows, and are true."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import voluptuous as vol

from dlms_mqtt.bridge.config import manual
from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.bridge.config.rows import kind_of
from dlms_mqtt.bridge.config.sections.config import Config

ROOT = Path(__file__).parents[2]


def _rows(cls, seen=None):
    for field in dataclasses.fields(cls):
        yield cls, field
        section = kind_of(field).section
        if section:
            yield from _rows(section)


def test_every_key_has_a_sentence_and_a_default():
    for cls, field in _rows(Config):
        assert len(field.metadata["help"]) > 8, (cls, field.name)
        assert field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def test_the_example_file_is_made_of_the_rows():
    """After a change of the rows: python -c 'from dlms_mqtt.bridge import manual; print(manual.example(), end="")'."""
    assert (ROOT / "config.example.yaml").read_text() == manual.example()


def test_the_example_shows_every_key_and_loads(tmp_path):
    (tmp_path / "c.yaml").write_text(manual.example().replace("/var/lib/dlms-mqtt", str(tmp_path)))
    loaded = load_config(tmp_path / "c.yaml", lambda name: {}, {})
    assert loaded.config.meters["house"].actions["round_clock"].method == 3
    for _, field in _rows(Config):
        assert f"{field.name.rstrip('_')}:" in manual.example()


def test_the_reference_is_current():
    """As the example is made, with ``manual.reference()``."""
    text = manual.reference()
    assert (ROOT / "docs/configuration.md").read_text() == text
    assert "`meters.<id>.read.also[].transform`" in text
    assert "`meters.<id>.connection.max_baud`" in text
    assert text.count("\n| `") == len(list(_rows(Config)))


def test_the_schema_is_json():
    schema = json.loads(json.dumps(manual.schema()))
    meter = schema["properties"]["meters"]["additionalProperties"]
    assert meter["properties"]["every"]["default"] == "30s"
    assert meter["properties"]["connection"]["properties"]["opening"]["enum"] == [
        "direct",
        "sign-on",
        "readout",
        "auto",
    ]
    assert meter["properties"]["connection"]["properties"]["password"]["format"] == "password"
    baud = meter["properties"]["connection"]["properties"]["baud"]
    assert (baud["type"], baud["minimum"], baud["maximum"]) == ("integer", 50, 4_000_000)
    assert meter["properties"]["connection"]["properties"]["dtr"]["type"] == "boolean"
    assert vol.Schema(dict)(schema)
