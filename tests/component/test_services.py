"""Each action: what is asked of the meter, what comes back, and in which words it fails."""

from __future__ import annotations

from typing import Any

import pytest
import voluptuous as vol
from component_fixtures import Broker, add_mqtt_device, settle
from fake_bridge import FakeBridge, Refusal
from homeassistant.core import HomeAssistant, SupportsResponse
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.dlms_mqtt.const import DOMAIN
from custom_components.dlms_mqtt.errors import CODES, USER_MISTAKES
from custom_components.dlms_mqtt.services import ACTIONS


@pytest.fixture
async def device(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> dr.DeviceEntry:
    bridge.stored["house"] = {"name": "House", "connection": {}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    return add_mqtt_device(hass, "house")


async def call(hass: HomeAssistant, name: str, device: Any, **data: Any) -> Any:
    device_id = device.id if isinstance(device, dr.DeviceEntry) else device
    answer = next(action.response for action in ACTIONS if action.name == name) is not SupportsResponse.NONE
    return await hass.services.async_call(
        DOMAIN, name, {"device_id": device_id, **data}, blocking=True, return_response=answer
    )


@pytest.mark.parametrize(
    ("name", "data", "path", "asked"),
    [
        (
            "read",
            {"objects": ["1.0.1.8.0.255", "3/1-0:32.7.0*255:3"]},
            "read",
            {"items": [{"obis": "1.0.1.8.0.255"}, {"obis": "1-0:32.7.0*255", "class": 3, "attribute": 3}]},
        ),
        ("read", {"objects": "1.0.1.8.0"}, "read", {"items": [{"obis": "1.0.1.8.0"}]}),
        ("write", {"key": "tariff", "value": "night"}, "set/tariff", {"value": "night"}),
        (
            "write",
            {"object": "0.0.94.34.11.255", "value": 2, "type": "long-unsigned", "confirm": "house"},
            "write",
            {"obis": "0.0.94.34.11.255", "attribute": 2, "value": 2, "type": "long-unsigned", "confirm": "house"},
        ),
        ("invoke", {"action": "reconnect", "confirm": "house"}, "do/reconnect", {"confirm": "house"}),
        ("invoke", {"object": "0.0.96.3.10.255:2"}, "invoke", {"obis": "0.0.96.3.10.255", "method": 2}),
        (
            "invoke",
            {"object": "0.0.96.3.10.255", "value": "1"},
            "invoke",
            {"obis": "0.0.96.3.10.255", "method": 1, "value": "1"},
        ),
        (
            "get_profile",
            {"key": "load_profile", "start": "2026-11-01 00:00:00", "end": "2026-11-02 00:00:00"},
            "profile",
            {"key": "load_profile", "from": "2026-11-01T00:00:00+01:00", "to": "2026-11-02T00:00:00+01:00"},
        ),
        (
            "get_profile",
            {"obis": "1.0.99.1.0.255", "first": 1, "count": 5},
            "profile",
            {"obis": "1.0.99.1.0.255", "first": 1, "count": 5},
        ),
        ("set_clock", {}, "clock", {"set": True}),
        ("set_clock", {"time": "2026-11-01 12:00:00"}, "clock", {"set": "2026-11-01T12:00:00+01:00"}),
        ("poll", {}, "poll", {}),
        ("poll", {"keys": ["power"]}, "poll", {"keys": ["power"]}),
        ("pause", {"minutes": 10}, "pause", {"minutes": 10}),
        ("pause", {"minutes": 0}, "resume", {}),
    ],
)
async def test_what_is_asked(
    hass: HomeAssistant,
    bridge: FakeBridge,
    device: dr.DeviceEntry,
    name: str,
    data: dict[str, Any],
    path: str,
    asked: dict[str, Any],
) -> None:
    await hass.config.async_set_time_zone("Europe/Vienna")
    assert await call(hass, name, device, **data) == {"meter": "house", "path": path, **asked}


async def test_without_an_answer(hass: HomeAssistant, bridge: FakeBridge, device: dr.DeviceEntry) -> None:
    """A target in YAML makes a list of the device."""
    await hass.services.async_call(DOMAIN, "poll", {}, blocking=True, target={"device_id": [device.id]})
    assert bridge.requests[-1][0] == "poll"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("read", {}),
        ("read", {"objects": ["nonsense"]}),
        ("read", {"objects": []}),
        ("write", {"value": 1}),
        ("write", {"key": "a", "object": "1.0.1.8.0.255", "value": 1}),
        ("write", {"key": "a/b", "value": 1}),
        ("invoke", {}),
        ("get_profile", {}),
        ("pause", {"minutes": -1}),
    ],
)
async def test_calls_that_make_no_sense(
    hass: HomeAssistant, device: dr.DeviceEntry, name: str, data: dict[str, Any]
) -> None:
    with pytest.raises(vol.Invalid):
        await call(hass, name, device, **data)


