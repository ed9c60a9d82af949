"""The meter's clock is kept right on a fake clock: in its bound, seldom enough, never across an edge."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import VIENNA, Rig

CLOCK = {"set": "none", "also": [{"obis": "0.0.1.0.0.255", "class": 8, "every": "1m"}]}
CARE = {"sync": True, "tolerance": "30s", "per_day": 2}


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def rig_at(clock, store, text, read=CLOCK, **care):
    clock.step(datetime.fromisoformat(text).replace(tzinfo=VIENNA).timestamp() - clock.time())
    return Rig(clock, store, {"read": read, "clock": {**CARE, **care}})


def wrong_by(rig):
    return rig.simulated.now().timestamp() - rig.clock.time()


@pytest.mark.slow_once
async def test_a_clock_that_runs_fast_is_kept_in_its_bound(clock, store):
    seldom = {**CLOCK, "also": [{**CLOCK["also"][0], "every": "5m"}]}
    rig = rig_at(clock, store, "2026-06-10T08:00:00", read=seldom)
    rig.simulated.drift(40)  # s a day
    wrong, moments = [], []
    async with rig.run():
        for _ in range(3 * 24):
            await asyncio.sleep(3600)
            wrong.append(wrong_by(rig))
            moments.append(rig.task.status.clock_drift)
    assert max(map(abs, wrong)) < 33
    assert any(before - after > 25 for before, after in pairwise(wrong))
    assert all(abs(shown - true) < 2 for shown, true in zip(moments, wrong, strict=True))


async def test_not_more_often_than_allowed(clock, store):
    rig = rig_at(clock, store, "2026-06-10T08:00:00")
    async with rig.run():
        for minute in range(12):
            rig.simulated.jump(100)
            await asyncio.sleep(120)
            assert (wrong_by(rig) > 90) is (minute >= 2), minute


@pytest.mark.parametrize("care", [{}, {"sync": False}])
async def test_never_across_midnight(clock, store, care):
    rig = rig_at(clock, store, "2026-06-30T23:58:30", **care)
    rig.simulated.jump(200)
    async with rig.run():
        await asyncio.sleep(120)  # 00:00:30 for us
        assert wrong_by(rig) == pytest.approx(200, abs=1)
        await asyncio.sleep(300)
        assert (abs(wrong_by(rig)) < 2) is not bool(care)


async def test_an_edge_that_comes_near_while_the_line_is_busy(clock, store):
    """The rule is asked again when it is our turn on the line."""
    rig = rig_at(clock, store, "2026-06-30T23:50:00")
    async with rig.run():
        await asyncio.sleep(61)
        rig.simulated.jump(100)
        busy = asyncio.create_task(rig.task.session.alone(lambda _settings: asyncio.sleep(9 * 60), lambda _: True))
        await asyncio.sleep(1)
        rig.task.status.clock_drift = 100.0
        await asyncio.gather(rig.task.clock.care(), busy)
        assert wrong_by(rig) == pytest.approx(100, abs=1)
        assert rig.task.clock.keeper.keep() == []


async def test_the_old_time_of_a_push_sets_nothing(clock, store):
    rig = rig_at(clock, store, "2026-06-10T08:00:00")
    async with rig.run():
        await asyncio.sleep(61)
        before = wrong_by(rig)
        rig.task.status.clock_drift = -900.0  # a list that was captured a quarter of an hour ago
        await rig.task.clock.care()
        assert rig.task.clock.keeper.keep() == []
        assert wrong_by(rig) == pytest.approx(before, abs=0.1)
        assert abs(rig.task.status.clock_drift) < 2


async def test_what_was_set_is_remembered_over_restarts(clock, store):
    rig = rig_at(clock, store, "2026-06-10T08:00:00", per_day=1)
    rig.simulated.jump(100)
    async with rig.run():
        await asyncio.sleep(120)
        assert abs(wrong_by(rig)) < 2
    again = Rig(clock, store, {"read": CLOCK, "clock": {**CARE, "per_day": 1}})
    again.simulated.jump(100)
    async with again.run():
        await asyncio.sleep(timedelta(hours=2).total_seconds())
        assert wrong_by(again) > 90
        await asyncio.sleep(timedelta(hours=23).total_seconds())
        assert abs(wrong_by(again)) < 2


async def test_a_clock_of_another_zone_is_not_set_and_that_is_told(clock, store):
    rig = rig_at(clock, store, "2026-06-10T08:00:00")
    rig.task.clock.keeper = replace(rig.task.clock.keeper, rules=replace(rig.task.clock.keeper.rules, zone_known=False))
    rig.simulated.set_clock(rig.simulated.now() + timedelta(hours=1))
    async with rig.run():
        await asyncio.sleep(3 * 3600)
        assert abs(wrong_by(rig) - 3600) < 5
        assert "state the timezone" in rig.task.status.reasons["zone"]
        rig.simulated.set_clock(rig.simulated.now() - timedelta(minutes=50))  # 10 minutes are no matter of zones
        await asyncio.sleep(600)
        assert abs(wrong_by(rig)) < 5
        assert "zone" not in rig.task.status.reasons


@pytest.mark.parametrize(
    ("today", "wanted"),
    [
        ("2026-10-25T01:50:00", "2026-10-25T02:30:00+01:00"),
        ("2026-10-20T12:00:00", "2026-11-01T12:00:00"),
        ("2026-03-20T12:00:00", "2026-03-30T12:00:00+02:00"),
    ],
)
async def test_a_clock_is_set_across_the_change(clock, store, today, wanted):
    rig = rig_at(clock, store, today)
    moment = datetime.fromisoformat(wanted)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=VIENNA)
    async with rig.run():
        done = await rig.task.clock.set(Priority.COMMAND, moment)
    assert abs(done["time"].timestamp() - moment.timestamp()) < 5
    assert abs(rig.simulated.now().timestamp() - moment.timestamp()) < 5


@pytest.mark.expect_log("h: damaged", "starts without a memory")
def test_care_that_cannot_be_remembered_starts_afresh(clock, store, monkeypatch):
    def failing(*_):
        raise StoreError("damaged")

    config = {"read": CLOCK, "clock": CARE}
    keeper, now = Rig(clock, store, config).task.clock.keeper, Rig(clock, store, config).task.now()
    for _ in range(2):
        keeper.was_set(now)
    store.set("clock care", "h", keeper.keep())
    assert Rig(clock, store, config).task.clock.keeper.obstacle(60.0, now) == "often"
    monkeypatch.setattr(store, "get", failing)
    assert Rig(clock, store, config).task.clock.keeper.obstacle(60.0, now) is None


@pytest.mark.expect_log("the clock could not be set")
async def test_a_meter_that_does_not_let_its_clock_be_set_is_read_all_the_same(clock, store, caplog):
    rig = rig_at(clock, store, "2026-06-10T08:00:00")
    rig.simulated.jump(100)
    rig.simulated.objects[8, Obis.parse("0.0.1.0.0.255")].write = 99
    async with rig.run():
        await asyncio.sleep(600)
        assert rig.task.status.verdict == "ok" and rig.task.status.clock_drift > 60
        assert "the clock could not be set: " in meter_health(rig.task)["reasons"][0]
        assert caplog.text.count("could not be set") == 1, "it is tried twice a day"
        rig.simulated.jump(-100)
        await asyncio.sleep(120)
        assert meter_health(rig.task)["reasons"] == []


@pytest.mark.parametrize("kept", [5, "x", {"a": 1}, [None], ["x"], [[1]], [True]])
def test_damaged_memory_of_care_is_none(clock, store, kept):
    store.set("clock care", "h", kept)
    rig = Rig(clock, store, {"read": CLOCK, "clock": CARE})
    assert rig.task.clock.keeper.obstacle(60.0, rig.task.now()) is None
