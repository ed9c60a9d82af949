"""Values of connection options as people write them, and what is said of the rest; secrets are never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client import option_values as values
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret


@pytest.mark.parametrize(
    ("parse", "value", "made"),
    [
        (values.parse_int(0, 300), "0x10", 16),
        (values.parse_int(0, 300), 300, 300),
        (values.parse_seconds, "5", 5.0),
        (values.parse_seconds, 0.2, 0.2),
        (values.parse_seconds, "1m30s", 90.0),
        (values.parse_hex(), "00 ff", b"\x00\xff"),
        (values.parse_hex(2), b"ab", b"ab"),
        (values.parse_choice("a", "b"), "b", "b"),
        (values.parse_bool, "Yes", True),
        (values.parse_bool, 0, False),
        (values.parse_host, "10.0.0.1", ("10.0.0.1", 4059)),
        (values.parse_host, "[::1]:80", ("::1", 80)),
        (values.parse_bind, "tcp://0.0.0.0:4059", "tcp://0.0.0.0:4059"),
        (values.parse_bind, "", ""),
        (values.parse_counter, "auto", None),
        (values.parse_counter, "4294967295", 4294967295),
        (values.parse_counter, "0.0.43.1.0.255", Obis((0, 0, 43, 1, 0, 255))),
        (values.parse_counter, "00002b0100ff", Obis((0, 0, 43, 1, 0, 255))),
        (values.parse_names, "a, b,,c ", ("a", "b", "c")),
        (values.parse_names, ["a ", "b"], ("a", "b")),
        (values.parse_services, "get,set", ("get", "set")),
        (values.parse_secret, Secret(b"x"), Secret(b"x")),
        (values.parse_secret, "text:", Secret(b"")),
        (values.parse_secret, "text:a:b", Secret(b"a:b")),
        (values.parse_secret, "hex:00ff", Secret(b"\x00\xff")),
    ],
)
def test_what_is_made(parse: Any, value: Any, made: Any) -> None:
    found = parse(value)
    assert found == made and type(found) is type(made)


@pytest.mark.parametrize(
    ("parse", "value", "words"),
    [
        (values.parse_int(0, 9), 10, "from 0 to 9"),
        (values.parse_int(0, 9), True, "whole number"),
        (values.parse_int(0, 9), "1.5", "whole number"),
        (values.parse_int(0, 9), None, "whole number"),
        (values.parse_seconds, -1, "expected seconds"),
        (values.parse_seconds, 86400, "expected seconds"),
        (values.parse_seconds, True, "expected seconds"),
        (values.parse_hex(), "0", "hexadecimal"),
        (values.parse_hex(8), "00", "expected 8 octets"),
        (values.parse_choice("a", "b"), "c", "one of a, b"),
        (values.parse_bool, "maybe", "true or false"),
        (values.parse_bind, "udp://0.0.0.0:4059", "no address where meters connect"),
        (values.parse_counter, "4294967296", "whole number"),
        (values.parse_counter, "1.2", "OBIS"),
        (values.parse_services, "get,nothing", "nothing"),
    ],
)
def test_what_is_refused(parse: Any, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(value)


SECRET_WORDS = ("hunter2", "hex:hunter2", "env:hunter2", "file:/nowhere/hunter2", "plain:hunter2", 12345678, None)


@pytest.mark.parametrize("value", SECRET_WORDS)
def test_a_secret_that_is_none_is_not_shown(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        values.parse_secret(value)
    assert "hunter2" not in str(caught.value) and "12345678" not in str(caught.value)
    assert caught.value.hint


def test_secrets_out_of_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("hex:0011\n")
    (tmp_path / "word").write_text("a:b\n")
    (tmp_path / "octets").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("METER_KEY", "text:12345678")
    assert values.parse_secret(f"file:{tmp_path / 'key'}") == b"\x00\x11"
    assert values.parse_secret(f"file:{tmp_path / 'word'}") == b"a:b"
    assert values.parse_secret("env:METER_KEY") == b"12345678"
    with pytest.raises(ConfigError, match="not text"):
        values.parse_secret(f"file:{tmp_path / 'octets'}")


def test_a_schema_knows_what_a_value_looks_like() -> None:
    assert values.parse_int(1, 5).schema == {"type": "integer", "minimum": 1, "maximum": 5}  # type: ignore[attr-defined]
    assert values.parse_choice("a").schema == {"enum": ["a"]}  # type: ignore[attr-defined]
