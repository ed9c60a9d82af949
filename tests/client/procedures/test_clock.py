"""The meter's clock: what it shows, in which sense its deviation is meant, and setting it as it writes its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.client.procedures.clock import interpret, read_clock, set_clock
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import CLOCK

VIENNA = ZoneInfo("Europe/Vienna")
NOON = datetime(2026, 6, 10, 12, 0, tzinfo=VIENNA)


@pytest.mark.parametrize("sense", [-1, 1])
def test_the_sign_of_the_deviation_is_found_by_comparison(sense: int) -> None:
    octets = DateTime.from_datetime(NOON, deviation=True, sense=sense).encode()
    moment, found = interpret(octets, NOON + timedelta(seconds=40), VIENNA)
    assert found == sense
    assert moment == NOON


@pytest.mark.parametrize("sense", [-1, 1])
@pytest.mark.parametrize("wrong", [timedelta(hours=5), timedelta(days=-400)])
def test_of_a_clock_that_is_far_off_the_sign_is_found_by_the_zone(sense: int, wrong: timedelta) -> None:
    octets = DateTime.from_datetime(NOON + wrong, deviation=True, sense=sense).encode()
    moment, found = interpret(octets, NOON, VIENNA)
    assert found == sense
    assert moment == NOON + wrong


@pytest.mark.parametrize("sense", [-1, 1])
def test_a_clock_that_is_wrong_by_twice_the_deviation_is_not_taken_for_a_right_one(sense: int) -> None:
    """In the other sense it would show our very time, but in another zone."""
    noon = datetime(2026, 1, 10, 12, 0, tzinfo=VIENNA)
    octets = DateTime.from_datetime(noon - timedelta(hours=2), deviation=True, sense=sense).encode()
    assert interpret(octets, noon, VIENNA) == (noon - timedelta(hours=2), sense)


@pytest.mark.parametrize("sense", [-1, 1])
def test_a_meter_that_keeps_to_winter_time_is_compared_with_our_clock(sense: int) -> None:
    winter = NOON.astimezone(timezone(timedelta(hours=1)))
    octets = DateTime.from_datetime(winter, deviation=True, sense=sense).encode()
    assert interpret(octets, NOON, VIENNA) == (NOON, sense)


def test_without_a_zone_the_standard_holds() -> None:
    octets = DateTime.from_datetime(NOON + timedelta(hours=5), deviation=True, sense=-1).encode()
    assert interpret(octets, NOON, None)[1] == -1


class Clock:
    """A client whose meter has this in its clock."""

    def __init__(self, data: Data) -> None:
        self.data = data

    async def get(self, attribute: AttributeDescriptor) -> Data:
        assert attribute == AttributeDescriptor(8, CLOCK, 2)
        return self.data

    async def set(self, attribute: AttributeDescriptor, data: Data) -> None:
        assert attribute == AttributeDescriptor(8, CLOCK, 2)
        self.data = data


def seconds_from(moment: datetime, step: float) -> Any:
    """A clock of ours that moves on each time it is looked at."""
    steps: Iterator[int] = count()
    return lambda: moment + timedelta(seconds=step) * next(steps)


@pytest.mark.parametrize("kind", [DataType.OCTET_STRING, DataType.DATE_TIME])
@pytest.mark.parametrize("deviation", [False, True])
async def test_how_far_it_is_off_and_set_as_it_writes_itself(kind: DataType, deviation: bool) -> None:
    """The answer is as old as half of the question took; what is sent has the form of what was read."""
    value = DateTime.from_datetime(NOON + timedelta(seconds=31), deviation=deviation)
    client: Any = Clock(Data(kind, value if kind is DataType.DATE_TIME else value.encode()))
    shown = await read_clock(client, tz=VIENNA, now=seconds_from(NOON, 2.0))
    assert (shown.drift, shown.type, shown.sense) == (30.0, kind, -1)
    assert shown.deviation == (-120 if deviation else None)
    assert shown.status == ("daylight-saving-active",)
    sent = await set_clock(client, shown, tz=VIENNA, now=lambda: NOON)
    assert sent == NOON
    assert client.data.type is kind
    written = client.data.value if kind is DataType.DATE_TIME else DateTime(client.data.value)
    assert written.to_datetime(VIENNA) == NOON
    assert (written.deviation is not None) == deviation


async def test_a_clock_that_is_not_set_has_no_drift() -> None:
    client: Any = Clock(Data(DataType.OCTET_STRING, b"\xff" * 12))
    shown = await read_clock(client, tz=VIENNA, now=lambda: NOON)
    assert (shown.moment, shown.drift) == (None, None)


@pytest.mark.parametrize("data", [Data(DataType.UNSIGNED, 5), Data(DataType.OCTET_STRING, b"12:00")])
async def test_what_holds_no_time_is_told(data: Data) -> None:
    client: Any = Clock(data)
    with pytest.raises(DecodeError, match="does not hold a date and time but"):
        await read_clock(client, tz=VIENNA, now=lambda: NOON)
