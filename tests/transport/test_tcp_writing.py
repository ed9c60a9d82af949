"""What is written past the event loop and what the loop has queued leave in order, whatever the peer does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.tcp import TcpTransport

MEGA = 1 << 20


@asynccontextmanager
async def line(small: bool = True) -> AsyncIterator[tuple[TcpTransport, socket.socket]]:
    """The transport, and the other end as a plain socket that reads only when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if small:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.setblocking(False)
        async with TcpTransport(*server.getsockname()[:2]) as transport:
            peer, _ = await asyncio.get_running_loop().sock_accept(server)
            peer.setblocking(False)
            if small:
                transport._open()._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, 8192
                )
            with peer:
                yield transport, peer


async def take(peer: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        received += await asyncio.get_running_loop().sock_recv(peer, 65536)
    return bytes(received)


def pattern(count: int, seed: int) -> bytes:
    return b"".join((seed + number).to_bytes(4, "big") for number in range(count // 4))


async def test_two_long_writes_and_a_short_one_keep_their_order() -> None:
    parts = [pattern(MEGA, 0), pattern(MEGA, 1 << 30), b"the end"]
    async with line() as (transport, peer):
        for part in parts:
            transport.write(part)
        assert not transport._open().sent.is_set()
        assert await take(peer, sum(map(len, parts))) == b"".join(parts)
        await asyncio.wait_for(transport.drain(), 5)


async def test_writes_between_turns_of_the_loop_keep_their_order() -> None:
    """The peer reads in between, so that the system takes some directly, some through the loop."""
    parts = [pattern(40_000 + 4 * number, number << 20) for number in range(120)]
    async with line() as (transport, peer):
        reader = asyncio.create_task(take(peer, sum(map(len, parts))))
        for number, part in enumerate(parts):
            transport.write(part)
            if number % 3:
                await asyncio.sleep(0)
            if number % 10 == 0:
                await transport.drain()
        assert await reader == b"".join(parts)


async def test_what_is_queued_goes_out_before_the_line_is_closed() -> None:
    long = pattern(MEGA, 7)
    async with line() as (transport, peer):
        transport.write(long)
        reader = asyncio.create_task(take(peer, len(long)))
        await transport.close()
        assert await reader == long
        assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""


def half_close(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()


@pytest.mark.parametrize("end", [half_close, reset])
@pytest.mark.parametrize("quick", [False, True], ids=["in the loop", "in place"])
async def test_an_end_is_found_however_it_is_waited_for(end: Callable[[socket.socket], None], quick: bool) -> None:
    async with line(small=False) as (transport, peer):
        if quick:
            for _ in range(3):
                transport.write(b"?")
                peer.send(b"!")
                assert await transport.read(5) == b"!"
            transport._open()._quick = True
        end(peer)
        with pytest.raises(ConnectionLost):
            await transport.read(5)
        with pytest.raises(ConnectionLost):
            transport.write(b"more")


@pytest.mark.parametrize("size", [1, MEGA])
async def test_writing_to_a_peer_that_has_reset_ends_in_one_error(size: int) -> None:
    """It may come with a write or with the read that follows, but it comes, and once found it stays."""
    async with line() as (transport, peer):
        reset(peer)
        with contextlib.suppress(ConnectionLost):
            for _ in range(3):
                transport.write(bytes(size))
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await transport.read(5)
        with pytest.raises(ConnectionLost):
            transport.write(b"more")
        await asyncio.wait_for(transport.drain(), 5)


async def test_last_words_before_an_end_are_read_first() -> None:
    async with line(small=False) as (transport, peer):
        transport._open()._quick = True
        peer.send(b"last words")
        half_close(peer)
        assert await transport.read(5) == b"last words"
        with pytest.raises(ConnectionLost):
            await transport.read(5)


async def test_a_reader_that_is_cancelled_in_place_loses_nothing() -> None:
    """Nothing that was taken from the system may vanish with the reader."""
    async with line(small=False) as (transport, peer):
        sent, received = pattern(40_000, 0), bytearray()
        whole = asyncio.Event()

        async def read() -> None:
            while True:
                received.extend(await transport.read(5))
                if len(received) == len(sent):
                    whole.set()

        reader = asyncio.create_task(read())
        for at in range(0, len(sent), 100):
            peer.send(sent[at : at + 100])
            await asyncio.sleep(0)
            if at % 700 == 0:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                reader = asyncio.create_task(read())
        await asyncio.wait_for(whole.wait(), 5)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert received == sent


async def test_discarding_takes_what_the_system_holds_too() -> None:
    """A late answer that nobody has read must not meet the next question."""
    async with line(small=False) as (transport, peer):
        transport._open()._quick = True
        peer.send(b"late")
        assert transport.discard() == b"late"
