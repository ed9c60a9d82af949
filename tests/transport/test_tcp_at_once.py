"""Bytes that are there already are read past the event loop, and nobody else goes short of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.tcp import TcpTransport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[TcpTransport]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    async with server:
        transport = TcpTransport(*server.sockets[0].getsockname()[:2])
        async with transport:
            yield transport


async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            writer.write(bytes(4096))
            await writer.drain()
    except ConnectionError:
        writer.close()


async def read_on(transport: TcpTransport, seconds: float) -> bytes:
    """As the client's exchange reads."""
    return transport.at_once() or await transport.read(seconds)


async def test_a_flood_starves_nobody() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with connected(flood) as transport:
        task = asyncio.create_task(other())
        end = asyncio.get_running_loop().time() + 60
        while turns <= 10:
            assert await read_on(transport, 60)
            assert asyncio.get_running_loop().time() < end, "only the flood was read"
        task.cancel()


async def test_a_flood_can_be_cancelled() -> None:
    async def read_for_ever(transport: TcpTransport) -> None:
        while True:
            await read_on(transport, 1)

    async with connected(flood) as transport:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read_for_ever(transport)


async def test_octets_stay_in_order() -> None:
    """Some are read by the loop, some at once."""

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2000):
            writer.write(number.to_bytes(2, "big"))
            if number % 3 == 0:
                await asyncio.sleep(0)
        writer.close()

    async with connected(count) as transport:
        received = b""
        with pytest.raises(ConnectionLost):
            while True:
                received += await read_on(transport, 60)
                if len(received) % 7 == 0:
                    await asyncio.sleep(0)
    assert received == b"".join(number.to_bytes(2, "big") for number in range(2000))


async def test_closing_ends_the_connection() -> None:
    """Both descriptors are closed: the other end notices at once."""
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        ended.set()
        writer.close()

    async with connected(wait) as transport:
        await transport.close()
        async with asyncio.timeout(60):
            await ended.wait()


async def test_a_quick_meter_is_waited_for_in_place_and_a_slow_one_in_the_loop() -> None:
    delays = [0.0] * 20 + [0.05] * 5 + [0.0] * 20 + [0.5]
    turns = 0

    async def meter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1):
            await asyncio.sleep(delays[data[0]])
            writer.write(data)
        writer.close()

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async with connected(meter) as transport:
        *before, last = range(len(delays))
        for number in before:
            transport.write(bytes((number,)))
            assert await read_on(transport, 60) == bytes((number,))
        task = asyncio.create_task(other())
        transport.write(bytes((last,)))
        assert await read_on(transport, 60) == bytes((last,))
        task.cancel()
    assert turns > 5, "the loop stood still while a slow meter was waited for"
