"""A bridge, a broker and a simulated meter, wired for end-to-end tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiomqtt

from dlms_mqtt.bridge.app import App
from tests.bridge.conftest import PATIENCE, Watcher, watching
from tests.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]
METER = """
  house:
    name: House meter
    connection: {tcp: "127.0.0.1:PORT", client: 17, timeout: 20s, retries: 0}
    every: 1s
"""


def write_config(folder: Path, port: int, meters: str, bridge: str = "", mqtt: str = "") -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"bridge:\n  state_dir: {folder}/state\n  timezone: Europe/Vienna\n  health_every: 1s\n"
        f"{textwrap.indent(textwrap.dedent(bridge), '  ')}\n"
        f"mqtt:\n  host: 127.0.0.1\n  port: {port}\n{textwrap.indent(textwrap.dedent(mqtt), '  ')}\n"
        + (f"meters:\n{meters}" if meters.strip() else "meters: {}\n")
    )
    return path


_RUN = """
import pathlib, sys
from dlms_mqtt.bridge import bridge, run
bridge._FLUSH = 60.0  # a busy machine is no broker that takes nothing
run.run_bridge(pathlib.Path(sys.argv[1]))
"""


@contextlib.asynccontextmanager
async def bridge_process(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The bridge as a process of its own, killed at the end at the latest."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, str(path),
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


Kept = Mapping[str, tuple[str, int | None]]  # payload and remaining life (s, MQTT 5) by topic


async def kept_by(port: int, *filters: str) -> Kept:
    """Everything that a broker retains, as one sees it that connects now."""
    seen: dict[str, tuple[str, int | None]] = {}
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        for name in (*(filters or ("dlms_mqtt/#",)), "end"):
            await client.subscribe(name, qos=1)
        await client.publish("end", b"x", qos=1)  # what is retained comes before what is sent later
        async for message in client.messages:
            if message.topic.value == "end":
                break
            life = getattr(message.properties, "MessageExpiryInterval", None)
            seen[message.topic.value] = (bytes(message.payload).decode(), life)
    return seen


class House:
    """What a test holds in its hands."""

    def __init__(self, app: App, seen: Watcher, path: Path) -> None:
        self.app, self.seen, self.path = app, seen, path

    async def ask(self, topic: str, payload: dict[str, Any] | None = None, seconds: float = PATIENCE) -> dict[str, Any]:
        self.numbers = getattr(self, "numbers", 0) + 1
        return await self.seen.ask(f"dlms_mqtt/{topic}", {"id": f"t{self.numbers}", **(payload or {})}, seconds)

    def meter(self, name: str, meter: str = "house") -> str:
        return self.seen.latest.get(f"dlms_mqtt/meter/{meter}/{name}", "")

    async def until(self, condition: Any, seconds: float = PATIENCE) -> None:
        await self.seen.until(condition, seconds)


@contextlib.asynccontextmanager
async def running(app: App) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(app.run())
    try:
        yield task
    finally:
        app.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def house(
    broker: Mosquitto, folder: Path, meters: str, bridge: str = "", mqtt: str = "", **options: Any
) -> AsyncIterator[House]:
    path = write_config(folder, broker.port, meters, bridge, mqtt)
    async with watching(broker.port) as seen:
        app = App(path, environment={}, **options)
        async with running(app):
            await seen.until(lambda: seen.latest.get("dlms_mqtt/bridge/main/state") == "online")
            yield House(app, seen, path)
        with contextlib.suppress(TimeoutError):  # lets the last words arrive
            await seen.until(lambda: seen.latest.get("dlms_mqtt/bridge/main/state") == "offline", 10.0)


def one_meter(server, *more, name="house", every="1h"):
    """The configuration of a meter on this server."""
    rows = [f"connection: {{tcp: '127.0.0.1:{server.port}', client: 17}}", f"every: {every}", *more]
    return f"\n  {name}:\n" + "".join(f"    {row}\n" for row in rows)
