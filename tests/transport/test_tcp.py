"""A TCP connection: its ends and errors, and what is written and read past the event loop, in order all the same."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from dlms_mqtt.errors import ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport import tcp
from dlms_mqtt.transport.network import connect_failed
from dlms_mqtt.transport.registry import make_transport, open_transport
from dlms_mqtt.transport.tcp import TcpTransport
from tests.line import discarded

MEGA = 1 << 20


class Peer(asyncio.Protocol):
    """Answers what it is told to, in the words of the test."""

    def __init__(self, answer: Callable[[Peer, bytes], None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._answer(self, data)


Serve = Callable[..., "asyncio.Future[TcpTransport]"]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def start(answer: Callable[[Peer, bytes], None], host: str = "127.0.0.1") -> TcpTransport:
        server = await asyncio.get_running_loop().create_server(lambda: Peer(answer), host, 0)
        servers.append(server)
        return TcpTransport(host, server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def echo(peer: Peer, data: bytes) -> None:
    peer.transport.write(data)


def hang_up(peer: Peer, data: bytes) -> None:
    peer.transport.write(data)
    peer.transport.close()


def reset(peer: Peer, data: bytes) -> None:
    peer.transport.abort()


async def test_write_and_read(serve: Serve) -> None:
    async with await serve(echo) as line:
        for number in range(50):
            line.write(b"%d" % number)
            assert await line.read(60) == b"%d" % number


async def test_options_of_the_socket(serve: Serve) -> None:
    async with await serve(echo) as line:
        sock = line._open()._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_large_write_is_drained(serve: Serve) -> None:
    async with await serve(lambda peer, data: None) as line:
        line.write(bytes(5_000_000))
        await asyncio.wait_for(line.drain(), 60)


async def test_what_pours_in_waits_in_the_system(serve: Serve) -> None:
    """A peer that sent without end filled the memory, 800 MB in some seconds, and all of it was sorted in one go."""
    pouring = bytes(range(256)) * (4 * MEGA // 256)
    transport = await serve(lambda peer, _: peer.transport.write(pouring))
    async with contextlib.AsyncExitStack() as stack:
        await transport.open()
        stack.push_async_callback(transport.close)
        for take in (read_some, discard_some):
            transport.write(b"?")
            heard = b""
            while len(heard) < len(pouring):
                for _ in range(20):
                    await asyncio.sleep(0)
                assert transport._connection is not None
                assert sum(map(len, transport._connection.inbox.chunks)) <= 2 * tcp._CHUNK
                heard += await take(transport)
            assert heard == pouring


async def read_some(transport: TcpTransport) -> bytes:
    return await transport.read(10)


async def discard_some(transport: TcpTransport) -> bytes:
    await asyncio.sleep(0)
    return transport.discard()


async def test_after_the_end_every_read_fails(serve: Serve) -> None:
    async with await serve(hang_up) as line:
        line.write(b"last words")
        assert await line.read(60) == b"last words"
        for _ in range(3):
            with pytest.raises(ConnectionLost, match="closed the connection"):
                await line.read(60)
        with pytest.raises(ConnectionLost):
            line.write(b"more")
        await line.drain()


async def test_reset_by_the_peer(serve: Serve) -> None:
    async with await serve(reset) as line:
        line.write(b"x")
        with pytest.raises(ConnectionLost):
            await line.read(60)


async def test_draining_ends_when_the_peer_goes(serve: Serve) -> None:
    def stop_listening(peer: Peer, data: bytes) -> None:
        peer.transport.pause_reading()  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_later(0.02, peer.transport.abort)

    async with await serve(stop_listening) as transport:
        transport.write(bytes(32 << 20))
        async with asyncio.timeout(60):
            await transport.drain()
        with pytest.raises(ConnectionLost):
            await transport.read(60)


async def test_timeout_and_discard(serve: Serve) -> None:
    async with await serve(echo) as line:
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)
        line.write(b"late")
        assert await discarded(line, 4) == b"late"


async def test_a_cancelled_read_loses_nothing(serve: Serve) -> None:
    async with await serve(echo) as line:
        task = asyncio.create_task(line.read(None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        line.write(b"kept")
        assert await line.read(60) == b"kept"


async def test_two_readers_are_a_mistake(serve: Serve) -> None:
    async with await serve(echo) as line:
        task = asyncio.create_task(line.read(None))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await line.read(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_close_twice_and_open_again(serve: Serve) -> None:
    line = await serve(echo)
    for _ in range(2):
        await line.open()
        line.write(b"x")
        assert await line.read(60) == b"x"
        await line.close()
        await line.close()
    with pytest.raises(ConnectionLost, match="not open"):
        await line.read(1)
    assert line.discard() == b""


async def test_ipv6(serve: Serve) -> None:
    try:
        line = await serve(echo, "::1")
    except OSError:
        pytest.skip("no IPv6 here")
    async with await open_transport(f"tcp://[::1]:{line.port}") as again:
        again.write(b"six")
        assert await again.read(60) == b"six"
        assert again.name == f"[::1]:{line.port}"


async def test_refused_on_one_and_on_two_addresses(unused_tcp_port: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ConnectFailed, match="nobody listens at") as caught:
            await open_transport(f"tcp://{host}:{unused_tcp_port}")
        assert "one client at a time" in caught.value.hint


async def test_unknown_name() -> None:
    with pytest.raises(ConnectFailed, match="is unknown"):
        await open_transport("tcp://no-such-meter.invalid:4059")


async def test_no_answer_to_the_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", hang)
    with pytest.raises(ConnectFailed, match="does not answer"):
        await TcpTransport("192.0.2.1", 4059, connect_timeout=0.01).open()


def test_errors_in_words() -> None:
    assert "no route" in connect_failed(OSError(101, "Network is unreachable"), "x").message
    assert "strange" in connect_failed(OSError(9999, "strange"), "x").message


async def test_pyserial_socket_urls_are_plain_tcp(serve: Serve) -> None:
    line = await serve(echo)
    transport = make_transport(f"socket://127.0.0.1:{line.port}", baud=9600, parity="none")
    assert isinstance(transport, TcpTransport)
    async with transport:
        await transport.configure(baud=300)
        await transport.lines(dtr=True)
        await transport.send_break()
        assert transport.format is None
        transport.write(b"x")
        assert await transport.read(60) == b"x"


async def test_a_cancelled_opening_leaves_no_socket() -> None:
    peers: set[Peer] = set()

    class Counted(Peer):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            peers.add(self)

        def connection_lost(self, exc: Exception | None) -> None:
            peers.discard(self)

    server = await asyncio.get_running_loop().create_server(lambda: Counted(echo), "127.0.0.1", 0)
    line = TcpTransport("127.0.0.1", server.sockets[0].getsockname()[1])
    for turns in range(12):
        opening = asyncio.create_task(line.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await line.close()
    server.close()
    await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        while peers:  # noqa: ASYNC110 - they are told one after the other
            await asyncio.sleep(0.01)


# -- past the event loop ----


@asynccontextmanager
async def plain_peer(small: bool = True) -> AsyncIterator[tuple[TcpTransport, socket.socket]]:
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
    async with plain_peer() as (transport, peer):
        for part in parts:
            transport.write(part)
        assert not transport._open().sent.is_set()
        assert await take(peer, sum(map(len, parts))) == b"".join(parts)
        await asyncio.wait_for(transport.drain(), 60)


async def test_writes_between_turns_of_the_loop_keep_their_order() -> None:
    """The peer reads in between, so that the system takes some directly, some through the loop."""
    parts = [pattern(40_000 + 4 * number, number << 20) for number in range(120)]
    async with plain_peer() as (transport, peer):
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
    async with plain_peer() as (transport, peer):
        transport.write(long)
        reader = asyncio.create_task(take(peer, len(long)))
        await transport.close()
        assert await reader == long
        assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""


def half_close(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


def reset_by(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()


@pytest.mark.parametrize("end", [half_close, reset_by])
@pytest.mark.parametrize("quick", [False, True], ids=["in the loop", "in place"])
async def test_an_end_is_found_however_it_is_waited_for(end: Callable[[socket.socket], None], quick: bool) -> None:
    async with plain_peer(small=False) as (transport, peer):
        if quick:
            for _ in range(3):
                transport.write(b"?")
                peer.send(b"!")
                assert await transport.read(60) == b"!"
            transport._open()._quick = True
        end(peer)
        with pytest.raises(ConnectionLost):
            await transport.read(60)
        with pytest.raises(ConnectionLost):
            transport.write(b"more")


@pytest.mark.parametrize("size", [1, MEGA])
async def test_writing_to_a_peer_that_has_reset_ends_in_one_error(size: int) -> None:
    """It may come with a write or with the read that follows, but it comes, and once found it stays."""
    async with plain_peer() as (transport, peer):
        reset_by(peer)
        with contextlib.suppress(ConnectionLost):
            for _ in range(3):
                transport.write(bytes(size))
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await transport.read(60)
        with pytest.raises(ConnectionLost):
            transport.write(b"more")
        await asyncio.wait_for(transport.drain(), 60)


async def test_last_words_before_an_end_are_read_first() -> None:
    async with plain_peer(small=False) as (transport, peer):
        transport._open()._quick = True
        peer.send(b"last words")
        half_close(peer)
        assert await transport.read(60) == b"last words"
        with pytest.raises(ConnectionLost):
            await transport.read(60)


async def test_a_reader_that_is_cancelled_in_place_loses_nothing() -> None:
    """Nothing that was taken from the system may vanish with the reader."""
    async with plain_peer(small=False) as (transport, peer):
        sent, received = pattern(40_000, 0), bytearray()
        whole = asyncio.Event()

        async def read() -> None:
            while True:
                received.extend(await transport.read(60))
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
        await asyncio.wait_for(whole.wait(), 60)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert received == sent


async def test_discarding_takes_what_the_system_holds_too() -> None:
    """A late answer that nobody has read must not meet the next question."""
    async with plain_peer(small=False) as (transport, peer):
        transport._open()._quick = True
        peer.send(b"late")
        assert transport.discard() == b"late"


async def test_only_a_quick_meter_is_read_in_place() -> None:
    async with plain_peer(small=False) as (transport, peer):
        connection = transport._open()
        connection._yielded = math.inf  # the loop had its turn just now, however slow this machine is
        peer.send(b"1")
        assert transport.at_once() == b""
        assert await transport.read(60) == b"1"
        connection._yielded, connection._quick = math.inf, True
        peer.send(b"2")
        assert (transport.at_once(), connection._quick) == (b"2", True)
        connection._yielded = 0.0  # long ago: others have their turn first
        peer.send(b"3")
        assert transport.at_once() == b"" != await transport.read(60)
        connection._yielded, connection._quick = math.inf, True
        assert (transport.at_once(), connection._quick) == (b"", False)  # nothing came within the patience for it
        connection._quick = True
        reset_by(peer)
        assert transport.at_once() == b""
        with pytest.raises(ConnectionLost):
            await transport.read(60)
    assert transport.at_once() == b""


async def test_a_peer_that_takes_nothing_does_not_hold_up_the_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_CLOSE_PATIENCE", 0.01)
    async with plain_peer() as (transport, peer):
        transport.write(bytes(16 * MEGA))
        await transport.close()
        with pytest.raises(ConnectionLost, match="is not open"):
            transport.write(b"more")
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while data := await asyncio.get_running_loop().sock_recv(peer, 65536):
                received += len(data)
        assert received < 16 * MEGA


async def test_a_system_without_times_for_keepalive(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
        monkeypatch.delattr(socket, option)
    async with await serve(echo) as line:
        assert line._open()._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_where_the_loop_reads_ahead_everything_goes_through_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "sys", SimpleNamespace(platform="win32"))
    async with await serve(echo) as line:
        line.write(b"1")
        assert await line.read(60) == b"1"
        line._open()._quick = True
        assert (line.at_once(), line.discard()) == (b"", b"")
