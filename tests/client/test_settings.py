"""What connection options mean without being said: a password alone is one of low authentication."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.client.settings import implied, parse_settings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.finder import Limits, find
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import PASSWORD, household, serve_tcp

LINE = {"tcp": "127.0.0.1:4059"}


@pytest.mark.parametrize(
    ("said", "authentication"),
    [
        ({}, "none"),
        ({"password": "text:12345678"}, "low"),
        ({"password": "text:12345678", "authentication": "md5"}, "md5"),
        ({"encryption_key": "hex:" + "00" * 16, "security": "encryption"}, "none"),
    ],
)
def test_what_a_password_means(said: dict[str, str], authentication: str) -> None:
    assert parse_settings(LINE | said).authentication == authentication


def test_a_password_that_is_never_sent_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="never sent"):
        parse_settings({**LINE, "password": "text:1", "authentication": "none"})


def test_a_preset_that_says_nothing_of_it_does_not_hinder() -> None:
    own = {"password": Secret(b"1")}
    assert implied(own, {"authentication": "none"})["authentication"] == "low"
    assert implied(own, {"authentication": "sha256"})["authentication"] == "sha256"
    assert implied({}, {"client": 32}) == {"client": 32}


def test_in_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    text = (
        "mqtt: {host: localhost}\nmeters:\n  house:\n    connection: {tcp: '127.0.0.1:4059', password: 'text:1'MORE}\n"
    )
    file.write_text(text.replace("MORE", ""))
    assert load_config(file, preset_connection, {}).connections["house"].authentication == "low"
    file.write_text(text.replace("MORE", ", authentication: none"))
    with pytest.raises(ConfigError, match="never sent"):
        load_config(file, preset_connection, {})


async def test_a_search_sends_the_password_that_it_was_given() -> None:
    """Before, it was said to be refused though it had never been sent."""
    async with serve_tcp(household(1)) as server:
        line = {"tcp": f"127.0.0.1:{server.port}", "client": 32, "password": Secret(PASSWORD)}
        found = await find(line, limits=Limits(seconds=60))
    assert found.complete and found.connection["authentication"] == "low"
    assert "password-refused" not in found.names
