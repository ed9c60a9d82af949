"""``dlms-mqtt demo``: bridge, simulated household meter and an MQTT broker in one process, with the readings live.

Everything on the way is real: the meter speaks DLMS over TCP, the bridge publishes over MQTT, and what is shown here
comes from an MQTT subscription like any other program's. ``--broker`` uses a real broker, below a base of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt

from dlms_mqtt.bridge.app import App
from dlms_mqtt.cli.output import note, say, table
from dlms_mqtt.client.settings import parse_host
from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.simulator import PASSWORD, household, serve_tcp

_METER = "demo"
_BASE = "dlms_mqtt"
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``demo``."""
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so many seconds (default: Ctrl-C)")
    parser.add_argument(
        "--broker", metavar="HOST:PORT", help="use this broker, below a base of its own, cleaned up at the end"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when no reading came."""
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.ERROR if not args.verbose else 0))
    for noisy in ("amqtt", "transitions", "aiomqtt", "mqtt"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    address = parse_host(args.broker) if args.broker else None
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_demo(address, args.seconds))
    return 0


async def _demo(address: tuple[str, int] | None, seconds: float | None) -> int:
    with tempfile.TemporaryDirectory(prefix="dlms-mqtt-demo-") as folder:
        async with _broker(address) as (host, port), serve_tcp(household(int(time.time()))) as meter:
            base = _BASE if address is None else f"dlms_mqtt_demo_{secrets.token_hex(3)}"
            app = App(_configuration(Path(folder), host, port, base, meter.port))
            _introduce(host, port, base, meter.port)
            try:
                return await _watch(app, host, port, base, seconds)
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


def _introduce(host: str, port: int, base: str, meter_port: int) -> None:
    note(f"MQTT broker        {host}:{port}")
    note(f"topics             {base}/#  (readings, states, replies)")
    note(f"simulated meter    127.0.0.1:{meter_port}, e.g.")
    note(f"                   dlms-mqtt objects --tcp 127.0.0.1:{meter_port} --client 32 --authentication low "
         f"--password text:{PASSWORD.decode()}")  # fmt: skip
    note("")


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
            hint="pip install 'dlms-mqtt[demo]', or --broker HOST:PORT.",
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
        with contextlib.suppress(Exception):  # what its clean-up thinks of our disconnect is not our matter
            await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _watch(app: App, host: str, port: int, base: str, seconds: float | None) -> int:
    """Run the bridge and show what it publishes."""
    screen = _Screen()
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
    return 0 if screen.updates else 1


async def _show(host: str, port: int, base: str, screen: _Screen) -> None:
    try:
        async with aiomqtt.Client(host, port) as client:
            await client.subscribe(f"{base}/meter/{_METER}/state")
            async for message in client.messages:
                if isinstance(message.payload, bytes) and message.payload:
                    screen.update(json.loads(message.payload))
    except aiomqtt.MqttError as error:
        raise ConnectFailed(f"the broker at {host}:{port} cannot be used: {error}") from error


class _Screen:
    """The latest values: a table that is drawn anew on a terminal, changed values line by line elsewhere."""

    def __init__(self) -> None:
        self.updates = 0
        self._before: dict[str, Any] = {}
        self._lines = 0

    def update(self, state: dict[str, Any]) -> None:
        """A new state of the meter."""
        times = state.pop("_time", {})
        if not state:
            return
        self.updates += 1
        if sys.stdout.isatty():
            self._draw([(key, value, times.get(key, "")[11:19]) for key, value in sorted(state.items())])
        else:
            for key, value in sorted(state.items()):
                if self._before.get(key) != value:
                    say(f"{times.get(key, '')[11:19]} {key} = {value}")
        sys.stdout.flush()
        self._before = state

    def _draw(self, rows: list[tuple[str, Any, str]]) -> None:
        text = table(rows, ("KEY", "VALUE", "TIME"), right=(1,))
        up = f"\x1b[{self._lines}A\x1b[J" if self._lines else ""
        sys.stdout.write(f"{up}{text}\n")
        self._lines = text.count("\n") + 1


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
        note(f"retained messages of {bridge} below {base}/ could not be cleared: {error}")
