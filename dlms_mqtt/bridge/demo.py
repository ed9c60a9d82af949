"""The demo: bridge, simulated household meter and an MQTT broker in one process, with the readings live.

Everything on the way is real: the meter speaks DLMS over TCP, the bridge publishes over MQTT, and what is shown here
comes from an MQTT subscription like any other program's. ``--broker`` uses a real broker, below a base of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiomqtt

from dlms_mqtt.bridge.app import App
from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.simulator import PASSWORD, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import format_address

_LOG = logging.getLogger(__name__)
_METER = "demo"
_BASE = "dlms_mqtt"
_BROKER_ENDS = 2.0  # s
_CONFIG = """\
bridge: {{id: {bridge}, state_dir: {state}, management: true}}
mqtt:
  host: {host}
  port: {port}
  protocol: {protocol}
  base_topic: {base}
  discovery: {{prefix: {prefix}}}
meters:
  {meter}:
    name: Demo meter
    connection: {{tcp: "127.0.0.1:{meter_port}", client: 33, authentication: low, password: "text:{password}"}}
    every: 5s
    read:
      set: core
      also:
        - {{obis: 1.0.16.7.0.255, every: 1s}}
    actions:
      disconnect: {{obis: 0.0.96.3.10.255, method: 1, name: Disconnect supply, confirm: true}}
      reconnect: {{obis: 0.0.96.3.10.255, method: 2, name: Reconnect supply}}
    profiles:
      - {{obis: 1.0.99.1.0.255, key: load_profile, every: 1h, backfill: 6h}}
"""
_MANAGER_PASSWORD = "87654321"  # noqa: S105 - the simulated meter's, printed with it


class Screen(Protocol):
    """Who shows the demo: where everything is, then each state of the meter."""

    def introduce(self, lines: Sequence[tuple[str, str]]) -> None:
        """Where broker, topics and meter are."""

    def update(self, state: dict[str, Any], units: Mapping[str, str]) -> None:
        """A new state of the meter, as it was published, and the units of its keys."""


async def run_demo(screen: Screen, address: tuple[str, int] | None = None, seconds: float | None = None) -> None:
    """Serve until ``seconds`` have gone or the task is cancelled. ConfigError, ConnectFailed."""
    with tempfile.TemporaryDirectory(prefix="dlms-mqtt-demo-") as folder:
        async with _broker(address) as (host, port), serve_tcp(household(int(time.time()))) as meter:
            base = _BASE if address is None else f"dlms_mqtt_demo_{secrets.token_hex(3)}"
            app = App(_configuration(Path(folder), host, port, base, meter.port))
            screen.introduce(_where(host, port, base, meter.port))
            try:
                await _watch(app, screen, host, port, base, seconds)
            finally:
                if address is not None:
                    await _clean_up(host, port, base, app.config.mqtt.discovery.prefix, app.config.bridge.id)


def _configuration(folder: Path, host: str, port: int, base: str, meter_port: int) -> Path:
    path = folder / "demo.yaml"
    text = _CONFIG.format(
        bridge="demo" if base == _BASE else base.replace("_", "-"),
        state=folder / "state",
        host=host,
        port=port,
        protocol="3.1.1" if base == _BASE else "auto",  # amqtt takes no other and says so only by silence
        base=base,
        prefix="homeassistant" if base == _BASE else f"{base}_discovery",
        meter=_METER,
        meter_port=meter_port,
        password=_MANAGER_PASSWORD,
    )
    path.write_text(text, encoding="utf-8")
    return path


def _where(host: str, port: int, base: str, meter_port: int) -> list[tuple[str, str]]:
    access = f"--tcp 127.0.0.1:{meter_port} --client 32 --authentication low --password text:{PASSWORD.decode()}"
    return [
        ("MQTT broker", format_address(host, port)),
        ("topics", f"{base}/#"),
        ("simulated meter", f"127.0.0.1:{meter_port}"),
        ("try", f"dlms-mqtt objects {access} --values"),
        ("or", f"mosquitto_sub -h {host} -p {port} -t '{base}/#' -v"),
    ]


@asynccontextmanager
async def _broker(address: tuple[str, int] | None) -> AsyncIterator[tuple[str, int]]:
    """The address of a broker: the one that was named, or one of our own."""
    if address is not None:
        yield address
        return
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise ConfigError(
            "the demo's own broker (amqtt) is not installed",
            hint="Do `pip install amqtt` in the environment of dlms-mqtt, or give --broker HOST:PORT.",
        ) from None
    port = _free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield "127.0.0.1", port
    finally:
        # What its clean-up thinks of our disconnect is not our matter, nor what its server waits for (Python 3.12.1:
        # a connection that has gone).
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_BROKER_ENDS):
                await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _watch(app: App, screen: Screen, host: str, port: int, base: str, seconds: float | None) -> None:
    """Run the bridge and show what it publishes."""
    running = asyncio.ensure_future(app.run())
    shown = asyncio.ensure_future(_show(host, port, base, screen))
    try:
        await asyncio.wait({running, shown}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, shown):
            if task.done():
                task.result()
    finally:
        app.stop()
        shown.cancel()
        await asyncio.gather(running, shown, return_exceptions=True)


async def _show(host: str, port: int, base: str, screen: Screen) -> None:
    """What any other program sees: the state of the meter, and the units that its readings tell."""
    units: dict[str, str] = {}
    latest: dict[str, Any] = {}
    states = 0
    state = f"{base}/meter/{_METER}/state"
    try:
        async with aiomqtt.Client(host, port) as client:
            await client.subscribe([(state, 0), (f"{base}/meter/{_METER}/reading", 0)])
            async for message in client.messages:
                if not isinstance(message.payload, bytes) or not message.payload:
                    continue
                content = json.loads(message.payload)
                if str(message.topic) == state:
                    latest, states = content, states + (len(content) > 1)
                else:
                    units[content["key"]] = content["unit"]
                # the first state comes a moment before the readings that tell its units
                if latest and (states > 1 or latest.keys() <= {"_time", *units}):
                    screen.update(latest, units)
                    latest = {}
    except aiomqtt.MqttError as error:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
        raise ConnectFailed(
            f"the broker at {format_address(host, port)} cannot be used: {reason}",
            hint="Is it running, and may everybody in? Without --broker the demo brings its own.",
        ) from error


async def _clean_up(host: str, port: int, base: str, prefix: str, bridge: str) -> None:
    """Take back everything that was retained below our base."""
    retained: set[str] = set()
    try:
        async with aiomqtt.Client(host, port) as client:
            for pattern in (f"{base}/#", f"{prefix}/#"):
                await client.subscribe(pattern)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    async for message in client.messages:
                        if message.retain:
                            retained.add(str(message.topic))
            for topic in retained:
                await client.publish(topic, b"", qos=1, retain=True)  # confirmed: we leave at once
    except aiomqtt.MqttError as error:
        _LOG.warning("Retained messages of %s below %s/ could not be cleared: %s", bridge, base, error)
