"""The demo and the bridge's commands as a newcomer runs them: a real process, a real MQTT client."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from dlms_mqtt.cli.bridge import demo
from dlms_mqtt.cli.bridge.demo import fitted
from tests.cli.conftest import Cli
from tests.mosquitto import MOSQUITTO, Mosquitto

DISCOVERY = "homeassistant/device/dlms_mqtt_demo/config"
COMMAND = [sys.executable, "-m", "dlms_mqtt"]


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def _port_of(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if found := re.match(r"MQTT broker\s+127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError("the demo did not say where its broker is")


async def _wait_for(client: aiomqtt.Client, want: str) -> aiomqtt.Message:
    async for message in client.messages:
        if message.topic.matches(want) and message.payload:
            return message
    raise AssertionError("the broker went away")


async def _connect(port: int) -> aiomqtt.Client:
    """The broker of the demo starts a moment after it is announced."""
    while True:
        client = aiomqtt.Client("127.0.0.1", port)
        try:
            return await client.__aenter__()
        except aiomqtt.MqttError:
            await asyncio.sleep(0.05)


@pytest.mark.slow_once
async def test_demo_serves_discovery_state_and_replies() -> None:
    pytest.importorskip("amqtt", reason="the extra 'demo' is not installed")
    process = await _start("demo", "--seconds", "60")
    try:
        async with asyncio.timeout(60):
            client = await _connect(await _port_of(process))
            try:
                await client.subscribe("#")
                while b'"dlms_mqtt_demo_power"' not in (await _wait_for(client, DISCOVERY)).payload:
                    pass  # the first message comes before the meter said what it has
                state = json.loads((await _wait_for(client, "dlms_mqtt/meter/demo/state")).payload)
                assert isinstance(state["energy_import"], int | float)
                await client.publish(
                    "dlms_mqtt/meter/demo/request/read", json.dumps({"id": 7, "items": [{"obis": "1.0.1.8.0.255"}]})
                )
                reply = json.loads((await _wait_for(client, "dlms_mqtt/meter/demo/response/read")).payload)
                assert (reply["id"], reply["status"]) == (7, "ok")
                assert reply["data"]["values"][0]["unit"] == "kWh"
            finally:
                await client.__aexit__(None, None, None)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_the_live_table_fits_the_terminal() -> None:
    text = "\n".join(["KEY", *(f"key {number} = " + "x" * 90 for number in range(40))])
    lines = fitted(text, 80, 24)
    assert len(lines) == 22  # and the line of the cursor
    assert max(map(len, lines)) == 79
    assert lines[-1] == "... and 20 more; a taller window shows them"
    assert fitted("KEY\na", 80, 24) == ["KEY", "a"]


def _demo(monkeypatch: pytest.MonkeyPatch, *states: dict[str, Any]) -> list[Any]:
    """``run_demo`` shows these states; the list gets what it was asked for."""
    wanted: list[Any] = []

    async def run_demo(screen: Any, broker: Any, seconds: Any) -> None:
        wanted.extend((broker, seconds))
        screen.introduce([("Values", "dlms-mqtt status")])
        for state in states:
            screen.update(dict(state), {"power": "W"})
        raise KeyboardInterrupt  # as Ctrl-C ends it

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.setattr(demo, "_FOREIGN", ("a stranger",))  # other tests may want to see what aiomqtt logs
    return wanted


STATES = ({}, {"text": "a", "power": 5, "_time": {"power": "2026-06-01T12:00:01+02:00"}}, {"text": "a", "power": 6})


def test_what_has_changed_is_told_line_by_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = _demo(monkeypatch, *STATES)
    result = cli("demo", "--seconds", "5", "--broker", "broker.example")
    assert (result.status, wanted) == (0, [("broker.example", 1883), 5.0])
    assert result.out.splitlines() == ["12:00:01 power = 5 W", " text = a", " power = 6 W"]
    assert "Values             dlms-mqtt status" in result.err


def test_a_terminal_shows_one_table(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    _demo(monkeypatch, *STATES)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = cli("demo").out
    first, second = out.split("\x1b[3A\x1b[J")  # over the three lines of the first
    assert [line.split()[0] for line in first.splitlines()] == ["KEY", "power", "text"]
    assert "6  W" in second


def test_without_a_reading_it_has_failed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    _demo(monkeypatch)
    assert cli("demo", "-v").status == 1


def test_it_calls_itself_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/dlms-mqtt"])
    monkeypatch.setattr(demo.shutil, "which", lambda _: None)
    assert demo._program() == "/somewhere/bin/dlms-mqtt"
    monkeypatch.setattr(demo.shutil, "which", lambda _: "/usr/bin/dlms-mqtt")
    assert demo._program() == "dlms-mqtt"


async def test_a_broker_that_is_away_is_told() -> None:
    process = await _start("demo", "--broker", "127.0.0.1:1", "--seconds", "20")
    out, error = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert (
        error.decode()
        .splitlines()[-1]
        .startswith("dlms-mqtt: the broker at 127.0.0.1:1 cannot be used: Connection refused. Is it running")
    )


async def retained(port: int) -> set[str]:
    """The topics of this broker that hold something; a message of our own says that all have come."""
    found: set[str] = set()
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("#")
        await client.publish("end/of/it", b"all", qos=1)
        async for message in client.messages:
            if str(message.topic) == "end/of/it":
                return found
            if message.retain and message.payload:
                found.add(str(message.topic))
    raise AssertionError("the broker went away")


async def test_a_real_broker_is_left_clean(tmp_path: Path) -> None:
    """Below a base of its own, which nothing is left of when the demo is told to end."""
    if not MOSQUITTO:
        pytest.skip("no mosquitto here")
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        process = await _start("demo", "--broker", f"127.0.0.1:{broker.port}")
        async with asyncio.timeout(60):
            assert process.stdout is not None
            assert await process.stdout.readline()  # a reading
            topics = await retained(broker.port)
            assert any(topic.endswith("/meter/demo/state") for topic in topics)
            assert all(topic.startswith("dlms_mqtt_demo_") for topic in topics)
            process.send_signal(signal.SIGTERM)
            await process.communicate()
            assert process.returncode == 0
            assert await retained(broker.port) == set()
    finally:
        broker.stop()
