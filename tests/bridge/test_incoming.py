"""Meters that connect by themselves and are asked on that connection."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.house import house
from tests.bridge.meters.pushes.test_own_line import ASKED, in_wrapper, pushed
from tests.cases.scripted_meter import Lines, ScriptedMeter
from tests.free_port import free_port


def config(port, name="house", more="ask: true", connection="{timeout: 20s, retries: 0}", every="1s"):
    return f"""
  {name}:
    connection: {connection}
    every: {every}
    push: {{listen: 'tcp://127.0.0.1:{port}', every: 10s, {more}}}
    read: {ASKED}
"""


@contextlib.asynccontextmanager
async def dialled(port, case, *first):
    """A meter that connects, says what it says first, and answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = Lines(ScriptedMeter(case))
    for octets in first:
        writer.write(octets)
    task = asyncio.create_task(lines._serve(reader, writer))
    try:
        yield lines.meter
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def listening(home):
    """The port is open once the meter is there."""
    await home.until(lambda: "no meter has connected" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))


@pytest.mark.expect_log("connect", "works again")
async def test_a_meter_that_connects_is_asked_and_heard(mosquitto, tmp_path):
    """Again after it has connected anew; what it pushes on the connection is taken."""
    port = free_port()
    case = {"framing": "wrapper", "push": {"hex": [in_wrapper(pushed(750)).hex()], "every": 0.5}}
    async with house(mosquitto, tmp_path, config(port)) as home:
        await listening(home)
        for volts in ("230.1", "240.1"):
            values = {"3/1.0.32.7.0.255:2": "12" + f"{round(float(volts) * 10):04x}"}
            async with dialled(port, {**case, "values": values}) as meter:
                await home.until(lambda volts=volts: home.meter("value/voltage_l1") == volts)
                await home.until(lambda: home.meter("value/power_import") == "750")
                await home.until(lambda: home.meter("availability") == "online")
            assert meter.requests[0][0] == 0x60


def heartbeat(serial):
    row = tuple(Data(DataType.OCTET_STRING, octets) for octets in (bytes(Obis.parse("0.0.96.1.0.255")), serial))
    return in_wrapper(
        DataNotification(1, None, encode(Data(DataType.ARRAY, (Data(DataType.STRUCTURE, row),)))).encode()
    )


@pytest.mark.expect_log("connect", "works again")
async def test_meters_on_one_port_are_told_apart_by_what_they_say_first(mosquitto, tmp_path):
    port = free_port()
    meters = {"one": b"11111111", "two": b"22222222"}
    text = "".join(
        config(port, name, f"ask: true, match: {{device: '{serial.decode()}'}}") for name, serial in meters.items()
    )
    async with house(mosquitto, tmp_path, text) as home, contextlib.AsyncExitStack() as stack:
        await listening(home)
        for name, volts in (("two", 2202), ("one", 2201)):
            case = {"framing": "wrapper", "values": {"3/1.0.32.7.0.255:2": f"12{volts:04x}"}}
            await stack.enter_async_context(dialled(port, case, heartbeat(meters[name])))
        await home.until(lambda: home.meter("value/voltage_l1", "one") == "220.1")
        await home.until(lambda: home.meter("value/voltage_l1", "two") == "220.2")


@pytest.mark.expect_log("connect", "works again")
async def test_a_meter_that_hangs_up_while_it_is_asked(mosquitto, tmp_path):
    port = free_port()
    async with house(mosquitto, tmp_path, config(port)) as home:
        await listening(home)
        async with dialled(port, {"framing": "wrapper", "rules": [{"when": "^c0", "drop": True}]}) as meter:
            await home.until(lambda: any(request[0] == 0xC0 for request in meter.requests))
        async with dialled(port, {"framing": "wrapper"}):
            await home.until(lambda: home.meter("value/voltage_l1") == "230.1")


async def test_who_only_pushes_there_is_not_asked(mosquitto, tmp_path):
    port = free_port()
    async with house(mosquitto, tmp_path, config(port, more="ask: false")) as home:
        await home.until(lambda: home.meter("availability") == "offline")
        async with dialled(port, {"framing": "wrapper"}, in_wrapper(pushed(750))) as meter:
            await home.until(lambda: home.meter("value/power_import") == "750")
        assert not meter.requests


@pytest.mark.parametrize("listen", ["''", "'udp://127.0.0.1:4059'"])
def test_ask_needs_a_connection(listen):
    with pytest.raises(ConfigError, match="ask: true needs"):
        parse_meter("h", {"push": {"listen": listen.strip("'"), "ask": True}}, preset_connection)
