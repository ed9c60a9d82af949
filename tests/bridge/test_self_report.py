"""What the bridge says of itself: told at once when it changes, renewed before the broker forgets it."""

from __future__ import annotations

import asyncio
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.bridge.config.sections.bridge import Bridge, Discovery, Mqtt
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.self_report import SelfReport
from tests.fake_clock import FakeClock


class Retained:
    """A broker that keeps what it is given, and how often."""

    def __init__(self) -> None:
        self.topics: dict[str, Any] = {}
        self.times: dict[str, int] = {}
        self.lifetimes: dict[str, float] = {}
        self.too_large, self.refusals = "", list[str]()

    def retain(self, topic: str, payload: str, lifetime: float = math.inf) -> None:
        self.topics[topic] = payload if payload == "online" else json.loads(payload)
        self.times[topic] = self.times.get(topic, 0) + 1
        self.lifetimes[topic] = lifetime


def bridge_of(*, discovery: bool = True, **meters: Meter) -> Any:
    """A bridge whose meters are configured and not at work."""
    config = Config(
        bridge=Bridge(health_every=60.0),
        mqtt=Mqtt(host="localhost", discovery=Discovery(enabled=discovery)),
        meters=meters,
    )
    complete = asyncio.Event()
    complete.set()
    return SimpleNamespace(
        started="2026-01-05T12:00:00+00:00",
        trouble="",
        config=config,
        loaded=SimpleNamespace(managed={"attic"}, broken={}),
        seal=SealKey(bytes(range(32))),
        topics=Topics("dlms_mqtt", "main"),
        broker=Retained(),
        outbox=SimpleNamespace(trouble="", dropped=0, __len__=lambda: 0),
        fleet=SimpleNamespace(complete=complete, meters={}, pushes=SimpleNamespace(trouble={})),
        presence=SimpleNamespace(collisions={}),
        refused={},
        http=None,
        settled=0,
    )


@pytest.fixture
def bridge() -> Any:
    made = bridge_of(attic=Meter(name="Attic"), cellar=Meter())

    class Outbox:
        trouble, dropped = "", 0

        def __len__(self) -> int:
            return 3

    made.outbox = Outbox()
    made.settle_leftovers = lambda: setattr(made, "settled", made.settled + 1)
    return made


async def test_its_meters(clock: FakeClock, bridge: Any) -> None:
    bridge.refused["cellar"] = "cellar: the meter id is held by the bridge 'other'"
    SelfReport(bridge, clock).publish()
    info = bridge.broker.topics["dlms_mqtt/bridge/main/info"]
    assert info["meters"] == [{"id": "attic", "name": "Attic", "managed": True, "device": "dlms_mqtt_attic"}]
    assert (info["api"], info["seal"]) == (1, bridge.seal.public)
    assert bridge.broker.lifetimes["dlms_mqtt/bridge/main/state"] < math.inf
    assert any(topic.startswith("homeassistant/") for topic in bridge.broker.topics)


async def test_without_discovery_it_has_no_device(clock: FakeClock) -> None:
    bridge = bridge_of(discovery=False)
    SelfReport(bridge, clock).publish()
    assert not any(topic.startswith("homeassistant/") for topic in bridge.broker.topics)


async def test_health_at_once_when_it_changes_and_now_and_then(clock: FakeClock, bridge: Any) -> None:
    health = "dlms_mqtt/bridge/main/health"
    report = SelfReport(bridge, clock)
    report.publish()
    running = asyncio.create_task(report.run())
    await asyncio.sleep(30.5)
    assert bridge.broker.times[health] == 1
    assert bridge.broker.topics[health]["counters"] == {"unsent": 3, "dropped": 0, "meters": 0}
    bridge.broker.refusals.append("dlms_mqtt/...: not authorized")
    await asyncio.sleep(2.0)
    assert bridge.broker.times[health] == 2
    assert bridge.broker.topics[health]["status"] == "degraded"
    await asyncio.sleep(60.0)
    assert bridge.broker.times[health] == 3
    assert bridge.broker.times["dlms_mqtt/bridge/main/state"] >= 3  # every forty seconds
    assert bridge.settled > 60
    running.cancel()


async def test_every_trouble_is_a_reason(clock: FakeClock, bridge: Any) -> None:
    clock.step(-clock.time())  # 1970
    bridge.trouble, bridge.outbox.trouble, bridge.broker.too_large = "state", "outbox", "large"
    bridge.http = SimpleNamespace(trouble="http")
    bridge.loaded.broken["barn"] = SimpleNamespace(message="line 3")
    bridge.refused["cellar"], bridge.presence.collisions["x"] = "refused", "collision"
    bridge.fleet.pushes.trouble["tcp://0.0.0.0:4059"] = "port"
    reasons = SelfReport(bridge, clock).health()["reasons"]
    assert reasons == [
        "the system's clock is not set",
        "state",
        "outbox",
        "barn: its file is damaged: line 3",
        "large",
        "http",
        "refused",
        "collision",
        "port",
    ]
