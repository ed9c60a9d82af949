"""The demo in one process: a simulated meter, the bridge and a broker; what it shows, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from dlms_mqtt.bridge.demo import run_demo
from dlms_mqtt.errors import ConnectFailed
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
    demo = asyncio.create_task(run_demo(screen, ("127.0.0.1", mosquitto.port)))
    async with asyncio.timeout(PATIENCE):
        await screen.shown.wait()
    assert screen.lines["MQTT broker"] == f"127.0.0.1:{mosquitto.port}"
    assert screen.units["energy_import"] == "kWh"
    base = screen.lines["topics"].removesuffix("/#")
    assert base.startswith("dlms_mqtt_demo_")
    demo.cancel()
    await asyncio.gather(demo, return_exceptions=True)
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
