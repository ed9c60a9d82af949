from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.homeassistant.discovery import Device, bridge_payload, meter_payload
from dlms_mqtt.bridge.homeassistant.entities import BUILT_IN, STATUS, Entity, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.pace import pace_of
from dlms_mqtt.languages.texts import translated
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

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
            assert "expire_after" not in component  # nobody has said how long they live
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


def _component(platform, **facts):
    (component,) = _payload([Entity(platform=platform, key="energy", name="x", **facts)])["components"].values()
    return component


def test_the_energy_of_another_meter_goes_on_where_the_old_one_ended():
    template = "{{ (value | float + 7657.535) | round(6) if value else None }}"
    assert _component("sensor", offset=Decimal("7657.535"))["value_template"] == template
    assert _component("sensor")["value_template"] == "{{ value if value else None }}"


def test_what_each_platform_wants_to_know():
    number = _component("number", min=0, max=5, step=0.5, unit="A")
    assert {key: number[key] for key in ("mode", "min", "max", "step", "unit_of_measurement")} == {
        "mode": "box",
        "min": 0,
        "max": 5,
        "step": 0.5,
        "unit_of_measurement": "A",
    }
    switch = _component("switch")
    assert [switch[key] for key in ("payload_on", "payload_off", "state_on", "state_off")] == [
        "ON",
        "OFF",
        "True",
        "False",
    ]
    assert "'*' not in value" in _component("time")["value_template"]
    assert _component("select", options=("a", "b"))["options"] == ["a", "b"]
    assert _component("sensor", device_class="enum", options=("a",), precision=1)["options"] == ["a"]
    assert _component("sensor", precision=1)["suggested_display_precision"] == 1


@pytest.mark.parametrize("source", ["value", "health"])
def test_what_is_paced_keeps_its_state_until_it_is_due(source):
    pace = pace_of("energy", "kWh", 10.0, 300.0)
    facts = {"source": source, "field": "line_quality"} if source == "health" else {"source": source}
    plain, paced = (_component("sensor", pace=each, **facts)["value_template"] for each in (None, pace))
    assert "this" in paced and "this" not in plain
