"""The whole file: what it is with nothing in it, and ids that replace others."""

from __future__ import annotations

from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.sections.config import CONFIG

LINE = {"connection": {"tcp": "10.0.0.5:4059"}}


def test_nothing_is_a_bridge_without_meters() -> None:
    config = CONFIG.convert({})
    assert (config.bridge.id, config.mqtt.host, dict(config.meters)) == ("main", "localhost", {})


def test_the_broker_in_one_word() -> None:
    mqtt = CONFIG.convert({"mqtt": {"host": "mqtts://broker.home"}}).mqtt
    assert (mqtt.host, mqtt.broker_port, mqtt.tls is not None) == ("broker.home", 8883, True)


@pytest.mark.parametrize(
    ("meters", "words"),
    [
        ({"a": LINE | {"replaces": "x"}, "b": LINE | {"replaces": "x"}}, "two meters replace 'x'"),
        ({"a": LINE | {"replaces": "b"}, "b": LINE}, "'b' is replaced and still there"),
        ({"A": LINE}, "lower-case letters"),
    ],
)
def test_mistakes(meters: dict[str, Any], words: str) -> None:
    with pytest.raises(vol.MultipleInvalid) as caught:
        CONFIG.convert({"meters": meters})
    assert any(words in error.msg for error in caught.value.errors)


def test_a_meter_may_replace_one_that_is_gone() -> None:
    assert CONFIG.convert({"meters": {"a": LINE | {"replaces": "b"}}}).meters["a"].replaces == "b"
