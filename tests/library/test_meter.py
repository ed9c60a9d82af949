"""``Meter`` in use: what it gives, and that it survives cancelling, queueing, lost lines, refusals and forks."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt import AccessRefused, AuthenticationRefused, Meter, MeterRefused, read_all
from dlms_mqtt.errors import ConnectionLost, LocalProtocolError, TransportError
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


async def test_two_tasks_take_turns(line: str) -> None:
    async with Meter(line, **READER) as meter:
        names, energies = await asyncio.gather(
            asyncio.gather(*(meter.read("0-0:42.0.0") for _ in range(20))),
            asyncio.gather(*(meter.read(ENERGY) for _ in range(20))),
        )
    assert {type(reading.value) for reading in names} == {str}
    assert {reading.unit for reading in energies} == {"Wh"}


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


async def test_a_cancelled_opening_leaves_nothing_open(server: TcpServer) -> None:
    for step in range(12):
        meter = Meter(f"tcp://127.0.0.1:{server.port}", **READER)
        task = asyncio.create_task(meter.open())
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        if isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError):
            with pytest.raises(LocalProtocolError, match="not open"):
                await meter.read(ENERGY)
        await meter.close()
    await nobody(server)


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


async def cut(server: TcpServer) -> None:
    for connection in list(server.connections):
        connection.close()
    await nobody(server)


async def nobody(server: TcpServer) -> None:
    async with asyncio.timeout(20):
        while server.connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_a_lost_line_is_opened_anew_where_that_was_chosen(server: TcpServer, line: str) -> None:
    async with Meter(line, reconnect=True, **READER) as meter:
        for _ in range(3):
            assert (await meter.read(ENERGY)).unit == "Wh"
            await cut(server)


async def test_what_acts_is_not_repeated_on_a_lost_line(server: TcpServer, line: str) -> None:
    """Nobody knows whether the meter had it; after a pause the line is proved first, with a harmless question."""
    relay = "0-0:96.3.10:remote_reconnect"
    async with Meter(line, reconnect=True, **MANAGER) as meter:
        await meter.invoke(relay)
        await cut(server)
        with pytest.raises(ConnectionLost):
            await meter.invoke(relay)
        await meter.invoke(relay)
        await cut(server)
        meter.client._live.last_used -= 60
        await meter.invoke(relay)


async def test_else_every_call_says_that_the_line_is_lost(server: TcpServer, line: str) -> None:
    async with Meter(line, **READER) as meter:
        await meter.read(ENERGY)
        await cut(server)
        with pytest.raises(ConnectionLost):
            await meter.read(ENERGY)
        with pytest.raises(ConnectionLost, match="was lost") as lost:
            await meter.read(ENERGY)
    assert "reconnect=True" in lost.value.hint
    async with meter:
        assert (await meter.read(ENERGY)).unit == "Wh"


async def test_a_meter_that_is_away_for_a_while(simulated: SimulatedMeter) -> None:
    port = free_port()
    async with serve_tcp(simulated, port=port):
        meter = Meter(f"tcp://127.0.0.1:{port}", reconnect=True, timeout=1, **READER)
        await meter.open()
        await meter.read(ENERGY)
    for _ in range(3):
        with pytest.raises(TransportError):
            await meter.read(ENERGY)
    async with serve_tcp(simulated, port=port):
        assert (await meter.read(ENERGY)).unit == "Wh"
        await meter.close()


async def test_a_refused_password_is_not_sent_again(simulated: SimulatedMeter, server: TcpServer, line: str) -> None:
    async with Meter(line, reconnect=True, **READER) as meter:
        await meter.read(ENERGY)
        association = next(item for item in simulated.associations.values() if item.client == 32)
        object.__setattr__(association, "secret", type(association.secret)(b"changed!"))
        await cut(server)
        seen: list[type[BaseException]] = []
        for _ in range(4):
            try:
                await meter.read(ENERGY)
            except (ConnectionLost, AuthenticationRefused) as error:
                seen.append(type(error))
    assert seen[-2:] == [AuthenticationRefused, AuthenticationRefused]
    assert simulated.failures == {32: 1}


async def test_a_refused_password_when_opening(line: str) -> None:
    meter = Meter(line, client=32, password="wrong")
    for _ in range(2):
        with pytest.raises(AuthenticationRefused):
            await meter.open()


# -- used wrongly -----------------------------------------------------------------------------------------------------


async def test_before_and_after_the_block(line: str) -> None:
    meter = Meter(line, **READER)
    with pytest.raises(LocalProtocolError, match="not open") as error:
        await meter.read(ENERGY)
    assert "async with" in error.value.hint
    async with meter:
        with pytest.raises(LocalProtocolError, match="open already"):
            await meter.open()
        assert repr(meter) == f"<Meter {line} client=32 open>"
        assert meter.client.association
    await meter.close()
    with pytest.raises(LocalProtocolError, match="not open"):
        await meter.clock()


@pytest.mark.parametrize("text", ["", "energy?", "1.8", "99999/1-0:1.8.0", "1-0:1.8.0:nonsense"])
async def test_what_is_no_object(line: str, text: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(ValueError, match=r"no object|no attribute"):
            await meter.read(text, ENERGY)


async def test_rows_by_time_and_number(line: str) -> None:
    async with Meter(line, **READER) as meter:
        with pytest.raises(ValueError, match="not both"):
            await meter.profile(PROFILE, start=datetime.now(UTC), count=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_after_a_fork_the_child_leaves_the_line_alone(line: str) -> None:
    async with Meter(line, **READER) as meter:
        before = await meter.read(ENERGY)
        child = os.fork()
        if not child:
            os._exit(_ask_in_child(meter))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (await meter.read(ENERGY)).value >= before.value


def _ask_in_child(meter: Meter) -> int:
    """0: a clear error at once, and leaving sends nothing."""
    try:
        meter.read(ENERGY).send(None)
    except LocalProtocolError as error:
        done = "another process" in error.message
    else:
        return 1
    try:
        meter.close().send(None)
    except StopIteration:
        return 0 if done else 2
    return 3


# -- ciphering and configuration --------------------------------------------------------------------------------------

CIPHERED: Any = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption.hex(),
    "authentication_key": KEYS.authentication.hex(),
}


async def test_a_ciphered_read_keeps_its_counter(line: str, tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    values = []
    for _ in range(2):
        async with Meter(line, state=state, **CIPHERED) as meter:
            values.append((await meter.read(ENERGY)).value)
    assert values[1] >= values[0]
    assert state.exists()


async def test_the_state_is_where_the_command_line_has_it(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with Meter(line, **READER) as meter:
        await meter.read(ENERGY)
    assert not os.listdir(tmp_path)  # nothing is ciphered, nothing is kept
    async with Meter(line, **CIPHERED) as meter:
        await meter.read(ENERGY)
    assert (tmp_path / "dlms-mqtt" / "state.sqlite").exists()


async def test_without_state_ciphering_is_refused_unless_somebody_counts(line: str) -> None:
    with pytest.raises(ValueError, match="state: ciphering needs a state file"):
        Meter(line, state=None, **CIPHERED)
    async with Meter(line, state=None, invocation_counter=100, **CIPHERED) as meter:
        assert (await meter.read(ENERGY)).unit == "Wh"
    async with Meter(line, state=None, **READER) as meter:
        assert (await meter.read(ENERGY)).unit == "Wh"


CONFIG = """
bridge: {state_dir: STATE, timezone: Europe/Vienna}
mqtt: {host: localhost}
meters:
  house:
    connection: {tcp: "127.0.0.1:PORT", client: 32, authentication: low, password: "text:12345678"}
"""


async def test_a_meter_of_the_configuration(server: TcpServer, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PORT", str(server.port)).replace("STATE", str(tmp_path)))
    for name in ("house", ""):
        async with Meter.from_config(path, name) as meter:
            assert (await meter.read(ENERGY)).unit == "Wh"
            assert str((await meter.profile(PROFILE, first=1, count=1)).rows[0][0].tzinfo) == "Europe/Vienna"
    with pytest.raises(ValueError, match="no meter 'garden'; it has house"):
        Meter.from_config(path, "garden")
