"""Lines that exist in software only: pseudo-terminal, RFC 2217, converter; each knows what speed the client has set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    PASSWORD,
    serve_pty,
    serve_rfc2217,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.virtual_ports import BridgedLine, PtyLine, Rfc2217Line
from dlms_mqtt.transport.base import SerialFormat
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_pseudo_terminal() -> None:
    meter = household(clock=FakeClock())
    async with serve_pty(meter) as line:
        assert await energy(serial=line.device) == await energy(serial=line.device)
        assert line.client_format.baud == 9600


async def test_a_pseudo_terminal_at_another_speed_gives_rubbish() -> None:
    async with serve_pty(household(clock=FakeClock()), paced=False) as line:
        with pytest.raises(ResponseTimeout):
            await energy(serial=line.device, baud=2400, retries=0, timeout=0.2)
        assert line.client_format.baud == 2400


async def test_rfc2217_with_the_wrong_parity_gives_rubbish() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        with pytest.raises(ResponseTimeout):
            await energy(serial=f"rfc2217://{host}:{port}", parity="even", retries=0, timeout=0.3)


async def test_nonsense_ends_only_its_own_connection() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(bytes.fromhex("fff0"))
        while await reader.read(100):
            pass
        writer.close()
        assert await energy(serial=f"rfc2217://{host}:{port}") > 1_000_000


class Connection(asyncio.Transport):
    """What a client's connection gets; ``ended``: how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.ended = b"", ""

    def write(self, data: Any) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


async def test_octets_take_the_time_of_their_bits(clock: FakeClock) -> None:
    line, client = BridgedLine(kept=SerialFormat()), Connection()
    line.connection_made(client)
    line.write(bytes(960))
    assert client.sent == b""
    await line.drain()
    await asyncio.sleep(0)
    assert (client.sent, clock.monotonic()) == (bytes(960), pytest.approx(1.0))


async def test_a_converter_whose_speed_is_another_passes_rubbish_both_ways(clock: FakeClock) -> None:
    line, client = BridgedLine(paced=False), Connection()
    line.connection_made(client)
    line.write(b"/DMQ5")  # at 9600 baud, read at 300
    assert client.sent != b"/DMQ5"
    line.data_received(b"/?!\r\n")
    assert b"/?!" not in line.discard()
    await line.configure(baud=300, data_bits=7, parity="even")
    line.data_received(b"/?!\r\n")
    line.data_received(b"/?!\r\n")
    assert (line.format, await line.read(1)) == (BridgedLine.KEPT, b"/?!\r\n" * 2)
    await line.close()
    line.write(b"late")
    assert client.ended == "closed" and not client.sent.endswith(b"late")


async def test_a_client_that_goes_is_noticed_and_one_that_never_came_gets_nothing(clock: FakeClock) -> None:
    line = BridgedLine(paced=False)
    line.write(b"nobody")
    await line.close()
    line.connection_made(Connection())
    line.connection_lost(None)
    with pytest.raises(ConnectionLost, match="client of the serial port has gone"):
        await line.read(1)


async def test_commands_of_rfc2217_are_answered_and_the_rest_is_the_lines(clock: FakeClock) -> None:
    line, client = Rfc2217Line(paced=False), Connection()
    line.data_received(b"before")  # nobody is connected yet
    line.connection_made(client)
    greeting = client.sent
    line.data_received(bytes.fromhex("fffa2c01000025 80fff0") + b"A\xff\xffB")  # SET-BAUDRATE 9600
    assert client.sent[len(greeting) :] == bytes.fromhex("fffa2c6500002580fff0")
    assert (line.client_format.baud, await line.read(1)) == (9600, b"A\xffB")
    line.write(b"\xff")
    assert client.sent.endswith(b"\xff\xff")
    line.data_received(bytes.fromhex("fff0"))
    assert client.ended == "aborted"


async def test_a_pseudo_terminal_is_opened_once_and_closed_once(clock: FakeClock) -> None:
    line = PtyLine(paced=False)
    line.write(b"not open")
    assert line.client_format == SerialFormat()
    await line.open()
    device = line.device
    await line.open()
    assert line.device == device
    await line.close()
    await line.close()
    with pytest.raises(ConnectionLost):
        await line.read(1)


async def test_a_pseudo_terminal_that_nobody_reads_loses_octets_instead_of_waiting(clock: FakeClock) -> None:
    line = PtyLine(paced=False)
    await line.open()
    for _ in range(24):
        line.write(bytes(4096))
    await line.close()
