"""Rows of the configuration: kinds, defaults, sentences; every mistake is found, and the key that was meant."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.kinds import ID, INTERVAL, TEXT, Kind, integer
from dlms_mqtt.bridge.config.rows import Problems, default_of, kind_of, list_of, mapping_of, row, section, shared, twice
from dlms_mqtt.bridge.config.sections.meter import Read
from dlms_mqtt.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A section."""

    name: str = row("", TEXT, "What it is called.", "front")
    class_: int = row(3, integer(1, 9), "Which class.")
    every: float = row("10s", INTERVAL, "How often.")

    def problems(self) -> Problems:
        """One that needs two keys."""
        if self.name == "front" and self.class_ == 9:
            yield "class", "the front door is no 9"


DOOR = section(Door)


def mistakes(kind: Any, value: object) -> list[tuple[list[Any], str]]:
    with pytest.raises((vol.MultipleInvalid, ConfigError)) as caught:
        kind.convert(value)
    errors = getattr(caught.value, "errors", None)
    return [(error.path, error.msg) for error in errors] if errors else [([], str(caught.value))]


def test_what_is_left_out_is_the_default() -> None:
    assert DOOR.convert({}) == DOOR.convert({"name": None}) == Door(name="", class_=3, every=10.0)
    assert DOOR.convert({"class": 4, "every": "1m"}) == Door(name="", class_=4, every=60.0)


def test_every_mistake_is_found() -> None:
    found = {path[0]: message for path, message in mistakes(DOOR, {"class": 10, "every": "soon", "nmae": "x"})}
    assert set(found) == {"class", "every", "nmae"}
    assert found["nmae"] == "unknown key; did you mean 'name'?"
    assert mistakes(DOOR, {"zzz": 1}) == [(["zzz"], "unknown key; there are name, class, every")]
    assert mistakes(DOOR, {"name": "front", "class": 9}) == [(["class"], "the front door is no 9")]
    assert "expected keys such as name, class, every here" in mistakes(DOOR, ["front"])[0][1]


def test_lists_tell_each_bad_row() -> None:
    doors = list_of(DOOR)
    assert doors.convert({"class": 2}) == (Door(class_=2),)
    assert [path for path, _ in mistakes(doors, [{"class": 0}, {}, {"name": 1}])] == [[0, "class"], [2, "name"]]


def test_mappings_tell_what_a_key_looks_like() -> None:
    doors = mapping_of(ID, DOOR, "<id>")
    assert doors.convert({"a-1": {}}) == {"a-1": Door()}
    ((path, message),) = mistakes(doors, {"Big One": {}})
    assert path == ["Big One"] and "lower-case letters, digits and hyphens" in message
    assert "expected <id>: ... below this key" in mistakes(doors, 7)[0][1]


def test_short_spellings_and_other_builders() -> None:
    short = section(Door, prepare=lambda value: {"name": value} if isinstance(value, str) else value, build=dict)
    assert short.convert("front") == {"name": "front"}


def test_the_schema_says_the_same() -> None:
    schema = DOOR.schema
    assert schema["additionalProperties"] is False
    assert schema["properties"]["class"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "Which class.",
        "default": 3,
    }
    assert schema["properties"]["every"]["default"] == "10s"  # as it is written


def test_rows_know_their_kind_and_default() -> None:
    rows = {item.name: item for item in fields(Door)}
    assert kind_of(rows["every"]) is INTERVAL
    assert [default_of(item) for item in rows.values()] == ["", 3, "10s"]


def test_names_that_come_twice() -> None:
    assert twice(["b", "a", "b", "c", "a"]) == ["a", "b"]


def test_the_same_word_makes_the_same_value_once() -> None:
    made: list[object] = []

    def convert(value: object) -> object:
        if value == "bad":
            raise ConfigError("it is bad")
        made.append(value)
        return [value]

    kind = shared(Kind(convert, {}))
    assert kind.convert("a") is kind.convert("a")
    assert kind.convert({"a": 1}) is not kind.convert({"a": 1})  # what is no word is made each time
    assert made == ["a", {"a": 1}, {"a": 1}]
    for _ in range(2):
        with pytest.raises(ConfigError, match="it is bad"):
            kind.convert("bad")


def test_items_of_many_meters_are_the_same_objects() -> None:
    kind = kind_of(next(item for item in fields(Read) if item.name == "also"))
    [first], [second] = kind.convert(["1.0.1.8.0.255"]), kind.convert("1.0.1.8.0.255")
    assert first is second
