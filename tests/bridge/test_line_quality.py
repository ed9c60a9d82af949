"""Line quality of a meter in ``health``: also of sessions that stay open, and of those that do not even begin."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.meters.health import meter_health
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.bridge.requests.meter_verbs import MeterRequests
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.transport.memory import memory_pair
from tests.bridge.rig import Rig

READ = {"read": {"set": "none", "also": [{"obis": "1.0.1.8.0.255", "class": 3, "every": "1m"}]}}


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


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


async def test_a_dump_whose_password_is_refused_is_not_repeated(clock, store, monkeypatch):
    """A dump opens an association of its own; the meter counts its password all the same."""
    own = {"tcp": "memory", "client": 32, "authentication": "low", "password": "text:wrong", "retries": 0}
    rig = Rig(clock, store, {**READ, "connection": own})
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
