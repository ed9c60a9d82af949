"""How a bridge is asked from outside: by its listener and by what it keeps at a real broker, there, gone, not there."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge import remote_status
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.bridge.remote_status import document_of, from_broker, from_listener, listener_url
from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.meter.presets.preset import preset_connection
from tests.bridge.conftest import watching
from tests.bridge.house import write_config
from tests.free_port import free_port


async def kept_there(path: Path) -> dict[str, Any]:
    """What the broker of this configuration keeps of its bridge."""
    config = load_config(path, preset_connection, {}, strict=False).config
    return await asyncio.to_thread(from_broker, config, 60.0)


KEPT = {
    "dlms_mqtt/bridge/main/state": "online",
    "dlms_mqtt/bridge/main/info": json.dumps(
        {"version": "1", "started": "x", "meters": [{"id": "house", "name": "House"}]}
    ),
    "dlms_mqtt/bridge/main/health": json.dumps({"status": "ok", "reasons": [], "meters": {"house": {"status": "ok"}}}),
    "dlms_mqtt/meter/house/availability": "online",
    "dlms_mqtt/meter/house/state": json.dumps({"power": 5, "_time": {"power": "2026-11-29T12:00:00+01:00"}}),
}


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
async def test_what_the_broker_keeps(mosquitto, tmp_path, protocol):
    path = write_config(tmp_path, mosquitto.port, "", mqtt=f"protocol: '{protocol}'")
    async with watching(mosquitto.port) as seen:
        for topic, text in KEPT.items():
            await seen.publish(topic, text, retain=True)
        await seen.until(lambda: set(seen.latest) == set(KEPT))
    document = await kept_there(path)
    assert document["status"] == "ok"
    assert document["meters"]["house"] == {
        "name": "House",
        "online": True,
        "values": {"power": {"value": 5, "unit": "", "time": "2026-11-29T12:00:00+01:00"}},
        "health": {"status": "ok"},
    }


def test_a_bridge_that_said_goodbye_and_one_that_has_not_told_yet():
    topics = Topics("dlms_mqtt", "main")
    gone = document_of(topics, {**KEPT, "dlms_mqtt/bridge/main/state": "offline"})
    assert gone["status"] == "failing" and "dlms_mqtt/bridge/main/state says offline" in gone["reasons"][0]
    young = document_of(topics, {**KEPT, "dlms_mqtt/bridge/main/health": "no JSON"})
    assert young["status"] == "degraded" and young["meters"]["house"]["online"] is True


async def test_a_bridge_that_never_was_and_a_broker_that_is_not_there(mosquitto, tmp_path):
    path = write_config(tmp_path, mosquitto.port, "")
    found = await kept_there(path)
    assert found["status"] == "failing" and "state says nothing" in found["reasons"][0]
    with pytest.raises(ConnectFailed, match="cannot be asked"):
        await kept_there(write_config(tmp_path, free_port(), ""))


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:9780", "http://127.0.0.1:9780"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:81", "http://[::1]:81"),
        ("pi.local", "http://pi.local:9780"),
    ],
)
def test_where_a_listener_is_asked(listen, url):
    assert listener_url(listen) == url


def test_an_address_that_is_none():
    with pytest.raises(ConfigError, match="no address of a bridge"):
        from_listener("ftp://x", 1)
    with pytest.raises(ConnectFailed, match="does not answer"):
        from_listener(f"127.0.0.1:{free_port()}", 60)


class Listener:
    """In the place of a connection: what is asked of it, and the answer."""

    answer, requests = b"", []  # type: ignore[var-annotated]

    def __init__(self, *place: object, **_: object) -> None:
        self.requests.append(place)

    def request(self, *words: str) -> None:
        self.requests.append(words)

    def getresponse(self) -> BytesIO:
        return BytesIO(self.answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"<html>", "does not answer"), (b"[]", "is no dlms-mqtt"), (b'{"status": "ok"}', "is no dlms-mqtt")],
)
def test_something_else_that_answers(monkeypatch, answer, words):
    monkeypatch.setattr(remote_status.http.client, "HTTPConnection", Listener)
    monkeypatch.setattr(Listener, "answer", answer)
    with pytest.raises(ConnectFailed, match=words):
        from_listener("pi:9780", 1)


def test_a_listener_below_a_path_of_a_proxy(monkeypatch):
    document = {"status": "ok", "reasons": [], "bridge": {}, "meters": {}}
    monkeypatch.setattr(remote_status.http.client, "HTTPSConnection", Listener)
    monkeypatch.setattr(Listener, "requests", [])
    monkeypatch.setattr(Listener, "answer", json.dumps(document).encode())
    assert from_listener("https://house.example:8443/meters/", 1) == document
    assert Listener.requests == [("house.example", 8443), ("GET", "/meters/state.json")]
