"""Talking to a meter for a request: whether it can be asked, what must be confirmed, classes of objects, methods."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.requests.meter_talk import MeterTalk, invoked
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import Rig
from tests.fake_clock import FakeClock

ENERGY, SWITCH = Obis.parse("1.0.1.8.0.255"), Obis.parse("0.0.96.3.10.255")


class Request:
    """What of a request is looked at."""

    def __init__(self, **body: Any) -> None:
        self.body = body


def talk(clock: FakeClock, paused: list[float] | None = None, **config: Any) -> tuple[Rig, MeterTalk]:
    rig = Rig(clock, Store(), {"read": [{"obis": "1.0.1.8.0.255"}], **config})

    async def pause(_meter: object, seconds: float) -> None:
        (paused if paused is not None else []).append(seconds)

    return rig, MeterTalk(rig.task, pause)


async def test_one_exchange_in_its_turn(clock: FakeClock) -> None:
    rig, line = talk(clock)
    async with rig.run():
        found = await line.run(lambda client: line.class_of(client, ENERGY, None))
        given = await line.run(lambda client: line.class_of(client, ENERGY, 5))
        guessed = await line.run(lambda client: line.class_of(client, Obis.parse("1.0.1.6.0.255"), None))
    assert (found, given, guessed) == (3, 5, 4)


async def test_a_meter_that_nobody_can_ask(clock: FakeClock) -> None:
    rig, line = talk(clock, push={"listen": "tcp://127.0.0.1:0"}, connection={"client": 17})
    with pytest.raises(RequestError, match="only pushes"):
        line.needs_line()
    with pytest.raises(RequestError, match="only pushes"):
        await line.run(lambda client: client.keep_alive())
    await rig.task.close()


@pytest.mark.parametrize(
    ("body", "needed", "good"),
    [({}, False, True), ({}, True, False), ({"confirm": "other"}, True, False), ({"confirm": "h"}, True, True)],
)
async def test_what_must_be_confirmed(clock: FakeClock, body: dict[str, Any], needed: bool, good: bool) -> None:
    rig, line = talk(clock)
    if good:
        line.confirmed(Request(**body), needed)  # type: ignore[arg-type]
    else:
        with pytest.raises(RequestError) as caught:
            line.confirmed(Request(**body), needed)  # type: ignore[arg-type]
        assert (caught.value.code, '"confirm": "h"' in caught.value.hint) == ("confirmation-required", True)
    await rig.task.close()


async def test_a_pause_says_until_when(clock: FakeClock) -> None:
    paused: list[float] = []
    rig, line = talk(clock, paused)
    assert (await line.pause(60))["paused_until"].startswith("2026-01-05T13:01:00")
    assert await line.pause(0) == {"paused_until": None}
    assert paused == [60, 0]
    await rig.task.close()


async def test_a_method_with_its_argument(clock: FakeClock) -> None:
    rig, line = talk(clock)

    def switch(number: int, value: Any = None, kind: Any = None) -> Any:
        async def work(client: DlmsClient) -> Any:
            return await invoked(client, MethodDescriptor(70, SWITCH, number), value, kind)

        return line.run(work, repeat=False)

    async with rig.run():
        assert (await switch(1))["returned"] is None
        assert rig.simulated.timeline.mode.connected is False
        await switch(2, 0, "integer")
        assert rig.simulated.timeline.mode.connected is True
        with pytest.raises(RequestError, match="no DLMS type"):
            await switch(1, 0, "word")
