"""How a bridge is asked from outside: by its listener and by what it keeps at a real broker, there, gone, not there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.remote_status import document_of, from_listener, listener_url
from dlms_mqtt.errors import ConfigError, ConnectFailed
from tests.bridge.conftest import watching
from tests.bridge.house import write_config
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]


async def status(path: Path, *words: str) -> tuple[int, str]:
    """The command as a process; its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dlms_mqtt", "status", "--config", str(path), "--timeout", "60", *words,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


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
    code, text = await status(path, "--json")
    document = json.loads(text)
    assert (code, document["status"]) == (0, "ok")
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
    code, text = await status(path)
    assert code == 2 and "state says nothing" in text
    path = write_config(tmp_path, free_port(), "")
    code, text = await status(path, "--json")
    assert code == 2 and "cannot be asked" in json.loads(text)["reasons"][0]


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
