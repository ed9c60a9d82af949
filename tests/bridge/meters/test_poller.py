"""One meter on a fake clock: hours of reading, trouble on the line, expiry, refused passwords."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.meters.health import bridge_health, meter_health
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.reading.plan import plan_item
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import TransportError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import VIENNA, Rig


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


@pytest.mark.parametrize(
    ("client", "read", "told"),
    [
        (16, {"set": "core"}, True),
        (17, {"set": "core"}, False),
        (16, {"set": "none", "also": ["8/0.0.1.0.0.255"]}, False),
    ],
)
async def test_a_client_that_is_shown_no_energy_is_told(clock, store, client, read, told):
    """The public client of most meters: everything works, and nothing of it is what people want."""
    async with Rig(clock, store, {"connection": {"tcp": "memory", "client": client}, "read": read}).run() as rig:
        await asyncio.sleep(60)
    assert rig.task.status.verdict == "ok"
    sentence = rig.task.status.reasons.get("energy", "")
    assert ("client 16 is shown neither energy nor power" in sentence) is told
    health = bridge_health({"h": meter_health(rig.task)}, (), {})
    assert health["status"] == ("degraded" if told else "ok")
    assert not told or f"h: {sentence}" in health["reasons"]


@pytest.mark.expect_log("h: ")
async def test_a_meter_that_goes_and_comes_back(clock, store):
    config = {"every": "30s", "read": ["1.0.1.8.0.255", "1.0.16.7.0.255"]}
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(100)
        assert rig.publisher.retained["availability"] == "online"
        rig.dead = True
        await rig.task.session.close()
        gone = clock.monotonic()
        while rig.publisher.retained["availability"] == "online":  # noqa: ASYNC110
            await asyncio.sleep(1)
        assert 60 <= clock.monotonic() - gone <= 130
        assert rig.task.status.verdict == "no_answer"
        assert rig.publisher.retained["value/power"] != "" or clock.monotonic() - gone > 100
        await asyncio.sleep(125 - (clock.monotonic() - gone) + 30)
        assert rig.publisher.retained["value/power"] == "" and rig.publisher.retained["value/energy_import"] == ""
        assert json.loads(rig.publisher.retained["state"]) == {"_time": {}}
        health = bridge_health({"h": meter_health(rig.task)}, [], {})
        assert health["status"] == "failing" and health["meters"]["h"]["consecutive_failures"] >= 3
        rig.dead = False
        await asyncio.sleep(70)
        assert rig.publisher.retained["availability"] == "online"
        assert rig.publisher.retained["value/power"] != ""
        assert bridge_health({"h": meter_health(rig.task)}, [], {})["status"] == "ok"


@pytest.mark.expect_log("h: ")
async def test_a_meter_that_answers_everything_with_an_exception_is_not_ok(clock, store):
    config = {"every": "10s", "read": ["1.0.1.8.0.255", "1.0.16.7.0.255"]}
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(60)
        assert rig.task.status.verdict == "ok"
        rig.faults.add("exception,times=9999")
        await asyncio.sleep(200)
        assert rig.task.status.verdict != "ok" and rig.publisher.retained["availability"] == "offline"
        health = bridge_health({"h": meter_health(rig.task)}, [], {})
        assert health["status"] == "failing" and "exception" in str(health["reasons"]).lower(), health["reasons"]


async def test_a_meter_that_refuses_everything_is_no_healthy_one(clock, store):
    """It answers, so it is online: but health was ok though no value ever came."""
    rig = Rig(clock, store, {"every": "10s", "read": ["1.0.1.8.0.255", "1.0.16.7.0.255"]})
    for code in ("1.0.1.8.0.255", "1.0.16.7.0.255"):
        del rig.simulated.objects[3, Obis.parse(code)].values[2]
    async with rig.run():
        await asyncio.sleep(15)
        (reason,) = meter_health(rig.task)["reasons"]
        assert reason.startswith("the meter refuses everything that is read (")
        assert bridge_health({"h": meter_health(rig.task)}, [], {})["status"] == "degraded"


@pytest.mark.expect_log("refused")
async def test_wrong_passwords_are_few_whatever_the_line_does(clock, store):
    connection = {"tcp": "memory", "client": 32, "authentication": "low", "password": "text:wrong", "retries": 0}
    config = {"every": "10s", "connection": connection, "read": ["1.0.1.8.0.255"]}
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(24 * 3600)
        assert sum(rig.simulated.failures.values()) <= 5
        assert rig.task.status.verdict in ("locked_out", "password_refused")
        assert rig.task.status.next_try is not None
    before = sum(rig.simulated.failures.values())
    async with Rig(clock, store, config).run() as again:
        await asyncio.sleep(600)
        assert sum(again.simulated.failures.values()) == 0
        assert again.task.status.verdict == "locked_out"
    assert before >= 2


async def test_a_line_that_is_too_slow_says_so(clock, store):
    config = {
        "every": "10s",
        "connection": {"tcp": "memory", "client": 17, "timeout": "60s"},
        "read": ["1.0.1.8.0.255"],
    }
    async with Rig(clock, store, config, latency=12.0).run() as rig:
        await asyncio.sleep(600)
        assert "too slow" in rig.task.status.reasons["slow"]
        assert bridge_health({"h": meter_health(rig.task)}, [], {})["status"] == "degraded"
        assert len(rig.readings) > 20


async def test_one_association_is_kept_or_closed_by_policy(clock, store):
    for session, expected in (("keep", 1), ("close", 11), ("auto", 1)):
        async with Rig(clock, store, {"every": "30s", "session": session, "read": ["3/1.0.1.8.0.255"]}).run() as rig:
            await asyncio.sleep(301)
            assert rig.connections in (expected, expected + 1), session
    async with Rig(clock, store, {"every": "10m", "read": ["3/1.0.1.8.0.255"]}).run() as rig:
        await asyncio.sleep(1801)
        assert rig.connections in (3, 4)


async def test_a_pause_is_not_changed_by_a_clock_that_steps(clock, store):
    rig = Rig(clock, store, {"every": "10s", "read": "none"})
    await rig.task.session.pause(600)
    for step in (86400.0, -86400.0 * 2):
        clock.start += step
        assert rig.task.is_paused and 599 <= rig.task.session.pause_left <= 600
    clock.elapsed += 601
    assert not rig.task.is_paused
    await rig.task.close()
    await rig.stack.aclose()


async def test_nothing_is_asked_before_the_systems_clock_is_set(clock, store):
    """Neither on the schedule nor by request: no reading could be stamped, and the meter's clock not be set."""
    set_later, clock.start = clock.start, 0.0
    rig = Rig(clock, store, {"every": "10s", "read": ["1.0.1.8.0.255", "0.0.1.0.0.255"]})
    async with rig.run():
        await asyncio.sleep(60)
        for attempt in (rig.task.poll_now(None), rig.task.clock.set(Priority.COMMAND)):
            with pytest.raises(RequestError) as refused:
                await attempt
            assert refused.value.code == "temporary-failure"
        assert rig.readings == [] and rig.connections == 0
        assert "clock is not set" in rig.task.status.reasons["clock"]
        clock.start = set_later
        await asyncio.sleep(15)
        assert rig.readings and {reading["time"][:4] for reading in rig.readings} == {f"{rig.task.now().year}"}


