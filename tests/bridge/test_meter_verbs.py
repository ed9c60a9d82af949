"""Requests to a meter: values, objects, profiles and clocks that are read for somebody."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.requests import meter_verbs
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.client.procedures.profile import Profile
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.house import METER, house
from tests.bridge.meters.test_profiles import CLOCK
from tests.bridge.rig import Rig
from tests.bridge.test_codes import _config


def _meter(meter, more=""):
    return METER.replace("PORT", str(meter.port)) + more


async def test_requests_that_only_read(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter)) as home:
        reply = await home.ask("meter/house/request/objects")
        assert {"1.0.1.8.0.255"} <= {row["obis"] for row in reply["data"]["objects"]}
        assert any('"progress"' in text for text in home.seen.of("dlms_mqtt/meter/house/response/objects"))
        reply = await home.ask("meter/house/request/clock")
        assert abs(reply["data"]["drift"]) < 5
        assert set(reply["data"]) == {"time", "raw", "deviation", "deviation_sense", "status", "drift"}
        assert (await home.ask("meter/house/request/clock", {"set": True}))["status"] == "ok"
        start = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "from": start})
        assert {row["unit"] for row in reply["data"]["values"]} & {"Wh"}
        assert set(reply["data"]["meter"]) == {"system_title", "logical_device_name"}
        reply = await home.ask("meter/house/request/read", {"items": [{"obis": "1.0.1.8.0.255"}]})
        assert reply["data"]["meter"]["logical_device_name"].startswith("DMQ")
        reply = await home.ask("meter/house/request/profile", {"obis": "1.0.99.1.0.255", "first": 1, "count": 2})
        assert reply["status"] == "ok" and reply["data"]["values"]
        reply = await home.ask("meter/house/request/poll", {"keys": ["energy"]})
        assert set(reply["data"]["values"]) == {"energy"}
        assert (await home.ask("meter/house/request/poll", {"keys": ["none"]}))["error"]["code"] == "unknown-key"
        reply = await home.ask("meter/house/request/dump")
        assert reply["status"] == "ok" and "facts" in reply["data"]
        for verb in ("ping", "ports", "presets", "schema", "config"):
            assert (await home.ask(f"bridge/main/request/{verb}"))["status"] == "ok", verb
        presets = (await home.ask("bridge/main/request/presets"))["data"]["presets"]
        push_only = {row["id"]: row["push_only"] for row in presets}
        assert push_only["norway-han"] and not push_only["generic"] and not push_only["kaifa-tcp"]


async def test_profiles_of_the_configuration(mosquitto, tmp_path, meter):
    more = "    profiles:\n      - {obis: 1.0.99.1.0.255, key: load, every: 1h, backfill: 1d}\n"
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        load = "dlms_mqtt/meter/house/profile/load"
        await home.until(lambda: sum(len(json.loads(text)["rows"]) for text in home.seen.of(load)) > 20)
        rows = [row for text in home.seen.of(load) for row in json.loads(text)["rows"]]
        message = json.loads(home.seen.of(load)[0])
        assert message["interval"] in (900, 3600) and message["seq"]
        assert all(set(column) == {"key", "obis", "unit"} for column in message["columns"])
        assert len(rows[0]) == len(message["columns"]) + 2
        times = [row[0] for row in rows]
        assert times == sorted(set(times))
    async with house(mosquitto, tmp_path, _meter(meter, more)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        await asyncio.sleep(0.5)
        again = [row[0] for text in home.seen.of(load) for row in json.loads(text)["rows"]]
        assert not set(again) & set(times)


async def test_rows_of_several_days_keep_their_doubts(monkeypatch):
    """Only those of the last day were told."""
    times = [datetime(2026, 10, day, 0, 30, tzinfo=UTC) for day in (24, 25, 26)]

    async def days(*_):
        for time in times:
            unsure = frozenset({time} if time.day == 25 else ())
            yield Profile(Obis.parse("1.0.99.1.0.255"), (CLOCK,), [(time,)], 900, 0, (), unsure)

    monkeypatch.setattr(MeterRequests, "_profile_parts", days)
    table = await MeterRequests._profile_rows(object.__new__(MeterRequests), None, None, None)
    assert (table["rows"], table["uncertain"]) == ([[time, None] for time in times], times[1:2])


async def test_a_profile_as_rows(mosquitto, tmp_path, meter):
    """The compact table says what the single values say, in a tenth of the bytes."""
    async with house(mosquitto, tmp_path, _meter(meter)) as home:
        await home.until(lambda: home.meter("availability") == "online")
        ask = {"obis": "1.0.99.1.0.255", "from": (datetime.now() - timedelta(days=2)).isoformat()}
        values = (await home.ask("meter/house/request/profile", ask))["data"]["values"]
        table = (await home.ask("meter/house/request/profile", {**ask, "as": "rows"}))["data"]
        assert table["interval"] in (900, 3600) and table["columns"][0]["unit"] == "kWh"
        times = [row[0] for row in table["rows"]]
        assert times == sorted(set(times)) and times[0] == table["from"] and times[-1] == table["to"]
        column = table["columns"][0]["obis"]
        single = {row["time"]: row["value"] / 1000 for row in values if row["obis"] == column}
        assert {row[0]: row[2] for row in table["rows"]} == pytest.approx(single)
        assert len(json.dumps(table)) * 8 < len(json.dumps(values))
        assert (await home.ask("meter/house/request/profile", {**ask, "as": "x"}))["error"]["code"] == "invalid-value"


# -- without a broker --------------------------------------------------------------------------------------------------


class Asked:
    """The requests of a meter in memory; ``steps``: the progress that was told."""

    def __init__(self, clock, **config):
        self.rig = Rig(clock, Store(), {"read": [{"obis": "1.0.1.8.0.255"}], **config})
        self.pauses, self.steps = [], []
        self.requests = MeterRequests(self.rig.task, self._pause)

    async def _pause(self, _meter, seconds):
        self.pauses.append(seconds)

    async def __call__(self, verb, kind="request", **body):
        def progress(*step):
            self.steps.append(step)

        handler = self.requests.find(kind, verb)
        return await handler(Request(Address("h", kind, verb), body, progress=progress))


async def test_a_value_at_any_address(clock):
    asked = Asked(clock, allow=["write", "invoke"])
    async with asked.rig.run():
        reply = await asked("read", items=["1.0.1.8.0", {"obis": "0.0.96.77.0.255", "class": 1}, "1.0.1.6.0"])
        rows = {row["obis"]: row for row in reply["values"]}
        assert reply["meter"]["logical_device_name"].startswith("DMQ")
        assert (rows["1.0.1.8.0.255"]["class"], rows["1.0.1.6.0.255"]["class"]) == (3, 4)  # a guess is put right
        assert [row["code"] for row in reply["errors"]] == ["object-undefined"]
        written = await asked("write", obis="1.0.0.4.3.255", attribute=2, value=5)
        assert (written["value"], written["read_back"]) == (5, 5)
        reply = await asked("invoke", obis="0.0.96.3.10.255", method=1, confirm="h")
        assert (reply["class"], asked.rig.simulated.timeline.mode.connected) == (70, False)


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("dance", {}, "unknown-request"),
        ("read", {}, "bad-request"),
        ("write", {"obis": "1.0.0.4.3.255"}, "bad-request"),
        ("write", {"obis": "1.0.0.4.3.255", "value": 5}, "bad-request"),  # which attribute?
        ("write", {"obis": "0.0.96.3.10.255", "attribute": 4, "value": 1}, "confirmation-required"),
        ("invoke", {"obis": "0.0.96.3.10.255"}, "bad-request"),
        ("invoke", {"obis": "0.0.96.3.10.255", "method": 1}, "confirmation-required"),
        ("invoke", {"obis": "0.0.96.3.10.255", "method": 1, "type": "word"}, "invalid-value"),
        ("profile", {"key": "none"}, "unknown-key"),
        ("profile", {"obis": "1.0.99.1.0.255", "as": "x"}, "invalid-value"),
        ("clock", {"set": 5}, "invalid-value"),
        ("clock", {"set": "soon"}, "invalid-value"),
    ],
)
async def test_what_is_not_done(clock, verb, body, code):
    asked = Asked(clock, allow=["write", "invoke"])
    async with asked.rig.run():
        with pytest.raises(RequestError) as caught:
            await asked(verb, **body)
    assert caught.value.code == code


@pytest.mark.parametrize("verb", ["write", "invoke"])
async def test_what_the_configuration_does_not_allow(clock, verb):
    asked = Asked(clock)
    with pytest.raises(RequestError) as caught:
        await asked(verb, obis="1.0.0.4.3.255", attribute=2, method=1, value=5)
    assert (caught.value.code, f"allow: [{verb}]" in caught.value.hint) == ("not-allowed", True)
    await asked.rig.task.close()


async def test_a_profile_is_read_in_parts(clock):
    """By its key; as values and as rows, which say the same; progress counts the parts."""
    asked = Asked(clock, profiles=[{"obis": "1.0.99.1.0.255", "key": "load", "every": "1h"}])
    async with asked.rig.run():
        values = (await asked("profile", key="load", **{"from": "30h"}))["values"]
        assert [step[:2] for step in asked.steps] == [(0, 2), (1, 2)]
        table = await asked("profile", key="load", **{"from": "30h", "as": "rows"})
        times = [row[0] for row in table["rows"]]
        assert times == sorted(set(times)) and (times[0], times[-1]) == (table["from"], table["to"])
        column = table["columns"][0]["obis"]
        single = {row["time"]: row["value"] / 1000 for row in values if row["obis"] == column}
        assert {row[0]: row[2] for row in table["rows"]} == pytest.approx(single)
        few = await asked("profile", obis="1.0.99.1.0.255", first=1, count=2, **{"as": "rows"})
        assert len(few["rows"]) == 2
        asked.steps.clear()
        none = await asked("profile", obis="1.0.99.1.0.255", first=90_000, count=1000, **{"as": "rows"})
        assert none["rows"] == []
        assert len(asked.steps) == 1  # behind the last row nothing more is asked for


async def test_no_reply_has_endless_values(clock, monkeypatch):
    monkeypatch.setattr(meter_verbs, "MOST_VALUES", 10)
    asked = Asked(clock)
    async with asked.rig.run():
        for shape in ("values", "rows"):
            with pytest.raises(RequestError, match="more than 10 values"):
                await asked("profile", obis="1.0.99.1.0.255", **{"as": shape})


async def test_the_clock_is_shown_and_set(clock):
    asked = Asked(clock)
    async with asked.rig.run():
        assert (await asked("clock"))["drift"] == pytest.approx(0, abs=2)
        assert (
            (await asked("clock", set="2026-01-05T15:00:00+01:00"))["time"].isoformat().startswith("2026-01-05T15:00")
        )
        assert (await asked("clock"))["drift"] > 3000
        assert (await asked("clock", set=True))["drift"] == pytest.approx(0, abs=2)


async def test_poll_objects_and_a_pause(clock):
    asked = Asked(clock)
    async with asked.rig.run():
        assert set((await asked("poll"))["values"]) == {"energy_import"}
        assert set((await asked("poll", keys=["energy_import"]))["values"]) == {"energy_import"}
        found = await asked("objects")
        assert {"1.0.1.8.0.255"} <= {row["obis"] for row in found["objects"]}
        assert asked.steps == [(0, 1, "reading the object list")]
    assert (await asked("pause"))["paused_until"] is not None
    await asked("pause", minutes=3)
    assert await asked("resume") == {"paused_until": None}
    assert asked.pauses == [600.0, 180.0, 0]


async def test_set_and_do_are_those_of_the_configuration(clock):
    asked = Asked(clock)
    with pytest.raises(RequestError) as caught:
        await asked("dance", kind="do")
    assert caught.value.code == "unknown-action"
    await asked.rig.task.close()


async def test_a_dump_whose_password_is_refused_is_not_repeated(clock, monkeypatch):
    """A dump opens an association of its own; the meter counts its password all the same."""
    own = {"tcp": "memory", "client": 32, "authentication": "low", "password": "text:wrong", "retries": 0}
    rig = Rig(clock, Store(":memory:"), {"read": ["3/1.0.1.8.0.255"], "connection": own})
    requests = MeterRequests(rig.task, lambda *_: None)
    monkeypatch.setattr(
        "dlms_mqtt.bridge.requests.meter_verbs.transport_for", lambda known: rig.new_client(known).transport
    )
    request = Request(None, {})
    assert "refused" in (await requests.dump(request))["facts"]["error"]
    with pytest.raises(RequestError, match="not sent again"):
        await requests.dump(request)
    assert sum(rig.simulated.failures.values()) == 1
    await rig.stack.aclose()
