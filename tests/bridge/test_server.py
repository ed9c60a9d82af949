"""The HTTP server alone: what it answers, what it does not take, and that nobody can use it up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping

import pytest

from dlms_mqtt.bridge.http import server as module
from dlms_mqtt.bridge.http.server import Answer, Route, Server

PATIENCE = 30.0


def _raises(_query: object) -> Answer:
    raise RuntimeError("broken")


ROUTES: Mapping[str, Route] = {
    "/": lambda query: Answer(b"hello"),
    "/query": lambda query: Answer(repr(sorted(query.items())).encode()),
    "/broken": _raises,
}


@contextlib.asynccontextmanager
async def serving(listen: str = "127.0.0.1:0", routes: Mapping[str, Route] = ROUTES) -> AsyncIterator[Server]:
    server = Server(listen, routes)
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while not server.port:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def say(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


def get(path: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get("/"), 200, b"hello"),
        (get("/?a=b"), 200, b"hello"),
        (get("/query?b=2&a=1&a=3"), 200, b"[('a', '1'), ('b', '2')]"),
        (get("/", method="HEAD"), 200, b""),
        (get("/", method="POST"), 405, b"nothing can be changed"),
        (get("/", method="DELETE"), 405, b"nothing can be changed"),
        (get("/none"), 404, b"there are / /query /broken"),
        (get("/../etc/passwd"), 404, b"not found"),
        (get("//[x"), 404, b"not found"),
        (get("/", host="localhost:9780"), 200, b"hello"),
        (get("/", host="[::1]:9780"), 200, b"hello"),
        (get("/", host="evil.example"), 421, b"not ours"),
        (get("/", host="evil.example:9780"), 421, b"not ours"),
        (get("/", host="192.0.2.1"), 421, b"not ours"),
        (b"GET / HTTP/1.0\r\n\r\n", 200, b"hello"),
        (b"nonsense\r\n\r\n", 400, b"bad request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, b"bad request"),  # TLS
        (b"GET / HTTP/1.1\r\n\r\n", 400, b"bad request"),  # without a host
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000, 431, b"bad request"),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc", 413, b"bad request"),
    ],
)
async def test_an_answer(request_: bytes, status: int, body: bytes) -> None:
    async with serving() as server:
        answer = await say(server.port, request_)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert body in content if body else not content
    assert b"content-security-policy: default-src 'none'" in head and b"cache-control: no-store" in head


@pytest.mark.expect_log("GET /broken failed")
async def test_a_route_that_fails_is_told_and_the_next_is_served() -> None:
    async with serving() as server:
        assert b" 500 " in await say(server.port, get("/broken"))
        assert b" 200 " in await say(server.port, get("/"))


async def test_several_requests_on_one_connection() -> None:
    async with serving() as server:
        one = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await say(server.port, one + one + get("/"))).count(b"hello") == 3


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    async with serving() as server:
        assert await say(server.port, b"GET / HTT") == b""


async def test_whoever_holds_connections_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    async with serving() as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for _, writer in idle:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert all([await reader.readuntil(b"hello") for reader, _ in idle])
        for _, writer in idle:
            writer.write(b"GET / HT")
        assert b" 200 " in await say(server.port, get("/"))
        async with asyncio.timeout(PATIENCE):
            assert await idle[0][0].read() == b""  # the oldest went
        idle[1][1].write(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert await idle[1][0].readuntil(b"hello")
        for _, writer in idle:
            writer.close()


async def test_many_requests_in_one_packet_let_others_have_their_turn() -> None:
    rounds = 0

    async def other() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    seen: list[int] = []
    routes = {"/": lambda query: seen.append(rounds) or Answer(b"hello")}
    async with serving(routes=routes) as server:
        one = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        task = asyncio.create_task(other())
        packets = [say(server.port, one * 50 + get("/")) for _ in range(3)]
        assert [answer.count(b"hello") for answer in await asyncio.gather(*packets)] == [51] * 3
        task.cancel()
        assert len(set(seen)) == 3 * 51  # no two answers in one round of the loop


@pytest.mark.expect_log("the port is in use")
async def test_a_port_that_is_taken_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.02)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = Server(f"127.0.0.1:{port}", ROUTES)
        task = asyncio.create_task(server.run())
        async with asyncio.timeout(PATIENCE):
            while not server.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert f"cannot listen on http://127.0.0.1:{port}: the port is in use" in server.trouble
        assert caplog.text.count("the port is in use") == 1
    async with asyncio.timeout(PATIENCE):
        while not server.port:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not server.trouble and b"hello" in await say(port, get("/"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_its_end_does_not_wait_for_anybody() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"hello")
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


async def test_beyond_this_machine_every_name_may_be_ours() -> None:
    async with serving("0.0.0.0:0") as server:
        assert b" 200 " in await say(server.port, get("/", host="raspberrypi.local:9780"))
