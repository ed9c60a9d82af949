"""What is read: exceptions from the set in every spelling of an object. (More of the plan: test_small_parts.)"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.reading.plan import make_plan, plan_for
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.protocol.obis import Obis
from tests.client.test_mass import MOST, counted

OFFERED = [ObjectInfo(3, 0, Obis((1, 0, c, 8, 0, 255)), {}, {}) for c in (1, 2)]


def keys(*excepted: str) -> list[str]:
    return [item.key for item in make_plan(Meter(read=Read(except_=excepted)), OFFERED, ZoneInfo("UTC")).items]


@pytest.mark.parametrize(
    "text",
    ["1-0:1.8.0", "1.8.0", "0100010800FF", "1-0:1.8.0*255", "3/1.8.0", "1.8.0:2", "1.8.0:value", "energy_import"],
)
def test_what_is_excepted_may_be_written_in_any_way(text: str) -> None:
    assert keys(text) == ["energy_export"]


@pytest.mark.parametrize("text", ["4/1.8.0", "1.8.0:3", "1.8.0:scaler_unit", "1.8.0:nothing", "nothing", "1.8.1"])
def test_others_are_not(text: str) -> None:
    assert keys(text) == ["energy_import", "energy_export"]


async def test_the_plan_of_very_many_objects_delays_nobody() -> None:
    offered = [ObjectInfo(3, 0, Obis((1, n >> 16, n >> 8 & 255, n & 255, 0, 255)), {}, {}) for n in range(30_000)]
    meter = Meter(read=Read(set="all"))
    async with counted() as turns:
        plan = await plan_for(meter, offered, ZoneInfo("UTC"))
    assert plan == make_plan(meter, offered, ZoneInfo("UTC")) and plan.items
    assert turns.longest < MOST and turns.count > 50
