"""The sections of bridge, broker and page: defaults, what they take, and mistakes of more than one key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.rows import section
from dlms_mqtt.bridge.config.sections.bridge import STATE_DIR, Bridge, Discovery, Http, Mqtt, Tls
from dlms_mqtt.protocol.secret import Secret


def mistakes(cls: type, value: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(vol.MultipleInvalid) as caught:
        section(cls).convert(value)
    return {str(error.path[0]): error.msg for error in caught.value.errors}


def test_defaults() -> None:
    bridge, mqtt = section(Bridge).convert({}), section(Mqtt).convert({})
    assert (bridge.id, bridge.state_dir, bridge.management, bridge.health_every) == ("main", STATE_DIR, False, 60.0)
    assert (mqtt.host, mqtt.broker_port, mqtt.base_topic, mqtt.protocol) == ("localhost", 1883, "dlms_mqtt", "auto")
    assert (mqtt.discovery.prefix, mqtt.discovery.every, mqtt.tls) == ("homeassistant", 300.0, None)
    assert section(Http).convert({}).listen == ""


@pytest.mark.parametrize(
    ("given", "port"), [({}, 1883), ({"tls": {}}, 8883), ({"port": 1884}, 1884), ({"port": 1884, "tls": {}}, 1884)]
)
def test_the_port_in_force(given: dict[str, Any], port: int) -> None:
    assert section(Mqtt).convert(given).broker_port == port


@pytest.mark.parametrize(
    ("word", "version"),
    [("5", "5"), (5, "5"), ("v5", "5"), (5.0, "5"), ("3.1.1", "3.1.1"), (4, "3.1.1"), ("auto", "auto")],
)
def test_versions(word: Any, version: str) -> None:
    assert section(Mqtt).convert({"protocol": word}).protocol == version


@pytest.mark.parametrize("word", ["6", 3, True, "", None, "five"])
def test_no_versions(word: Any) -> None:
    if word is None:
        assert section(Mqtt).convert({"protocol": word}).protocol == "auto"
    else:
        assert "auto, 5, 3.1.1" in mistakes(Mqtt, {"protocol": word})["protocol"]


@pytest.mark.parametrize(
    ("written", "secret"), [("plain", b"plain"), ("a:b", b"a:b"), ("text:a", b"a"), ("hex:00c3bf", b"\x00\xc3\xbf")]
)
def test_the_brokers_password_may_be_plain(written: str, secret: bytes) -> None:
    found = section(Mqtt).convert({"password": written}).password
    assert found == secret and isinstance(found, Secret)


def test_files_of_tls(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert section(Tls).convert({"ca": str(ca)}).ca == str(ca)
    assert mistakes(Tls, {"key": "x"}) == {"key": "a key needs a certificate beside it"}
    found = mistakes(Tls, {"ca": str(ca), "certificate": str(tmp_path / "no"), "key": str(tmp_path)})
    assert set(found) == {"certificate", "key"}
    assert "cannot be read: No such file" in found["certificate"]


@pytest.mark.parametrize("listen", ["127.0.0.1:9780", "0.0.0.0", "[::1]:80", "127.0.0.1:0"])
def test_where_the_page_listens(listen: str) -> None:
    assert section(Http).convert({"listen": listen}).listen == listen


def test_languages_and_styles() -> None:
    assert section(Discovery).convert({"language": "de", "style": "components"}).language == "de"
    assert set(mistakes(Discovery, {"language": "xx", "style": "both", "every": "2h"})) == {
        "language",
        "style",
        "every",
    }


@pytest.mark.parametrize(
    ("cls", "given", "sentence"),
    [
        (Mqtt, {"password": "hex:ff"}, "expected a password that is text (UTF-8)"),
        (Mqtt, {"websocket_path": "/my mqtt"}, "without blanks, not '/my mqtt'"),
        (Http, {"listen": "127.0.0.1:x"}, "127.0.0.1:x"),
    ],
)
def test_what_is_taken_by_no_broker_and_no_browser(cls: type, given: dict[str, Any], sentence: str) -> None:
    assert sentence in mistakes(cls, given)[next(iter(given))]


def test_a_path_of_websockets_and_a_folder() -> None:
    assert section(Mqtt).convert({"websocket_path": "/a/b"}).websocket_path == "/a/b"
    assert section(Mqtt).convert({"websocket_path": "mqtt"}).websocket_path == "/mqtt"  # no broker knows it without
    assert section(Bridge).convert({"state_dir": "state"}).state_dir == Path("state")
    assert section(Http).convert({"listen": ""}).listen == ""
