"""Very many answers of one cycle: others have their turn between them, and nothing is left out."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.bridge.reading.plan import make_plan
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import VIENNA, Rig

MANY = 2000


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def _answers(plan, number):
    data, scale = Data(DataType.DOUBLE_LONG_UNSIGNED, number), ScalerUnit(0, 30)
    return {item.attribute: Measured(item.attribute, data, scale) for item in plan.items}


async def test_others_have_their_turn_between_very_many_values(clock, store):
    rig = Rig(clock, store, {"every": "10s", "read": {"set": "all"}})
    objects = [ObjectInfo(3, 0, Obis((1, number >> 8, number & 255, 8, 0, 255))) for number in range(MANY)]
    plan = make_plan(rig.task.config, objects, VIENNA)
    turns = 0

    async def another_meter():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(another_meter())
    await asyncio.sleep(0)
    before = turns
    await rig.task._intake.polled(plan.items, _answers(plan, 42_000), plan, rig.task.now())
    other.cancel()
    assert turns - before >= len(plan.items) // 100, "one of 100 values or so"
    assert rig.publisher.waits >= len(plan.items) // 100, "for the broker, where very much waits for it"
    assert len(rig.readings) == len(plan.items) > 500
    assert {message["value"] for message in rig.readings} == {42}
    assert [topic for topic in rig.publisher.retained if topic == "state"]
