from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.topics import Address, Concern, Topics

TOPICS = Topics("dlms_mqtt", "main")


@pytest.mark.parametrize(
    ("topic", "address", "response"),
    [
        ("dlms_mqtt/bridge/main/request/ping", ("", "request", "ping"), "dlms_mqtt/bridge/main/response/ping"),
        (
            "dlms_mqtt/bridge/main/request/meter/add",
            ("", "request", "meter/add"),
            "dlms_mqtt/bridge/main/response/meter/add",
        ),
        ("dlms_mqtt/meter/h/set/tariff", ("h", "set", "tariff"), "dlms_mqtt/meter/h/response/set/tariff"),
        ("dlms_mqtt/meter/h/do/reconnect", ("h", "do", "reconnect"), "dlms_mqtt/meter/h/response/do/reconnect"),
        ("dlms_mqtt/meter/h/request/read", ("h", "request", "read"), "dlms_mqtt/meter/h/response/read"),
    ],
)
def test_commands(topic, address, response):
    assert TOPICS.address(topic) == Address(*address)
    assert TOPICS.response(Address(*address)) == response


@pytest.mark.parametrize("name", ["a/" * 190 + "a", "a" * 65_000])
def test_the_reply_to_an_endless_topic_can_be_sent(name):
    """The command's own topic is as long as a broker takes; with more in it the reply's is longer."""
    topic = TOPICS.response(Address("h", "set", name))
    assert topic.startswith("dlms_mqtt/meter/h/response/set/a") and len(topic) < 1100 and topic.count("/") < 40


@pytest.mark.parametrize(
    "topic",
    [
        "dlms_mqtt/bridge/other/request/ping",
        "dlms_mqtt/meter/h/state",
        "dlms_mqtt/meter/h/value/a",
        "x/meter/h/set/a",
        "dlms_mqtt/meter/h/response/read",
    ],
)
def test_what_is_no_command(topic):
    assert TOPICS.address(topic) is None


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("client/7/reply", True),
        ("dlms_mqtt", False),
        ("dlms_mqtt/meter/h/state", False),
        ("homeassistant/device/x/config", False),
        ("homeassistantx/reply", True),
        ("", False),
        ("a/#", False),
        ("a/+/b", False),
        ("$SYS/a", False),
        ("a/" * 31 + "a", True),
        ("a/" * 32 + "a", False),  # Mosquitto hangs up on 200 levels, and would again with each try
        ("a" * 1024, True),
        ("a" * 1025, False),
        *((f"a{odd}", False) for odd in ("\0", "\n", "\x7f", "\x85", "\ud800", "\ufdd0", "\uffff", "\U0001fffe")),
    ],
)
def test_response_topics(topic, allowed):
    assert TOPICS.allowed_response(topic) is allowed


def test_the_topics_of_the_api():
    meter = TOPICS.meter("house")
    assert TOPICS.state == "dlms_mqtt/bridge/main/state"
    assert TOPICS.info == "dlms_mqtt/bridge/main/info"
    assert TOPICS.health == "dlms_mqtt/bridge/main/health"
    assert TOPICS.birth == "homeassistant/status"
    assert TOPICS.discovery("dlms_mqtt_house") == "homeassistant/device/dlms_mqtt_house/config"
    assert meter.availability == "dlms_mqtt/meter/house/availability"
    assert meter.state == "dlms_mqtt/meter/house/state"
    assert meter.value("power") == "dlms_mqtt/meter/house/value/power"
    assert meter.reading == "dlms_mqtt/meter/house/reading"
    assert meter.profile("load") == "dlms_mqtt/meter/house/profile/load"
    assert meter.event == "dlms_mqtt/meter/house/event"
    assert (meter.set("a"), meter.do("a"), meter.request("a")) == tuple(
        f"dlms_mqtt/meter/house/{verb}/a" for verb in ("set", "do", "request")
    )
    assert meter.commands == tuple(f"dlms_mqtt/meter/house/{verb}/#" for verb in ("set", "do", "request"))
    assert meter.retained == tuple(f"dlms_mqtt/meter/house/{name}" for name in ("availability", "state", "value/+"))
    assert TOPICS.commands == ("dlms_mqtt/bridge/main/request/#",)
    assert TOPICS.all_bridges == ("dlms_mqtt/bridge/+/state", "dlms_mqtt/bridge/+/info")


def test_devices_of_home_assistant():
    """A meter that was renamed stays the device that it was."""
    assert TOPICS.bridge_device == "dlms_mqtt_bridge_main"
    assert TOPICS.device("house") == "dlms_mqtt_house"
    renamed = Topics("dlms_mqtt", "main", devices="dlms_mqtt_2", aliases={"house": "barn"})
    assert (renamed.device("house"), renamed.device("flat")) == ("dlms_mqtt_2_barn", "dlms_mqtt_2_flat")
    assert renamed.bridge_device == "dlms_mqtt_2_bridge_main"


@pytest.mark.parametrize(
    ("topic", "concern"),
    [
        ("homeassistant/status", Concern.BIRTH),
        ("dlms_mqtt/meter/house/set/a", Concern.COMMAND),
        ("dlms_mqtt/bridge/main/request/ping", Concern.COMMAND),
        ("dlms_mqtt/bridge/other/info", Concern.BRIDGE),
        ("dlms_mqtt/bridge/other/request/ping", Concern.BRIDGE),
        ("dlms_mqtt/meter/house/value/a", Concern.RETAINED),
        ("homeassistant/device/dlms_mqtt_house/config", Concern.RETAINED),
    ],
)
def test_what_a_message_is_about(topic, concern):
    assert TOPICS.concern(topic) is concern
