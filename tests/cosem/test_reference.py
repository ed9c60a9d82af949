"""``[CLASS/]OBIS[:NUMBER]``: numbers, names, and the mistakes."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.reference import ObjectRef, parse_reference, split_reference
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

ENERGY = Obis((1, 0, 1, 8, 0, 255))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1-0:1.8.0", ObjectRef(None, ENERGY)),
        ("1.8.0", ObjectRef(None, ENERGY)),
        ("1.8.0:2", ObjectRef(None, ENERGY, 2)),
        ("3/1-0:1.8.0*255:2", ObjectRef(3, ENERGY, 2)),
        ("3/0100010800FF:3", ObjectRef(3, ENERGY, 3)),
        ("1-0:1.8.0&255:scaler_unit", ObjectRef(None, ENERGY, None, "scaler_unit")),
        ("1.0.1.8.0.255:-1", ObjectRef(None, ENERGY, -1)),
    ],
)
def test_reference(text: str, found: ObjectRef) -> None:
    assert parse_reference(text) == found


@pytest.mark.parametrize(
    "text", ["", "3/", "/1.8.0", "1.8.0:", "x/1.8.0", "65536/1.8.0", "1.8.0:128", "1.8.0:-129", "1.8", "energy_import"]
)
def test_no_object(text: str) -> None:
    with pytest.raises(ConfigError, match="is no object"):
        parse_reference(text)


def test_a_key_is_known_by_who_brings_a_catalogue() -> None:
    keys = {"mine": ObjectRef(3, ENERGY, 2)}
    assert parse_reference("mine", keys.get) == keys["mine"]
    assert parse_reference("4/mine:5", keys.get) == ObjectRef(4, ENERGY, 5)
    with pytest.raises(ConfigError, match="'yours' is no object"):
        parse_reference("yours", keys.get)


def test_numbers_by_name() -> None:
    assert parse_reference("1.8.0:scaler_unit").attribute(3) == 3
    assert parse_reference("1.8.0:scaler_unit").attribute(5) == 4
    assert parse_reference("1.8.0:reset").method(3) == 1
    assert parse_reference("1.8.0").attribute(3) == 2 and parse_reference("1.8.0:5").attribute(3) == 5
    with pytest.raises(ConfigError, match="class 3 has no attribute 'volume'") as caught:
        parse_reference("1.8.0:volume").attribute(3)
    assert "scaler_unit" in caught.value.hint
    with pytest.raises(ConfigError, match="class 3 has no method 'value'"):
        parse_reference("1.8.0:value").method(3)
    with pytest.raises(ConfigError, match="class 60000") as caught:
        parse_reference("1.8.0:value").attribute(60000)
    assert "give its number" in caught.value.hint


def test_what_was_written_is_kept() -> None:
    assert split_reference("3/1-0:1.8.0*255:value") == ("3", "1-0:1.8.0*255", "value")
    assert split_reference("1-0:1.8.0") == ("", "1-0:1.8.0", "")
