"""Faults in the association: requests that are refused, met with silence, or answered with the wrong thing."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    AccessRefused,
    ConnectionLost,
    DlmsMqttError,
    ResponseTimeout,
    ServiceRefused,
)
from tests.client.some_objects import attribute
from tests.fake_clock import FakeClock
from tests.simulator.connected import text
from tests.simulator.faulty import CIPHERED, CLOCK, ENERGY, EXPORT, READER, bench, value, work


@pytest.mark.parametrize("how", ["exception", "error"])
async def test_refused_lists_are_asked_singly(clock: FakeClock, how: str) -> None:
    async with bench(clock, f"refuse-lists:{how}", framing="wrapper") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)
        assert client.memory.max_list == 1


async def test_lists_met_with_silence_are_remembered(clock: FakeClock) -> None:
    memory = Memory()
    async with bench(clock, "refuse-lists:silence", framing="wrapper") as bad:
        chosen = ConnectionSettings(framing="wrapper", **READER)
        async with DlmsClient(chosen, transport=bad.near, memory=memory) as client:
            with pytest.raises(ResponseTimeout):
                await client.read([ENERGY, EXPORT])
        async with (
            bench(clock, "refuse-lists:silence", framing="wrapper") as again,
            DlmsClient(chosen, transport=again.near, memory=memory) as client,
        ):
            assert len(await client.read([ENERGY, EXPORT])) == 2


@pytest.mark.parametrize("how", ["error", "exception", "whole"])
async def test_refused_selection(clock: FakeClock, how: str) -> None:
    """By range, by entry, then the whole buffer; the rows are the wanted ones all the same."""
    async with bench(clock, f"refuse-selection:{how}") as bad, bad.client() as client:
        assert (await work(client))[1] == 3


async def test_wrong_rights(clock: FakeClock) -> None:
    async with bench(clock, f"wrong-rights:{ENERGY.obis}") as bad, bad.client() as client:
        listed = {item.obis: item for item in await read_objects(client)}
        assert listed[ENERGY.obis].readable(2)
        refused, fine = await client.get_many([ENERGY, EXPORT])
        assert isinstance(refused, AccessRefused)
        assert refused.name == "read-write-denied"
        assert not isinstance(fine, DlmsMqttError)


async def test_an_exception_to_one_request(clock: FakeClock) -> None:
    async with bench(clock, "exception,after=1") as bad, bad.client() as client:
        await client.get(ENERGY)
        with pytest.raises(ServiceRefused):
            await client.get(ENERGY)
        await client.get(ENERGY)


async def test_stray_octets_are_left_alone(clock: FakeClock) -> None:
    async with bench(clock, "stray-octets:4") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_dropped_in_the_middle_of_blocks(clock: FakeClock, framing: str) -> None:
    async with bench(clock, "drop-in-blocks:3", framing=framing) as bad, bad.client(**READER, max_pdu=200) as client:
        with pytest.raises(ConnectionLost):
            await read_objects(client)
    async with bench(clock, framing=framing) as sound, sound.client(**READER, max_pdu=200) as client:
        assert len(await read_objects(client)) == 83


async def test_a_refused_counter_that_is_told_is_adopted(clock: FakeClock) -> None:
    async with bench(clock, "counter-refused:told") as bad, bad.client(**CIPHERED) as client:
        await client.get(ENERGY)


async def test_a_refused_counter_that_is_not_told_is_an_error(clock: FakeClock) -> None:
    async with bench(clock, "counter-refused:untold") as bad:
        with pytest.raises(ServiceRefused):
            await bad.client(**CIPHERED).open()


async def test_tariff_switch(clock: FakeClock) -> None:
    """It is noon on a Monday: by the calendar tariff 1 counts."""
    async with bench(clock, "tariff-switch:2,after=3") as bad, bad.client() as client:
        assert await value(client, "0.0.96.14.0.255", 1) == b"T1"
        before = [await value(client, f"1.0.1.8.{tariff}.255") for tariff in (0, 1)]
        night = await value(client, "1.0.1.8.2.255")
        assert await value(client, "0.0.96.14.0.255", 1) == b"T2"
        clock.step(6 * 3600)
        after = [await value(client, f"1.0.1.8.{tariff}.255") for tariff in (0, 1, 2)]
    assert after[0] > before[0]
    assert after[1] == before[1]
    assert after[2] - night == after[0] - before[0]


async def test_clock_drift_and_jump(clock: FakeClock) -> None:
    async with bench(clock, "clock-drift:120") as bad, bad.client() as client:
        await client.get(CLOCK)
        clock.step(86400)
        assert bad.meter.seconds() - clock.time() == pytest.approx(120, abs=0.1)
    async with bench(clock, "clock-jump:-3600,after=1") as bad, bad.client() as client:
        await client.get(CLOCK)
        await client.get(CLOCK)
        assert bad.meter.seconds() - clock.time() == -3600


async def test_restart_of_a_connection(clock: FakeClock) -> None:
    async with bench(clock, "restart,after=2", framing="wrapper") as bad, bad.client() as client:
        await client.get(ENERGY)
        await client.get(ENERGY)
        with pytest.raises(ConnectionLost):
            await client.get(ENERGY)


async def test_register_reset(clock: FakeClock) -> None:
    async with bench(clock, "register-reset,after=1") as bad, bad.client() as client:
        assert await value(client, "1.0.1.8.0.255") > 1_000_000
        assert await value(client, "1.0.1.8.0.255") == 0
        clock.step(86400)
        assert 1000 < await value(client, "1.0.1.8.0.255") < 40_000


async def test_a_counter_that_somebody_else_has_used_is_told_with_the_next_request(clock: FakeClock) -> None:
    options = CIPHERED | {"invocation_counter": 1}
    async with (
        bench(clock, "counter-refused:told,after=2", framing="wrapper") as bad,
        bad.client(**options) as client,
    ):
        with pytest.raises(ServiceRefused, match="invocation-counter-error") as caught:
            await client.set(attribute(1, "0.0.96.13.0.255"), text(b"x"))
        expected = caught.value.invocation_counter
        assert expected is not None and expected > 100
        assert client.ciphering.counter is not None and client.ciphering.counter.value >= expected
        assert await value(client, "1.0.1.8.0.255") > 1_000_000


async def test_a_connection_that_ends_in_blocks_leaves_shorter_answers_alone(clock: FakeClock) -> None:
    async with bench(clock, "drop-in-blocks:3", framing="wrapper") as bad, bad.client(max_pdu=100, **READER) as client:
        assert await value(client, "1.0.1.8.0.255") > 1_000_000
        with pytest.raises(ConnectionLost):
            await read_objects(client)
