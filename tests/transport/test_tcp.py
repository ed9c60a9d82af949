from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import parse_address
from dlms_mqtt.transport.network import connect_failed
from dlms_mqtt.transport.registry import make_transport, open_transport
from dlms_mqtt.transport.tcp import TcpTransport
from tests.line import discarded


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
            await transport.read(5)


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


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("meter:4059", ("meter", 4059)),
        ("meter", ("meter", 4059)),
        ("[fd00::5]:10", ("fd00::5", 10)),
        ("[fd00::5]", ("fd00::5", 4059)),
        ("fd00::5", ("fd00::5", 4059)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":4059", "a..b:1", ".:1", "a" * 64, "meter:", "meter:0", "meter:65536", "meter:x", "[::1", "[::1]x", "[]:1"],
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="is no HOST:PORT"):
        parse_address(text)


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
