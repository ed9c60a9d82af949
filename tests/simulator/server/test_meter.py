"""A simulated meter: short names, its clock, what happens to it, clients that may not come in, counters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.errors import (
    AccessRefused,
    AuthenticationRefused,
)
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import (
    HLS_SECRET,
    PASSWORD,
    Faults,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.meter import ShiftedClock
from dlms_mqtt.transport.base import SerialFormat
from tests.fake_clock import FakeClock
from tests.simulator.bench import frozen_meter
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    MESSAGE,
    connected,
    text,
)
from tests.simulator.faulty import READER, bench


async def test_each_client_sees_its_own_meter(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with (
        connected(meter, client=16) as public,
        connected(meter, client=32, authentication="low", password=PASSWORD) as reader,
        connected(meter, **GMAC) as manager,
        connected(meter, client=35, authentication="md5", password=HLS_SECRET, referencing="sn") as short,
    ):
        lists = [await read_objects(client) for client in (public, reader, manager)]
        assert len(lists[0]) < 12 < len(lists[1]) == len(lists[2])
        by_rights = [{item.obis: item.writable(2) for item in found}[MESSAGE.obis] for found in lists[1:]]
        assert by_rights == [False, True]
        with pytest.raises(AccessRefused):
            await public.get(ENERGY)
        with pytest.raises(AccessRefused):
            await reader.set(MESSAGE, text(b"no"))
        await manager.set(MESSAGE, text(b"yes"))
        assert (await reader.get(MESSAGE)).value == (await short.get(MESSAGE)).value == b"yes"


async def test_wrong_passwords_lock_the_meter_and_are_not_repeated(clock: FakeClock) -> None:
    wrong = READER | {"password": Secret(b"wrong")}
    async with bench(clock, "lock-out:2", line=SerialFormat(9600)) as bad:
        for failures in (1, 2):
            with pytest.raises(AuthenticationRefused):
                await bad.client(**wrong).open()
            assert bad.meter.failures[32] == failures  # the client sent it once each time
        with pytest.raises(AuthenticationRefused):
            await bad.client().open()
        clock.step(901)
        async with bad.client() as client:
            await client.get(ENERGY)


def test_names_of_attributes_and_methods() -> None:
    meter = frozen_meter()
    item = meter.objects[70, Obis.parse("0.0.96.3.10.255")]
    assert meter.named(item.short_name + 8) == (item, "attribute", 2)
    assert meter.named(item.short_name + 0x20) == (item, "method", 1)
    assert meter.named(item.short_name + 9) is None
    assert meter.named(3) is None
    meter.remove(item.obis)
    assert (70, item.obis) not in meter.objects


def test_what_happens_is_logged_once_and_told() -> None:
    meter = frozen_meter()
    codes: list[int] = []
    meter.on_event.append(lambda event: codes.append(event.code))
    meter.connect(False)
    meter.connect(False)
    meter.connect(True)
    meter.force_tariff(2)
    meter.reset_registers()
    meter.restart()
    assert codes == [60, 61, 11, 14, 1, 2]
    assert meter.restarts == 1


def test_its_clock_is_its_own() -> None:
    meter = frozen_meter()
    true = meter.clock.time()
    meter.jump(30)
    assert meter.seconds() == true + 30
    meter.drift(86.4)
    meter.clock.step(1000)  # type: ignore[attr-defined]
    assert meter.seconds() == pytest.approx(true + 1031)
    meter.set_clock(datetime(2026, 7, 1, tzinfo=UTC))
    assert meter.now() == datetime(2026, 7, 1, tzinfo=UTC)
    assert meter.time_data(0.0).value.hex().startswith("07b20101")
    assert meter.events[-1].code == 5


def test_a_shifted_clock_goes_right_from_another_moment_on(clock: FakeClock) -> None:
    shifted = ShiftedClock(clock, datetime(2020, 1, 1, tzinfo=UTC))
    clock.elapsed += 5
    assert shifted.time() == datetime(2020, 1, 1, tzinfo=UTC).timestamp() + 5
    assert shifted.monotonic() == clock.monotonic()


def test_an_association_left_open_is_stuck_for_its_time() -> None:
    meter = frozen_meter()
    row = replace(meter.associations[17], faults=Faults(["stuck:60"]))
    meter.associate(row)
    meter.left_open(row)
    meter.left_open(meter.associations[16])
    assert (meter.stuck(17), meter.stuck(16)) == (True, False)
    meter.clock.step(61)  # type: ignore[attr-defined]
    assert not meter.stuck(17)


def test_counters_rise() -> None:
    meter = frozen_meter()
    assert meter.next_counter() + 1 == meter.next_counter()
    assert meter.client_counter() == 0
