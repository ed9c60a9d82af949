"""How a meter and the bridge do: verdicts with their reasons, the quality of the line, how often they are looked at."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.bridge import self_report
from dlms_mqtt.bridge.meters.health import bridge_health, meter_health, pause_between_looks, signature
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.transport.memory import memory_pair
from tests.bridge.rig import Rig

READ = {"read": {"set": "none", "also": [{"obis": "1.0.1.8.0.255", "class": 3, "every": "1m"}]}}


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


@pytest.mark.parametrize(("meters", "seconds"), [(0, 1), (1, 1), (100, 1), (1000, 10), (1_000_000, 30)])
def test_many_meters_are_looked_at_less_often(meters, seconds):
    assert pause_between_looks(meters) == seconds


def test_online_is_renewed_before_the_broker_forgets_it():
    assert self_report._ALIVE / 3 + pause_between_looks(1_000_000) < self_report._ALIVE


@pytest.mark.parametrize("policy", ["close", "keep"])
async def test_turn_round_time(clock, store, policy):
    rig = Rig(clock, store, {**READ, "session": policy}, latency=0.3)
    async with rig.run():
        await asyncio.sleep(200)
        row = meter_health(rig.task)
    assert row["turn_round"] == pytest.approx(0.3, abs=0.05)
    assert row["sign_on_success"] is None
    assert (row["retries"], row["check_errors"], row["line_quality"]) == (0, 0, 100.0)


@pytest.mark.expect_log("h: ")
async def test_sign_ons_that_fail_are_counted(clock, store):
    connection = {"serial": "memory", "framing": "hdlc", "opening": "sign-on", "retries": 0, "timeout": 1}
    rig = Rig(clock, store, {**READ, "connection": connection})
    rig.dead = True
    async with rig.run():
        await asyncio.sleep(600)
        row = meter_health(rig.task)
    assert row["sign_on_success"] == 0.0
    assert any("sign-on" in reason for reason in row["reasons"]), row["reasons"]


class HdlcRig(Rig):
    """On HDLC, with a line that damages frames; ``sizes`` are the information fields that were proposed."""

    sizes: tuple[int, ...] = ()

    def new_client(self, settings):
        self.sizes = (*self.sizes, settings.max_info)
        near, far = memory_pair()
        server = serve_memory(self.simulated, far, "hdlc", faults=self.faults)
        self.starting = asyncio.ensure_future(self.stack.enter_async_context(server))
        return DlmsClient(settings, transport=near, memory=self.memory, random=bytes)


async def test_an_association_that_stays_open_gets_shorter_frames_too(clock, store):
    connection = {"serial": "memory", "client": 17, "timeout": 1}
    config = {**READ, "session": "keep", "connection": connection}
    rig = HdlcRig(clock, store, config, Faults(["wrong-check,p=0.2"]))
    async with rig.run():
        await asyncio.sleep(1800)
        row = meter_health(rig.task)
    assert rig.sizes[:3] == (128, 64, 32)
    assert row["check_errors"] > 3
    assert any("head has moved" in reason for reason in row["reasons"])


def row(status="ok", **more):
    plain = {"error": None, "reasons": [], "held": {}, "meter_changed": None, "paused_until": None, "next_try": None}
    return {"status": status, **plain, **more}


BAD = row("no_answer", error={"code": "timeout", "message": "no answer"})
CHANGED = {"time": "2026-01-05T13:00:00+01:00", "key": "serial_number", "old": "1", "new": "2"}
VERDICTS = [
    ({}, (), "ok", []),
    ({"a": row(), "b": row("paused"), "c": row("waiting")}, ("", ""), "ok", []),
    ({"a": row()}, ("the disk is full", ""), "degraded", ["the disk is full"]),
    ({"a": row(), "b": BAD}, (), "degraded", ["b: no answer"]),
    ({"a": BAD, "b": row("locked_out")}, (), "failing", ["a: no answer", "b: locked_out"]),
    ({"a": row(reasons=["the line is too slow"])}, (), "degraded", ["a: the line is too slow"]),
    ({"a": row(held={"energy": 1})}, (), "degraded", ["a: values are held back"]),
    (
        {"a": row(meter_changed=CHANGED)},
        (),
        "degraded",
        [
            "a: this is another meter since 2026-01-05T13:00:00+01:00: serial_number was 1 and is 2; "
            "its counters are a new start (accept_energy confirms it)"
        ],
    ),
]


@pytest.mark.parametrize(("meters", "troubles", "status", "reasons"), VERDICTS)
def test_the_verdict_and_its_reasons(meters, troubles, status, reasons):
    health = bridge_health(meters, troubles, {"seen": 1})
    assert (health["status"], health["reasons"]) == (status, reasons)
    assert health["meters"] == meters and health["counters"] == {"seen": 1}


@pytest.mark.parametrize(
    ("later", "news"),
    [
        (row(read_duration=3.0, line_errors=7), False),
        (row("paused", paused_until="2026-01-05T14:00:00+01:00"), True),
        (row(next_try="2026-01-05T14:00:00+01:00"), True),
        (row(held={"energy": 1}), True),
        (row(reasons=["the line is too slow"]), True),
        (BAD, True),
    ],
)
def test_what_is_worth_a_message_at_once(later, news):
    before, after = (bridge_health({"a": meter}, (), {}) for meter in (row(), later))
    assert (signature(before) != signature(after)) is news


@pytest.mark.expect_log("h: ")
async def test_a_pause_a_failure_and_its_next_try(clock, store):
    rig = Rig(clock, store, {**READ, "every": "10s"})
    async with rig.run():
        await asyncio.sleep(5)
        well = meter_health(rig.task)
        assert (well["status"], well["error"], well["next_try"], well["paused_until"]) == ("ok", None, None, None)
        assert well["last_success"] == "2026-01-05T13:00:00+01:00" and well["line_quality"] == 100.0
        await rig.task.session.pause(600)
        assert meter_health(rig.task)["status"] == "paused"
        assert meter_health(rig.task)["paused_until"] == "2026-01-05T13:10:05+01:00"
        rig.dead = True
        await asyncio.sleep(900)
        bad = meter_health(rig.task)
    assert bad["status"] == "no_answer" and bad["consecutive_failures"] > 1
    assert bad["hint"] == bad["error"]["hint"] and bad["next_try"] > bad["last_success"] == well["last_success"]


@pytest.mark.expect_log("held back", "another meter")
async def test_what_is_held_back_and_a_change_of_meter(clock, store):
    serial, energy = {"obis": "0.0.96.1.0.255", "class": 1, "key": "serial_number"}, Obis.parse("1.0.1.8.0.255")
    rig = Rig(clock, store, {"every": "10s", "read": {"set": "none", "also": ["3/1.0.1.8.0.255", serial]}})
    async with rig.run():
        await asyncio.sleep(15)
        rig.simulated.objects[3, energy].values[2] = Data(DataType.DOUBLE_LONG_UNSIGNED, 5_000_000)
        await asyncio.sleep(10)
        held = meter_health(rig.task)
        rig.simulated.objects[1, Obis.parse("0.0.96.1.0.255")].values[2] = Data(DataType.OCTET_STRING, b"87654321")
        await asyncio.sleep(60)
        changed = meter_health(rig.task)
    (row,) = held["held"].items()
    assert row[0] == "energy_import" and row[1]["value"] == held["held_value"] < row[1]["last"]
    assert held["meter_changed"] is None and changed["meter_changed"]["new"] == "87654321"
    assert changed["meter_changed"]["offsets"] == {"energy_import": float(row[1]["last"]) - 5000}
    assert "this is another meter since" in bridge_health({"h": changed}, (), {})["reasons"][-1]
