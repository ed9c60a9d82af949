"""Restarts and trouble before, during and after a read: nothing lost, nothing stale, nothing twice but with its seq.

The meter counts how often it is read, so that each value on MQTT says which read it comes from. ``Gate``, a relay in
front of the meter, holds answers back and thereby decides what "during" is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.meters import status as meter_status
from dlms_mqtt.bridge.mqtt import broker as bridge_mqtt
from dlms_mqtt.bridge.reading import latest_values as bridge_values
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator import bare_meter, make, serve_tcp
from tests.bridge.conftest import PATIENCE
from tests.bridge.house import running, write_config
from tests.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]
BASE = "dlms_mqtt/meter/house"
BRIDGE = "dlms_mqtt/bridge/main/state"
QUIET = logging.getLogger("pydlms.eyes")  # one of the strangers that may say what they like
LIFETIME = 1.5  # s, instead of two minutes
METER = """
  house:
    connection: {tcp: "127.0.0.1:PORT", client: 17, framing: hdlc, timeout: 1s, retries: 9}
    every: 1s
    session: keep
    read:
      - {obis: 1.0.96.50.1.255, class: 1, key: ticks, every: 1s}
"""


class Gate:
    """A relay before the meter: may hold answers, spoil them, or be gone."""

    def __init__(self, port: int) -> None:
        self._meter = port
        self._open = asyncio.Event()
        self._open.set()
        self.asked = asyncio.Event()
        self.noisy = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._frames = count()

    async def come(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._open.set()

    def hold(self) -> None:
        self._open.clear()
        self.asked.clear()

    def release(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._meter)
        back = asyncio.create_task(self._answers(far_reader, writer))
        try:
            while data := await reader.read(4096):
                self.asked.set()
                far_writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            writer.close()
            far_writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            await self._open.wait()
            if self.noisy and next(self._frames) % 2:  # every other answer is unreadable, and rubbish before each
                data = bytes([data[0], *(octet ^ 0x15 for octet in data[1:3]), *data[3:]])
            writer.write(b"\xff\x00\x55" + data if self.noisy else data)


class Eyes:
    """An MQTT client that is back at once after every restart of the broker and keeps all it has seen."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen: list[tuple[str, str, bool, float]] = []
        self.client: aiomqtt.Client | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                async with aiomqtt.Client("127.0.0.1", self._port, timeout=2, logger=QUIET) as client:
                    await client.subscribe("#", qos=1)
                    self.client = client
                    self._changed.set()
                    async for message in client.messages:
                        payload = bytes(message.payload).decode()
                        self.seen.append((message.topic.value, payload, bool(message.retain), time.time()))
                        self._changed.set()
            self.client = None
            await asyncio.sleep(0.02)

    def latest(self, topic: str) -> str:
        return next((payload for name, payload, *_ in reversed(self.seen) if name == topic), "")

    @property
    def readings(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for topic, payload, *_ in self.seen if topic == f"{BASE}/reading"]

    @property
    def last_value(self) -> int:
        return max((reading["value"] for reading in self.readings), default=0)

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()


