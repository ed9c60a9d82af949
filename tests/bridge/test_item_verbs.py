"""Items that are set and actions that are run, confirmed and refused."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.item_verbs import ItemRequests
from dlms_mqtt.bridge.requests.meter_talk import MeterTalk
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused
from tests.bridge.house import house
from tests.bridge.rig import Rig
from tests.bridge.test_codes import _config


async def test_writes_and_actions(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/set/ratio", {"value": 21})
        assert reply["data"] == {"value": 21, "read_back": 21}
        await home.until(lambda: home.meter("value/ratio") == "21")
        reply = await home.ask("meter/house/set/tariff", {"value": "night"})
        assert reply["data"]["read_back"] == "night"
        await home.seen.publish("dlms_mqtt/meter/house/set/tariff", "day")
        await home.until(lambda: home.meter("value/tariff") == "day")
        reply = await home.ask("meter/house/do/reconnect", {"confirm": "house"})
        assert reply["status"] in ("ok", "error")
        body = {"obis": "1.0.0.4.3.255", "attribute": 2, "value": 5}
        data = (await home.ask("meter/house/request/write", body))["data"]
        assert data["read_back"] == data["value"] == 5
        assert data["obis"] == body["obis"]
        body = {"obis": "0.0.96.3.10.255", "method": 1, "confirm": "house"}
        reply = await home.ask("meter/house/request/invoke", body)
        assert reply["data"] == {"obis": body["obis"], "class": 70, "method": 1, "returned": None, "raw": None}


# -- without a broker --------------------------------------------------------------------------------------------------

ITEMS = {
    "read": {
        "set": "none",
        "also": [
            {"obis": "1.0.0.4.2.255", "key": "ratio", "writable": True, "min": 1, "max": 500},
            {
                "obis": "0.0.94.34.11.255",
                "class": 1,
                "key": "tariff",
                "writable": True,
                "values": {1: "day", 2: "night"},
            },
            {"obis": "1.0.1.8.0.255", "key": "energy"},
            {"obis": "0.0.1.0.0.255", "key": "time", "writable": True, "confirm": True},
        ],
    },
    "actions": {"reconnect": {"obis": "0.0.96.3.10.255", "method": 2, "confirm": True}},
}


class Items:
    """``set`` and ``do`` of a meter in memory."""

    def __init__(self, clock, **config):
        self.rig = Rig(clock, Store(), ITEMS | config)
        self.pauses = []
        self.requests = ItemRequests(self.rig.task, MeterTalk(self.rig.task, self._pause))

    async def _pause(self, _meter, seconds):
        self.pauses.append(seconds)

    async def __call__(self, verb, name, value=None, /, **body):
        text = "" if value is None else str(value)
        request = Request(Address("h", verb, name), body, value, text)
        return await self.requests.find(verb, name)(request)


async def test_an_item_is_set_and_read_back(clock):
    items = Items(clock)
    async with items.rig.run():
        await items.rig.task.poll_now(None)  # the plan knows the classes
        assert await items("set", "ratio", 21) == {"value": 21, "read_back": 21}
        assert await items("set", "tariff", "night", value="night") == {"value": "night", "read_back": "night"}
        assert items.rig.publisher.retained["value/ratio"] == "21"


async def test_an_item_is_set_in_the_class_that_it_has_though_the_meter_was_not_asked_before(clock):
    items = Items(clock)
    async with items.rig.run():
        assert items.rig.task.plan is None
        assert items.rig.task.planned("ratio").attribute.class_id == 3  # a guess: it is 1
        assert await items("set", "ratio", 21) == {"value": 21, "read_back": 21}


async def test_a_time_is_set_where_it_is_confirmed(clock):
    items = Items(clock)
    async with items.rig.run():
        await items.rig.task.poll_now(None)  # the plan knows the classes
        with pytest.raises(RequestError) as caught:
            await items("set", "time", "2026-01-05T14:00:00+01:00")
        assert caught.value.code == "confirmation-required"
        reply = await items("set", "time", "2026-01-05T14:00:00+01:00", value="2026-01-05T14:00:00+01:00", confirm="h")
    assert reply["read_back"].startswith("2026-01-05T14:00:00")


async def test_a_value_that_cannot_be_read_back(clock, monkeypatch):
    items = Items(clock)
    plain = DlmsClient.read

    async def refused(client, attributes, *rest, **more):
        answers = await plain(client, attributes, *rest, **more)
        return [AccessRefused("no", code=3) for _ in answers] if len(attributes) == 1 else answers

    async with items.rig.run():
        await items.rig.task.poll_now(None)  # the plan knows the classes
        await items("set", "ratio", 20)
        monkeypatch.setattr(DlmsClient, "read", refused)
        assert await items("set", "ratio", 22) == {"value": 22, "read_back": None}


@pytest.mark.parametrize(
    ("verb", "name", "value", "body", "code"),
    [
        ("set", "nothing", 1, {}, "unknown-key"),
        ("set", "energy", 1, {}, "not-allowed"),
        ("set", "ratio", None, {"confirm": "h"}, "bad-request"),  # a body without a value
        ("set", "ratio", 501, {}, "invalid-value"),
        ("set", "pause", "maybe", {}, "invalid-value"),
        ("do", "dance", None, {}, "unknown-action"),
        ("do", "reconnect", None, {}, "confirmation-required"),
    ],
)
async def test_what_is_not_done(clock, verb, name, value, body, code):
    items = Items(clock)
    async with items.rig.run():
        await items.rig.task.poll_now(None)  # the plan knows the classes
        with pytest.raises(RequestError) as caught:
            await items(verb, name, value, **body)
    assert caught.value.code == code


async def test_an_item_may_be_named_before_the_meter_has_answered(clock):
    items = Items(clock)
    assert items.rig.task.plan is None
    with pytest.raises(RequestError, match="not writable"):
        await items("set", "energy", 1)
    await items.rig.task.close()


async def test_an_action_that_is_confirmed(clock):
    items = Items(clock)
    async with items.rig.run():
        await items.rig.task.poll_now(None)  # the plan knows the classes
        reply = await items("do", "reconnect", confirm="h")
    assert (reply["class"], reply["method"], reply["returned"]) == (70, 2, None)
    assert items.rig.simulated.timeline.mode.connected is True


@pytest.mark.parametrize(("value", "seconds"), [("ON", 3600.0), ("on", 3600.0), ("off", 0)])
async def test_the_pause_switch(clock, value, seconds):
    items = Items(clock)
    reply = await items("set", "pause", value)
    assert items.pauses == [seconds]
    assert (reply["paused_until"] is None) is (seconds == 0)
    await items.rig.task.close()


async def test_what_is_held_back_is_accepted(clock):
    items = Items(clock)
    assert await items("do", "accept_energy") == {"accepted": []}
    await items.rig.task.close()
