"""A dead bridge is dead for everybody: killed, cut off, powered off or ended, as a client sees it that comes later.

With MQTT 5 every retained value carries how long the broker keeps it; with 3.1.1 the bridge's state says it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import MqttError

from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.house import METER, Kept, bridge_process, kept_by, write_config
from tests.mosquitto import Mosquitto

BRIDGE, METER_ROOT = "dlms_mqtt/bridge/main", "dlms_mqtt/meter/house"
VALUE = f"{METER_ROOT}/value/energy_import"


class Cut:
    """A line between bridge and broker that can go dead without a word, as a pulled cable does."""

    def __init__(self, port: int) -> None:
        self._broker, self.is_cut = port, False
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._broker)
        self._writers += [writer, other_writer]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass(reader, other_writer), self._pass(other_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.is_cut and not writer.is_closing():
                writer.write(data)
        writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def cut_of(port: int) -> AsyncIterator[Cut]:
    line = Cut(port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    yield line
    server.close()
    line.close()
    await asyncio.sleep(0)


async def _end(how: str, process: Any, line: Cut, broker: Mosquitto) -> None:
    if how == "cut":
        line.is_cut = True
    elif how == "power":  # of bridge and broker together
        broker.stop(kill=True)
        process.kill()
        broker.start()
    elif how == "kill":
        process.kill()
    else:
        process.terminate()
        await process.wait()


async def _looked_at(how: str, process: Any, line: Cut, broker: Mosquitto) -> Kept:
    """What is kept while the bridge works, which ends then, as a client sees it that has been there all the time."""
    with contextlib.suppress(MqttError):  # aiomqtt 2.3 tells at the end that the broker was killed
        async with watching(broker.port) as seen:
            await seen.until(lambda: seen.latest.get(f"{METER_ROOT}/availability") == "online" and VALUE in seen.latest)
            before = await kept_by(broker.port)
            await _end(how, process, line, broker)
            if how == "power":
                await asyncio.wait({seen.running})  # it hears of the broker's end, which else nobody would take note of
            else:
                await seen.until(lambda: seen.latest.get(f"{BRIDGE}/state") == "offline", PATIENCE)
    return before


@pytest.mark.slow_once
@pytest.mark.parametrize("how", ["kill", "cut", "power", "stop"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_who_comes_afterwards(
    mosquitto_factory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str, how: str
) -> None:
    for noisy in ("mqtt", "asyncio"):  # the clients that look tell of the broker that is killed
        caplog.set_level(logging.CRITICAL, noisy)
    broker = mosquitto_factory("allow_anonymous true\nautosave_interval 1\nautosave_on_changes true", persistence=True)
    async with serve_tcp(household(1)) as server, cut_of(broker.port) as line:
        mqtt = f"protocol: '{protocol}'\nkeepalive: 5s"
        path = write_config(tmp_path, line.port, METER.replace("PORT", str(server.port)), mqtt=mqtt)
        async with bridge_process(path) as process:
            before = await _looked_at(how, process, line, broker)
            after = await kept_by(broker.port)
    assert before[f"{BRIDGE}/state"][0] == "online" and before[VALUE][0]
    _judge(how, protocol, after)


def _judge(how: str, protocol: str, seen: Kept) -> None:
    values = {topic: row for topic, row in seen.items() if "/value/" in topic}
    state, life = seen[f"{BRIDGE}/state"]
    if how == "stop":
        assert state == "offline" and seen[f"{METER_ROOT}/availability"][0] == "offline"
        assert not values and set(json.loads(seen[f"{METER_ROOT}/state"][0])) == {"_time"}
        return
    assert state == ("online" if how == "power" else "offline")
    if protocol == "5":  # nothing stays for ever
        kept = [*values.values(), seen[f"{METER_ROOT}/state"], seen[f"{METER_ROOT}/availability"]]
        kept += [(state, life)] if state == "online" else []
        assert values and all(remaining is not None and remaining <= 120 for _, remaining in kept)
    elif how == "power":  # a broker of 3.1.1 that loses its power forgets the last will: docs/mqtt.md says so
        assert life is None