@pytest.mark.expect_log("is held back: it fell from")
async def test_a_bridge_killed_in_its_first_minute_still_knows_the_counters(clock, store):
    """The first value of each counter is written at once, the later ones once an hour."""
    writes = []
    store_set = store.set
    store.set = lambda space, key, value: (writes.append(space), store_set(space, key, value))
    rig = Rig(clock, store, {"every": "10s", "read": ["1.0.1.8.0.255"]})
    async with rig.run():
        await asyncio.sleep(1800)
        assert writes.count("guard") == 1
        kept = store.get("guard", "h")
        await asyncio.sleep(3600)
        assert writes.count("guard") == 2
    assert writes.count("guard") == 2  # what is to be written at its end goes with that of all others
    store.set("guard", "h", kept)  # as a kill would have left it
    other = Rig(clock, store, {"every": "10s", "read": ["1.0.1.8.0.255"]})
    item, reading, life = next(iter(rig.output._shown.values()))[0], rig.output.last["energy_import"], 120.0
    other.output.publish([(item, replace(reading, value=Decimal(1)), life)])
    assert "energy_import" not in other.output.last
    await other.stack.aclose()


DAILY = {"read": {"set": "none", "also": [{"obis": "1.0.1.8.0.255", "class": 3, "at": ["00:05"]}]}}


