"""Items in their short forms, and mistakes that need more than one key."""

from __future__ import annotations

from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.rows import section
from dlms_mqtt.bridge.config.sections.item import (
    RESERVED_KEYS,
    Action,
    Derive,
    Item,
    Profile,
    derive_of_short,
    item_of_text,
)
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("1-0:1.8.0", {"obis": "1-0:1.8.0"}),
        ("3/1.0.1.8.0.255:3", {"class": "3", "obis": "1.0.1.8.0.255", "attribute": "3"}),
        ("3/1.0.1.8.0.255:scaler_unit", {"class": "3", "obis": "1.0.1.8.0.255", "attribute": "3"}),
    ],
)
def test_a_text_stands_for_an_item(text: str, item: dict[str, Any]) -> None:
    assert item_of_text(text) == item


def test_a_key_of_the_catalogue_stands_for_its_code() -> None:
    assert item_of_text("energy_import")["obis"] == item_of_text({"obis": "energy_import"})["obis"] == "1.0.1.8.0.255"
    found = item_of_text({"obis": "energy_import", "attribute": 3, "every": "10s"})
    assert (found["attribute"], found["every"]) == (3, "10s")
    assert item_of_text({"obis": "1.0.1.8.0.255"}) == {"obis": "1.0.1.8.0.255"}
    assert item_of_text(5) == 5


@pytest.mark.parametrize(
    "code", ["1-0:1.8.0*255", "1-0:1.8.0", "1.8.0", "0100010800FF", "1-0:1.8.0&255", "energy_import"]
)
def test_the_obis_of_an_item_may_name_class_and_attribute_too(code: str) -> None:
    found = item_of_text({"obis": f"4/{code}:3", "key": "mine"})
    assert (found["class"], found["attribute"], found["key"]) == ("4", "3", "mine")
    assert item_of_text({"obis": f"4/{code}:status", "attribute": 7, "class": 5}) == {
        "obis": found["obis"],
        "class": 5,
        "attribute": 7,
    }
    assert item_of_text({"obis": f"4/{code}:nothing"}) == {"obis": f"4/{code}:nothing"}  # told by the row


def test_a_name_that_the_class_does_not_have() -> None:
    with pytest.raises(ConfigError):
        item_of_text("3/1.0.1.8.0.255:nothing")


def mistakes(cls: type, value: dict[str, Any]) -> set[tuple[str, str]]:
    with pytest.raises(vol.MultipleInvalid) as caught:
        section(cls).convert(value)
    return {(str(error.path[0]) if error.path else "", error.msg) for error in caught.value.errors}


CODE = {"obis": "1.0.1.8.0.255"}


@pytest.mark.parametrize(
    ("cls", "value", "key", "words"),
    [
        (Item, {}, "", "an item needs an obis"),
        (Item, CODE | {"key": "status"}, "key", "the bridge's own entity"),
        (Item, CODE | {"every": "10s", "at": "00:05"}, "at", "exclude each other"),
        (Item, CODE | {"transform": "value / 2", "values": {0: "off"}}, "transform", "exclude each other"),
        (Item, CODE | {"min": 1}, "min", "belong together"),
        (Item, CODE | {"min": 2, "max": 1}, "min", "greater than max"),
        (Item, CODE | {"step": 0}, "step", "above 0"),  # Home Assistant takes none, and the whole meter with it
        (Item, CODE | {"step": -1}, "step", "above 0"),
        (Action, {}, "", "an action needs an obis"),
        (Profile, {}, "", "a profile needs an obis"),
        (Profile, CODE | {"every": "1h", "at": ["00:05"]}, "at", "exclude each other"),
        (Derive, {"value": "1 + 2"}, "value", "at least one key"),
        (Derive, {}, "value", "at least one key"),
    ],
)
def test_mistakes(cls: type, value: dict[str, Any], key: str, words: str) -> None:
    assert any(found == key and words in message for found, message in mistakes(cls, value))


def test_a_good_one() -> None:
    item = section(Item).convert(CODE | {"at": "00:05", "values": {0: "off"}, "type": "LONG-UNSIGNED"})
    assert (item.obis, item.at, item.values) == (Obis((1, 0, 1, 8, 0, 255)), ((0, 5),), {0: "off"})
    assert item.type == "long-unsigned"


def test_short_derivations() -> None:
    assert derive_of_short("a + b") == {"value": "a + b"}
    assert derive_of_short({"value": "a"}) == {"value": "a"}


def test_keys_of_the_bridge_itself() -> None:
    assert {"status", "event", "pause", "read_now"} <= RESERVED_KEYS
