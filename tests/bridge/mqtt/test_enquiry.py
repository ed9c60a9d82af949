"""The broker asked once from outside: what it keeps, each topic once, until nothing new comes."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.enquiry import enquire, kept
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.errors import ConnectFailed
from tests.bridge.conftest import watching
from tests.free_port import free_port


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_each_topic_once_though_a_bridge_repeats_its_own(mosquitto, protocol):
    async with watching(mosquitto.port) as seen:
        await seen.publish("base/a", "1", retain=True)
        await seen.publish("base/b", "2", retain=True)
        await seen.until(lambda: len(seen.all) == 2)

        async def repeat():
            while True:
                await seen.publish("base/a", "again", retain=True)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(repeat())
        try:
            found = await enquire(Mqtt(host="127.0.0.1", port=mosquitto.port, protocol=protocol), 60, _topics)
        finally:
            await end_all([task])
    assert sorted(found) == ["base/a", "base/b"]


async def _topics(client):
    return [message.topic async for message in kept(client, ["base/#"], 3.0)]


async def test_nothing_is_kept(mosquitto):
    assert await enquire(Mqtt(host="127.0.0.1", port=mosquitto.port), 60, _topics) == []


async def test_no_broker_is_there():
    with pytest.raises(ConnectFailed, match="cannot be asked"):
        await enquire(Mqtt(host="127.0.0.1", port=free_port()), 60, _topics)


async def test_whoever_is_cancelled_asks_no_second_time_though_the_line_breaks_too(mosquitto, monkeypatch):
    """aiomqtt tells that the line broke in place of our end; the next version of the protocol was tried then."""

    async def breaks(client, *error):
        await leave(client, *error)
        raise aiomqtt.MqttError("the line broke")

    async def work(client):
        asked.append(client)
        there.set()
        await asyncio.Event().wait()

    leave, asked, there = Client.__aexit__, [], asyncio.Event()
    monkeypatch.setattr(Client, "__aexit__", breaks)
    asking = asyncio.create_task(enquire(Mqtt(host="127.0.0.1", port=mosquitto.port, protocol="auto"), 600, work))
    await there.wait()
    asking.cancel()
    await asyncio.wait([asking], timeout=60)
    assert asking.cancelled() and len(asked) == 1
