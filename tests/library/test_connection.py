"""Keywords: the configuration's own, typed; a wrong value is a ValueError that names it and shows no secret."""

from __future__ import annotations

import typing
from dataclasses import fields
from typing import Any

import pytest

from dlms_mqtt import Connection, Meter
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.library.connection import settings_of
from dlms_mqtt.transport.memory import memory_pair

KEY = "000102030405060708090A0B0C0D0E0F"


def test_the_keywords_are_the_connection_keys() -> None:
    assert list(typing.get_type_hints(Connection)) == [row.name for row in fields(ConnectionSettings)]


@pytest.mark.parametrize("row", fields(ConnectionSettings), ids=lambda row: row.name)
def test_words_are_literals(row: Any) -> None:
    hint = typing.get_type_hints(Connection)[row.name]
    words = {word for part in (hint, *typing.get_args(hint)) for word in typing.get_args(part) if isinstance(word, str)}
    assert words == set(getattr(row.metadata["parse"], "schema", {}).get("enum", ()))


LINES = [
    ("tcp://192.0.2.1:4059", {"tcp": ("192.0.2.1", 4059)}),
    ("tcp://meter.example", {"tcp": ("meter.example", 4059)}),
    ("tcp://[fd00::5]:1234", {"tcp": ("fd00::5", 1234)}),
    ("udp://192.0.2.1:4059", {"udp": ("192.0.2.1", 4059)}),
    ("/dev/ttyUSB0", {"serial": "/dev/ttyUSB0"}),
    ("COM3", {"serial": "COM3"}),
    ("rfc2217://192.0.2.1:2217", {"serial": "rfc2217://192.0.2.1:2217"}),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_lines(line: str, expected: dict[str, Any]) -> None:
    settings = settings_of(line, {})
    assert {name: getattr(settings, name) for name in expected} == expected


PASSWORDS = [("12345678", b"12345678"), (b"\x00\xff", b"\x00\xff"), ("text:abc", b"abc"), ("hex:0102", b"\x01\x02")]


@pytest.mark.parametrize(("given", "expected"), PASSWORDS)
def test_passwords(given: str | bytes, expected: bytes) -> None:
    settings = settings_of("tcp://a", {"password": given})
    assert (settings.password, settings.authentication) == (expected, "low")


def test_who_says_the_authentication_is_believed() -> None:
    assert settings_of("tcp://a", {"password": "x", "authentication": "md5"}).authentication == "md5"


@pytest.mark.parametrize("given", [KEY, bytes.fromhex(KEY), f"hex:{KEY}"])
def test_keys(given: str | bytes) -> None:
    assert settings_of("tcp://a", {"encryption_key": given, "security": "encryption"}).encryption_key == bytes(
        range(16)
    )


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("tcp://a", {"client": -1}, "client: "),
    ("tcp://a", {"client": "x"}, "client: "),
    ("tcp://a", {"framing": "ppp"}, "framing: expected one of hdlc, wrapper"),
    ("tcp://a", {"authentication": "low"}, "password: this authentication needs a password"),
    ("tcp://a", {"encryption_key": "0001"}, "encryption_key: "),
    ("tcp://a", {"encryption_key": "my secret key!!!"}, "encryption_key: "),
    ("tcp://a", {"password": 5}, "password: expected str or bytes"),
    ("tcp://a", {"timeout": "soon"}, "timeout: "),
    ("tcp://a", {"association": "x"}, "association: "),
    ("tcp://a:b", {}, "tcp: "),
    ("tcp://a", {"serial": "/dev/ttyS0"}, "serial: name one line only"),
    ("", {}, "which meter"),
]


@pytest.mark.parametrize(("line", "keywords", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_named(line: str, keywords: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        Meter(line, **keywords)
    assert "my secret key" not in str(error.value)


def test_an_unknown_keyword() -> None:
    keywords: Any = {"passwort": "x"}
    with pytest.raises(TypeError, match="'passwort'"):
        Meter("tcp://a", **keywords)


def test_an_unknown_time_zone() -> None:
    with pytest.raises(ValueError, match="timezone: there is no time zone 'Vienna'"):
        Meter("tcp://a", timezone="Vienna")


def test_a_line_of_ones_own() -> None:
    near, _ = memory_pair(name="mine")
    assert Meter(near).line == "mine"
