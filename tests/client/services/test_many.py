"""Many attributes in few questions: refused, spoiled and silent lists, single ones that fail, a meter that is gone."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.axdr.data import Data
from tests.client.our_meter import OurMeter
from tests.client.some_objects import attribute

NAME = attribute(1, "0.0.42.0.0.255")
TIME = attribute(8, "0.0.1.0.0.255")


@pytest.mark.parametrize("how", ["exception", "error"])
async def test_meters_that_refuse_lists_are_remembered(clock: object, how: str) -> None:
    async with OurMeter(f"refuse-lists:{how}") as meter, meter.client() as client:
        assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME, NAME]))
        lists = meter.times(b"\xc0\x03")
        await client.get_many([NAME, TIME])
        assert meter.times(b"\xc0\x03") == lists
        assert client.memory.max_list == 1


async def test_a_list_without_an_answer_is_not_asked_for_twice(clock: object) -> None:
    async with OurMeter("refuse-lists:silence") as meter, meter.client(timeout=1.0) as client:
        for _ in range(2):
            assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME]))
        assert meter.times(b"\xc0\x03") == 1
