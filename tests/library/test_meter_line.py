"""The line of one meter as a script uses it: taken in turns, lost and opened anew, refused once, kept out of forks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt import AuthenticationRefused, Meter
from dlms_mqtt.errors import ConnectionLost, LocalProtocolError, TransportError
from dlms_mqtt.simulator import KEYS, TcpServer, household, serve_tcp
from dlms_mqtt.simulator import Meter as SimulatedMeter
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


async def cut(server: TcpServer) -> None:
    for connection in list(server.connections):
        connection.close()
    await nobody(server)


async def nobody(server: TcpServer) -> None:
    async with asyncio.timeout(60):
        while server.connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


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


CIPHERED: Any = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption.hex(),
    "authentication_key": KEYS.authentication.hex(),
}
CONFIG = """
bridge: {state_dir: STATE, timezone: Europe/Vienna}
mqtt: {host: localhost}
meters:
  house:
    connection: {tcp: "127.0.0.1:PORT", client: 32, authentication: low, password: "text:12345678"}
"""


async def test_two_tasks_take_turns(line: str) -> None:
    async with Meter(line, **READER) as meter:
        names, energies = await asyncio.gather(
            asyncio.gather(*(meter.read("0-0:42.0.0") for _ in range(20))),
            asyncio.gather(*(meter.read(ENERGY) for _ in range(20))),
        )
    assert {type(reading.value) for reading in names} == {str}
    assert {reading.unit for reading in energies} == {"Wh"}


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
        meter = Meter(f"tcp://127.0.0.1:{port}", reconnect=True, timeout=20, **READER)
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


async def test_a_meter_of_the_configuration(server: TcpServer, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PORT", str(server.port)).replace("STATE", str(tmp_path)))
    for name in ("house", ""):
        async with Meter.from_config(path, name) as meter:
            assert (await meter.read(ENERGY)).unit == "Wh"
            assert str((await meter.profile(PROFILE, first=1, count=1)).rows[0][0].tzinfo) == "Europe/Vienna"
    with pytest.raises(ValueError, match="no meter 'garden'; it has house"):
        Meter.from_config(path, "garden")
