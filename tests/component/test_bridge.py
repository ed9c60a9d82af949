"""The life of an entry: set up, subentries that follow the bridge, repairs, diagnostics, system health."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from unittest.mock import patch

import pytest
from component_fixtures import Broker, add_mqtt_device, make_entry, settle
from fake_bridge import FakeBridge, Message, Refusal
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info

from custom_components.dlms_mqtt.api import ApiError, BridgeApi
from custom_components.dlms_mqtt.const import DOMAIN
from custom_components.dlms_mqtt.coordinator import find_device
from custom_components.dlms_mqtt.diagnostics import async_get_config_entry_diagnostics
from custom_components.dlms_mqtt.repairs import async_create_fix_flow


def issues(hass: HomeAssistant) -> dict[str, ir.IssueEntry]:
    return {issue_id: issue for (domain, issue_id), issue in ir.async_get(hass).issues.items() if domain == DOMAIN}


def subentries(entry: MockConfigEntry) -> dict[str, str]:
    return {str(sub.unique_id): sub.title for sub in entry.subentries.values()}


async def tell(hass: HomeAssistant, broker: Broker, bridge: FakeBridge) -> None:
    """The bridge publishes what it is now."""
    for message in (bridge.publish_info(), bridge.publish_health()):
        broker.fire(message)
    await settle(hass)


def have(bridge: FakeBridge, meter: str = "house", **config: Any) -> None:
    bridge.stored[meter] = {
        "name": meter.title(),
        "connection": {"tcp": "10.0.0.5:4059", "password": "text:s"},
        **config,
    }


# Set up


async def test_without_mqtt(hass: HomeAssistant) -> None:
    entry = make_entry(hass, FakeBridge())
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state in (ConfigEntryState.SETUP_RETRY, ConfigEntryState.SETUP_ERROR)


async def test_without_a_bridge(hass: HomeAssistant, broker: Broker) -> None:
    entry = make_entry(hass, FakeBridge())
    with patch("custom_components.dlms_mqtt.coordinator.SETUP_WAIT", 0.05):
        await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY


async def test_log_once_when_unavailable(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    caplog.set_level(logging.INFO)
    for state in ("offline", "offline", "online", "online"):
        broker.fire(bridge.publish_state(state))
        await settle(hass)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("custom_components")]
    assert lines == ["Bridge main is unavailable", "Bridge main is available again"]


async def test_unload(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    have(bridge)
    bridge.health["house"] = {"status": "locked_out"}
    await tell(hass, broker, bridge)
    assert issues(hass)
    bridge.silent = True
    api = entry.runtime_data.api
    waiting = hass.async_create_task(api.command("house", "request/poll"))
    answered = hass.async_create_task(api.request("ping"))
    await asyncio.sleep(0)
    list(api._pending.values())[-1].reply.set_result({"status": "ok"})  # in the same turn of the loop
    assert await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ApiError, match="cancelled"):
        await waiting
    assert await answered == {}
    assert not issues(hass)


async def test_rubbish_is_ignored(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    for payload in ("", "nonsense", "[]", "7"):
        for name in ("info", "health", "response/ping"):
            broker.fire(Message(bridge.topic(name), payload))
    broker.fire(Message(bridge.topic("info"), json.dumps({**bridge.info, "meters": [1, {}, {"id": "x"}]})))
    broker.fire(Message(bridge.topic("health"), json.dumps({"meters": {"x": 5, "y": {}}})))
    await settle(hass)
    assert not issues(hass)
    assert entry.runtime_data.meters == {"x": {"id": "x"}}


# The bridge is the truth


async def test_meters_of_the_bridge_become_subentries(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    have(bridge, "cellar")
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    await tell(hass, broker, bridge)
    assert subentries(entry) == {"house": "House", "cellar": "Cellar", "garden": "Garden"}
    have(bridge, name="Home")
    await tell(hass, broker, bridge)
    assert subentries(entry) == {"house": "Home", "cellar": "Cellar", "garden": "Garden"}
    assert await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)
    assert subentries(entry) == {"house": "Home", "cellar": "Cellar", "garden": "Garden"}
    assert not issues(hass)


async def test_a_meter_of_the_bridges_own_file(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """It is shown, comes back when it is deleted here, moves with the bridge, and goes when it leaves the file."""
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    await tell(hass, broker, bridge)
    (subentry,) = entry.subentries.values()
    assert dict(subentry.data) == {"meter": "garden", "file": True}
    hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await settle(hass)
    assert subentries(entry) == {"garden": "Garden"}
    assert not [verb for verb, _ in bridge.requests if verb == "meter/remove"]
    bridge.stored["garden"] = bridge.yaml.pop("garden")
    await tell(hass, broker, bridge)
    assert [dict(row.data) for row in entry.subentries.values()] == [{"meter": "garden"}]
    bridge.yaml["garden"] = bridge.stored.pop("garden")
    await tell(hass, broker, bridge)
    del bridge.yaml["garden"]
    await tell(hass, broker, bridge)
    assert not subentries(entry)
    assert not issues(hass)


async def test_renaming_here_renames_the_meter(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    await tell(hass, broker, bridge)
    (subentry,) = entry.subentries.values()
    hass.config_entries.async_update_subentry(entry, subentry, title="Cellar")
    await settle(hass)
    assert bridge.stored["house"]["name"] == "Cellar"
    assert subentries(entry) == {"house": "Cellar"}
    bridge.refuse["meter/update"] = Refusal("busy")
    hass.config_entries.async_update_subentry(entry, subentry, title="Attic")
    await settle(hass)
    assert subentries(entry) == {"house": "Cellar"}


async def test_a_meter_that_a_flow_is_busy_with_is_left_alone(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """Neither is its title sent to the bridge, nor is it missed there; afterwards both are looked at again."""
    have(bridge)
    await tell(hass, broker, bridge)
    (subentry,) = entry.subentries.values()
    entry.runtime_data.busy.add("house")
    hass.config_entries.async_update_subentry(entry, subentry, title="Cellar")
    await settle(hass)
    assert bridge.stored["house"]["name"] != "Cellar"
    before = bridge.stored.pop("house")
    await tell(hass, broker, bridge)
    assert not issues(hass)
    entry.runtime_data.busy.discard("house")
    await tell(hass, broker, bridge)
    assert list(issues(hass)) == ["orphan_main_house"]
    bridge.stored["house"] = before
    await tell(hass, broker, bridge)
    assert not issues(hass)


async def test_the_hub_is_called_as_the_bridge_is(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.name = "Meters of the cellar"
    await tell(hass, broker, bridge)
    assert entry.title == "Meters of the cellar"
    hass.config_entries.async_update_entry(entry, title="Mine")
    await tell(hass, broker, bridge)
    assert entry.title == "Mine"


async def test_an_orphan_raises_a_repair_that_vanishes(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    await tell(hass, broker, bridge)
    config = bridge.stored.pop("house")
    await tell(hass, broker, bridge)
    issue = issues(hass)["orphan_main_house"]
    assert issue.is_fixable
    assert subentries(entry) == {"house": "House"}
    bridge.stored["house"] = config
    await tell(hass, broker, bridge)
    assert not issues(hass)

    del bridge.stored["house"]
    await tell(hass, broker, bridge)
    result = await fix(hass, "orphan_main_house")
    assert result["type"] == "create_entry"
    await settle(hass)
    assert not issues(hass)
    assert not subentries(entry)
    assert not [verb for verb, _ in bridge.requests if verb == "meter/remove"]


async def test_a_removal_the_bridge_refuses_comes_back(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    await tell(hass, broker, bridge)
    bridge.refuse["meter/remove"] = Refusal("not-allowed", "Management is off")
    (subentry_id,) = entry.subentries
    hass.config_entries.async_remove_subentry(entry, subentry_id)
    await settle(hass)
    assert subentries(entry) == {"house": "House"}
    assert issues(hass)["removal_failed_main_house"].translation_placeholders["detail"] == " (Management is off)"

    bridge.refuse["meter/remove"] = Refusal("unknown-meter")
    (subentry_id,) = entry.subentries
    hass.config_entries.async_remove_subentry(entry, subentry_id)
    await settle(hass)
    assert not issues(hass)
    assert not subentries(entry)


# Repairs


@pytest.mark.parametrize(
    ("health", "key", "placeholder"),
    [
        ({"status": "locked_out", "next_try": "21:00"}, "locked_out", ("until", "21:00")),
        ({"error": {"code": "locked-out", "detail": {"until": "22:00"}}}, "locked_out", ("until", "22:00")),
        (
            {"error": {"code": "security-error", "message": "Too low", "detail": {"reason": "counter"}}},
            "counter_refused",
            ("meter", "House"),
        ),
        (
            {"error": {"code": "no-answer", "message": "Silence"}, "consecutive_failures": 3},
            "line_failing",
            ("detail", " (Silence)"),
        ),
        ({"status": "ok", "clock_drift": -75.4}, "clock_drift", ("seconds", "-75")),
        ({"status": "ok", "held": {"energy_import": {"value": 1}}}, "energy_held", ("keys", "energy_import")),
        ({"status": "ok", "held": ["energy_import"]}, "energy_held", ("keys", "energy_import")),
    ],
)
async def test_a_repair_lasts_as_long_as_the_trouble(
    hass: HomeAssistant,
    broker: Broker,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    health: dict[str, Any],
    key: str,
    placeholder: tuple[str, str],
) -> None:
    have(bridge)
    bridge.health["house"] = health
    await tell(hass, broker, bridge)
    (issue,) = issues(hass).values()
    assert issue.translation_key == key
    assert issue.translation_placeholders["meter"] == "House"
    assert issue.translation_placeholders[placeholder[0]] == placeholder[1]
    bridge.health["house"] = {"status": "ok", "clock_drift": 2, "held": {}, "error": None}
    await tell(hass, broker, bridge)
    assert not issues(hass)


async def test_a_refused_password_that_cannot_be_changed_from_here(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    bridge.health["garden"] = {"error": {"code": "authentication-refused"}}
    await tell(hass, broker, bridge)
    assert list(issues(hass)) == ["password_refused_main_garden"]
    assert not [
        f for f in hass.config_entries.flow.async_progress_by_handler(DOMAIN) if f["context"]["source"] == "reauth"
    ]


@pytest.mark.parametrize(
    ("api", "version", "key"),
    [
        (2, "9.0.0", "bridge_too_new"),
        (1, "0.0.1", "bridge_too_old"),
        (1, "nonsense", "bridge_too_old"),
        (0, "1.0", "bridge_too_old"),
    ],
)
async def test_versions(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, api: int, version: str, key: str
) -> None:
    have(bridge)
    bridge.api, bridge.version = api, version
    await tell(hass, broker, bridge)
    assert list(issues(hass)) == [f"{key}_main_main"]
    assert not subentries(entry)
    bridge.api, bridge.version = 1, "0.1.0"
    await tell(hass, broker, bridge)
    assert not issues(hass)
    assert subentries(entry) == {"house": "House"}


async def fix(hass: HomeAssistant, issue_id: str) -> Any:
    """Press Submit in the repair's flow."""
    issue = issues(hass)[issue_id]
    flow = await async_create_fix_flow(hass, issue_id, dict(issue.data or {}))
    flow.hass, flow.handler, flow.flow_id, flow.init_data = hass, DOMAIN, "flow", {}
    assert (await flow.async_step_init())["type"] == "form"
    return await flow.async_step_confirm({})


