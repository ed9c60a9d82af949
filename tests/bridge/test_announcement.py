"""Which topics a device is announced on: one for all of it, or one for each component, and the way back."""

from __future__ import annotations

import json

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.homeassistant.announcement import PLATFORMS, component_topic, messages, platform_of, roots
from dlms_mqtt.bridge.homeassistant.discovery import _PLATFORMS

TOPICS = Topics("dlms_mqtt", "main")
DEVICE = {"identifiers": ["dlms_mqtt_house"]}
PAYLOAD = {
    "origin": {"name": "dlms-mqtt"},
    "device": DEVICE,
    "components": {
        "binary_sensor_alarm": {"platform": "binary_sensor", "unique_id": "a"},
        "sensor_power": {"platform": "sensor", "unique_id": "b"},
        "sensor_gone": {"platform": "sensor"},
    },
}


def test_every_platform_is_known():
    assert set(PLATFORMS) == set(_PLATFORMS)


def test_one_message_for_all():
    assert messages(TOPICS, "dlms_mqtt_house", PAYLOAD, "device") == {
        "homeassistant/device/dlms_mqtt_house/config": json.dumps(PAYLOAD)
    }


def test_one_message_for_each():
    found = messages(TOPICS, "dlms_mqtt_house", PAYLOAD, "components")
    assert found == {
        "homeassistant/device/dlms_mqtt_house/config": "",
        "homeassistant/binary_sensor/dlms_mqtt_house/alarm/config": json.dumps(
            {"unique_id": "a", "origin": {"name": "dlms-mqtt"}, "device": DEVICE}
        ),
        "homeassistant/sensor/dlms_mqtt_house/power/config": json.dumps(
            {"unique_id": "b", "origin": {"name": "dlms-mqtt"}, "device": DEVICE}
        ),
        "homeassistant/sensor/dlms_mqtt_house/gone/config": "",
    }
    below = tuple(roots(TOPICS, "dlms_mqtt_house"))
    assert all(topic.startswith(below) for topic in found)


@pytest.mark.parametrize("name", ["sensor_a", "binary_sensor_a", "select_b_c", "text_x"])
def test_the_way_back(name):
    platform = platform_of(name)
    assert component_topic(TOPICS, "d", name) == f"homeassistant/{platform}/d/{name[len(platform) + 1 :]}/config"