async def test_what_is_read_at_a_time_of_day_stands_over_a_restart(clock, store):
    """Read once at the first start; after that the value of before keeps its own time until 00:05."""
    clock.step(datetime(2026, 6, 1, 12, tzinfo=VIENNA).timestamp() - clock.time())
    first = Rig(clock, store, DAILY)
    async with first.run():
        await asyncio.sleep(60)
        assert len(first.readings) == 1
        await asyncio.sleep(13 * 3600)
        assert len(first.readings) == 2 and first.readings[1]["time"].startswith("2026-06-02T00:05")
        value = first.publisher.retained["value/energy_import"]
    second = Rig(clock, store, DAILY)
    async with second.run():
        await asyncio.sleep(3600)
        assert second.readings == [], "it is no new reading"
        state = json.loads(second.publisher.retained["state"])
        assert state["_time"]["energy_import"].startswith("2026-06-02T00:05")
        assert second.publisher.retained["value/energy_import"] == value
        assert second.publisher.retained["availability"] == "online"
        await asyncio.sleep(24 * 3600)
        assert [row["time"][:16] for row in second.readings] == ["2026-06-03T00:05"]


@pytest.mark.expect_log("h: ")
@pytest.mark.parametrize(
    ("config", "dead_from"),
    [(DAILY, (0, 4)), ({"every": "10min", "read": {"set": "none", "also": ["3/1.0.1.8.0.255"]}}, (12, 1))],
)
async def test_what_could_not_be_read_is_tried_again_after_a_pause(clock, store, config, dead_from):
    """Of a time of day it would be missing for a day, and health would promise a try that does not come."""
    start = datetime(2026, 6, 1, 12, tzinfo=VIENNA)
    clock.step(start.timestamp() - clock.time())
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(60)
        minutes = (dead_from[0] * 60 + dead_from[1] - 12 * 60) % 1440
        await asyncio.sleep(minutes * 60 - (rig.task.now() - start).total_seconds())
        before = len(rig.readings)
        rig.dead = True
        await rig.task.session.close()
        while rig.task.status.failures < 2:  # noqa: ASYNC110
            await asyncio.sleep(1)
        promised = rig.task.status.next_try
        rig.dead = False
        await asyncio.sleep(45)
        assert len(rig.readings) == before + 1
        assert 0 <= (datetime.fromisoformat(rig.readings[-1]["time"]) - promised).total_seconds() < 10
        assert rig.task.status.verdict == "ok" and rig.task.status.next_try is None


@pytest.mark.expect_log("h: ")
async def test_who_wakes_it_while_it_is_at_work_gets_another_turn(clock, store, monkeypatch):
    """A meter that calls in while a try fails is asked at once, not after the pause."""
    rig = Rig(clock, store, {"every": "10min", "read": {"set": "none", "also": ["3/1.0.1.8.0.255"]}})
    times, read = [], rig.task._read

    async def calls_in(attributes, priority):
        times.append(clock.monotonic())
        if len(times) == 2:
            rig.task.wake()
            raise TransportError("it goes away while it is asked")
        return await read(attributes, priority)

    monkeypatch.setattr(rig.task, "_read", calls_in)
    async with rig.run():
        await asyncio.sleep(1200)
    assert times[2] == times[1]
    assert len(times) == 4  # and then as ever


async def test_what_is_too_old_is_read_at_once(clock, store):
    clock.step(datetime(2026, 6, 1, 12, tzinfo=VIENNA).timestamp() - clock.time())
    first = Rig(clock, store, DAILY)
    async with first.run():
        await asyncio.sleep(60)
    await asyncio.sleep(30 * 3600)
    second = Rig(clock, store, DAILY)
    async with second.run():
        await asyncio.sleep(60)
        assert len(second.readings) == 1


@pytest.mark.parametrize("saved", [[], 5, {"energy_import": 5}, {"energy_import": ["x", True, "kWh", "y", "good"]}])
async def test_a_damaged_memory_of_times_of_day_is_none(clock, store, saved):
    store.set("at", "h", saved)
    rig = Rig(clock, store, DAILY)
    async with rig.run():
        await asyncio.sleep(60)
        assert len(rig.readings) == 1


