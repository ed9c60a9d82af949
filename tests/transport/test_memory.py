from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair, on_the_wire
from tests.fake_clock import FakeClock

FAST = SerialFormat(9600)
SIGN_ON = SerialFormat(300, 7, "even", 1)


async def open_pair(**options: object) -> tuple[MemoryTransport, MemoryTransport]:
    client, meter = memory_pair(**options)  # type: ignore[arg-type]
    await client.open()
    await meter.open()
    return client, meter


async def read_whole(end: MemoryTransport, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await end.read(10)
    return data


async def test_every_octet_takes_its_line_time(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST)
    client.write(bytes(96))
    assert await read_whole(meter, 96) == bytes(96)
    assert clock.monotonic() == pytest.approx(0.1, abs=1e-9)


async def test_an_exchange_takes_bits_and_turn_rounds_and_nothing_else(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST, latency=0.03)

    async def answer() -> None:
        for _ in range(7):
            await read_whole(meter, 40)
            meter.write(bytes(60))

    task = asyncio.create_task(answer())
    for _ in range(7):
        client.write(bytes(40))
        await read_whole(client, 60)
    await task
    assert clock.monotonic() == pytest.approx(7 * (100 * 10 / 9600 + 0.03), abs=1e-6)
    assert client.count.octets == [280, 420]
    assert client.count.turns == 7
    assert client.count.seconds == pytest.approx(700 * 10 / 9600)


async def test_the_first_octets_come_before_the_last(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST)
    client.write(bytes(960))
    first = await meter.read(1)
    assert 0 < len(first) < 20
    assert clock.monotonic() < 0.02


async def test_without_a_speed_it_is_a_connection_that_takes_no_time(clock: FakeClock) -> None:
    client, meter = await open_pair()
    client.write(bytes(100_000))
    assert len(await meter.read(1)) == 100_000
    assert clock.monotonic() == 0
    await meter.close()
    with pytest.raises(ConnectionLost):
        await client.read(1)
    with pytest.raises(ConnectionLost):
        client.write(b"x")


async def test_nothing_coming_is_a_timeout_exactly_on_time(clock: FakeClock) -> None:
    client, _ = await open_pair()
    with pytest.raises(ResponseTimeout):
        await client.read(2.5)
    assert clock.monotonic() == 2.5


async def test_datagrams_keep_their_borders(clock: FakeClock) -> None:
    client, meter = await open_pair(datagram=True)
    client.write(b"one")
    client.write(b"two")
    assert [await meter.read(1), await meter.read(1)] == [b"one", b"two"]


async def test_stream_pieces_are_joined(clock: FakeClock) -> None:
    client, meter = await open_pair()
    client.write(b"one")
    client.write(b"two")
    await asyncio.sleep(0)
    assert await meter.read(1) == b"onetwo"


async def test_different_speeds_give_rubbish(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST)
    await client.configure(baud=300)
    client.write(b"/?!\r\n")
    assert b"/?!" not in await meter.read(1)


async def test_a_change_of_speed_spoils_what_has_not_left(clock: FakeClock) -> None:
    client, meter = await open_pair(line=SIGN_ON)
    client.write(b"\x06252\r\n")
    await client.configure(baud=9600)
    assert await read_whole(meter, 6) != b"\x06252\r\n"


async def test_after_draining_the_speed_may_change(clock: FakeClock) -> None:
    client, meter = await open_pair(line=SIGN_ON)
    client.write(b"\x06252\r\n")
    await client.drain()
    assert clock.monotonic() == pytest.approx(0.2)
    await client.configure(baud=9600)
    assert await read_whole(meter, 6) == b"\x06252\r\n"


async def test_echo_and_faults(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST)
    client.echo = True
    client.fault = lambda data: [(0.0, data[:1]), (0.5, data[2:])]
    client.write(b"abc")
    assert await read_whole(client, 2) == b"ac"
    assert await read_whole(meter, 2) == b"ac"
    assert clock.monotonic() == pytest.approx(0.5 + 2 / 960)


async def test_lines_break_and_discard(clock: FakeClock) -> None:
    client, meter = await open_pair(line=FAST)
    await client.lines(dtr=False)
    await client.send_break(0.25)
    meter.write(b"old")
    await asyncio.sleep(1)
    assert (client.dtr, client.rts, meter.breaks) == (False, True, 1)
    assert client.discard() == b"old"
    assert client.discard() == b""


async def test_open_twice_and_use_while_closed(clock: FakeClock) -> None:
    client, meter = await open_pair()
    meter.write(b"x")
    await client.open()
    assert await client.read(1) == b"x"
    await client.close()
    await client.close()
    for use in (lambda: client.read(1), client.drain):
        with pytest.raises(ConnectionLost):
            await use()
    await client.open()


@given(st.binary(max_size=50))
def test_parity_as_the_wire_has_it(data: bytes) -> None:
    eight = SerialFormat(300)
    wire = on_the_wire(data, SIGN_ON, eight)
    assert bytes(octet & 0x7F for octet in wire) == bytes(octet & 0x7F for octet in data)
    assert all(octet.bit_count() % 2 == 0 for octet in wire)
    assert on_the_wire(wire, eight, SIGN_ON) == bytes(octet & 0x7F for octet in data)
    assert on_the_wire(data, eight, eight) == data


def test_the_published_request_with_parity() -> None:
    """latonita/esphome-energomera-iec, issue 1."""
    assert on_the_wire(b"/?!\r\n", SIGN_ON, SerialFormat(300)).hex() == "af3f218d0a"


@given(st.binary(min_size=1, max_size=300), st.sampled_from([300, 1200, 9600, 115200]))
def test_rubbish_is_bounded(data: bytes, baud: int) -> None:
    received = on_the_wire(data, SerialFormat(2400), SerialFormat(baud))
    assert len(received) <= 4 * len(data)


def test_a_meter_drops_characters_with_a_wrong_parity_bit() -> None:
    """Odd is told from even, and seven bits without parity from seven bits with it, at the end that checks."""
    even, odd = SerialFormat(9600, 8, "even"), SerialFormat(9600, 8, "odd")
    assert on_the_wire(b"abc", even, odd, checked=True) == b""
    assert on_the_wire(b"abc", odd, odd, checked=True) == b"abc"
    assert on_the_wire(b"abc", even, odd) == b"abc"
    eight = SerialFormat(300)
    assert on_the_wire(b"/?!\r\n", eight, SIGN_ON, checked=True) == b"?!\n"
    assert on_the_wire(bytes.fromhex("af3f218d0a"), eight, SIGN_ON, checked=True) == b"/?!\r\n"
    assert on_the_wire(b"/?!", SerialFormat(300, 7, "odd"), SIGN_ON, checked=True) == b""


async def test_the_far_end_checks_and_the_near_end_does_not() -> None:
    near, far = memory_pair(line=SerialFormat(9600, 8, "even"))
    await near.open()
    await far.open()
    await far.configure(baud=9600, data_bits=8, parity="odd")
    near.write(b"question")
    far.write(b"answer")
    assert await near.read(1) == b"answer"
    await asyncio.sleep(0.05)
    assert far.discard() == b""
