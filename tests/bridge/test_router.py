from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.router import Router


class Ears:
    """Presence and commands that only note who was told what."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __getattr__(self, name: str):
        return lambda message: self.heard.append((name, message.topic))

    async def look_around(self) -> None:
        self.heard.append(("look_around", ""))


ROUTES = {
    "homeassistant/status": "home_assistant_spoke",
    "dlms_mqtt/bridge/main/request/ping": "receive",
    "dlms_mqtt/meter/house/request/read": "receive",
    "dlms_mqtt/meter/house/set/tariff/deep": "receive",
    "dlms_mqtt/meter/house/do/disconnect": "receive",
    "dlms_mqtt/bridge/main/state": "bridge_spoke",
    "dlms_mqtt/bridge/other/info": "bridge_spoke",
    "dlms_mqtt/bridge/other/response/ping": "bridge_spoke",
    "dlms_mqtt/bridge/other/request/ping": "bridge_spoke",  # somebody else's: no command of ours
    "dlms_mqtt/bridge/main/health": "bridge_spoke",
    "dlms_mqtt/meter/house/availability": "retained_came",
    "dlms_mqtt/meter/house/value/energy_import": "retained_came",
    "dlms_mqtt/meter/house/set": "retained_came",  # no key: no command
    "homeassistant/device/dlms_mqtt_house/config": "retained_came",
    "": "retained_came",
}


@pytest.mark.parametrize("topic", ROUTES)
def test_each_message_reaches_one(topic: str) -> None:
    ears = Ears()
    Router(Topics("dlms_mqtt", "main"), ears, ears).broker_message(Message(topic, b"x"))
    assert ears.heard == [(ROUTES[topic], topic)]


async def test_after_each_connection_it_is_looked_around() -> None:
    ears = Ears()
    await Router(Topics("dlms_mqtt", "main"), ears, ears).broker_connected()
    assert ears.heard == [("look_around", "")]