@pytest.mark.expect_log("took longer than 600 s", "reading works again")
async def test_a_poll_has_an_end_and_health_says_before_that_it_does_not_come_back(clock, store, monkeypatch):
    """Whatever a single question does: the line is free again, and what others ask of it goes on."""
    polls = []

    async def hangs(_client, _attributes):
        polls.append(clock.monotonic())
        await asyncio.sleep(1e9)

    connection = {"tcp": "memory", "client": 17, "exchange_timeout": "60s"}
    config = {"connection": connection, "every": "1m", "read": {"set": "none", "also": ["3/1.0.1.8.0.255"]}}
    async with Rig(clock, store, config).run() as rig:
        await asyncio.sleep(30)
        with monkeypatch.context() as patch:
            patch.setattr(DlmsClient, "read", hangs)
            await asyncio.sleep(60)  # the next poll began in it
            assert len(polls) == 1 and rig.task.overdue_poll == ""
            await asyncio.sleep(170)  # three intervals are over
            assert rig.task.overdue_poll == "a poll has not come back for more than 180 s"
            assert rig.task.overdue_poll in str(meter_health(rig.task))
            await asyncio.sleep(500)  # ten minutes are
            assert "a poll of 1 attributes took longer than 600 s" in str(rig.task.status.error)
        count = len(rig.readings)
        await asyncio.sleep(1500)
        assert len(rig.readings) > count
    assert rig.task.status.verdict == "ok"
    assert rig.task.overdue_poll == ""


PART = {"every": "10s", "read": {"set": "none", "also": ["3/1.0.16.7.0.255"]}}


def _set(rig, watts):
    rig.simulated.objects[3, Obis.parse("1.0.16.7.0.255")].values[2] = Data(DataType.DOUBLE_LONG, watts)


async def no_pause(meter, seconds):
    raise AssertionError("nothing is paused")


def _request(name, body):
    return Request(Address("h", "request", name), body)


async def test_a_meter_that_is_computed_of_others(clock, store):
    """It has no line: a device of its own whose values are as fresh as their parts, offline when those are gone."""
    derive = {"power": "house.power + garage_2.power", "half": "power / 2"}
    rig = Rig(clock, store, {"connection": {}, "every": "10s", "derive": derive})
    with Store(":memory:") as one, Store(":memory:") as two:
        parts = {"house": Rig(clock, one, PART), "garage-2": Rig(clock, two, PART)}
        rig.neighbours = {name: part.task for name, part in parts.items()}
        for part, watts in zip(parts.values(), (100, 23), strict=True):
            _set(part, watts)
        async with rig.run():
            await asyncio.sleep(5)
            assert rig.publisher.retained["availability"] == "offline" and rig.task.status.verdict == "waiting"
            async with parts["house"].run(), parts["garage-2"].run():
                await asyncio.sleep(15)
                assert (rig.publisher.retained["value/power"], rig.publisher.retained["value/half"]) == ("123", "61.5")
                assert rig.publisher.retained["availability"] == "online" and meter_health(rig.task)["status"] == "ok"
                assert {row["key"] for row in rig.readings} == {"power", "half"}
                _set(parts["house"], 200)
                await asyncio.sleep(25)
                assert rig.publisher.retained["value/power"] == "223"
                polled = await rig.task.poll_now(["power"])
                assert {key: row.value for key, row in polled.items()} == {"power": 223}
                with pytest.raises(RequestError, match="no item 'energy'"):
                    await rig.task.poll_now(["energy"])
                for verb, body in (("read", {"items": ["1.0.1.8.0"]}), ("clock", {}), ("dump", {}), ("pause", {})):
                    with pytest.raises(RequestError, match="is computed of others"):
                        await MeterRequests(rig.task, no_pause).find("request", verb)(_request(verb, body))
                device = json.loads(rig.publisher.retained["homeassistant/device/dlms_mqtt_h/config"])
                power = device["components"]["sensor_power"]
                assert (power["device_class"], power["unit_of_measurement"]) == ("power", "W")
            told = len(rig.readings)
            await asyncio.sleep(600)
            assert len(rig.readings) <= told + 2  # nothing old is said again
        assert rig.publisher.retained["availability"] == "offline" and rig.publisher.retained["value/power"] == ""
        assert rig.task.status.verdict == "no_answer" and rig.connections == 0


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


