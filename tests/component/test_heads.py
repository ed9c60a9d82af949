"""Ports of ESPHome devices that Home Assistant knows are offered by name, and their keys leave the flow sealed only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from component_fixtures import Broker
from fake_bridge import FakeBridge
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from test_meter_flow import ACCESS, ALL, choose, go, start

from custom_components.dlms_mqtt import heads
from custom_components.dlms_mqtt.heads import known_heads

KEY = "qL3+9/bSjmeXrYt2kTzBfYh0p7xVdO5Q1u4wCnZsAgE="
PORT = "esphome://10.0.0.7:6053/?port_name=Optical+head"


def device(url: str, description: str | None = "M5Stack Atom (Optical head)") -> Any:
    """As Home Assistant's scan has it."""
    return SimpleNamespace(device=url, description=description)


@pytest.fixture
def head(hass: HomeAssistant) -> MockConfigEntry:
    data = {"host": "10.0.0.7", "port": 6053, "password": "", "noise_psk": KEY, "device_name": "cellar"}
    entry = MockConfigEntry(domain="esphome", title="Cellar", data=data)
    entry.add_to_hass(hass)
    return entry


def usb(hass: HomeAssistant, *ports: Any) -> Any:
    """Home Assistant's integration of serial ports, which finds these. (It needs packages that the tests have not.)"""

    async def scan(_hass: HomeAssistant) -> tuple[Any, ...]:
        return ports

    hass.config.components.add("usb")
    component = SimpleNamespace(get_component=lambda: SimpleNamespace(async_scan_serial_ports=scan))
    return patch.object(heads, "async_get_loaded_integration", return_value=component)


async def test_a_known_head_is_offered_by_name_and_its_key_goes_sealed(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, head: MockConfigEntry
) -> None:
    url = f"esphome-hass://esphome/{head.entry_id}?port_name=Optical+head"
    with usb(hass, device("/dev/ttyUSB0"), device(url)):
        result = await choose(hass, await start(hass, entry), "serial")
    (field,) = result["data_schema"].schema.values()
    offered = {option["value"]: option["label"] for option in field.config["options"]}
    assert offered[PORT] == "Cellar: M5Stack Atom (Optical head)"
    assert "/dev/ttyUSB0" not in offered  # of Home Assistant's machine; the bridge names its own
    assert KEY not in str(result)
    result = await go(hass, result, {"port": PORT})
    result = await choose(hass, result, "find")
    (search,) = (request["line"] for verb, request in bridge.requests if verb == "meter/find")
    assert search["serial"] == PORT
    assert bridge.open(search["noise_psk"], "new", search) == f"text:{KEY}"
    result = await go(hass, result, {**ACCESS, "name": "House"})
    await go(hass, result, {"items": ALL[:2]})
    connection = bridge.stored["house"]["connection"]
    assert (connection["serial"], connection["noise_psk"]) == (PORT, f"text:{KEY}")
    assert KEY not in str(broker.published)
    assert KEY not in str([(entry.data, subentry.data) for subentry in entry.subentries.values()])


async def test_another_key_that_was_typed_goes_first(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, head: MockConfigEntry
) -> None:
    with usb(hass, device(f"esphome-hass://esphome/{head.entry_id}?port_name=Optical+head")):
        result = await choose(hass, await start(hass, entry), "serial")
    result = await go(hass, result, {"port": f"{PORT}&noise_psk={KEY[::-1].strip('=')}="})
    await choose(hass, result, "find")
    (search,) = (request["line"] for verb, request in bridge.requests if verb == "meter/find")
    assert bridge.open(search["noise_psk"], "new", search) == f"text:{KEY[::-1].strip('=')}="


@pytest.mark.parametrize(
    ("query", "description", "name"),
    [
        ("port_udev_id=usb-FTDI_123-if00&port_usb_vid=1027", None, "Cellar: usb-FTDI_123-if00"),
        ("port_usb_vid=1027", "FT232R", None),  # the bridge cannot tell ports apart by that
        ("", "FT232R", None),
    ],
)
async def test_ports_by_what_is_plugged_in_there(
    hass: HomeAssistant, head: MockConfigEntry, query: str, description: str | None, name: str | None
) -> None:
    with usb(hass, device(f"esphome-hass://esphome/{head.entry_id}?{query}", description)):
        found = await known_heads(hass)
    assert [row["name"] for row, _ in found] == ([name] if name else [])
    assert all(row["port"] == "esphome://10.0.0.7:6053/?port_udev_id=usb-FTDI_123-if00" for row, _ in found)


async def test_devices_that_are_gone_and_home_assistants_without_serial_proxies(hass: HomeAssistant) -> None:
    nameless = MockConfigEntry(domain="esphome", title="Old", data={})
    nameless.add_to_hass(hass)
    assert await known_heads(hass) == []
    with usb(hass, *(device(f"esphome-hass://esphome/{entry}?port_name=a") for entry in ("gone", nameless.entry_id))):
        assert await known_heads(hass) == []
    with patch.object(heads, "async_get_loaded_integration") as loaded:
        loaded.return_value.get_component.return_value = SimpleNamespace()  # 2025.4
        assert await known_heads(hass) == []
