from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.sign_on import SignOnFailed, sign_on
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, ResponseTimeout
from dlms_mqtt.protocol.framing.mode_e import Action, Send, SignOnServer
from dlms_mqtt.protocol.framing.sign_on import BREAK, Identification, OptionSelect, encode_readout
from dlms_mqtt.simulator import SignOnOptions, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat, Transport
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from dlms_mqtt.transport.serial import SerialTransport
from tests.fake_clock import FakeClock
from tests.line import SIGN_ON, PacedPty, Rfc2217Server, carry_out, sign_on_as_meter

ISKRA = Identification("ISK", "5", ("2",), "ME371-2105")
QUICK = Identification("ISk", "5", ("2",), "ME371-2105")
HDLC = SerialFormat(9600)


def settings(**values: Any) -> ConnectionSettings:
    return ConnectionSettings(opening="sign-on", **values)


@asynccontextmanager
async def meter_on(
    end: MemoryTransport, server: SignOnServer | None = None, **values: Any
) -> AsyncIterator[asyncio.Task[int]]:
    """A meter that waits for its sign-on at this end of a line."""
    task = asyncio.create_task(sign_on_as_meter(end, server or SignOnServer(ISKRA, **values)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def line_pair(
    latency: float = 0.03, line: SerialFormat | None = SIGN_ON
) -> tuple[MemoryTransport, MemoryTransport]:
    client, meter = memory_pair(line=line, latency=latency)
    await client.open()
    await meter.open()
    return client, meter


async def proven(client: MemoryTransport, meter: MemoryTransport) -> bool:
    """Whether eight-bit octets now pass both ways."""
    client.discard()
    meter.discard()
    client.write(b"\x7e\xff\x00")
    await client.drain()
    await asyncio.sleep(0.1)
    meter.write(meter.discard())
    await asyncio.sleep(0.1)
    return client.discard() == b"\x7e\xff\x00"


async def test_from_300_to_9600(clock: FakeClock) -> None:
    client, meter = await line_pair()
    async with meter_on(meter) as task:
        assert await sign_on(client, settings()) == ISKRA
        assert await task == 9600
    assert client.format == meter.format == HDLC
    assert await proven(client, meter)


async def test_the_trace_shows_the_sign_on(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A line for each thing said, though 300 baud bring an octet at a time."""
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    client, meter = await line_pair()
    async with meter_on(meter):
        await sign_on(client, settings())
    trace = [(way, bytes.fromhex(octets)) for _, way, octets in (line.split(" ") for line in caplog.messages)]
    assert trace[:3] == [(">", b"/?!\r\n"), ("<", ISKRA.encode()), (">", b"\x06252\r\n")]
    assert len(trace) <= 4


async def test_it_takes_the_bits_the_standard_and_the_set_delays(clock: FakeClock) -> None:
    """Request, identification, acknowledgement and confirmation at 300 baud, two turn-rounds, reaction, settling."""
    client, meter = await line_pair()
    async with meter_on(meter, SignOnServer(QUICK)):
        await sign_on(client, settings())
    octets = len(b"/?!\r\n") + len(QUICK.encode()) + 2 * len(b"\x06252\r\n")
    assert client.count.octets[0] + client.count.octets[1] == octets
    assert clock.monotonic() == pytest.approx(octets * 10 / 300 + 2 * 0.03 + 0.02 + 0.1, abs=0.32)
    assert clock.monotonic() < 1.7


@pytest.mark.parametrize("confirm", [True, False])
@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("wish", ["auto", "yes", "no"])
async def test_echo_and_confirmation_are_optional(clock: FakeClock, confirm: bool, echo: bool, wish: str) -> None:
    client, meter = await line_pair()
    client.echo = echo
    async with meter_on(meter, confirm=confirm):
        if echo and wish == "no":
            return
        assert await sign_on(client, settings(echo=wish)) == ISKRA
    client.echo = False
    assert await proven(client, meter)


async def test_the_speed_changes_only_after_the_acknowledgement_has_left(clock: FakeClock) -> None:
    """The memory line spoils what a UART still holds when its speed changes, so this passes only when drained."""
    client, meter = await line_pair(latency=0.2)
    async with meter_on(meter, confirm=False) as task:
        await sign_on(client, settings())
        assert await asyncio.wait_for(task, 1) == 9600


async def test_max_baud_and_address(clock: FakeClock) -> None:
    client, meter = await line_pair()
    async with meter_on(meter, address="12345678"):
        await sign_on(client, settings(max_baud=2400, iec_address="12345678"))
    assert client.format == meter.format == SerialFormat(2400)


async def test_noise_before_the_identification_is_skipped(clock: FakeClock) -> None:
    client, meter = await line_pair()
    meter.fault = lambda data: [(0.0, b"?\x7f" + data)] if data.startswith(b"/") else [(0.0, data)]
    async with meter_on(meter):
        assert await sign_on(client, settings()) == ISKRA


async def test_a_lost_request_is_repeated_after_a_break(clock: FakeClock) -> None:
    client, meter = await line_pair()
    sent: list[bytes] = []

    def lose_the_first(data: bytes) -> list[tuple[float, bytes]]:
        sent.append(data)
        return [(0.0, b"" if len(sent) == 1 else data)]

    client.fault = lose_the_first
    async with meter_on(meter):
        assert await sign_on(client, settings()) == ISKRA
    assert sent[:3] == [b"/?!\r\n", BREAK, b"/?!\r\n"]


async def test_a_port_that_can_do_8n1_only(clock: FakeClock) -> None:
    """The meter insists on even parity; the port puts it into bit 7 by itself."""
    client, meter = await line_pair()
    assert client.format == SIGN_ON
    async with meter_on(meter):
        assert await sign_on(client, settings(parity="none")) == Identification(
            "ISK", "5", ("2",), "ME371-2105", parity_seen=True
        )
    assert await proven(client, meter)


async def test_a_fixed_port_is_tried_with_parity_too(clock: FakeClock) -> None:
    client, meter = await line_pair(line=None)
    strict: list[bytes] = []

    async def insist_on_parity() -> None:
        server = SignOnServer(ISKRA, software_parity=True, confirm=False)
        while True:
            data = await meter.read(None)
            strict.append(data)
            actions = server.receive(data) if data[0] in (0xAF, 0x06) else []
            for action in actions:
                await carry_out(meter, action)

    task = asyncio.create_task(insist_on_parity())
    found = await sign_on(client, settings(timeout=1.0))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert found and found.parity_seen
    assert strict[0] == b"/?!\r\n"
    assert bytes.fromhex("af3f218d0a") in strict


async def failure(client: MemoryTransport, **values: Any) -> SignOnFailed:
    with pytest.raises(SignOnFailed) as caught:
        await sign_on(client, settings(**values))
    assert caught.value.hint
    return caught.value


async def test_silence(clock: FakeClock) -> None:
    client, _ = await line_pair()
    error = await failure(client, retries=1)
    assert (error.reason, error.received) == ("silent", b"")
    assert isinstance(error, ResponseTimeout)
    assert clock.monotonic() < 8


async def test_only_the_echo(clock: FakeClock) -> None:
    client, _ = await line_pair()
    client.echo = True
    error = await failure(client, retries=1)
    assert (error.reason, error.received) == ("echo", b"/?!\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"\x55\x2a\x15\x2a", "garbled"), (b"\xaf\xc5\xcd\xd2", "garbled"), (b"\xb1\x2e\xb8\x2e\x30", "parity")],
)
async def test_rubbish_is_named(clock: FakeClock, answer: bytes, reason: str) -> None:
    client, meter = await line_pair(line=None)

    async def answer_always() -> None:
        while True:
            await meter.read(None)
            meter.write(answer)

    task = asyncio.create_task(answer_always())
    error = await failure(client, retries=0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert error.reason == reason
    assert error.received


class ReadoutServer(SignOnServer):
    """A meter that answers the acknowledgement with its readout."""

    def _follow(self, choice: OptionSelect) -> list[Action]:
        return [Send(encode_readout(b"1.8.0(000001.2*kWh)\r\n"))]


async def test_a_readout_is_broken_off_and_named(clock: FakeClock) -> None:
    client, meter = await line_pair()
    sent: list[bytes] = []
    client.fault = lambda data: [(0.0, sent.append(data) or data)]  # type: ignore[func-returns-value]
    async with meter_on(meter, ReadoutServer(ISKRA)):
        error = await failure(client, retries=1)
    assert error.reason == "clear-text"
    assert b"\x02" in error.received
    assert BREAK in sent


async def test_octets_that_never_end(clock: FakeClock) -> None:
    client, meter = await line_pair()

    async def dribble() -> None:
        while True:
            meter.write(b"U")
            await asyncio.sleep(1)

    task = asyncio.create_task(dribble())
    error = await failure(client, exchange_timeout=30.0)
    assert error.reason == "garbled"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_line_is_lost_meanwhile(clock: FakeClock) -> None:
    client, meter = await line_pair(line=None)
    await meter.close()
    with pytest.raises(ConnectionLost):
        await sign_on(client, settings())


async def test_it_can_be_cancelled(clock: FakeClock) -> None:
    client, _ = await line_pair()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await sign_on(client, settings())
    assert clock.monotonic() == 1


async def test_on_a_pseudo_terminal() -> None:
    """The speed that was set is read back on the other side, and paces the line."""
    async with PacedPty() as pty, SerialTransport(pty.device) as line:
        async with meter_on(pty.meter):
            assert await sign_on(line, settings()) == ISKRA
        assert pty.baud == 9600
        pty.meter.write(b"\x7e\xff\x00")
        assert await read(line, 3) == b"\x7e\xff\x00"


async def test_a_lost_ua_does_not_cost_the_sign_on(clock: FakeClock) -> None:
    """A DISC would send the meter back to its sign-on, so the link is asked for once more first."""
    near, far = memory_pair(line=SerialFormat(), latency=0.03)
    answers: list[bytes] = []

    def loses_the_first_ua(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        lost = data[:1] == b"\x7e" and sum(answer[:1] == b"\x7e" for answer in answers) == 1
        return [] if lost else [(0.0, data)]

    far.fault = loses_the_first_ua
    known = settings(serial="memory", retries=1, timeout=2)
    meter = serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions())
    async with meter, DlmsClient(known, transport=near) as client:
        assert (await client.get(LOGICAL_DEVICE_NAME)).value
    assert sum(answer[:1] == b"/" for answer in answers) == 1
    await near.close()


async def test_over_rfc2217_parity_is_changed_with_the_speed() -> None:
    async with Rfc2217Server(SIGN_ON) as server, SerialTransport(server.url) as line:
        async with meter_on(server.meter):
            assert await sign_on(line, settings()) == ISKRA
        port = server.port
        assert (port.baudrate, port.bytesize, port.parity) == (9600, 8, "N")
        line.write(b"\x7e\xff\x00")
        server.meter.write(await read(server.meter, 3))
        assert await read(line, 3) == b"\x7e\xff\x00"


async def read(line: Transport, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await line.read(60)
    return data