async def test_repairs_that_are_commands(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    changed = {"old": "1", "new": "2", "time": "2026-11-29T12:00:00+00:00"}
    bridge.health["house"] = {"clock_drift": 100, "held": ["energy_import"], "meter_changed": changed}
    await tell(hass, broker, bridge)
    accept = "do/accept_energy"
    for key, path in (("clock_drift", "clock"), ("energy_held", accept), ("meter_changed", accept)):
        bridge.refuse[path] = Refusal("access-denied")
        assert (await fix(hass, f"{key}_main_house"))["errors"] == {"base": "failed"}
        del bridge.refuse[path]
        assert (await fix(hass, f"{key}_main_house"))["type"] == "create_entry"
        assert bridge.requests[-1][0] == path
    flow = await async_create_fix_flow(hass, "x", {"key": "clock_drift", "bridge": "gone", "meter": "m", "data": ""})
    flow.hass, flow.handler, flow.flow_id = hass, DOMAIN, "flow"
    assert (await flow.async_step_confirm({}))["reason"] == "not_loaded"


async def test_an_orphan_that_went_by_itself(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    flow = await async_create_fix_flow(hass, "x", {"key": "orphan", "bridge": "main", "meter": "m", "data": "gone"})
    flow.hass, flow.handler, flow.flow_id, flow.init_data = hass, DOMAIN, "flow", {}
    assert (await flow.async_step_confirm({}))["type"] == "create_entry"


# Diagnostics and system health


async def test_diagnostics_are_redacted_and_useful(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    have(bridge)
    bridge.yaml["garden"] = {
        "name": "Garden",
        "connection": {"serial": "/dev/ttyS0", "system_title": "4B414D0000000001"},
    }
    bridge.health["garden"] = {"status": "ok", "identification": {"serial_number": "12345678"}}
    await tell(hass, broker, bridge)
    add_mqtt_device(hass, "house")
    found = await async_get_config_entry_diagnostics(hass, entry)
    text = json.dumps(found)
    for private in ("10.0.0.5", "4B414D0000000001", "12345678", "text:s"):
        assert private not in text
    assert found["meters"]["garden"]["managed"] is False
    assert found["meters"]["garden"]["configuration"]["connection"]["serial"] == "/dev/ttyS0"
    assert found["meters"]["house"]["device_found"] is True
    assert found["meters"]["garden"]["device_found"] is False
    bridge.refuse["config"] = Refusal("internal")
    found = await async_get_config_entry_diagnostics(hass, entry)
    assert found["meters"]["house"]["configuration"] == {"error": "internal"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"tcp": "meter.home.example:4059"}, "nobody listens at meter.home.example:4059"),
        ({"serial": "rfc2217://pi:2217"}, "rfc2217://pi:2217 is picky"),
        ({"udp": "[fe80::7]:4059"}, "no answer from udp://[fe80::7]:4059"),
        ({"tcp": "gateway"}, "nobody listens at 192.168.1.20:4059, after 1.0.1.8.0.255:2"),
        ({"serial": "/dev/ttyUSB0"}, "the peer's system title is 4b414d0000000007"),
    ],
)
async def test_messages_in_diagnostics_name_no_address(
    hass: HomeAssistant,
    broker: Broker,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    line: dict[str, str],
    message: str,
) -> None:
    bridge.stored["house"] = {"name": "House", "connection": line}
    bridge.health["house"] = {"status": "no_answer", "error": {"code": "link-down", "message": message}}
    bridge.health["attic"] = {"status": "ok"}
    await tell(hass, broker, bridge)
    found = await async_get_config_entry_diagnostics(hass, entry)
    for private in ("meter.home", "://pi", "fe80", "192.168", "4b414d0000000007"):
        assert private not in json.dumps(found)
    told = found["meters"]["house"]["health"]["error"]["message"]
    assert "**REDACTED**" in told
    assert ("picky" in told) is ("picky" in message)
    assert ("1.0.1.8.0.255" in told) is ("1.0.1.8.0.255" in message)


