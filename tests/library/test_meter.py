"""``Meter`` in use: what it gives, and that it survives cancelling, queueing, lost lines, refusals and forks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt import AccessRefused, AuthenticationRefused, DlmsMqttError, Meter, MeterRefused, read_all
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import KEYS, TcpServer, household, serve_tcp
from dlms_mqtt.simulator import Meter as SimulatedMeter
from tests.client.our_meter import OurMeter
from tests.free_port import free_port

READER: Any = {"client": 32, "password": "12345678"}
MANAGER: Any = {"client": 17}
ENERGY, VOLTAGE, PROFILE = "1-0:1.8.0", "1-0:32.7.0", "1-0:99.1.0"


@pytest.fixture
async def simulated() -> SimulatedMeter:
    return household(1)


@pytest.fixture
async def server(simulated: SimulatedMeter) -> AsyncIterator[TcpServer]:
    async with serve_tcp(simulated) as server:
        yield server


@pytest.fixture
async def line(server: TcpServer) -> str:
    return f"tcp://127.0.0.1:{server.port}"


# -- what it gives ----------------------------------------------------------------------------------------------------


async def test_one_object(line: str) -> None:
    async with Meter(line, **READER) as meter:
        reading = await meter.read(ENERGY)
    assert (reading.name, reading.unit, reading.key) == ("Active energy import", "Wh", "energy_import")
    assert isinstance(reading.value, Decimal)
    assert reading.value > 1_000_000
    assert reading.error is None


async def test_several_objects_and_one_refused(line: str) -> None:
    async with Meter(line, **READER) as meter:
        energy, nothing, unknown, volts = await meter.read(ENERGY, "1/0-0:200.9.9", "1-0:200.99.0", VOLTAGE)
        (alone,) = await meter.read(["1/0-0:200.9.9"])
    assert energy.unit == "Wh"
    assert 200 < volts.value < 260
    for missing in (nothing, unknown, alone):
        assert missing.value is None
        assert missing.error is not None
        assert missing.error.name == "object-undefined"


async def test_one_refused_object_raises(line: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(MeterRefused, match="object-undefined"):
            await meter.read("1/0-0:200.9.9")
        assert (await meter.read(ENERGY)).unit == "Wh"


async def test_kinds_of_values(line: str) -> None:
    async with Meter(line, **READER) as meter:
        name, clock, period, columns = await meter.read(
            "0-0:42.0.0", "0-0:1.0.0", f"{PROFILE}:capture_period", f"{PROFILE}:3"
        )
    assert name.value.startswith("DMQ")
    assert name.raw == name.value.encode()
    assert abs(clock.value - datetime.now(UTC)) < timedelta(minutes=1)
    assert period.value == 900
    assert columns.value[0][0] == 8


async def test_objects_of_the_meter_can_be_read(line: str) -> None:
    async with Meter(line, **READER) as meter:
        objects = await meter.objects()
        energy = next(item for item in objects if item.obis == Obis.parse(ENERGY))
        assert (energy.class_id, energy.class_name, energy.name) == (3, "Register", "Active energy import")
        assert energy.attributes[2] == "read-only"
        assert energy.readable()
        assert not energy.writable()
        assert energy.attribute_name(3) == "scaler_unit"
        readings = await meter.read([item for item in objects if item.class_id == 3])
        assert all(reading.error is None for reading in readings)
        assert (await meter.objects()) == objects


async def test_profile_by_number_and_by_time(line: str) -> None:
    async with Meter(line, timezone="Europe/Vienna", **READER) as meter:
        first = await meter.profile(PROFILE, first=1, count=3)
        start = first[1]["Clock"]
        middle = await meter.profile(PROFILE, start=start, end=start + timedelta(hours=1))
        naive = await meter.profile(PROFILE, start=start.replace(tzinfo=None), end=start + timedelta(hours=1))
        exact = await meter.profile(PROFILE, first=1, count=3, exact=True)
    assert len(first) == 3
    assert first.columns[0] == "Clock"
    assert first.units[first.columns.index("Active energy import")] == "Wh"
    assert len(middle) == len(naive) == 5
    assert middle.rows[0][0] == start
    assert str(start.tzinfo) == "Europe/Vienna"
    assert isinstance(first[0]["Active energy import"], int)
    assert exact[0]["Active energy import"] == Decimal(first[0]["Active energy import"])
    assert isinstance(exact[0]["Active energy import"], Decimal)


async def test_clock(line: str) -> None:
    async with Meter(line, **MANAGER) as meter:
        drift = await meter.clock()
        assert drift.seconds is not None
        assert abs(drift.seconds) < 5
        sent = await meter.set_clock()
        assert abs(sent - datetime.now(UTC)) < timedelta(seconds=5)


async def test_invoke_by_number_and_by_name(line: str) -> None:
    relay = "0-0:96.3.10"
    async with Meter(line, **MANAGER) as meter:
        assert await meter.invoke(f"{relay}:1") is None
        off = await meter.read(f"{relay}:2")
        assert await meter.invoke(f"{relay}:remote_reconnect") is None
        on = await meter.read(f"{relay}:2")
    assert (off.value, on.value) == (False, True)


async def test_invoke_says_what_is_missing(line: str) -> None:
    async with Meter(line, **MANAGER) as meter:
        with pytest.raises(ValueError, match="method: which one"):
            await meter.invoke("0-0:96.3.10")
        with pytest.raises(ValueError, match="no method 'explode'"):
            await meter.invoke("0-0:96.3.10:explode")


def with_objects(simulated: SimulatedMeter, *rows: dict[str, Any]) -> None:
    from dlms_mqtt.simulator.description import describe

    described = describe({"kind": "bare", "objects": list(rows)}).meter
    simulated.add(*(item for key, item in described.objects.items() if item.class_id in (1, 3)))


WRITABLE = {"writable": [2], "see": "public", "write": "public"}
WRITES = [
    ({"obis": "0.0.96.13.0.255", "class": 1, "value": "text:old", "type": "octet-string"}, "hello", "hello"),
    ({"obis": "0.0.96.13.1.255", "class": 1, "value": "00", "type": "octet-string"}, b"\x01\x02", b"\x01\x02"),
    ({"obis": "0.0.96.13.2.255", "class": 1, "value": "old", "type": "visible-string"}, "new", "new"),
    ({"obis": "0.0.96.13.3.255", "class": 1, "value": 1, "type": "long-unsigned"}, 500, 500),
    ({"obis": "1.0.35.0.0.255", "class": 3, "value": 1, "scaler": -1, "unit": "W"}, Decimal("23.5"), Decimal("23.5")),
    ({"obis": "1.0.35.0.1.255", "class": 3, "value": 1, "scaler": 2, "unit": "W"}, 2300, Decimal(2300)),
]


@pytest.mark.parametrize(("row", "value", "expected"), WRITES, ids=lambda value: str(value)[:30])
async def test_what_is_written_is_read(
    simulated: SimulatedMeter, line: str, row: dict[str, Any], value: Any, expected: Any
) -> None:
    with_objects(simulated, row | WRITABLE)
    item = f"{row['class']}/{row['obis']}:2"
    async with Meter(line, **MANAGER) as meter:
        await meter.write(item, value)
        assert (await meter.read(item)).value == expected


async def test_a_time_is_written_as_the_meter_writes_it(simulated: SimulatedMeter, line: str) -> None:
    row = {"obis": "0.0.96.13.0.255", "class": 1, "value": "07e80101010000000000000000"[:24], "type": "octet-string"}
    with_objects(simulated, row | WRITABLE)
    moment = datetime(2026, 7, 1, 12, 0)
    async with Meter(line, timezone="Europe/Vienna", **MANAGER) as meter:
        await meter.write("1/0.0.96.13.0.255:2", moment)
        reading = await meter.read("1/0.0.96.13.0.255")
    assert reading.value == datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


async def test_a_value_that_does_not_fit_is_not_sent(simulated: SimulatedMeter, line: str) -> None:
    with_objects(simulated, WRITES[3][0] | WRITABLE, WRITES[5][0] | WRITABLE)
    async with Meter(line, **MANAGER) as meter:
        for item, value in (("1/0.0.96.13.3.255", 70000), ("1/0.0.96.13.3.255", "many"), ("3/1.0.35.0.1.255", 150)):
            with pytest.raises(ValueError, match="value: "):
                await meter.write(item, value)
        await meter.write("1/0.0.96.13.3.255", Data(DataType.LONG_UNSIGNED, 7))
        assert (await meter.read("1/0.0.96.13.3.255")).value == 7
        with pytest.raises(ValueError, match="type: 'longish' is no DLMS type"):
            await meter.write("1/0.0.96.13.3.255", 1, type="longish")


async def test_a_refused_write(line: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await meter.write(f"{PROFILE}:4", 60)


# -- a meter that is asked by many ------------------------------------------------------------------------------------


FRAMINGS = ("wrapper", "hdlc")


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("ciphered", [False, True])
async def test_cancelled_at_any_time_the_next_one_gets_its_own_answer(
    simulated: SimulatedMeter, framing: Any, ciphered: bool, tmp_path: Path
) -> None:
    """The turns of the event loop after which it is cancelled go through the whole of a read in many blocks."""
    keys: Any = {"encryption_key": bytes(KEYS.encryption), "authentication_key": bytes(KEYS.authentication)}
    access: Any = {"client": 1, "authentication": "gmac", **keys} if ciphered else MANAGER
    chance = random.Random(framing)
    async with (
        serve_tcp(simulated, framing=framing) as server,
        Meter(f"tcp://127.0.0.1:{server.port}", framing=framing, state=tmp_path / "state", **access) as meter,
    ):
        cancelled = 0
        for step in range(60):
            task = asyncio.create_task(meter.profile(PROFILE, first=1, count=200))
            for _ in range(step if step < 40 else chance.randrange(200)):
                await asyncio.sleep(0)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            cancelled += isinstance(result, asyncio.CancelledError)
            assert (await meter.read("0-0:42.0.0")).value.startswith("DMQ")
            assert (await meter.read(ENERGY)).unit == "Wh"
    assert cancelled > 5


async def test_a_timeout_around_a_silent_meter() -> None:
    async with OurMeter(framing="wrapper") as simulated, Meter(simulated.line, client=17, timeout=5) as meter:
        assert (await meter.read(ENERGY)).unit == "Wh"
        simulated.faults.add("silence")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await meter.read(ENERGY)
        simulated.faults.remove("silence")
        assert (await meter.read("0-0:42.0.0")).value.startswith("DMQ")


async def test_many_meters_at_once(line: str) -> None:
    away = Meter(f"tcp://127.0.0.1:{free_port()}")
    refused = Meter(line, client=32, password="wrong")
    good = [Meter(line, **READER) for _ in range(5)]
    first, *found = await read_all([away, *good, refused], "energy_import", "1/0-0:200.9.9", at_once=3)
    assert [reading.error is not None for reading in first] == [True, True]
    assert first[0].as_dict()["error"] == "connect-failed"
    for energy, nothing in found[:5]:
        assert energy.unit == "Wh"
        assert nothing.error is not None
    assert isinstance(found[5][0].error, AuthenticationRefused)
    with pytest.raises(ValueError, match="no object"):
        await read_all(good, "?")


# -- a line that goes away --------------------------------------------------------------------------------------------


# -- used wrongly -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "energy?", "1.8", "99999/1-0:1.8.0", "1-0:1.8.0:nonsense"])
async def test_what_is_no_object(line: str, text: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(ValueError, match=r"no object|no attribute"):
            await meter.read(text, ENERGY)


async def test_rows_by_time_and_number(line: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(ValueError, match="not both"):
            await meter.profile(PROFILE, start=datetime.now(UTC), count=1)


# -- ciphering and configuration --------------------------------------------------------------------------------------


def test_a_meter_says_what_it_is_and_needs_to_be_open(tmp_path: Path) -> None:
    meter = Meter("tcp://127.0.0.1:4059", **READER)
    assert (meter.line, repr(meter)) == (
        "tcp://127.0.0.1:4059",
        "<Meter tcp://127.0.0.1:4059 client=32 closed>",
    )
    with pytest.raises(DlmsMqttError):
        _ = meter.client
    config = tmp_path / "config.yaml"
    text = "mqtt: {host: localhost}\nmeters:\n  house:\n    connection: {tcp: '127.0.0.1:4059', client: 17}\n"
    config.write_text(text)
    assert repr(Meter.from_config(config)) == "<Meter tcp://127.0.0.1:4059 client=17 closed>"
    config.write_text(text.replace("client: 17", "colour: red"))
    with pytest.raises(ConfigError, match="colour"):
        Meter.from_config(config, "house")


async def test_what_the_meter_has_nowhere_spoils_no_other(line: str) -> None:
    async with Meter(line, **READER) as meter:
        assert "open" in repr(meter) and meter.client.association.max_pdu
        nothing, volts, nowhere = await meter.read("1-0:200.99.0", VOLTAGE, "1-0:200.98.0:3")
        assert volts.error is None
        for reading, number in ((nothing, 2), (nowhere, 3)):
            assert isinstance(reading.error, AccessRefused)
            assert (reading.attribute, reading.value) == (number, None)
        with pytest.raises(ValueError, match=r"the type of .* is not known"):
            await meter.write("1-0:200.99.0", 1)
        with pytest.raises(ValueError, match="by time or by number"):
            await meter.profile(PROFILE, start=datetime(2026, 1, 1), count=2)


async def test_a_code_of_which_neither_catalogue_nor_meter_knows_the_class_spoils_no_other(line: str) -> None:
    async with Meter(line, **READER) as meter:
        nothing, volts, nowhere = await meter.read("0-0:77.1.0", VOLTAGE, "99-0:1.1.1:3")
        assert volts.error is None
        for reading, number in ((nothing, 2), (nowhere, 3)):
            assert isinstance(reading.error, AccessRefused) and "has no object" in reading.error.message
            assert (reading.class_id, reading.attribute, reading.value) == (0, number, None)
        with pytest.raises(AccessRefused, match="has no object"):
            await meter.write("0-0:77.1.0", 1)


async def test_the_list_of_objects_is_asked_for_once(line: str) -> None:
    async with Meter(line, **MANAGER) as meter:
        first = await meter.objects()
        assert (await meter.objects())[0] is first[0]
        again = await meter.objects(fresh=True)
        assert again == first and again[0] is not first[0]
