# ruff: noqa: E501 - payloads are easier to compare on one line
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections.item import RESERVED_KEYS, Action, Item
from dlms_mqtt.bridge.homeassistant.discovery import _ICONS, Device, bridge_payload, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import BUILT_IN, STATUS, action_entities, built_in, value_entities
from dlms_mqtt.languages.texts import translated
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

KEYS = Path(__file__).parents[1] / "meter" / "keys.txt"
TOPICS = Topics("dlms_mqtt", "main")
HOUSE = Device("my-house", "House meter", "123", "KAM", "Omnipower", "1.2")
FEATURES = ("clock", "ciphering", "held", "poll", "events", "sign-on")

# what Home Assistant takes (2025.4 to 2026.11)
TOP_LEVEL = {"origin", "device", "components"}
DEVICE = {
    "identifiers",
    "name",
    "manufacturer",
    "model",
    "model_id",
    "serial_number",
    "sw_version",
    "hw_version",
    "via_device",
    "suggested_area",
    "configuration_url",
}
PLATFORMS = {"sensor", "binary_sensor", "button", "number", "select", "text", "switch", "event"}


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
                "value_template": "{{ 'online' if value_json is mapping and 'energy_import' in value_json else 'offline' }}",
            },
        ],
        "state_topic": "dlms_mqtt/meter/my-house/value/energy_import",
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "kWh",
        "suggested_display_precision": 2,
    }


def test_the_device():
    payload = _payload([])
    assert payload == {
        "origin": {"name": "dlms-mqtt", "sw_version": "1.0"},
        "device": {
            "identifiers": ["dlms_mqtt_my-house"],
            "name": "House meter",
            "serial_number": "123",
            "manufacturer": "KAM",
            "model": "Omnipower",
            "model_id": "DLMS",
            "sw_version": "1.2",
            "via_device": "dlms_mqtt_bridge_main",
        },
        "components": {},
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


def test_what_explains_a_failure_depends_on_the_bridge_alone():
    components = _payload(built_in(FEATURES, "en"))["components"]
    for name in ("sensor_status", "sensor_last_success", "sensor_held_value", "switch_pause", "button_read_now"):
        assert components[name]["availability"] == [{"topic": "dlms_mqtt/bridge/main/state"}], name
    status = components["sensor_status"]
    assert status["options"] == list(STATUS) and "enabled_by_default" not in status
    assert status["value_template"] == (
        "{{ (value_json | default({}, true)).get('meters', {}).get('my-house', {}).get('status') }}"
    )
    assert "'next_try'" in status["json_attributes_template"]
    for name in ("sensor_line_errors", "sensor_read_duration", "sensor_invocation_counter", "sensor_line_quality"):
        assert components[name]["enabled_by_default"] is False
        assert components[name]["entity_category"] == "diagnostic"
    assert components["event_event"]["event_types"]
    assert components["button_set_clock"]["payload_press"] == '{"set": true}'


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


def _all_payloads():
    entities = [*built_in(FEATURES, "en"), *_entities("1.0.1.8.0.255"), *_entities("0.0.96.3.10.255", 70)]
    return [_payload(entities, ["number_old"]), json.loads(json.dumps(bridge_payload(TOPICS, "Bridge", "1.0", "de")))]


def test_nothing_that_home_assistant_would_refuse():
    for payload in _all_payloads():
        assert set(payload) <= TOP_LEVEL
        assert set(payload["device"]) <= DEVICE
        assert payload["origin"]["name"]
        for name, component in payload["components"].items():
            if set(component) == {"platform"}:
                continue
            assert component["platform"] in PLATFORMS
            assert component["unique_id"]
            assert component["default_entity_id"] == f"{component['platform']}.{component['object_id']}"
            assert "expire_after" not in component
            if component["platform"] in ("sensor", "binary_sensor"):
                assert component.get("entity_category") in (None, "diagnostic"), name


def _templates(node):
    if isinstance(node, str):
        return [node] if "{{" in node else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [template for part in parts for template in _templates(part)]


def test_a_topic_that_was_cleared_writes_no_error_into_home_assistants_log():
    """Another id or base topic clears topics while entities look at them: an empty message is no JSON."""
    templates = [template for payload in _all_payloads() for template in _templates(payload)]
    assert len(templates) > 20
    for template in templates:
        bare = template.replace("(value_json | default({}, true))", "").replace("value_json is mapping and", "", 1)
        assert "value_json" not in bare or "value_json is mapping and" in template, template
        assert not re.search(r"\bvalue\b", bare) or "if value" in bare, template


def test_removed_items_are_told_once_by_platform():
    components = _payload(_entities("1.0.1.8.0.255"), ["sensor_energy_import", "binary_sensor_a_b", "number_x"])[
        "components"
    ]
    assert components["binary_sensor_a_b"] == {"platform": "binary_sensor"}
    assert components["number_x"] == {"platform": "number"}
    assert components["sensor_energy_import"]["unique_id"]


def test_names_are_german_and_ids_english():
    english, german = (
        _payload([*built_in(FEATURES, language), *_entities("1.0.1.8.0.255", language=language)])
        for language in ("en", "de")
    )
    for name, component in german["components"].items():
        assert component["unique_id"] == english["components"][name]["unique_id"]
        assert component["default_entity_id"] == english["components"][name]["default_entity_id"]
    assert german["components"]["button_read_now"]["name"] == "Jetzt lesen"
    assert all(translated(row.entity.name, "tlh") == row.entity.name for row in BUILT_IN)


def test_the_bridge_has_a_device_of_its_own():
    payload = bridge_payload(TOPICS, "My bridge", "1.0", "en")
    assert payload["device"]["identifiers"] == ["dlms_mqtt_bridge_main"]
    assert payload["components"]["binary_sensor_connection"]["state_topic"] == "dlms_mqtt/bridge/main/state"
    assert isinstance(payload["components"]["sensor_status"], Mapping)
