"""Adding and changing a meter that sends by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from component_fixtures import Broker, add_mqtt_device, settle
from fake_bridge import FakeBridge, Refusal
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry
from test_meter_flow import choose, go, reconfigure, start, suggested

KEY, OTHER_KEY = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
VALUES = [
    {"obis": "1.0.1.7.0.255", "key": "power_import", "name": "Power import", "value": 250, "unit": "W"},
    {"obis": "1.0.32.7.0.255", "key": "voltage_l1", "name": "Voltage L1", "value": 230.1, "unit": "V"},
    {"obis": "1.0.1.8.0.255", "key": "energy_import", "value": 4711, "unit": None, "quality": "unscaled"},
]
MENU = ["push_serial", "push_network", "push_bind"]


@pytest.fixture(autouse=True)
def telegrams(bridge: FakeBridge) -> dict[str, Any]:
    """What the meter sends."""
    bridge.telegrams = {"meter": {"system_title": "4b414d4501349083"}, "values": VALUES}
    return bridge.telegrams


async def place(hass: HomeAssistant, entry: MockConfigEntry, step: str, fields: dict[str, Any]) -> Any:
    result = await choose(hass, await start(hass, entry), "push")
    assert result["menu_options"] == MENU
    return await go(hass, await choose(hass, result, step), fields)


async def to_keys(hass: HomeAssistant, entry: MockConfigEntry) -> Any:
    result = await place(hass, entry, "push_serial", {"port": "/dev/serial/by-id/usb-probe"})
    result = await choose(hass, result, "push_family")
    assert [row["value"] for row in result["data_schema"].schema["preset"].config["options"]] == ["generic", "han"]
    return await go(hass, result, {"preset": "han"})


def labels(result: Any) -> list[str]:
    return [row["label"] for row in result["data_schema"].schema["items"].config["options"]]


async def test_behind_an_esphome_device(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    head, key = "esphome://head.local/?port_name=meter", "qL3+9/bSjmeXrYt2kTzBfYh0p7xVdO5Q1u4wCnZsAgE="
    bridge.heard = {"found": True, "connection": {"baud": 2400}, "learned": {"presets": ["han"]}}
    result = await place(hass, entry, "push_serial", {"port": f"{head}&noise_psk={key}"})
    result = await choose(hass, result, "push_find")
    line = bridge.requests[-1][1]["line"]
    assert bridge.open(line["noise_psk"], "new", {"serial": head}) == f"text:{key}"
    result = await go(hass, result, {"name": "House"})
    await go(hass, result, {"items": ["power_import"]})
    assert bridge.stored["house"]["connection"] == {"serial": head, "baud": 2400, "noise_psk": f"text:{key}"}
    assert key not in str(bridge.requests)


async def test_at_a_serial_port(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await go(hass, await to_keys(hass, entry), {"name": "House"})
    assert result["step_id"] == "push_items"
    assert labels(result) == ["Power import: 250 W", "Voltage L1: 230.1 V", "energy_import: 4711 (?)"]
    assert suggested(result)["items"] == ["power_import", "voltage_l1", "energy_import"]
    result = await go(hass, result, {"items": ["power_import", "energy_import"]})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert bridge.stored == {
        "house": {
            "name": "House",
            "preset": "han",
            "connection": {"serial": "/dev/serial/by-id/usb-probe"},
            "push": {"listen": "connection"},
            "read": {"set": "none", "except": ["voltage_l1"], "also": []},
        }
    }
    (request,) = (request for verb, request in bridge.requests if verb == "meter/validate")
    assert request["listen"] == 150 and request["timeout"] == 600


@pytest.mark.parametrize(
    ("step", "fields", "connection", "listen"),
    [
        ("push_network", {"protocol": "socket", "host": "h", "port": 1234}, {"tcp": "h:1234"}, "connection"),
        ("push_network", {"protocol": "rfc2217", "host": "h", "port": 1}, {"serial": "rfc2217://h:1"}, "connection"),
        ("push_bind", {"protocol": "udp", "port": 4059}, {}, "udp://0.0.0.0:4059"),
    ],
)
async def test_heard_before_anything_is_known(
    hass: HomeAssistant,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    step: str,
    fields: dict[str, Any],
    connection: dict[str, Any],
    listen: str,
) -> None:
    result = await place(hass, entry, step, fields)
    assert result["menu_options"] == ["push_find", "push_family"]
    bridge.heard = {"found": True, "connection": {"baud": 2400}, "learned": {"presets": ["han"], "ciphered": True}}
    result = await choose(hass, result, "push_find")
    assert result["step_id"] == "push_access"
    (request,) = (request for verb, request in bridge.requests if verb == "meter/find")
    assert request["line"] == (connection or {"bind": listen})
    result = await go(hass, result, {"name": "Keller", "encryption_key": KEY, "authentication_key": OTHER_KEY})
    await go(hass, result, {"items": ["power_import", "voltage_l1", "energy_import"]})
    match = {} if listen == "connection" else {"match": {"system_title": "4b414d4501349083"}}
    keys = {"encryption_key": f"hex:{KEY}", "authentication_key": f"hex:{OTHER_KEY}"}
    assert bridge.stored["keller"] == {
        "name": "Keller",
        "preset": "han",
        "connection": {**connection, "baud": 2400, **keys},
        "push": {"listen": listen, **match},
        "read": {"set": "none", "except": [], "also": []},
    }


async def test_what_no_family_claims_is_generic(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await place(hass, entry, "push_bind", {"protocol": "tcp", "port": 4059})
    bridge.heard = {"found": True, "learned": {"presets": []}}
    bridge.telegrams["meter"] = {}
    result = await go(hass, await choose(hass, result, "push_find"), {"name": "Keller"})
    await go(hass, result, {"items": ["power_import"]})
    assert bridge.stored["keller"]["preset"] == "generic"
    assert bridge.stored["keller"]["push"] == {"listen": "tcp://0.0.0.0:4059"}


async def test_one_key_only(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    """Encrypted and not signed, as in Austria: nothing can be proved, and the bridge is told so."""
    result = await to_keys(hass, entry)
    result = await go(hass, result, {"name": " ", "encryption_key": "12"})
    assert result["errors"] == {"name": "name_missing", "encryption_key": "key_length"}
    result = await go(hass, result, {"name": "House", "encryption_key": KEY})
    await go(hass, result, {"items": ["power_import"]})
    assert bridge.stored["house"]["connection"] == {
        "serial": "/dev/serial/by-id/usb-probe",
        "encryption_key": f"hex:{KEY}",
        "security": "encryption",
        "accept_unauthenticated": True,
    }


async def test_nothing_comes(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await place(hass, entry, "push_serial", {"port": "/dev/ttyS0"})
    result = await choose(hass, result, "push_find")
    assert result["menu_options"] == ["push_find", "push_family", "push"]
    assert "Nothing came." in result["description_placeholders"]["causes"]
    bridge.heard = {"found": False, "names": None}
    result = await choose(hass, result, "push_find")
    result = await choose(hass, result, "push_family")
    result = await go(hass, result, {"preset": "generic"})
    bridge.refuse["meter/validate"] = Refusal("security-error", reason="unauthenticated")
    result = await go(hass, result, {"name": "House", "encryption_key": KEY, "authentication_key": OTHER_KEY})
    assert result["menu_options"] == ["push_listen", "push_access", "push_family", "push"]
    assert "leave the authentication key empty" in result["description_placeholders"]["causes"]
    bridge.refuse.clear()
    result = await go(hass, await choose(hass, result, "push_access"), {"name": "House", "encryption_key": KEY})
    await go(hass, result, {"items": ["power_import"]})
    assert "authentication_key" not in bridge.stored["house"]["connection"]


async def test_without_families_and_without_a_seal(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await place(hass, entry, "push_serial", {"port": "/dev/ttyS0"})
    bridge.refuse["presets"] = Refusal("internal")
    result = await choose(hass, result, "push_family")
    assert result["errors"] == {"base": "internal"}
    bridge.refuse.clear()
    result = await go(hass, result, {"preset": "generic"})
    broker.fire(bridge.publish_info()._replace(payload=json.dumps({**bridge.info, "seal": "?"})))
    await settle(hass)
    result = await go(hass, result, {"name": "House", "encryption_key": KEY})
    assert result["errors"] == {"base": "not_sealed"}


async def test_the_same_meter_again(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.stored["house"] = {"name": "House", "connection": {"serial": "/dev/ttyS0"}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    add_mqtt_device(hass, "house", "1234567")
    bridge.telegrams["meter"] = {"serial_number": "1234567"}
    result = await go(hass, await to_keys(hass, entry), {"name": "Again"})
    assert result["step_id"] == "push_failed"
    assert "already reads this meter as House" in result["description_placeholders"]["causes"]


async def test_a_search_that_hears_one(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    """Who took the other way is led to this one, with the speed that was heard."""
    result = await choose(hass, await start(hass, entry), "serial")
    result = await go(hass, result, {"port": "/dev/ttyS0"})
    found = {"found": False, "names": ["push"], "causes": ["?"], "connection": {"serial": "/dev/ttyS0", "baud": 2400}}
    bridge.refuse["meter/find"] = Refusal("no-answer", **found)
    result = await choose(hass, result, "find")
    assert result["menu_options"] == ["push_family", "find", "preset", "user"]
    result = await go(hass, await choose(hass, result, "push_family"), {"preset": "han"})
    result = await go(hass, result, {"name": "House"})
    await go(hass, result, {"items": ["power_import"]})
    assert bridge.stored["house"]["connection"] == {"serial": "/dev/ttyS0", "baud": 2400}
    assert bridge.stored["house"]["push"] == {"listen": "connection"}


async def test_changed_later(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    """Values, keys and place; what the form does not show stays."""
    row = {"obis": "1.0.1.8.0.255", "name": "Bezug"}
    bridge.stored["house"] = {
        "name": "House",
        "preset": "han",
        "connection": {"serial": "/dev/ttyS0", "encryption_key": f"hex:{KEY}"},
        "push": {"listen": "connection", "every": "10s"},
        "read": {"set": "none", "except": ["power_export", "voltage_l1"], "also": [row]},
    }
    broker.fire(bridge.publish_info())
    await settle(hass)
    result = await reconfigure(hass, entry)
    assert result["menu_options"] == ["push_listen", "push_access", "push"]
    result = await choose(hass, result, "push_listen")
    assert suggested(result)["items"] == ["power_import", "energy_import"]
    result = await go(hass, result, {"items": ["power_import", "voltage_l1"]})
    assert result["reason"] == "reconfigure_successful"
    assert bridge.stored["house"]["read"] == {"set": "none", "except": ["power_export", "energy_import"], "also": [row]}
    assert bridge.stored["house"]["connection"]["encryption_key"] == f"hex:{KEY}"

    result = await choose(hass, await reconfigure(hass, entry), "push")
    result = await go(hass, await choose(hass, result, "push_bind"), {"protocol": "tcp", "port": 4060})
    result = await go(hass, result, {"name": "House", "encryption_key": OTHER_KEY, "authentication_key": KEY})
    await go(hass, result, {"items": ["power_import", "voltage_l1", "energy_import"]})
    assert bridge.stored["house"]["connection"] == {
        "encryption_key": f"hex:{OTHER_KEY}",
        "authentication_key": f"hex:{KEY}",
    }
    assert bridge.stored["house"]["push"] == {
        "listen": "tcp://0.0.0.0:4060",
        "every": "10s",
        "match": {"system_title": "4b414d4501349083"},
    }
