"""kill -9 while the broker is away: what is older than five seconds arrives later, in order, each with its own seq."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Meter, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import watching
from tests.bridge.house import METER, write_config

ROOT = Path(__file__).parents[2]


async def _bridge(path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, pathlib, dlms_mqtt.bridge.run as bridge; bridge.run_bridge(pathlib.Path(sys.argv[1]))",
        str(path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.DEVNULL,
    )


def _noting(meter: Meter, answered: list[float]) -> Meter:
    """The meter writes down when it said its power."""
    power = meter.objects[3, Obis.parse("1.0.1.7.0.255")]
    value = power.values[2]

    def say(context: Any) -> Any:
        answered.append(time.time())
        return value(context)

    power.values[2] = say
    return meter


async def test_a_killed_bridge_loses_no_more_than_five_seconds(mosquitto, tmp_path):
    mosquitto.stop()
    answered: list[float] = []
    async with serve_tcp(_noting(household(1), answered)) as server:
        meters = METER.replace("PORT", str(server.port))
        path = write_config(tmp_path, mosquitto.port, meters + "    read: [1.0.1.7.0.255]\n")
        process = await _bridge(path)
        async with asyncio.timeout(60):
            while len(_older(answered, 7)) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        process.kill()
        killed = time.time()
        owed = _older(answered, 7 + _stood_still([*answered, killed]))  # the five, an interval, whole seconds
        await process.wait()
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            process = await _bridge(path)
            topic = "dlms_mqtt/meter/house/reading"
            await seen.until(lambda: len(seen.of(topic)) > len(owed))
            process.terminate()
            assert await process.wait() == 0
            assert seen.latest["dlms_mqtt/bridge/main/state"] == "offline"
        readings = [json.loads(text) for text in seen.of(topic)]
    old = [reading for reading in readings if datetime.fromisoformat(reading["time"]).timestamp() <= killed]
    assert len(old) >= len(owed)
    seqs = [reading["seq"] for reading in readings]
    assert seqs == sorted(set(seqs))


def _stood_still(moments: list[float]) -> float:
    """The longest time that a busy machine did not let the bridge ask, s."""
    return max(later - sooner for sooner, later in pairwise(moments)) - 1


def _older(moments: list[float], seconds: float) -> list[float]:
    return [moment for moment in moments if time.time() - moment > seconds]