class Cell:
    """What a cell of the matrix holds in its hands."""

    def __init__(self, broker: Mosquitto, path: Path, gate: Gate, eyes: Eyes, read: list[int]) -> None:
        self.broker, self.path, self.gate, self.eyes, self.read = broker, path, gate, eyes, read
        self.lifetime = 0.0
        self.stalled = 0.0  # s: the longest time that a busy machine kept this process waiting
        self.process: asyncio.subprocess.Process | None = None

    async def watch_the_machine(self) -> None:
        """Take note of how late a short sleep ends."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.stalled = max(self.stalled, time.monotonic() - before - 0.05)

    async def start_bridge(self) -> asyncio.subprocess.Process:
        """The bridge in a process of its own."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlms_mqtt", "run", "--config", str(self.path),
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return self.process

    async def end_bridge(self) -> None:
        """It must not outlive its test."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def at(self, phase: str, happen: Callable[[], Awaitable[None]]) -> None:
        """Let it happen before, during or right after a read."""
        await self.eyes.until(lambda: self.eyes.last_value == len(self.read) >= 2)
        if phase == "before":
            await happen()
            return
        self.gate.hold()
        await asyncio.wait_for(self.gate.asked.wait(), PATIENCE)
        if phase == "during":
            await happen()
            self.gate.release()
        else:
            self.gate.release()
            await asyncio.sleep(0)  # the answer leaves the relay
            await happen()

    async def more_reads(self, number: int = 1) -> None:
        """Wait until the meter was read so often once more."""
        wanted = len(self.read) + number
        await self.eyes.until(lambda: len(self.read) >= wanted)

    def check(self, lost: int = 0) -> None:
        """Every value once and in order; a duplicate only with its own seq; nothing older than its life."""
        by_seq: dict[int, str] = {}
        order = []
        for reading in self.eyes.readings:
            if by_seq.setdefault(reading["seq"], json.dumps(reading)) == json.dumps(reading):
                order.append(reading["seq"])
            else:
                raise AssertionError(f"seq {reading['seq']} says two things")
        first = list(dict.fromkeys(order))
        assert first == sorted(first)
        values = [json.loads(by_seq[seq])["value"] for seq in first]
        assert values == sorted(set(values)), values
        missing = set(self.read[: values[-1]]) - set(values)
        assert len(missing) <= lost, (missing, values)
        self._check_ages()

    def _check_ages(self) -> None:
        """What the bridge says (not the broker out of its memory) was read within its lifetime."""
        for topic, payload, retained, moment in self.eyes.seen:
            if topic == f"{BASE}/state" and payload and not retained:
                for text in json.loads(payload)["_time"].values():
                    age = moment - datetime.fromisoformat(text).timestamp()
                    # whole seconds, a look a second, and what the machine slept under all of us
                    assert age < max(LIFETIME, self.lifetime) + 2.5 + 2 * self.stalled, (payload, age, self.stalled)

    async def healthy(self) -> None:
        """In the end all is well and fresh at the broker."""
        eyes = self.eyes
        await eyes.until(lambda: eyes.latest(BRIDGE) == "online" and eyes.latest(f"{BASE}/availability") == "online")
        await eyes.until(lambda: eyes.latest(f"{BASE}/value/ticks") == str(eyes.last_value) != "0")
        await eyes.until(lambda: json.loads(eyes.latest(f"{BASE}/state")).get("ticks") == eyes.last_value)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_values, "SHORTEST", LIFETIME)
    monkeypatch.setattr(meter_status, "_FAILING_FOR", 1.0)
    monkeypatch.setattr(meter_status, "_RETRY", (0.2,))
    monkeypatch.setattr(bridge_mqtt, "_FIRST_PAUSE", 0.1)


@contextlib.asynccontextmanager
async def bench(broker: Mosquitto, folder: Path) -> AsyncIterator[Cell]:
    read: list[int] = []

    def tick(_context: Any) -> Data:
        read.append(len(read) + 1)
        return Data(DataType.DOUBLE_LONG_UNSIGNED, read[-1])

    meter = bare_meter(1)
    meter.add(make(1, "1.0.96.50.1.255", tick))
    async with serve_tcp(meter, framing="hdlc") as server:
        gate = Gate(server.port)
        await gate.come()
        eyes = Eyes(broker.port)
        path = write_config(folder, broker.port, METER.replace("PORT", str(gate.port)))
        made = Cell(broker, path, gate, eyes, read)
        looking = [asyncio.create_task(eyes.run()), asyncio.create_task(made.watch_the_machine())]
        try:
            yield made
        finally:
            await made.end_bridge()
            await gate.leave()
            await end_all(looking)


@contextlib.asynccontextmanager
async def cell(broker: Mosquitto, folder: Path) -> AsyncIterator[Cell]:
    """A cell with the bridge in this process, which reads more often than the configuration allows."""
    async with bench(broker, folder) as made:
        app = App(made.path, environment={})
        object.__setattr__(app.config.meters["house"].read.also[0], "every", 0.25)
        async with running(app):
            yield made


PHASES = ("before", "during", "after")


@pytest.mark.expect_log("No line to the broker", "there again")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("persistence", [True, False], ids=["broker-with-memory", "broker-without"])
async def test_the_broker_restarts(mosquitto_factory, tmp_path, persistence, phase):
    broker = mosquitto_factory(persistence=persistence)
    async with cell(broker, tmp_path) as made:

        async def stops() -> None:
            await asyncio.to_thread(broker.stop, kill=not persistence)

        await made.at(phase, stops)
        await made.more_reads()
        before = len(made.eyes.seen)
        await asyncio.to_thread(broker.start)
        await made.eyes.until(lambda: made.eyes.last_value == len(made.read))
        await made.healthy()
        again = {topic for topic, payload, *_ in made.eyes.seen[before:] if payload}
        assert {"homeassistant/device/dlms_mqtt_house/config", "dlms_mqtt/bridge/main/info", BRIDGE} <= again
        made.check()


@pytest.mark.parametrize("phase", PHASES)
async def test_the_bridge_is_killed(mosquitto, tmp_path, phase):
    async with bench(mosquitto, tmp_path) as made:
        process = await made.start_bridge()
        made.lifetime = 120.0

        async def dies() -> None:
            process.kill()
            await process.wait()

        await made.at(phase, dies)
        await made.eyes.until(lambda: made.eyes.latest(BRIDGE) == "offline")
        made.gate.release()
        if phase == "after":  # comes back while the meter is gone: what the dead one left must not look alive
            await made.gate.leave()
            seen = len(made.eyes.seen)
            process = await made.start_bridge()
            await made.eyes.until(lambda: made.eyes.latest(BRIDGE) == "online")
            await made.eyes.until(lambda: made.eyes.latest(f"{BASE}/value/ticks") == "")
            await made.eyes.until(lambda: "ticks" not in made.eyes.latest(f"{BASE}/state"))
            assert made.eyes.latest(f"{BASE}/availability") == "offline"
            assert not [row for row in made.eyes.seen[seen:] if row[0] == f"{BASE}/reading"]
            await made.gate.come()
        else:
            process = await made.start_bridge()
        reads = len(made.read)
        await made.eyes.until(lambda: made.eyes.last_value > reads)
        await made.healthy()
        process.terminate()
        assert await process.wait() == 0
        made.check(lost=0 if phase == "before" else 2)  # what was under way; and its repetition by a dying line


@pytest.mark.expect_log("house: ", "works again")
@pytest.mark.parametrize("phase", PHASES)
async def test_the_meter_is_gone(mosquitto, tmp_path, phase):
    async with cell(mosquitto, tmp_path) as made:
        await made.at(phase, made.gate.leave)
        eyes = made.eyes
        await eyes.until(lambda: eyes.latest(f"{BASE}/availability") == "offline")
        await eyes.until(
            lambda: eyes.latest(f"{BASE}/value/ticks") == "" and "ticks" not in eyes.latest(f"{BASE}/state")
        )
        assert eyes.latest(BRIDGE) == "online"
        assert "link-down" in eyes.latest("dlms_mqtt/bridge/main/health")
        gone, reads = len(eyes.seen), len(made.read)
        assert eyes.client
        await eyes.client.publish("homeassistant/status", "online", qos=1)
        await eyes.until(lambda: any(row[0] == f"{BASE}/state" for row in eyes.seen[gone:]))
        assert not [row for row in eyes.seen[gone:] if row[0] == f"{BASE}/value/ticks" and row[1]]
        await made.gate.come()
        await eyes.until(lambda: eyes.last_value > reads)
        await made.healthy()
        made.check(lost=0 if phase == "before" else 1)  # an answer that was cut off is no reading


@pytest.mark.parametrize("phase", PHASES)
async def test_the_line_is_noisy(mosquitto, tmp_path, phase):
    async with cell(mosquitto, tmp_path) as made:

        async def noise() -> None:
            made.gate.noisy = True

        await made.at(phase, noise)
        await made.more_reads(2)
        made.gate.noisy = False
        await made.more_reads()
        await made.healthy()
        made.check()  # HDLC repeats what was spoilt: no read is lost, no wrong value passes
        assert made.eyes.latest("dlms_mqtt/bridge/main/state") == "online"


@pytest.mark.parametrize("phase", PHASES)
async def test_home_assistant_is_born(mosquitto, tmp_path, phase):
    async with cell(mosquitto, tmp_path) as made:
        eyes, since = made.eyes, 0

        async def birth() -> None:
            nonlocal since
            since = len(eyes.seen)
            assert eyes.client
            await eyes.client.publish("homeassistant/status", "online", qos=1)

        await made.at(phase, birth)
        wanted = {
            "homeassistant/device/dlms_mqtt_house/config",
            "homeassistant/device/dlms_mqtt_bridge_main/config",
            BRIDGE,
            f"{BASE}/availability",
            f"{BASE}/value/ticks",
            f"{BASE}/state",
        }
        await eyes.until(lambda: wanted <= {row[0] for row in eyes.seen[since:]})
        await made.more_reads()
        await made.healthy()
        made.check()
        assert len(eyes.readings) == len({reading["seq"] for reading in eyes.readings})