async def test_one_device_at_a_time(hass: HomeAssistant, device: dr.DeviceEntry) -> None:
    with pytest.raises(vol.Invalid):
        await call(hass, "poll", [device.id, device.id])


@pytest.mark.parametrize("code", sorted(CODES))
async def test_errors_in_words(hass: HomeAssistant, bridge: FakeBridge, device: dr.DeviceEntry, code: str) -> None:
    bridge.refuse["poll"] = Refusal(code, "The meter refused", "Try again", until="21:00")
    with pytest.raises(HomeAssistantError) as caught:
        await call(hass, "poll", device)
    assert caught.value.translation_key == code.replace("-", "_")
    assert isinstance(caught.value, ServiceValidationError) is (code in USER_MISTAKES)
    assert str(caught.value).startswith("house: ")
    assert "{" not in str(caught.value)


async def test_an_error_of_a_newer_bridge(hass: HomeAssistant, bridge: FakeBridge, device: dr.DeviceEntry) -> None:
    bridge.refuse["poll"] = Refusal("brand-new", "Something")
    with pytest.raises(HomeAssistantError, match="Something"):
        await call(hass, "poll", device)


async def test_devices_that_are_no_meters(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, device: dr.DeviceEntry
) -> None:
    stranger = add_mqtt_device(hass, "unknown")
    for target in ("no-such-device", stranger):
        with pytest.raises(ServiceValidationError) as caught:
            await call(hass, "poll", target)
        assert caught.value.translation_key == "not_a_meter"


async def test_the_device_that_the_bridge_names(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, device: dr.DeviceEntry
) -> None:
    bridge.devices = "dlms_mqtt-attic"
    broker.fire(bridge.publish_info())
    ours = add_mqtt_device(hass, "house", devices=bridge.devices)
    await settle(hass)
    await call(hass, "poll", ours)
    with pytest.raises(ServiceValidationError, match="not"):
        await call(hass, "poll", device)


async def test_bridge_away_or_too_new(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, device: dr.DeviceEntry
) -> None:
    broker.fire(bridge.publish_state("offline"))
    await settle(hass)
    with pytest.raises(HomeAssistantError) as caught:
        await call(hass, "poll", device)
    assert caught.value.translation_key == "bridge_offline"
    bridge.api = 2
    broker.fire(bridge.publish_info())
    await settle(hass)
    with pytest.raises(HomeAssistantError) as caught:
        await call(hass, "poll", device)
    assert caught.value.translation_key == "incompatible"


async def test_no_reply_at_all(
    hass: HomeAssistant, bridge: FakeBridge, device: dr.DeviceEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.silent = True
    monkeypatch.setattr("custom_components.dlms_mqtt.services.ACTIONS", ())
    entry = hass.config_entries.async_loaded_entries(DOMAIN)[0]
    monkeypatch.setattr(entry.runtime_data.api, "command", _without_waiting(entry.runtime_data.api.command))
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(DOMAIN, "poll", {"device_id": device.id}, blocking=True)
    assert caught.value.translation_key == "no_reply"


def _without_waiting(command: Any) -> Any:
    async def quick(meter: str, path: str, data: Any, timeout: float) -> Any:
        return await command(meter, path, data, timeout=0.01)

    return quick
