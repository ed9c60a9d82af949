"""One meter's section: what it needs, short forms of what is read, bounds, and keys that collide."""

from __future__ import annotations

from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.sections.meter import METER, Supply, key_of_line, read_of_short

LINE = {"connection": {"tcp": "10.0.0.5:4059"}}


def mistakes(value: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(vol.MultipleInvalid) as caught:
        METER.convert(value)
    return [(str(error.path[0]) if error.path else "", error.msg) for error in caught.value.errors]


def test_the_least_meter() -> None:
    meter = METER.convert(LINE)
    assert (meter.every, meter.read.set, meter.guard, meter.attempts, meter.push) == (30.0, "core", True, 2, None)
    assert METER.convert({"push": {"listen": "tcp://0.0.0.0:4059"}}).push.every == 3600.0


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        ({}, "connection", "expected serial, tcp or udp"),
        ({"push": {}}, "connection", "push.listen"),
        ({"push": {"listen": "udp://0.0.0.0:1", "ask": True}}, "push", "ask: true needs"),
        (LINE | {"read": ["1.8.0", "1.8.0"]}, "read", "two items have the key"),
        (LINE | {"read": {"also": [{"obis": "1.8.0", "key": "a"}, {"obis": "2.8.0", "key": "a"}]}}, "read", "key a"),
        (LINE | {"derive": {"status": "power"}}, "derive", "the key of something else"),
        (LINE | {"derive": {"a": "a + b"}}, "derive", "computed of itself"),
        (LINE | {"profiles": [{"obis": "1.0.99.1.0.255"}] * 2}, "profiles", "two profiles"),
        (LINE | {"attempts": 6}, "attempts", "from 1 to 5"),
        ({"derive": {"a": "house.power + power"}}, "derive", "as in main_house.power"),
        ({"derive": {"a": "house.power"}, "every": "1s", "read": "all"}, "connection", "or derive alone"),
        ({"derive": {"a": "house.power"}, "clock": {"sync": True}}, "connection", "or derive alone"),
        (LINE | {"push": {"listen": "serial://x"}}, "push", "serial://x"),
    ],
)
def test_mistakes(value: dict[str, Any], key: str, words: str) -> None:
    assert any(found == key and words in message for found, message in mistakes(value)), mistakes(value)


def test_a_meter_that_is_computed_of_others_has_no_line() -> None:
    derive = {"power": "house.power + garage.power", "half": "power / 2"}
    found = METER.convert({"name": "All", "every": "10s", "derive": derive})
    assert found.is_computed and not METER.convert(LINE | {"derive": {"a": "b.c"}}).is_computed


@pytest.mark.parametrize(
    ("short", "section"),
    [("all", {"set": "all"}), (["1.8.0"], {"set": "none", "also": ["1.8.0"]}), ({"set": "core"}, {"set": "core"})],
)
def test_short_forms_of_read(short: Any, section: dict[str, Any]) -> None:
    assert read_of_short(short) == section


def test_the_same_object_twice_with_keys_is_two_values() -> None:
    rows = [{"obis": "1.8.0", "key": "a"}, {"obis": "1.8.0", "key": "b"}]
    assert len(METER.convert(LINE | {"read": rows}).read.also) == 2


@pytest.mark.parametrize(("given", "watts"), [({}, 86250.0), ({"phases": 1, "amperes": 10, "volts": 100}, 1250.0)])
def test_what_a_supply_can_carry(given: dict[str, Any], watts: float) -> None:
    assert Supply(**given).watts == watts


def test_the_key_in_an_address_is_set_apart() -> None:
    found = key_of_line({"serial": "esphome://10.0.0.5/?port_name=A&key=QUJD"})
    assert "QUJD" not in found["serial"] and "QUJD" in found["noise_psk"]
    assert key_of_line("text") == "text"
