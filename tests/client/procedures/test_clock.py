"""The meter's clock: what it shows, in which sense its deviation is meant, and setting it as it writes its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.client.procedures.clock import interpret
from dlms_mqtt.protocol.axdr.timestamps import DateTime

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
