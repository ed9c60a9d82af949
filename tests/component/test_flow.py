"""Adding, moving and removing bridges, and giving a refused password again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from component_fixtures import Broker, make_entry, settle
from fake_bridge import FakeBridge, Message, Refusal
from homeassistant.config_entries import SOURCE_MQTT, SOURCE_USER, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.dlms_mqtt.const import CONF_BASE_TOPIC, CONF_BRIDGE, DOMAIN


def discovered(topic: str, payload: Any) -> MqttServiceInfo:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return MqttServiceInfo(
        topic=topic, payload=text, qos=0, retain=True, subscribed_topic="dlms_mqtt/bridge/+/info", timestamp=0.0
    )


async def discover(hass: HomeAssistant, bridge: FakeBridge) -> Any:
    """The flow that Home Assistant started by itself when it saw the bridge, else the end of one like it."""
    await settle(hass)
    for flow in hass.config_entries.flow.async_progress_by_handler(DOMAIN):
        if flow["context"]["unique_id"] == bridge.bridge:
            return await hass.config_entries.flow.async_configure(flow["flow_id"])
    info = discovered(bridge.topic("info"), bridge.info)
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_MQTT}, data=info)


async def start(hass: HomeAssistant) -> Any:
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})


async def go(hass: HomeAssistant, result: Any, data: dict[str, Any] | None = None) -> Any:
    result = await hass.config_entries.flow.async_configure(result["flow_id"], data if data is not None else {})
    await settle(hass)
    return result


async def test_discovery_is_confirmed_in_one_click(hass: HomeAssistant, bridge: FakeBridge) -> None:
    result = await discover(hass, bridge)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "confirm"
    result = await go(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {CONF_BASE_TOPIC: "dlms_mqtt", CONF_BRIDGE: "main"}
    assert result["result"].unique_id == "main"
    assert result["result"].state is ConfigEntryState.LOADED


async def test_a_read_only_bridge_says_how_to_change_that(hass: HomeAssistant, broker: Broker) -> None:
    bridge = broker.attach(FakeBridge(management=False))
    result = await discover(hass, bridge)
    assert result["step_id"] == "confirm_read_only"
    result = await go(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_a_bridge_that_does_not_answer_is_not_added(hass: HomeAssistant, bridge: FakeBridge) -> None:
    bridge.silent = True
    result = await go(hass, await discover(hass, bridge))
    assert result["errors"] == {"base": "no_reply"}
    bridge.silent = False
    result = await go(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("dlms_mqtt/bridge/main/info", ""),
        ("dlms_mqtt/bridge/main/info", "[1]"),
        ("dlms_mqtt/bridge/main/info", {"bridge": "other"}),
        ("info", {"bridge": "main"}),
    ],
)
async def test_what_is_no_info_is_ignored(hass: HomeAssistant, broker: Broker, topic: str, payload: Any) -> None:
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_MQTT}, data=discovered(topic, payload)
    )
    assert result["reason"] == "invalid_discovery_info"


async def test_another_api_is_not_added(hass: HomeAssistant, broker: Broker) -> None:
    bridge = FakeBridge()
    bridge.api = 2
    broker.attach(bridge)
    assert (await discover(hass, bridge))["reason"] == "incompatible"


async def test_a_known_bridge_is_not_offered_again(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    assert (await discover(hass, bridge))["reason"] == "already_configured"


async def test_a_bridge_that_moved_is_followed_when_it_answers_there_only(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    moved = FakeBridge("other/base")
    moved.silent = True
    broker.attach(moved)
    assert (await discover(hass, moved))["reason"] == "already_configured"
    assert entry.data[CONF_BASE_TOPIC] == "dlms_mqtt"
    moved.silent = False
    assert (await discover(hass, moved))["reason"] == "already_configured"
    assert entry.data[CONF_BASE_TOPIC] == "dlms_mqtt"  # both answer: another bridge with the same id
    bridge.silent = True
    assert (await discover(hass, moved))["reason"] == "already_configured"
    await settle(hass)
    assert entry.data[CONF_BASE_TOPIC] == "other/base"
    assert entry.runtime_data.api.base == "other/base"  # reloaded


async def test_by_hand_without_mqtt(hass: HomeAssistant) -> None:
    result = await start(hass)
    assert result["reason"] == "mqtt_missing"
    assert "mqtt" in result["description_placeholders"]["mqtt_url"]


async def test_by_hand(hass: HomeAssistant, broker: Broker) -> None:
    broker.attach(FakeBridge("home/meters"))
    result = await start(hass)
    assert result["step_id"] == "user"
    for topic, error in (("bad/#", "invalid_topic"), ("empty", "no_bridge")):
        result = await go(hass, result, {CONF_BASE_TOPIC: topic})
        assert result["errors"] == {CONF_BASE_TOPIC: error}
    result = await go(hass, result, {CONF_BASE_TOPIC: "home/meters/"})
    assert result["step_id"] == "confirm"
    result = await go(hass, result)
    assert result["data"] == {CONF_BASE_TOPIC: "home/meters", CONF_BRIDGE: "main"}


async def test_several_bridges_are_several_entries(hass: HomeAssistant, broker: Broker, bridge: FakeBridge) -> None:
    broker.attach(FakeBridge(bridge="cellar"))
    broker.fire(Message("dlms_mqtt/bridge/stray/info", "not ours", retain=True))
    result = await go(hass, await start(hass), {CONF_BASE_TOPIC: "dlms_mqtt"})
    assert result["step_id"] == "pick"
    result = await go(hass, result, {CONF_BRIDGE: "cellar"})
    result = await go(hass, result)
    assert result["result"].unique_id == "cellar"
    result = await go(hass, await start(hass), {CONF_BASE_TOPIC: "dlms_mqtt"})
    assert result["step_id"] == "confirm"
    result = await go(hass, result)
    assert result["result"].unique_id == "main"
    result = await go(hass, await start(hass), {CONF_BASE_TOPIC: "dlms_mqtt"})
    assert result["reason"] == "already_configured"
    assert len(hass.config_entries.async_entries(DOMAIN)) == 2


async def test_by_hand_another_api(hass: HomeAssistant, broker: Broker) -> None:
    bridge = FakeBridge()
    bridge.api = 2
    broker.attach(bridge)
    result = await go(hass, await start(hass), {CONF_BASE_TOPIC: "dlms_mqtt"})
    assert result["reason"] == "incompatible"


async def test_no_reply_when_the_broker_goes_away(hass: HomeAssistant, broker: Broker, bridge: FakeBridge) -> None:
    result = await discover(hass, bridge)
    with patch("homeassistant.components.mqtt.is_connected", return_value=False):
        result = await go(hass, result)
    assert result["errors"] == {"base": "no_reply"}
    with patch("homeassistant.components.mqtt.async_subscribe", side_effect=HomeAssistantError):
        result = await go(hass, result)
    assert result["errors"] == {"base": "no_reply"}
    with patch("homeassistant.components.mqtt.async_publish", side_effect=HomeAssistantError):
        result = await go(hass, result)
    assert result["errors"] == {"base": "no_reply"}


async def test_reconfigure_moves_the_bridge(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await entry.start_reconfigure_flow(hass)
    assert result["step_id"] == "reconfigure"
    broker.attach(FakeBridge("elsewhere", "cellar"))
    for topic, error in (("nothing", "no_bridge"), ("elsewhere", "other_bridge")):
        result = await go(hass, result, {CONF_BASE_TOPIC: topic})
        assert result["errors"] == {CONF_BASE_TOPIC: error}
    broker.attach(FakeBridge("elsewhere"))
    result = await go(hass, result, {CONF_BASE_TOPIC: "elsewhere"})
    assert result["reason"] == "reconfigure_successful"
    assert entry.runtime_data.api.base == "elsewhere"


# Re-authentication


def refused(bridge: FakeBridge, meter: str = "house") -> None:
    bridge.health[meter] = {"status": "password_refused", "error": {"code": "authentication-refused"}}


def reauth_flows(hass: HomeAssistant) -> list[Any]:
    flows = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    return [flow for flow in flows if flow["context"]["source"] == "reauth"]


@pytest.fixture
async def refusing(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> Any:
    bridge.stored["house"] = {"name": "House", "connection": {"tcp": "h:1", "password": "text:old"}, "every": "30s"}
    refused(bridge)
    broker.fire(bridge.publish_info())
    broker.fire(bridge.publish_health())
    await settle(hass)
    (flow,) = reauth_flows(hass)
    return flow


async def test_new_secrets_are_tested_once_and_kept_by_the_bridge(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, refusing: Any
) -> None:
    result = await hass.config_entries.flow.async_configure(refusing["flow_id"])
    assert result["step_id"] == "reauth_confirm"
    assert result["description_placeholders"]["meter"] == "House"
    result = await go(hass, result, {"password_format": "text"})
    assert result["errors"] == {"base": "secret_missing"}
    result = await go(hass, result, {"password_format": "hex", "password": "xyz"})
    assert result["errors"] == {"password": "not_hex"}
    assert not [verb for verb, _ in bridge.requests if verb == "meter/validate"]

    bridge.refuse["meter/validate"] = Refusal("authentication-refused")
    result = await go(hass, result, {"password_format": "text", "password": "wrong"})
    assert result["errors"] == {"base": "authentication_refused"}
    assert len([verb for verb, _ in bridge.requests if verb == "meter/validate"]) == 1

    del bridge.refuse["meter/validate"]
    result = await go(hass, result, {"password_format": "text", "password": "new-secret"})
    assert result["reason"] == "reauth_successful"
    assert bridge.stored["house"]["connection"] == {"tcp": "h:1", "password": "text:new-secret"}
    assert not any("new-secret" in line for line in broker.published)


async def test_a_meter_that_is_content_before_its_answer_came(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, refusing: Any
) -> None:
    """The flow is not taken away from under the person: its page says that it went well."""
    update = bridge._on_meter_update

    def content_first(request: dict[str, Any]) -> Iterator[Any]:
        bridge.health["house"] = {"status": "ok"}
        yield bridge.publish_health()
        yield from update(request)

    with patch.object(bridge, "_on_meter_update", content_first):
        result = await go(hass, refusing, {"password_format": "text", "password": "new-secret"})
    assert result["reason"] == "reauth_successful"
    assert not reauth_flows(hass)


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        ({"code": "security-error", "detail": {"reason": "key"}}, True),
        ({"code": "locked-out", "detail": {"until": "2026-11-28T01:00:00+01:00"}}, True),
        ({"code": "security-error", "detail": {"reason": "counter"}}, False),
        ({"code": "no-answer"}, False),
    ],
)
async def test_only_secrets_are_asked_for_again(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, refusing: Any, error: dict[str, Any], asked: bool
) -> None:
    bridge.health["house"] = {"status": "failing", "error": error}
    broker.fire(bridge.publish_health())
    await settle(hass)
    assert bool(reauth_flows(hass)) is asked


async def test_the_question_is_taken_back_when_the_meter_is_content(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, refusing: Any
) -> None:
    refused(bridge, "other")
    bridge.health["house"] = {"status": "locked_out", "error": {"code": "locked-out"}}
    broker.fire(bridge.publish_health())  # the flow stays, and is not doubled
    await settle(hass)
    assert len(reauth_flows(hass)) == 1
    bridge.health = {"house": {"status": "ok"}}
    broker.fire(bridge.publish_health())
    await settle(hass)
    assert not reauth_flows(hass)


async def test_reauthentication_of_a_meter_that_is_gone(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, refusing: Any
) -> None:
    del bridge.stored["house"]
    result = await go(hass, refusing, {"password_format": "text", "password": "x"})
    assert result["errors"] == {"base": "unknown_meter"}
    await hass.config_entries.async_unload(entry.entry_id)
    result = await go(hass, result, {"password_format": "text", "password": "x"})
    assert result["errors"] == {"base": "no_reply"}


async def test_removing_the_entry_keeps_the_meters(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, refusing: Any
) -> None:
    await hass.config_entries.async_remove(entry.entry_id)
    await settle(hass)
    assert "house" in bridge.stored
    assert not [verb for verb, _ in bridge.requests if verb == "meter/remove"]
    again = make_entry(hass, bridge)
    await hass.config_entries.async_setup(again.entry_id)
    await settle(hass)
    assert [sub.unique_id for sub in again.subentries.values()] == ["house"]
