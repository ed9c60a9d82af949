"""Adding, changing and removing meters through the subentry flow."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from component_fixtures import Broker, add_mqtt_device, settle
from fake_bridge import OBJECTS, FakeBridge, Message, Refusal
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.dlms_mqtt import bridge_flow, coordinator
from custom_components.dlms_mqtt.const import DOMAIN
from custom_components.dlms_mqtt.errors import LINE_FAULTS
from custom_components.dlms_mqtt.meter_flow import MeterFlow

ACCESS = {
    "name": "House meter",
    "client": 32,
    "authentication": "low",
    "password": "12345678",
    "password_format": "text",
    "ciphering": {"security": "automatic"},
}
ALL = [f"{row['obis']}:2" for row in OBJECTS]


async def start(hass: HomeAssistant, entry: MockConfigEntry) -> Any:
    return await hass.config_entries.subentries.async_init((entry.entry_id, "meter"), context={"source": SOURCE_USER})


async def reconfigure(hass: HomeAssistant, entry: MockConfigEntry) -> Any:
    (subentry_id,) = entry.subentries
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "meter"), context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id}
    )


async def go(hass: HomeAssistant, result: Any, data: dict[str, Any] | None = None) -> Any:
    """Answer a step, and wait out the progress steps behind it."""
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], data)
    for _ in range(5):
        if result["type"] is not FlowResultType.SHOW_PROGRESS:
            break
        await settle(hass)
        result = await hass.config_entries.subentries.async_configure(result["flow_id"])
    return result


async def choose(hass: HomeAssistant, result: Any, step: str) -> Any:
    assert result["type"] is FlowResultType.MENU
    return await go(hass, result, {"next_step_id": step})


async def to_access(hass: HomeAssistant, entry: MockConfigEntry) -> Any:
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "10.0.0.5", "port": 4059})
    result = await choose(hass, result, "preset")
    return await go(hass, result, {"preset": "omnia"})


async def search_without_end(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> Any:
    """A search that the bridge has begun and says nothing of."""
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "h", "port": 1})
    bridge.silent = True
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], {"next_step_id": "find"})
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    for _ in range(20):
        await asyncio.sleep(0)
    return result


def suggested(result: Any) -> dict[str, Any]:
    return {
        str(key): key.description["suggested_value"]
        for key in result["data_schema"].schema
        if key.description and "suggested_value" in key.description
    }


@pytest.fixture
async def house(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> MockConfigEntry:
    """A meter that the bridge has."""
    bridge.stored["house"] = {
        "name": "House",
        "preset": "omnia",
        "connection": {"tcp": "10.0.0.5:4059", "client": 32, "authentication": "low", "password": "text:secret"},
        "every": "1m",
        "read": {"set": "core", "also": [{"obis": "1.0.32.7.0.255", "every": "10s"}]},
        "allow": ["write"],
    }
    broker.fire(bridge.publish_info())
    await settle(hass)
    return entry


async def test_add_by_preset(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await to_access(hass, entry)
    assert result["step_id"] == "access"
    result = await go(hass, result, ACCESS)
    assert result["step_id"] == "items"
    assert suggested(result)["items"] == ALL[:2]
    result = await go(hass, result, {"items": [ALL[0], ALL[2]], "every": 60, "fast_items": [ALL[0]], "fast_every": 10})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await settle(hass)

    assert bridge.stored == {
        "house-meter": {
            "name": "House meter",
            "preset": "omnia",
            "connection": {
                "tcp": "10.0.0.5:4059",
                "client": 32,
                "authentication": "low",
                "password": "text:12345678",
            },
            "every": "60s",
            "read": {
                "set": "core",
                "except": ["voltage_l1"],
                "also": [
                    {"obis": "1.0.1.8.0.255", "class": 3, "attribute": 2, "every": "10s"},
                    {"obis": "1.0.96.5.0.255", "class": 1, "attribute": 2},
                ],
            },
        }
    }
    (subentry,) = entry.subentries.values()
    assert (subentry.unique_id, subentry.title, dict(subentry.data)) == (
        "house-meter",
        "House meter",
        {"meter": "house-meter"},
    )
    assert not any("12345678" in line for line in broker.published)

    # The last page leads to the device that MQTT discovery made; the component's own leads there too.
    device = dr.async_get(hass).async_get(result["description_placeholders"]["url"].rsplit("/", 1)[1])
    assert device is not None
    assert ("mqtt", "dlms_mqtt_house-meter") in device.identifiers
    assert result["description"] == "device"
    await settle(hass)
    (own,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    assert own.configuration_url == f"homeassistant://config/devices/device/{device.id}"
    entities = er.async_entries_for_device(er.async_get(hass), own.id, include_disabled_entities=True)
    assert {entity.unique_id for entity in entities} == {
        "main_house-meter_meter_status",
        "main_house-meter_meter_history",
        "main_house-meter_meter_event",
    }


async def test_find_it_for_me(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await choose(hass, await start(hass, entry), "serial")
    assert "in_use_by" not in str(result["data_schema"])
    result = await go(hass, result, {"port": "/dev/serial/by-id/usb-probe"})
    result = await choose(hass, result, "find")
    assert result["step_id"] == "access"
    assert suggested(result)["client"] == 32
    with patch.object(bridge, "publish_discovery", return_value=Message("x", "")):
        fields = {**ACCESS, "name": "!!", "authentication": "automatic", "password": ""}
        result = await go(hass, result, fields)
        result = await go(hass, result, {"items": ALL[:2]})
    assert result["description"] == "mqtt"  # no device yet
    connection = bridge.stored["meter"]["connection"]
    assert connection["serial"] == "/dev/serial/by-id/usb-probe"
    assert connection["framing"] == "wrapper"
    assert "authentication" not in connection
    assert bridge.stored["meter"]["read"] == {"set": "core", "except": [], "also": []}


HEAD = "esphome://head.local/?port_name=meter"
HEAD_KEY = "qL3+9/bSjmeXrYt2kTzBfYh0p7xVdO5Q1u4wCnZsAgE="


async def test_behind_an_esphome_device(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    """Its key is typed into the address; it leaves the flow sealed only, for this meter and line."""
    result = await choose(hass, await start(hass, entry), "serial")
    result = await go(hass, result, {"port": f"{HEAD}&noise_psk={HEAD_KEY}"})
    result = await choose(hass, result, "find")
    (search,) = (request["line"] for verb, request in bridge.requests if verb == "meter/find")
    assert search["serial"] == HEAD
    assert bridge.open(search["noise_psk"], "new", search) == f"text:{HEAD_KEY}"
    bridge.refuse["meter/validate"] = Refusal("association-refused")
    result = await go(hass, result, {**ACCESS, "name": "House", "password": "wrong"})
    del bridge.refuse["meter/validate"]
    result = await go(hass, result, {**ACCESS, "name": "House"})
    await go(hass, result, {"items": ALL[:2]})
    connection = bridge.stored["house"]["connection"]
    assert (connection["serial"], connection["noise_psk"]) == (HEAD, f"text:{HEAD_KEY}")
    assert HEAD_KEY not in str(bridge.requests)
    assert HEAD_KEY not in str([(entry.data, subentry.data) for subentry in entry.subentries.values()])


FOUND_NOTHING = {
    "not found": (
        {"names": ["echo", "brand-new"], "causes": ["Only echo.", "Something else."]},
        "en",
        "- Only our own",
    ),
    "auf Deutsch": ({"names": ["echo", "brand-new"], "causes": ["Only echo.", "Something else."]}, "de", "- Nur die"),
    "odd": ({"names": ["echo"], "causes": None}, "en", "No answer from the meter."),
    "refused": (None, "en", "could not be opened, or was lost (The port is in use). Check it"),
}


@pytest.mark.parametrize("reply", FOUND_NOTHING)
async def test_what_was_seen_on_the_line_is_said(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, reply: str
) -> None:
    facts, hass.config.language, expected = FOUND_NOTHING[reply]

    def find(_request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"status": "progress", "data": {"done": 1, "total": 0}}
        yield {"status": "progress", "data": {"stage": "x"}}
        if facts is None:
            raise Refusal("link-down", "The port is in use.", "Pause the other program")
        yield {"status": "ok", "data": {"found": False, "diagnosis": "Only echo", **facts}}

    result = await choose(hass, await start(hass, entry), "udp")
    result = await go(hass, result, {"host": "fe80::1", "port": 4059})
    with patch.object(bridge, "_on_meter_find", find):
        result = await choose(hass, result, "find")
    assert result["step_id"] == "find_failed"
    causes = result["description_placeholders"]["causes"]
    assert expected in causes
    assert (facts is not None and bool(facts["causes"])) == causes.endswith("\n- Something else.")
    result = await choose(hass, result, "find")
    assert result["step_id"] == "access"
    assert [request["line"] for verb, request in bridge.requests if verb == "meter/find"] == [
        {"udp": "[fe80::1]:4059"},
        {"udp": "[fe80::1]:4059"},
    ]


async def test_progress_is_shown_where_home_assistant_can(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[float] = []
    flow = MeterFlow()
    monkeypatch.setattr(MeterFlow, "async_update_progress", lambda self, part: shown.append(part), raising=False)
    for data in ({"done": 3, "total": 4}, {"done": 9, "total": 3}, {"done": 1, "total": 0}, {"stage": "x"}):
        flow._show_progress(data)
    monkeypatch.setattr(MeterFlow, "async_update_progress", None)  # 2025.4
    flow._show_progress({"done": 1, "total": 2})
    assert shown == [0.75, 1.0]


async def test_a_search_that_is_closed_is_cancelled(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await search_without_end(hass, bridge, entry)
    hass.config_entries.subentries.async_abort(result["flow_id"])
    await settle(hass)
    find, cancel = (json.loads(line.split(" ", 1)[1]) for line in broker.published[-2:])
    assert broker.published[-1].startswith("dlms_mqtt/bridge/main/request/cancel ")
    assert find["id"] == cancel["id"]


async def test_remote_serial(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await choose(hass, await start(hass, entry), "remote")
    result = await go(hass, result, {"protocol": "rfc2217", "host": " pi ", "port": 2217})
    await choose(hass, result, "find")
    assert bridge.requests[-1][1]["line"] == {"serial": "rfc2217://pi:2217"}


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal("no-answer"), "no_answer"),
        (Refusal("no-answer", reason="echo"), "echo_only"),
        (Refusal("no-answer", reason="wrong-address"), "wrong_address"),
        (Refusal("association-refused", reason="wrong-address", name="disconnected-mode"), "wrong_address"),
        (Refusal("no-answer", reason="wrong-client"), "wrong_client"),
        (Refusal("association-refused", name="authentication-required"), "password_required"),
        (Refusal("association-refused", name="no-reason-given"), "association_refused"),
        (Refusal("no-answer", reason="silent"), "no_sign_on"),
        (Refusal("no-answer", reason="clear-text"), "clear_text"),
        (Refusal("authentication-refused"), "authentication_refused"),
        (Refusal("locked-out", until="2026-11-22T21:00:00+01:00"), "locked_out"),
        (Refusal("security-error", reason="tag"), "key_wrong"),
        (Refusal("security-error", reason="counter"), "counter_refused"),
        (Refusal("security-error"), "security_error"),
        (Refusal("link-down"), "link_down"),
        (Refusal("brand-new-code"), "internal"),
    ],
)
async def test_each_failure_has_its_own_sentence(
    hass: HomeAssistant,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    english: dict[str, Any],
    refusal: Refusal,
    error: str,
) -> None:
    bridge.refuse["meter/validate"] = refusal
    result = await go(hass, await to_access(hass, entry), ACCESS)
    if error in LINE_FAULTS:
        assert (result["step_id"], result["menu_options"]) == ("test_failed", ["test", "access", "line", "find"])
        told = english["config_subentries"]["meter"]["error"][error].replace("{detail}", "")
        assert result["description_placeholders"]["causes"] == told
        result = await choose(hass, result, "access")
    assert result["step_id"] == "access"
    assert result["errors"] == {"base": error}
    assert suggested(result) == {"name": "House meter", "client": 32, "authentication": "low"}  # no secret
    assert result["description_placeholders"]["until"] == ("2026-11-22 12:00" if error == "locked_out" else "?")
    assert len([verb for verb, _ in bridge.requests if verb == "meter/validate"]) == 1

    # The secret that was given stays without being typed again.
    del bridge.refuse["meter/validate"]
    result = await go(hass, result, {key: value for key, value in ACCESS.items() if key != "password"})
    assert result["step_id"] == "items"
    await go(hass, result, {"items": []})
    assert bridge.stored["house-meter"]["connection"]["password"] == "text:12345678"
    assert bridge.stored["house-meter"]["read"]["except"] == ["energy_import", "voltage_l1"]


async def test_where_nothing_was_reached_the_line_can_be_changed(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """What was given before stays but for the secrets, which were sealed for the old line; a search finds the rest."""
    bridge.refuse["meter/validate"] = Refusal("no-answer")
    keys = {"security": "both", "encryption_key": "00" * 16, "authentication_key": "11" * 16}
    result = await go(hass, await to_access(hass, entry), {**ACCESS, "ciphering": keys})
    assert (await choose(hass, result, "test"))["step_id"] == "test_failed"
    result = await go(hass, await choose(hass, await choose(hass, result, "line"), "udp"), {"host": "h", "port": 1})
    result = await choose(hass, result, "find")
    assert suggested(result)["client"] == 32
    result = await go(hass, result, {**ACCESS, "client": 32, "password": ""})
    assert result["errors"] == {"password": "password_missing"}
    result = await go(hass, result, {**ACCESS, "client": 32, "ciphering": keys})
    del bridge.refuse["meter/validate"]
    await go(hass, await choose(hass, result, "test"), {"items": []})
    assert bridge.stored["house-meter"]["connection"] == {
        "udp": "h:1",
        "client": 32,
        "framing": "wrapper",
        "authentication": "low",
        "security": "both",
        "password": "text:12345678",
        "encryption_key": "hex:" + "00" * 16,
        "authentication_key": "hex:" + "11" * 16,
    }
    assert "preset" not in bridge.stored["house-meter"]


async def test_a_meter_that_moved_can_be_given_another_line_after_a_failed_test(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    bridge.refuse["meter/validate"] = Refusal("link-down")
    result = await choose(hass, await reconfigure(hass, house), "access")
    result = await go(hass, result, {**ACCESS, "password": ""})
    assert result["menu_options"] == ["test", "access", "line"]
    result = await go(hass, await choose(hass, await choose(hass, result, "line"), "tcp"), {"host": "h", "port": 1})
    del bridge.refuse["meter/validate"]
    result = await go(hass, result, ACCESS)
    assert result["reason"] == "reconfigure_successful"
    assert bridge.stored["house"]["connection"]["tcp"] == "h:1"


async def test_mistakes_in_the_form(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    result = await to_access(hass, entry)
    result = await go(hass, result, {**ACCESS, "name": "  "})
    assert result["errors"] == {"name": "name_missing"}
    result = await go(hass, result, {**ACCESS, "password": ""})
    assert result["errors"] == {"password": "password_missing"}
    result = await go(hass, result, {**ACCESS, "password": "123", "password_format": "hex"})
    assert result["errors"] == {"password": "not_hex"}
    wrong = {"encryption_key": "00", "authentication_key": "x" * 32, "system_title": "4B"}
    result = await go(hass, result, {**ACCESS, "ciphering": {"security": "automatic", **wrong}})
    assert result["errors"] == {"base": "not_hex"}  # the frontend shows no error within a section
    right = {"encryption_key": "00 11" * 8, "authentication_key": "aa:" * 16, "system_title": "4B414D0000000001"}
    ciphering = {"security": "both", **right}
    result = await go(hass, result, {**ACCESS, "ciphering": ciphering, "password": "31 32", "password_format": "hex"})
    assert result["step_id"] == "items"
    request = next(request for verb, request in bridge.requests if verb == "meter/validate")
    sent, meter = request["config"]["connection"], request["meter"]
    assert {
        key: bridge.open(sent[key], meter, sent) for key in ("encryption_key", "authentication_key", "password")
    } == {
        "encryption_key": "hex:" + "0011" * 8,
        "authentication_key": "hex:" + "aa" * 16,
        "password": "hex:3132",
    }


async def test_a_password_is_sent_where_nothing_says_how(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await go(hass, await to_access(hass, entry), {**ACCESS, "authentication": "automatic"})
    assert result["step_id"] == "items"
    sent = next(request for verb, request in bridge.requests if verb == "meter/validate")["config"]["connection"]
    assert sent["authentication"] == "low"


async def test_families_that_only_push_are_not_offered(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "h", "port": 4059})
    result = await choose(hass, result, "preset")
    (preset,) = result["data_schema"].schema
    assert preset.default() == "generic"
    options = [option["value"] for option in result["data_schema"].schema[preset].config["options"]]
    assert options == ["generic", "acme", "omnia"]


async def test_the_ciphering_section_opens_for_ciphered_meters(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    for security, collapsed in (("none", True), ("both", False)):
        bridge.stored["house"]["connection"] |= {"security": security} | ({} if collapsed else {"suite": 1})
        result = await choose(hass, await reconfigure(hass, house), "access")
        assert result["data_schema"].schema["ciphering"].options["collapsed"] is collapsed
        section = {"data_schema": result["data_schema"].schema["ciphering"].schema}
        assert suggested(section).get("suite") == (None if collapsed else "1")
        hass.config_entries.subentries.async_abort(result["flow_id"])


async def test_a_bridge_with_a_broken_key(hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: Any) -> None:
    result = await to_access(hass, entry)
    entry.runtime_data.info["seal"] = "???"
    result = await go(hass, result, ACCESS)
    assert result["errors"] == {"base": "not_sealed"}
    assert not [verb for verb, _ in bridge.requests if verb == "meter/validate"]


async def test_lists_that_do_not_come(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    bridge.refuse = {"ports": Refusal("internal"), "presets": Refusal("internal"), "meter/objects": Refusal("timeout")}
    result = await choose(hass, await start(hass, entry), "serial")
    result = await go(hass, result, {"port": "/dev/ttyUSB7"})
    result = await choose(hass, result, "preset")
    assert result["errors"] == {"base": "internal"}
    del bridge.refuse["presets"]
    result = await go(hass, await to_access(hass, entry), ACCESS)
    assert result["errors"] == {"base": "timeout"}


async def test_an_id_is_taken_once(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    result = await go(hass, await to_access(hass, house), {**ACCESS, "name": "House", "server": 17})
    find = coordinator.find_device

    def find_a_little_later(hass: HomeAssistant, identifier: str) -> object:
        """Discovery comes while the flow waits for it."""
        if (device := find(hass, identifier)) is None:
            hass.loop.call_soon(add_mqtt_device, hass, "house-2")
        return device

    with (
        patch.object(bridge, "publish_discovery", return_value=Message("x", "")),
        patch.object(coordinator, "find_device", find_a_little_later),
        patch.object(bridge_flow, "DEVICE_WAIT", 30.0),
    ):
        result = await go(hass, result, {"items": ALL})
    assert result["description"] == "device"
    assert set(bridge.stored) == {"house", "house-2"}


async def test_the_bridge_says_which_device_it_is(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """Another bridge has a meter of the same id: its device is not taken for ours."""
    bridge.devices = "dlms_mqtt-attic"
    add_mqtt_device(hass, "house")
    ours = add_mqtt_device(hass, "house", devices=bridge.devices)
    with (
        patch.object(coordinator, "find_device", wraps=coordinator.find_device) as find,
        patch.object(bridge_flow, "DEVICE_WAIT", 30.0),
    ):
        result = await go(hass, await to_access(hass, entry), {**ACCESS, "name": "House"})
        result = await go(hass, result, {"items": ALL})
    assert result["description"] == "device"
    assert entry.runtime_data.device("house").id == ours.id
    assert {call.args[1] for call in find.call_args_list} <= {None, "dlms_mqtt-attic_house"}


async def test_save_says_why_and_tries_again(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    bridge.refuse["meter/add"] = Refusal("not-allowed", "No space")
    result = await go(hass, await to_access(hass, entry), ACCESS)
    result = await go(hass, result, {"items": ALL})
    assert (result["step_id"], result["errors"]) == ("save", {"base": "not_allowed"})
    assert not entry.subentries
    del bridge.refuse["meter/add"]
    result = await go(hass, result, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await settle(hass)
    assert len(entry.subentries) == 1


async def test_a_flow_left_behind_leaves_the_meter_to_the_bridge(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    with patch("custom_components.dlms_mqtt.meter_flow.MeterFlow._wait_for_device", side_effect=RuntimeError):
        result = await go(hass, await to_access(hass, entry), ACCESS)
        with pytest.raises(RuntimeError):
            await go(hass, result, {"items": ALL})
    await settle(hass)
    assert not entry.subentries
    hass.config_entries.subentries.async_abort(result["flow_id"])
    await settle(hass)
    assert [sub.unique_id for sub in entry.subentries.values()] == ["house-meter"]


async def test_an_error_of_ours_is_logged_and_said(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "h", "port": 1})
    with patch.object(entry.runtime_data.api, "request", side_effect=RuntimeError("bug")):
        result = await choose(hass, result, "find")
    assert result["step_id"] == "find_failed"
    assert "RuntimeError: bug" in caplog.text


@pytest.mark.parametrize("source", [start, reconfigure])
async def test_when_meters_cannot_be_changed(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry, source: Any
) -> None:
    bridge.management = False
    broker.fire(bridge.publish_info())
    await settle(hass)
    assert (await source(hass, house))["reason"] == "management_off"
    broker.fire(bridge.publish_state("offline"))
    await settle(hass)
    assert (await source(hass, house))["reason"] == "bridge_offline"
    bridge.api = 2
    broker.fire(bridge.publish_info())
    await settle(hass)
    assert (await source(hass, house))["reason"] == "incompatible"
    assert await hass.config_entries.async_unload(house.entry_id)
    assert (await source(hass, house))["reason"] == "not_loaded"


# Reconfigure


LEARNED = {
    "manufacturer": "DMQ",
    "logical_device_name": "DMQ0330123456",
    "serial_number": "0330123456",
    "clients": [{"client": 16, "access": "open"}, {"client": 32, "access": "password"}],
}


async def test_what_a_search_found_is_told(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry) -> None:
    bridge.learned = LEARNED
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "10.0.0.5", "port": 4059})
    result = await choose(hass, result, "find")
    assert result["description_placeholders"]["found"] == (
        "**Found:** DMQ, DMQ0330123456, 0330123456, wrapper, server 1.\n\n"
        "Client addresses that need no password: 16.\n\nClient addresses that want a password: 32.\n\n"
    )
    assert suggested(result)["name"] == "DMQ 123456"


async def test_a_password_with_the_public_client_is_questioned(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.learned = LEARNED
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await choose(hass, await go(hass, result, {"host": "10.0.0.5", "port": 4059}), "find")
    fields = {**ACCESS, "client": 16, "authentication": "automatic"}
    result = await go(hass, result, fields)
    assert (result["step_id"], result["errors"]) == ("access", {"client": "public_client"})
    assert result["description_placeholders"]["clients"] == "32"
    assert not [verb for verb, _ in bridge.requests if verb == "meter/validate"]
    assert (await go(hass, result, {**fields, "authentication": "low"}))["step_id"] == "items"  # by hand it is sent


async def test_keys_without_a_password_are_gmac(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await choose(hass, await start(hass, entry), "tcp")
    result = await choose(hass, await go(hass, result, {"host": "10.0.0.5", "port": 4059}), "preset")
    result = await go(hass, result, {"preset": "generic"})
    keys = {"encryption_key": "00" * 16, "authentication_key": "11" * 16, "security": "automatic"}
    fields = {"name": "House", "client": 37, "authentication": "automatic", "ciphering": keys}
    assert (await go(hass, result, fields))["step_id"] == "items"
    sent = next(request for verb, request in bridge.requests if verb == "meter/validate")
    assert sent["config"]["connection"]["authentication"] == "gmac"


async def test_the_same_meter_under_another_client(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """Read twice, it would count twice."""
    bridge.stored["garden"] = {"name": "Garden", "connection": {"tcp": "10.0.0.5:4059", "client": 17}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    add_mqtt_device(hass, "garden", "DMQ0330123456")
    bridge.learned = LEARNED
    result = await go(hass, await to_access(hass, entry), ACCESS)
    assert (result["step_id"], result["errors"]) == ("access", {"base": "same_meter"})
    assert result["description_placeholders"]["name"] == "Garden"


async def test_change_items(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    result = await choose(hass, await reconfigure(hass, house), "objects")
    shown = {"items": ALL[:2], "every": 60, "fast_items": [ALL[1]], "fast_every": 10}
    assert suggested(result) == {**shown, "history": False, "history_days": 30}
    result = await go(hass, result, {"items": ALL, "every": 120, "history": True, "history_days": 7})
    assert result["reason"] == "reconfigure_successful"
    (subentry,) = house.subentries.values()
    assert dict(subentry.data) == {"meter": "house", "history": 7}
    stored = bridge.stored["house"]
    assert stored["every"] == "120s"
    assert stored["read"] == {
        "set": "core",
        "except": [],
        "also": [{"obis": "1.0.96.5.0.255", "class": 1, "attribute": 2}],
    }
    assert stored["connection"]["password"] == "text:secret"
    assert stored["allow"] == ["write"]


async def test_the_history_of_a_meter_with_a_load_profile(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.meter_profiles = ["1.0.99.1.0.255", "1.0.99.2.0.255"]
    result = await go(hass, await to_access(hass, entry), ACCESS)
    assert suggested(result)["history"] is True
    result = await go(hass, result, {"items": ALL[:1], "history": True})
    assert dict(result["data"]) == {"meter": "house-meter", "history": 30}


async def test_the_history_of_a_meter_of_the_bridges_own_file(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """The one thing that is ours to change, without management too."""
    bridge.yaml["garden"] = {"name": "Garden", "connection": {}}
    bridge.management = False
    broker.fire(bridge.publish_info())
    await settle(hass)
    for fields, kept in (({"history": True, "history_days": 5}, {"history": 5}), ({"history": False}, {})):
        result = await reconfigure(hass, entry)
        assert result["step_id"] == "history"
        assert (await go(hass, result, fields))["reason"] == "reconfigure_successful"
        (subentry,) = entry.subentries.values()
        assert dict(subentry.data) == {"meter": "garden", "file": True, **kept}


async def test_change_name_and_password(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    result = await choose(hass, await reconfigure(hass, house), "access")
    assert suggested(result) == {"name": "House", "client": 32, "authentication": "low"}
    result = await go(hass, result, {**ACCESS, "name": "Home", "password": "fresh"})
    assert result["reason"] == "reconfigure_successful"
    await settle(hass)
    assert bridge.stored["house"]["connection"]["password"] == "text:fresh"
    (subentry,) = house.subentries.values()
    assert (subentry.title, subentry.unique_id) == ("Home", "house")


async def test_change_the_line(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    """The stored password is not sent to another address: it is asked for."""
    bridge.refuse["meter/validate"] = Refusal("link-down")
    result = await choose(hass, await reconfigure(hass, house), "line")
    result = await choose(hass, result, "serial")
    result = await go(hass, result, {"port": "/dev/ttyUSB1"})
    assert (result["step_id"], result["errors"]) == ("access", {})
    result = await go(hass, result, {**ACCESS, "name": "House", "password": ""})
    assert result["errors"] == {"password": "password_missing"}
    result = await choose(hass, await go(hass, result, {**ACCESS, "name": "House"}), "access")
    assert result["errors"] == {"base": "link_down"}
    del bridge.refuse["meter/validate"]
    result = await go(hass, result, {**ACCESS, "name": "House", "password": ""})  # given a moment ago
    assert result["reason"] == "reconfigure_successful"
    assert bridge.stored["house"]["connection"] == {
        "serial": "/dev/ttyUSB1",
        "client": 32,
        "authentication": "low",
        "password": "text:12345678",
    }


async def test_change_the_device_and_its_key(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    bridge.stored["house"]["connection"] = {"serial": HEAD, "noise_psk": "text:old"}
    result = await choose(hass, await reconfigure(hass, house), "access")
    result = await go(hass, result, {"name": "Home", "authentication": "automatic", "ciphering": {}})
    assert bridge.stored["house"]["connection"] == {"serial": HEAD, "noise_psk": "text:old"}
    result = await choose(hass, await reconfigure(hass, house), "line")
    result = await choose(hass, result, "serial")
    result = await go(hass, result, {"port": f"esphome://new?key={HEAD_KEY}"})
    await go(hass, result, {"name": "Home", "authentication": "automatic", "ciphering": {}})
    assert bridge.stored["house"]["connection"] == {"serial": "esphome://new", "noise_psk": f"text:{HEAD_KEY}"}


async def test_change_the_line_of_a_meter_without_secrets(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    bridge.stored["house"]["connection"] = {"tcp": "10.0.0.5:4059"}
    result = await choose(hass, await reconfigure(hass, house), "line")
    result = await choose(hass, result, "tcp")
    result = await go(hass, result, {"host": "10.0.0.6", "port": 4059})
    result = await go(hass, result, {"name": "House", "authentication": "automatic", "ciphering": {}})
    assert result["reason"] == "reconfigure_successful"
    assert bridge.stored["house"]["connection"] == {"tcp": "10.0.0.6:4059"}


async def test_no_configuration(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    bridge.refuse["config"] = Refusal("internal", "Broken")
    result = await reconfigure(hass, house)
    assert result["reason"] == "no_configuration"
    assert result["description_placeholders"]["detail"] == " (Broken)"


# What happens while a form is open


async def test_a_meter_is_not_added_twice(hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry) -> None:
    bridge.yaml["garden"] = {"connection": {"tcp": "10.0.0.5:4059", "client": 16}}
    bridge.yaml["shed"] = {"connection": {"tcp": "10.0.0.5:4059", "client": 1, "iec_address": "4711"}}
    result = await go(hass, await to_access(hass, house), ACCESS)
    assert (result["step_id"], result["errors"]) == ("access", {"base": "already_read"})
    assert result["description_placeholders"]["name"] == "House"
    assert "meter/validate" not in [verb for verb, _ in bridge.requests]
    result = await go(hass, result, {**ACCESS, "client": 16})  # by its id, where it has no name
    assert (result["errors"], result["description_placeholders"]["name"]) == ({"base": "already_read"}, "garden")
    for next_one in ({"server": 17}, {"client": 1}):  # on the same wires
        result = await go(hass, await to_access(hass, house), {**ACCESS, **next_one})
        assert result["step_id"] == "items"


@pytest.mark.parametrize("step", ["objects", "access"])
async def test_what_another_one_changed_meanwhile_is_not_undone(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry, step: str
) -> None:
    opened = await reconfigure(hass, house)
    bridge.stored["house"]["every"] = "15m"  # by a second Home Assistant
    result = await choose(hass, opened, step)
    if step == "access":
        result = await go(hass, result, ACCESS)
    assert (result["step_id"], result["errors"]) == ("access", {"base": "changed_meanwhile"})
    assert {verb for verb, _ in bridge.requests} == {"config", "language"}


async def test_the_last_page_saves_no_old_settings(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    result = await choose(hass, await reconfigure(hass, house), "objects")
    bridge.stored["house"]["every"] = "15m"
    result = await go(hass, result, {"items": ALL})
    assert (result["step_id"], result["errors"]) == ("save", {"base": "changed_meanwhile"})
    assert bridge.stored["house"]["every"] == "15m"


async def test_a_meter_that_goes_while_its_form_is_open_is_not_asked(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    """Its stored password went with it: an attempt without would count as a wrong one."""
    result = await choose(hass, await reconfigure(hass, house), "access")
    del bridge.stored["house"]
    broker.fire(bridge.publish_info())
    await settle(hass)
    result = await go(hass, result, {**ACCESS, "password": ""})
    assert (result["step_id"], result["errors"]) == ("access", {"base": "unknown_meter"})
    assert {verb for verb, _ in bridge.requests} == {"config", "language"}


@pytest.mark.parametrize("how", ["removed", "disabled", "reloaded"])
async def test_a_form_ends_with_its_bridge(
    hass: HomeAssistant, house: MockConfigEntry, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    await choose(hass, await reconfigure(hass, house), "access")
    flows = hass.config_entries.subentries
    assert flows.async_progress()
    if how == "removed":
        await hass.config_entries.async_remove(house.entry_id)
    elif how == "disabled":
        await hass.config_entries.async_set_disabled_by(house.entry_id, ConfigEntryDisabler.USER)
    else:
        await hass.config_entries.async_reload(house.entry_id)
    await settle(hass)
    assert not flows.async_progress()
    assert "Traceback" not in caplog.text


async def test_a_bridge_that_is_restarted_ends_the_wait(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    result = await search_without_end(hass, bridge, entry)
    bridge.silent, bridge.started = False, "2026-11-23T20:00:00+00:00"
    broker.fire(bridge.publish_info())
    await settle(hass)
    result = await go(hass, result)
    assert result["step_id"] == "find_failed"
    assert result["description_placeholders"]["causes"].startswith("The bridge was restarted")
    assert (await choose(hass, result, "find"))["step_id"] == "access"


async def test_secrets_for_a_key_that_the_bridge_lost_are_asked_for_again(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.refuse["meter/validate"] = Refusal("authentication-refused")
    result = await go(hass, await to_access(hass, entry), ACCESS)
    bridge.refuse.clear()
    bridge.lose_state()
    broker.fire(bridge.publish_info())
    await settle(hass)
    result = await go(hass, result, {**ACCESS, "password": ""})
    assert result["errors"] == {"base": "not_sealed"}
    result = await go(hass, result, ACCESS)
    assert result["step_id"] == "items"


@pytest.mark.parametrize(
    "name", ["\U0001f3e0", "\U0001f3e0 Zähler / Keller #+", "x" * 200, "a-" * 100, "../../etc/passwd", "電気メーター"]
)
async def test_unusual_names(hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry, name: str) -> None:
    for number in range(2):
        result = await go(hass, await to_access(hass, entry), {**ACCESS, "name": name, "server": number + 1})
        await go(hass, result, {"items": ALL})
        await settle(hass)
    assert [sub.title for sub in entry.subentries.values()] == [name, name]
    assert len(bridge.stored) == 2
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", meter) and len(meter) <= 64 for meter in bridge.stored)


# Removing


async def test_removing_a_meter_removes_it_from_the_bridge(
    hass: HomeAssistant, bridge: FakeBridge, house: MockConfigEntry
) -> None:
    (subentry_id,) = house.subentries
    hass.config_entries.async_remove_subentry(house, subentry_id)
    await settle(hass)
    assert not bridge.stored
    assert not house.subentries


async def test_two_entries_do_not_mix(hass: HomeAssistant, broker: Broker, house: MockConfigEntry) -> None:
    assert house.state is ConfigEntryState.LOADED
    assert [entry.domain for entry in hass.config_entries.async_loaded_entries(DOMAIN)] == [DOMAIN]
