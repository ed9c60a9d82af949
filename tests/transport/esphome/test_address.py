"""Addresses of serial ports on ESPHome devices, and the key that is in some of them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings, key_apart, parse_settings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.transport.esphome.address import Address, is_esphome, key_text, parse, split_key

KEY = "qL3+9/bSjmeXrYt2kTzBfYh0p7xVdO5Q1u4wCnZsAgE="
OCTETS = base64.b64decode(KEY)
HEAD = "esphome://head.local/?port_name=meter"


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("esphome://head.local/?port_name=meter", Address("head.local", 6053, "meter", False)),
        ("esphome://192.0.2.7:6054/?port_name=IR%20head", Address("192.0.2.7", 6054, "IR head", False)),
        ("esphome://[fd00::5]:6054?port_name=a+b", Address("fd00::5", 6054, "a b", False)),
        ("ESPHOME://head", Address("head", 6053, "", True)),
        ("esphome://head/?port_serial_number=A1", Address("head", 6053, "", False)),
    ],
)
def test_addresses(line: str, address: Address) -> None:
    assert is_esphome(line)
    assert parse(line) == address


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("esphome://", "is no HOST:PORT"),
        ("esphome://head:x/", "is no HOST:PORT"),
        ("esphome://user:secret@head/", "no users and passwords"),
        ("esphome://head/?password=secret", "no users and passwords"),
        ("esphome://head/#?password=secret", "no users and passwords"),
        ("esphome://head/?prot_name=meter", "does not know 'prot_name'"),
        ("esphome://head/meter", "does not know 'a path'"),
    ],
)
def test_wrong_addresses(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(line)
    assert "secret" not in caught.value.told


@pytest.mark.parametrize(
    "line",
    [
        f"{HEAD}&noise_psk={KEY}",
        f"{HEAD}&key={KEY}",
        f"{HEAD}&noise_psk={KEY.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
        f"{HEAD}&noise_psk={KEY.replace('+', ' ')}",
        f"esphome://head.local/?noise_psk={KEY}&port_name=meter",
    ],
)
def test_the_key_is_taken_out(line: str) -> None:
    assert split_key(line) == (HEAD, KEY)


def test_what_has_no_key_stays() -> None:
    for line in (HEAD, "/dev/ttyUSB0", "rfc2217://h:1?logging=debug", "/dev/x?noise_psk=1"):
        assert split_key(line) == (line, "")
    assert split_key(f"esphome://head/?noise_psk={KEY}") == ("esphome://head/", KEY)


def test_keys() -> None:
    assert key_text(KEY.encode()) == key_text(OCTETS) == KEY
    for wrong in (b"", b"short", KEY[:-4].encode(), b"not base64 at all, but of forty-four letters", OCTETS[:31]):
        with pytest.raises(ConfigError, match="32 octets") as caught:
            key_text(wrong)
        assert wrong.decode(errors="replace") not in caught.value.told or not wrong


@pytest.mark.parametrize(
    "given",
    [
        {"serial": f"{HEAD}&noise_psk={KEY}"},
        {"serial": HEAD, "noise_psk": f"text:{KEY}"},
        {"serial": HEAD, "noise_psk": f"hex:{OCTETS.hex()}"},
        {"serial": f"{HEAD}&noise_psk=hex:{OCTETS.hex()}"},
        {"serial": HEAD, "noise_psk": "env:HEAD_KEY"},
        {"serial": f"{HEAD}&noise_psk=env:HEAD_KEY"},
    ],
)
def test_a_key_is_a_secret_however_it_is_given(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.setenv("HEAD_KEY", KEY)
    settings = parse_settings(given)
    assert (settings.serial, settings.line) == (HEAD, HEAD)
    assert key_text(settings.noise_psk or b"") == KEY
    assert KEY not in repr(settings)
    assert settings.secrets == ()  # no meter hears of it
    assert replace(settings, client=1).noise_psk == settings.noise_psk


def test_settings_never_hold_a_key_in_their_line() -> None:
    settings = ConnectionSettings(serial=f"{HEAD}&noise_psk={KEY}")
    assert settings.serial == HEAD
    assert key_text(settings.noise_psk or b"") == KEY


@pytest.mark.parametrize(
    ("given", "key", "message"),
    [
        ({"serial": f"{HEAD}&noise_psk={KEY}", "noise_psk": f"text:{KEY}"}, "noise_psk", "stands in the address"),
        ({"serial": "/dev/ttyUSB0", "noise_psk": f"text:{KEY}"}, "noise_psk", "esphome:// alone"),
        ({"tcp": "head", "noise_psk": f"text:{KEY}"}, "noise_psk", "esphome:// alone"),
        ({"serial": f"esphom://head/?noise_psk={KEY}"}, "noise_psk", "esphome:// alone"),
        ({"serial": HEAD, "noise_psk": f"text:{KEY[:-1]}"}, "noise_psk", "32 octets"),
        ({"serial": HEAD, "noise_psk": KEY}, "noise_psk", "must say what it is"),
        ({"serial": "esphome://head/?password=x"}, "serial", "no users and passwords"),
    ],
)
def test_mistakes_name_the_key_and_show_no_secret(given: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_settings(given)
    assert caught.value.key == key
    assert KEY[:20] not in caught.value.told


def test_options_without_a_key_are_left_alone() -> None:
    assert key_apart({"tcp": "h", "client": 1}) == {"tcp": "h", "client": 1}
    assert key_apart({"serial": f"{HEAD}&noise_psk={KEY}"}) == {"serial": HEAD, "noise_psk": f"text:{KEY}"}
