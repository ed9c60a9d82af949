"""The bridge's fixtures: a real Mosquitto, a meter, and a small client that sees everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.mosquitto import MOSQUITTO, Mosquitto

PATIENCE = 240.0  # s for what happens at once, unless the machine has much else to do


@pytest.fixture(autouse=True)
def _time_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than the bridge waits; only tests that are about it shorten this again."""
    monkeypatch.setattr("dlms_mqtt.bridge.bridge._FLUSH", 120.0)
    monkeypatch.setattr("dlms_mqtt.bridge.presence.id_claims._ANSWER", 60.0)


@pytest.fixture
def mosquitto_factory(tmp_path: Path) -> Iterator[Any]:
    if not MOSQUITTO:
        pytest.skip("no mosquitto here")
    brokers: list[Mosquitto] = []

    def make(extra: str = "", persistence: bool = False) -> Mosquitto:
        folder = tmp_path / f"broker{len(brokers)}"
        folder.mkdir()
        broker = Mosquitto(folder, extra, persistence)
        brokers.append(broker)
        broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def mosquitto(mosquitto_factory: Any) -> Mosquitto:
    return mosquitto_factory()


@pytest.fixture
async def meter() -> AsyncIterator[Any]:
    """A household meter on a TCP port, which is its ``port``."""
    meter: Any = household(1)
    async with serve_tcp(meter) as server:
        meter.port = server.port
        yield meter


class Watcher:
    """Sees all messages; ``latest`` by topic, ``all`` in order."""

    running: asyncio.Task[None]

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.all: list[tuple[str, str, bool]] = []
        self.latest: dict[str, str] = {}
        self._of: dict[str, list[str]] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in self.client.messages:
                topic, payload = message.topic.value, bytes(message.payload).decode(errors="replace")
                self.all.append((topic, payload, bool(message.retain)))
                self.latest[topic] = payload
                self._of.setdefault(topic, []).append(payload)
                self._changed.set()

    def of(self, topic: str) -> list[str]:
        return self._of.get(topic, [])[:]

    def json(self, topic: str) -> Any:
        return json.loads(self.latest[topic])

    async def until(self, condition: Any, seconds: float = PATIENCE) -> None:
        """Wait until ``condition()`` is true of what was seen."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.25):  # wait_for of Python 3.11 may swallow that we are cancelled
                        await self._changed.wait()

    async def publish(self, topic: str, payload: Any, **more: Any) -> None:
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        await self.client.publish(topic, text, qos=1, **more)

    async def ask(self, topic: str, payload: dict[str, Any], seconds: float = PATIENCE) -> dict[str, Any]:
        """Send a request (with an id) and wait for its last reply."""
        response = topic.replace("/request/", "/response/").replace("/set/", "/response/set/")
        response = response.replace("/do/", "/response/do/")
        replies: list[dict[str, Any]] = []

        def answered() -> bool:
            replies[:] = [
                reply
                for reply in map(json.loads, self.of(response))
                if reply.get("id") == payload["id"] and reply["status"] != "progress"
            ]
            return bool(replies)

        await self.publish(topic, payload)
        await self.until(answered, seconds)
        return replies[0]


@contextlib.asynccontextmanager
async def watching(port: int, *filters: str, version: int = 5) -> AsyncIterator[Watcher]:
    async with contextlib.AsyncExitStack() as stack:
        client = aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion(version))
        await client.__aenter__()
        stack.push_async_callback(_leave, client)
        watcher = Watcher(client)
        for name in filters or ("#",):
            await client.subscribe(name, qos=1)
        watcher.running = asyncio.create_task(watcher.run())
        try:
            yield watcher
        finally:
            await end_all([watcher.running])


async def _leave(client: aiomqtt.Client) -> None:
    """The broker may be gone by now: the test has ended it."""
    with contextlib.suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)
