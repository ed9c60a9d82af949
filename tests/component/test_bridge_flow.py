"""What all ways to a meter share: a search that tells its stage, and goes on for longer where it was silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from component_fixtures import Broker, settle
from fake_bridge import FakeBridge, Message
from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry
from test_meter_flow import choose, go, search_without_end, start

STAGES = [
    ({"done": 1, "total": 60, "stage": "direct 9600 baud"}, "\n\nNow: questions without a sign-on (9600 Bd)."),
    ({"done": 2, "total": 60, "stage": "sign-on after a wake-up"}, "\n\nNow: waking the meter for the sign-on."),
    ({"done": 3, "total": 60, "stage": "client 32"}, "\n\nThe meter answers. Now: what a client address sees (32)."),
    ({"done": 4, "total": 60, "stage": "something of a newer bridge"}, ""),
    ({"done": 5, "total": 60}, ""),
]


async def test_a_search_tells_its_stage(
    hass: HomeAssistant,
    broker: Broker,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page is asked for again as soon as the bridge is at another stage, and a closed dialog ends the search."""
    monkeypatch.setattr("custom_components.dlms_mqtt.bridge_flow.STAGE_SHOWN", 0)
    result = await search_without_end(hass, bridge, entry)
    assert result["description_placeholders"] == {"stage": ""}
    request = json.loads(broker.published[-1].split(" ", 1)[1])
    shown = hass.config_entries.subentries.async_get(result["flow_id"])
    for data, told in STAGES:
        reply = {"id": request["id"], "status": "progress", "data": data}
        broker.fire(Message("dlms_mqtt/bridge/main/response/meter/find", json.dumps(reply), False))
        for _ in range(500):
            shown = await hass.config_entries.subentries.async_configure(result["flow_id"])
            if shown["description_placeholders"]["stage"] == told:
                break
            await asyncio.sleep(0)
        assert shown["type"] is FlowResultType.SHOW_PROGRESS
        assert shown["description_placeholders"]["stage"] == told
    hass.config_entries.subentries.async_abort(result["flow_id"])
    await settle(hass)
    assert broker.published[-1].startswith("dlms_mqtt/bridge/main/request/cancel ")


async def test_the_page_of_a_search_follows_by_itself(
    hass: HomeAssistant,
    broker: Broker,
    bridge: FakeBridge,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.dlms_mqtt.bridge_flow.STAGE_SHOWN", 0)
    changed = asyncio.Event()
    result = await search_without_end(hass, bridge, entry)
    hass.bus.async_listen("data_entry_flow_progressed", callback(lambda _event: changed.set()))
    request = json.loads(broker.published[-1].split(" ", 1)[1])
    reply = {"id": request["id"], "status": "progress", "data": STAGES[0][0]}
    broker.fire(Message("dlms_mqtt/bridge/main/response/meter/find", json.dumps(reply), False))
    async with asyncio.timeout(60):
        await changed.wait()
    hass.config_entries.subentries.async_abort(result["flow_id"])
    await settle(hass)


async def test_a_second_search_of_a_silent_address_is_longer(
    hass: HomeAssistant, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    """The first one ends after a minute, with the causes of a network; another line begins anew."""

    def find(_request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"status": "ok", "data": {"found": False, "names": ["silent"], "causes": ["Nothing. Head?"]}}

    result = await choose(hass, await start(hass, entry), "tcp")
    result = await go(hass, result, {"host": "h", "port": 1})
    with patch.object(bridge, "_on_meter_find", find):
        result = await choose(hass, result, "find")
        assert "network address" in result["description_placeholders"]["causes"]
        result = await choose(hass, result, "find")
        result = await choose(hass, result, "user")
        result = await choose(hass, result, "remote")
        result = await go(hass, result, {"protocol": "socket", "host": "h", "port": 2})
        result = await choose(hass, result, "find")
    assert "network address" not in result["description_placeholders"]["causes"]
    assert "head" in result["description_placeholders"]["causes"]
    assert [request["go_on"] for verb, request in bridge.requests if verb == "meter/find"] == [False, True, False]