def _push(rig, number=5000):
    item = plan_item(ENERGY, quantity(ENERGY.obis, 3), None, 60.0, VIENNA)
    measured = Measured(ENERGY, Data(DataType.DOUBLE_LONG_UNSIGNED, number), ScalerUnit(0, 30))
    rig.task.take_pushed([(item, measured)], Moment(rig.task.now(), VIENNA))


async def test_a_meter_that_only_pushes_is_there_until_three_of_its_pushes_are_missing(clock, store):
    rig = Rig(clock, store, {"connection": {}, "push": {"listen": "tcp://127.0.0.1:0", "every": "1m"}})
    async with rig.run():
        await asyncio.sleep(600)
        assert rig.publisher.retained["availability"] == "offline" and rig.task.status.verdict == "waiting"
        _push(rig)
        assert rig.publisher.retained["availability"] == "online" and rig.task.status.verdict == "ok"
        await asyncio.sleep(175)
        assert rig.publisher.retained["availability"] == "online"
        await asyncio.sleep(10)
        assert rig.publisher.retained["availability"] == "offline" and rig.task.status.verdict == "no_answer"
        _push(rig)
        assert rig.publisher.retained["availability"] == "online" and rig.task.status.verdict == "ok"
    assert rig.connections == 0


async def test_a_push_from_before_the_systems_clock_was_set_is_none(clock, store):
    rig = Rig(clock, store, {"connection": {}, "push": {"listen": "tcp://127.0.0.1:0"}})
    clock.start, start = 0.0, clock.start
    _push(rig)
    assert rig.readings == []
    clock.start = start
    _push(rig)
    assert len(rig.readings) == 1


@pytest.mark.expect_log("h: ")
async def test_a_meter_whose_pushes_come_is_online_whatever_its_polls_do(clock, store):
    push = {"listen": "connection", "ask": True, "every": "10m"}
    rig = Rig(clock, store, {"every": "30s", "push": push, "read": {"set": "none", "also": ["3/1.0.1.8.0.255"]}})
    rig.dead = True
    async with rig.run():
        await asyncio.sleep(5)
        _push(rig)
        for _ in range(20):
            await asyncio.sleep(60)
            assert rig.publisher.retained["availability"] == "online"
        assert rig.task.status.verdict == "no_answer" and rig.task.status.failures > 3
        pushed = rig.task.now()
        _push(rig, 6000)
        assert rig.task.status.last_success == pushed and rig.task.status.verdict == "no_answer"
        await asyncio.sleep(1900)
        assert rig.publisher.retained["availability"] == "offline"


@pytest.mark.expect_log("nobody knows the class of 0.0.94.34.99.255; give it one")
async def test_an_item_of_which_nobody_knows_the_class_is_named_and_costs_no_other(clock, store):
    async with Rig(clock, store, {"read": {"set": "none", "also": ["0.0.94.34.99.255", "1.0.1.8.0.255"]}}).run() as rig:
        await asyncio.sleep(15)
    assert [row["key"] for row in rig.readings] == ["energy_import"]


async def test_requests_before_the_first_poll(clock, store):
    """The plan is made for them; a key that is none is told, and what is read goes everywhere."""
    rig = Rig(clock, store, {"read": {"set": "none", "also": ["3/1.0.1.8.0.255", "3/1.0.2.8.0.255"]}})
    item = rig.task.planned("energy_import")
    assert item and item.attribute == ENERGY and rig.task.planned("none") is None
    measured = Measured(ENERGY, Data(DataType.DOUBLE_LONG_UNSIGNED, 5000), ScalerUnit(0, 30))
    assert rig.task.take_one(item, measured).value == 5 and rig.publisher.retained["value/energy_import"] == "5"
    with pytest.raises(RequestError, match="no item 'none'"):
        await rig.task.poll_now(["energy_import", "none"])
    assert set(await rig.task.poll_now(["energy_export"])) == {"energy_export"}
    assert [row["key"] for row in rig.readings] == ["energy_import", "energy_export"]
    await rig.task.close()
    await rig.stack.aclose()
