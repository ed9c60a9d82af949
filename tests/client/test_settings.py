"""What connection options mean without being said: a password alone is one of low authentication."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.client.settings import (
    ACCESS_SECRETS,
    LINE_SECRETS,
    SECRET_KEYS,
    ConnectionSettings,
    implied,
    key_apart,
    parse_settings,
)
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.finder import Limits, find
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import PASSWORD, household, serve_tcp

LINE = {"tcp": "127.0.0.1:4059"}


@pytest.mark.parametrize(
    ("options", "authentication"),
    [
        ({}, "none"),
        ({"password": "text:12345678"}, "low"),
        ({"password": "text:12345678", "authentication": "md5"}, "md5"),
        ({"encryption_key": "hex:" + "00" * 16, "security": "encryption"}, "none"),
    ],
)
def test_what_a_password_means(options: dict[str, str], authentication: str) -> None:
    assert parse_settings(LINE | options).authentication == authentication


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


KEY, LONG_KEY = Secret(bytes(16)), Secret(bytes(32))
NOISE = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"serial": "/dev/ttyUSB0"}, "serial", "name one line only"),
        ({"bind": "tcp://:4059"}, "serial", "name one line only"),
        ({"encryption_key": LONG_KEY}, "encryption_key", "keys of this suite are 16 octets"),
        ({"encryption_key": KEY, "suite": 2}, "encryption_key", "or 32 octets"),
        ({"broadcast_key": LONG_KEY}, "encryption_key", "keys of this suite"),
        ({"authentication": "sha256"}, "password", "needs a password"),
        ({"authentication": "gmac", "encryption_key": KEY}, "encryption_key", "gmac authentication needs"),
        ({"authentication": "ecdsa"}, "authentication", "not supported yet"),
        ({"security": "both"}, "encryption_key", "security needs an encryption_key"),
        ({"encryption_key": KEY}, "authentication_key", "this security needs an authentication_key"),
        ({"address_size": 3}, "address_size", "1, 2 or 4 octets"),
        ({"noise_psk": Secret(NOISE.encode())}, "noise_psk", "for serial: esphome:// alone"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ConnectionSettings(**{"tcp": ("127.0.0.1", 4059), **options})
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("options", "line", "framing", "octets"),
    [
        ({"serial": "/dev/ttyUSB0"}, "/dev/ttyUSB0", "hdlc", 128),
        ({"bind": "tcp://0.0.0.0:4059"}, "tcp://0.0.0.0:4059", "wrapper", 1024),
        ({"tcp": "box"}, "tcp://box:4059", "wrapper", 1024),
        ({"udp": "[fd00::5]:99", "max_info": 64}, "udp://[fd00::5]:99", "wrapper", 64),
        ({"framing": "hdlc"}, "", "hdlc", 1024),
    ],
)
def test_the_line_and_what_goes_without_saying(options: dict[str, Any], line: str, framing: str, octets: int) -> None:
    settings = parse_settings(options)
    assert (settings.line, settings.link_framing, settings.info_length) == (line, framing, octets)


def test_keys_protect_unless_it_is_said_otherwise() -> None:
    assert ConnectionSettings().protection == "none"
    keys = {"encryption_key": KEY, "authentication_key": KEY}
    assert ConnectionSettings(**keys).protection == "both"
    assert ConnectionSettings(**keys, security="none").protection == "none"


def test_secrets_of_the_meter_are_not_those_of_the_line() -> None:
    settings = parse_settings({"serial": f"esphome://head/?noise_psk={NOISE}", "password": "text:1", "client": 32})
    assert settings.secrets == (b"1",)
    assert (settings.serial, settings.noise_psk) == ("esphome://head/", NOISE.encode())
    assert SECRET_KEYS - ACCESS_SECRETS == LINE_SECRETS == {"noise_psk"}


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"serial": f"esphome://head/?key={NOISE}", "noise_psk": f"text:{NOISE}"}, "noise_psk", "in the address"),
        (
            {"serial": "esphome://head/", "noise_psk": "text:short"},
            "noise_psk",
            "of an ESPHome device is none",
        ),
        ({"serial": "esphome://head/?colour=red"}, "serial", "does not know 'colour'"),
        ({"colour": "red"}, "colour", "there is no connection option 'colour'"),
        ({"max-info": "few"}, "max-info", "max-info: "),
    ],
)
def test_options_that_are_none(options: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_settings(options)
    assert caught.value.key == key


def test_a_key_is_taken_out_of_an_address() -> None:
    assert key_apart({"serial": f"esphome://head/?key={NOISE}"}) == {
        "serial": "esphome://head/",
        "noise_psk": f"text:{NOISE}",
    }
    assert key_apart({"serial": "esphome://head/?key=env:NOISE"})["noise_psk"] == "env:NOISE"
    for options in ({"tcp": "box"}, {"serial": "/dev/ttyUSB0"}, {"serial": "socket://box:1?logging=debug"}):
        assert key_apart(options) == options
