"""Entities as rows: what each kind of value becomes in Home Assistant, and what it never becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections.item import RESERVED_KEYS, Action, Item
from dlms_mqtt.bridge.homeassistant.discovery import _ICONS, Device, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import BUILT_IN, action_entities, built_in, value_entities
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

KEYS = Path(__file__).parents[1] / "meter" / "keys.txt"
TOPICS = Topics("dlms_mqtt", "main")
HOUSE = Device("my-house", "House meter", "123", "KAM", "Omnipower", "1.2")
FEATURES = ("clock", "ciphering", "held", "poll", "events", "sign-on")


def _entities(obis: str, class_id: int = 3, item: Item | None = None, language: str = "en", **more):
    return list(value_entities(quantity(Obis.parse(obis), class_id), item, language, **more))


def _payload(entities, removed=()):
    payload = meter_payload(TOPICS, HOUSE, entities, "1.0", removed)
    return json.loads(json.dumps(payload))


def _component(obis: str, class_id: int = 3, item: Item | None = None, **more):
    (component,) = _payload(_entities(obis, class_id, item, **more))["components"].values()
    return component


def test_an_energy_register():
    assert _component("1.0.1.8.0.255") == {
        "platform": "sensor",
        "value_template": "{{ value if value else None }}",
        "unique_id": "dlms_mqtt_my-house_energy_import",
        "name": "Energy import",
        "object_id": "my_house_energy_import",
        "default_entity_id": "sensor.my_house_energy_import",
        "availability_mode": "all",
        "availability": [
            {"topic": "dlms_mqtt/bridge/main/state"},
            {"topic": "dlms_mqtt/meter/my-house/availability"},
            {
                "topic": "dlms_mqtt/meter/my-house/state",
                "value_template": "{{ 'online' if value_json is mapping "
                "and 'energy_import' in value_json else 'offline' }}",
            },
        ],
        "state_topic": "dlms_mqtt/meter/my-house/value/energy_import",
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "kWh",
        "suggested_display_precision": 2,
    }


@pytest.mark.parametrize(
    ("obis", "class_id", "item", "expected"),
    [
        (
            "1.0.32.7.0.255",
            3,
            None,
            {"device_class": "voltage", "state_class": "measurement", "unit_of_measurement": "V"},
        ),
        (
            "1.0.3.8.0.255",
            3,
            None,
            {"device_class": None, "state_class": "total_increasing", "unit_of_measurement": "kvarh"},
        ),
        ("0.0.1.0.0.255", 8, None, {"device_class": "timestamp", "unit_of_measurement": None, "state_class": None}),
        (
            "0.0.96.1.0.255",
            1,
            None,
            {"device_class": None, "unit_of_measurement": None, "entity_category": "diagnostic"},
        ),
        ("0.0.96.3.10.255", 70, None, {"platform": "sensor"}),
        ("1.0.1.8.0.255", 3, Item(unit="MJ"), {"device_class": "energy", "unit_of_measurement": "MJ"}),
        ("1.0.1.8.0.255", 3, Item(unit="pulses"), {"device_class": None, "unit_of_measurement": "pulses"}),
        (
            "1.0.1.8.0.255",
            3,
            Item(device_class="none", state_class="none"),
            {"device_class": None, "state_class": None},
        ),
        ("1.0.1.8.0.255", 3, Item(state_class="measurement"), {"device_class": "energy", "state_class": None}),
        (
            "1.0.1.8.0.255",
            3,
            Item(precision=0, name="Zähler", enabled=False),
            {"name": "Zähler", "enabled_by_default": False, "suggested_display_precision": 0},
        ),
        ("1.0.1.8.1.255", 3, None, {"name": "Energy import T1"}),
        ("1.0.1.6.0.255", 4, None, {"name": "Max. demand import"}),
        ("0.0.96.14.1.255", 1, None, {"name": "Active tariff 1"}),
        (
            "0.0.94.34.11.255",
            1,
            Item(values={1: "day", 2: "night"}),
            {"platform": "sensor", "device_class": "enum", "options": ["day", "night"]},
        ),
        (
            "0.0.94.34.11.255",
            1,
            Item(values={1: "day", 2: "night"}, writable=True),
            {
                "platform": "select",
                "options": ["day", "night"],
                "device_class": None,
                "command_topic": "dlms_mqtt/meter/my-house/set/obis_0_0_94_34_11_255_2",
            },
        ),
        (
            "0.0.94.34.11.255",
            1,
            Item(values={1: "a"}, writable=True, confirm=True),
            {"platform": "sensor", "command_topic": None},
        ),
        (
            "0.0.94.34.11.255",
            1,
            Item(min=0, max=10, step=0.5, writable=True, unit="kW", device_class="power"),
            {
                "platform": "number",
                "min": 0,
                "max": 10,
                "step": 0.5,
                "unit_of_measurement": "kW",
                "device_class": "power",
                "mode": "box",
                "state_class": None,
            },
        ),
        ("0.0.94.34.11.255", 1, Item(max_length=12, writable=True), {"platform": "text", "max": 12}),
        ("0.0.94.34.11.255", 1, Item(writable=True), {"platform": "sensor", "command_topic": None}),
    ],
)
def test_each_kind_of_value(obis, class_id, item, expected):
    component = _component(obis, class_id, item)
    assert {key: component.get(key) for key in expected} == expected


def test_no_statistics_of_a_register_whose_unit_is_unknown():
    unscaled = replace(quantity(Obis.parse("1.0.1.8.0.255"), 3), unit="")
    (entity,) = value_entities(unscaled, None, "en")
    assert (entity.unit, entity.device_class, entity.state_class) == ("", "", "")
    (entity,) = value_entities(unscaled, Item(state_class="total"), "en")
    assert entity.state_class == "total"


def test_reactive_energy_has_its_class_where_home_assistant_knows_it():
    assert _component("1.0.3.8.0.255", reactive=True)["device_class"] == "reactive_energy"


def test_bits_become_binary_sensors():
    item = Item(bits={0: "cover_open", 3: "battery_low"})
    components = _payload(_entities("0.0.97.97.0.255", 1, item))["components"]
    key = quantity(Obis.parse("0.0.97.97.0.255"), 1).key
    assert set(components) == {f"sensor_{key}", f"binary_sensor_{key}_cover_open", f"binary_sensor_{key}_battery_low"}
    bit = components[f"binary_sensor_{key}_cover_open"]
    assert (bit["payload_on"], bit["payload_off"]) == ("on", "off")
    assert bit["state_topic"].endswith(f"/value/{key}_cover_open")


def test_the_disconnect_control_is_never_a_switch():
    for item in (None, Item(writable=True), Item(writable=True, values={0: "off", 1: "on"})):
        for component in _payload(_entities("0.0.96.3.10.255", 70, item))["components"].values():
            assert component["platform"] != "switch"


def test_actions_with_confirmation_get_no_button():
    actions = {"reconnect": Action(confirm=True), "reset": Action(name="Reset"), "test_lamp": Action()}
    components = _payload(action_entities(actions))["components"]
    assert set(components) == {"button_do_reset", "button_do_test_lamp"}
    assert components["button_do_reset"]["command_topic"] == "dlms_mqtt/meter/my-house/do/reset"
    assert components["button_do_test_lamp"]["name"] == "Test lamp"


def test_no_value_takes_the_place_of_a_built_in_entity():
    """Both would have one unique id, and the later one would win."""
    assert {row.entity.key for row in BUILT_IN} == RESERVED_KEYS
    assert not {line.split()[1] for line in KEYS.read_text().splitlines()} & RESERVED_KEYS


def test_every_icon_has_its_entity():
    keys = {line.split()[1] for line in KEYS.read_text().splitlines()} | RESERVED_KEYS
    assert set(_ICONS) <= keys


def test_features_that_are_missing_bring_no_entity():
    names = {entity.key for entity in built_in((), "en")}
    line = {"line_errors", "line_quality", "retries", "check_errors", "turn_round"}
    assert names == {"status", "last_success", "read_duration", *line}


def test_datetime_entities_only_when_asked_for():
    assert all(entity.platform != "datetime" for entity in built_in(FEATURES, "en"))
    components = _payload(built_in((*FEATURES, "datetime"), "en"))["components"]
    setting = components["datetime_clock_setting"]
    assert setting["state_topic"].endswith("/value/clock")
    assert setting["command_topic"].endswith("/request/clock")
