"""The bridge against another project's meter: pydlms-client's simulator in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys

import pytest

from tests.bridge.conftest import PATIENCE
from tests.bridge.house import house
from tests.free_port import free_port

METER = """
  house:
    connection: {tcp: "127.0.0.1:PORT", framing: FRAMING, client: 32, authentication: low, password: "text:12345678"}
    every: 1s
    read:
      also: [{obis: 1.0.32.7.0.255, key: volts, writable: true, min: 0, max: 500}]
    actions:
      off: {obis: 0.0.96.3.10.255, method: 1, confirm: true}
    allow: [write]
    profiles: [{obis: 1.0.99.1.0.255, key: load, every: 1h, backfill: 3650d}]
"""


@pytest.fixture(params=["wrapper", "hdlc"])
async def meters(request):
    port = free_port()
    arguments = ["--port", str(port), "--client", "32:1:12345678", *(["--hdlc"] if request.param == "hdlc" else [])]
    command = [sys.executable, "-m", "pydlms.simulator", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.1)
        yield METER.replace("PORT", str(port)).replace("FRAMING", request.param)
    finally:
        process.kill()
        process.wait()


async def test_first_reading_write_action_refused_write_and_profile(mosquitto, tmp_path, meters):
    async with house(mosquitto, tmp_path, meters) as home:
        await home.until(lambda: home.meter("availability") == "online" and home.meter("value/energy_import"))
        assert json.loads(home.meter("state"))["energy_import"] > 0
        reply = await home.ask("meter/house/set/volts", {"value": 231})
        assert reply["data"]["read_back"] == 231, reply
        body = {"obis": "1.0.99.99.99.255", "class": 3, "attribute": 2, "value": 1, "type": "double-long-unsigned"}
        reply = await home.ask("meter/house/request/write", body)
        assert reply["error"]["code"] in ("object-undefined", "access-denied"), reply
        reply = await home.ask("meter/house/do/off", {"confirm": "house"})
        assert reply["status"] == "ok", reply
        await home.until(lambda: home.seen.of("dlms_mqtt/meter/house/profile/load"))
        message = json.loads(home.seen.of("dlms_mqtt/meter/house/profile/load")[0])
        assert message["rows"] and message["columns"]