async def test_system_health(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    have(bridge)
    bridge.health["house"] = {"status": "ok"}
    await tell(hass, broker, bridge)
    assert await async_setup_component(hass, "system_health", {})
    await settle(hass)
    assert await get_system_health_info(hass, DOMAIN) == {
        "api": 1,
        "bridges": 1,
        "bridges_online": 1,
        "bridge_versions": "0.1.0",
        "meters": 1,
        "meters_ok": 1,
    }


async def test_no_device_without_mqtt(hass: HomeAssistant) -> None:
    assert find_device(hass, "dlms_mqtt_house") is None


# The request and its reply


async def test_no_reply(hass: HomeAssistant, bridge: FakeBridge) -> None:
    bridge.silent = True
    api = BridgeApi(hass, "dlms_mqtt", "main")
    with pytest.raises(ApiError) as caught:
        await api.request("ping", timeout=0.01)
    assert caught.value.code == "no-reply"


async def test_without_a_broker(hass: HomeAssistant) -> None:
    with pytest.raises(ApiError) as caught:
        await BridgeApi(hass, "dlms_mqtt", "main").request("ping")
    assert caught.value.code == "broker-unavailable"


async def test_a_reply_counts_once(hass: HomeAssistant, broker: Broker, bridge: FakeBridge) -> None:
    api = BridgeApi(hass, "dlms_mqtt", "main")
    await api.subscribe()
    await settle(hass)

    def twice(_request: dict[str, Any]) -> Any:
        yield {"status": "progress", "data": {}}
        yield {"status": "ok", "data": {"first": True}}
        yield {"status": "ok", "data": {"first": False}}

    with patch.object(bridge, "_on_ping", twice):
        assert await api.request("ping") == {"first": True}
    api.close()


# Language


async def test_the_bridge_is_told_our_language(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """Once for every start of the bridge, and again where it is another one."""

    def told() -> list[str]:
        return [request["language"] for verb, request in bridge.requests if verb == "language"]

    await tell(hass, broker, bridge)
    assert told() == ["en"]
    await hass.config.async_update(language="de")
    await settle(hass)
    assert told() == ["en", "de"]
    broker.fire(Message(bridge.topic("state"), "offline", True))
    bridge.started = "2026-11-23T20:00:00+00:00"
    await tell(hass, broker, bridge)
    assert told() == ["en", "de"]
    broker.fire(bridge.publish_state())
    await tell(hass, broker, bridge)
    assert told() == ["en", "de", "de"]


async def test_a_bridge_that_takes_no_language(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.refuse["language"] = Refusal("unknown-request")
    bridge.started = "2026-11-23T20:00:00+00:00"
    with caplog.at_level(logging.DEBUG, "custom_components.dlms_mqtt"):
        await tell(hass, broker, bridge)
    assert "main is not told the language" in caplog.text
