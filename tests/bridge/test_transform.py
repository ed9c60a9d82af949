"""Arithmetic of one value."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "result"), [("value / 1000", "1.234"), ("value - 1234", "0"), ("-value", "-1234"), ("5", "5")]
)
def test_results(text: str, result: str) -> None:
    assert parse_transform(text)(Decimal(1234)) == Decimal(result)


@pytest.mark.parametrize("text", ["power / 2", "value * power", "value(", "", None, "value.real"])
def test_of_nothing_else(text: object) -> None:
    with pytest.raises(ConfigError, match=r"expected arithmetic of 'value' such as value / 1000"):
        parse_transform(text)


def test_equal_texts_are_equal() -> None:
    assert parse_transform("value/2") == parse_transform("value/2") != parse_transform("value / 2")
