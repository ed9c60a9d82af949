"""kill -9 while the broker is away: what is older than five seconds arrives later, in order, each with its own seq."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path

from dlms_mqtt.simulator import household, serve_tcp
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


async def test_a_killed_bridge_loses_no_more_than_five_seconds(mosquitto, tmp_path):
    mosquitto.stop()
    async with serve_tcp(household(1)) as server:
        meters = METER.replace("PORT", str(server.port)) + "    read: [1.0.1.7.0.255]\n"
        path = write_config(tmp_path, mosquitto.port, meters)
        process = await _bridge(path)
        await asyncio.sleep(10)
        process.kill()
        await process.wait()
        killed = datetime.now().astimezone()
        mosquitto.start()
        async with watching(mosquitto.port) as seen:
            process = await _bridge(path)
            topic = "dlms_mqtt/meter/house/reading"
            await seen.until(lambda: len(seen.of(topic)) >= 6)
            process.terminate()
            assert await process.wait() == 0
            assert seen.latest["dlms_mqtt/bridge/main/state"] == "offline"
        readings = [json.loads(text) for text in seen.of(topic)]
    old = [reading for reading in readings if datetime.fromisoformat(reading["time"]) <= killed]
    ages = [(killed - datetime.fromisoformat(reading["time"])).total_seconds() for reading in old]
    # one reading a second, its time in whole seconds: the last one kept may be two seconds older than the five
    assert min(ages) <= 7 and max(ages) > 7
    assert len(old) >= max(ages) - 7
    seqs = [reading["seq"] for reading in readings]
    assert seqs == sorted(set(seqs))
