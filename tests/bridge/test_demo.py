"""The demo in one process: a simulated meter, the bridge and a broker; what it shows, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import aiomqtt
import pytest

from dlms_mqtt.bridge import demo
from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.bridge.demo import run_demo
from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.meter.presets.preset import preset_connection
from tests.bridge.conftest import PATIENCE, watching
from tests.free_port import free_port
from tests.mosquitto import Mosquitto


class Screen:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self.units: Mapping[str, str] = {}
        self.shown = asyncio.Event()

    def introduce(self, lines: Sequence[tuple[str, str]]) -> None:
        self.lines = dict(lines)

    def update(self, state: dict[str, Any], units: Mapping[str, str]) -> None:
        if "energy_import" in state and units:
            self.units = units
            self.shown.set()


@pytest.mark.slow_once
async def test_a_real_broker_shows_the_meter_and_is_left_clean(mosquitto: Mosquitto) -> None:
    screen = Screen()
    running = asyncio.create_task(run_demo(screen, ("127.0.0.1", mosquitto.port)))
    async with asyncio.timeout(PATIENCE):
        await screen.shown.wait()
    assert screen.lines["MQTT broker"] == f"127.0.0.1:{mosquitto.port}"
    assert screen.units["energy_import"] == "kWh"
    base = screen.lines["topics"].removesuffix("/#")
    assert base.startswith("dlms_mqtt_demo_")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with watching(mosquitto.port) as seen:
        await seen.publish("end", "now")
        await seen.until(lambda: seen.of("end"))
        assert not [topic for topic, payload, retained in seen.all if retained and payload]


@pytest.mark.expect_log("could not be cleared")
async def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("dlms_mqtt.bridge.mqtt.broker"), "disabled", True)
    with pytest.raises(ConnectFailed):
        async with asyncio.timeout(PATIENCE):
            await run_demo(Screen(), ("127.0.0.1", free_port()), 1.0)


class Broker:
    """In the place of amqtt's: what it was told, and a clean-up that fails."""

    latest: Broker

    def __init__(self, config: dict[str, Any]) -> None:
        self.bind: str = config["listeners"]["default"]["bind"]
        self.running = False
        Broker.latest = self

    async def start(self) -> None:
        self.running = True

    async def shutdown(self) -> None:
        self.running = False
        raise RuntimeError("a session is gone already")


async def test_a_broker_of_its_own_is_this_machines_alone_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt", ModuleType("amqtt"))
    monkeypatch.setitem(sys.modules, "amqtt.broker", SimpleNamespace(Broker=Broker))
    async with demo._broker(None) as (host, port):
        assert Broker.latest.running
        assert (host, Broker.latest.bind) == ("127.0.0.1", f"127.0.0.1:{port}")
    assert not Broker.latest.running  # and what its clean-up says is kept from people


async def test_a_broker_that_does_not_end_holds_nobody(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    """Seen with Python 3.12.1, whose server waits for a connection that has gone."""

    class Endless(Broker):
        async def shutdown(self) -> None:
            await asyncio.Future()

    monkeypatch.setitem(sys.modules, "amqtt", ModuleType("amqtt"))
    monkeypatch.setitem(sys.modules, "amqtt.broker", SimpleNamespace(Broker=Endless))
    before = clock.monotonic()
    async with demo._broker(None):
        pass
    assert 0 < clock.monotonic() - before < 10


async def test_without_a_broker_of_its_own_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(ConfigError, match="amqtt") as raised:
        await run_demo(Screen())
    assert "pip install amqtt" in raised.value.hint
    assert "--broker HOST:PORT" in raised.value.hint


def test_with_a_broker_of_its_own_everything_has_its_usual_name(tmp_path: Path) -> None:
    file = demo._configuration(tmp_path, "127.0.0.1", 1883, "dlms_mqtt", 4059)
    config = load_config(file, preset_connection, {}).config
    assert (config.bridge.id, config.mqtt.base_topic, config.mqtt.discovery.prefix) == (
        "demo",
        "dlms_mqtt",
        "homeassistant",
    )
    assert config.mqtt.protocol == "3.1.1"  # amqtt takes no other and says so only by silence


class Client:
    """In the place of aiomqtt's: it brings ``messages`` and then no more."""

    came: Sequence[tuple[str, bytes]] = ()

    def __init__(self, *_: object) -> None:
        self.messages = self._messages()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def subscribe(self, _topics: object) -> None:
        pass

    async def _messages(self) -> AsyncIterator[Any]:
        for topic, payload in self.came:
            yield SimpleNamespace(topic=topic, payload=payload)


async def test_a_state_is_shown_when_its_units_are_known_and_the_second_one_in_any_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first state comes a moment before the readings that tell its units; a cleared topic is none."""
    states: list[dict[str, Any]] = []
    units: list[dict[str, str]] = []

    class Keeping(Screen):
        def update(self, state: dict[str, Any], known: Mapping[str, str]) -> None:
            states.append(state)
            units.append(dict(known))

    state, reading = "base/meter/demo/state", "base/meter/demo/reading"
    power = (reading, b'{"key": "power", "unit": "W"}')
    monkeypatch.setattr(demo, "aiomqtt", SimpleNamespace(Client=Client, MqttError=aiomqtt.MqttError))
    monkeypatch.setattr(Client, "came", [(state, b""), (state, b'{"_time": {}, "power": 1}'), power])
    await demo._show("host", 1883, "base", Keeping())
    assert (states, units) == ([{"_time": {}, "power": 1}], [{"power": "W"}])
    monkeypatch.setattr(Client, "came", [(state, b'{"_time": {}, "a": 1}'), (state, b'{"_time": {}, "a": 2}')])
    await demo._show("host", 1883, "base", Keeping())
    assert (states[1:], units[1:]) == ([{"_time": {}, "a": 2}], [{}])
