"""A port that waits for meters: TCP and UDP, IPv6, limits, and a clean end."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.transport.listen import _BURST, _HOSTS, _PACE, _Paces, listen


class Received:
    """What was handed over, and a way to wait for it."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, bytes, bool]] = []
        self._more = asyncio.Event()

    def __call__(self, origin: str, data: bytes, whole: bool) -> None:
        self.chunks.append((origin, data, whole))
        self._more.set()

    async def until(self, count: int) -> list[tuple[str, bytes, bool]]:
        async with asyncio.timeout(60):
            while len(self.chunks) < count:
                self._more.clear()
                await self._more.wait()
        return self.chunks

    def data_of(self, origin: str) -> bytes:
        return b"".join(data for name, data, _ in self.chunks if name == origin)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=IPV6)])


def url(scheme: str, host: str, port: int = 0) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@HOSTS
async def test_tcp(host: str) -> None:
    received = Received()
    async with await listen(url("tcp", host), received) as listener:
        _, writer = await asyncio.open_connection(host, listener.port)
        port = writer.get_extra_info("sockname")[1]
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        writer.write(b"abc")
        assert await received.until(1) == [(name, b"abc", False)]
        assert listener.connections == 1
        assert listener.name == url("tcp", host, listener.port)
        writer.close()
        assert (await received.until(2))[1] == (name, b"", True)
        assert listener.connections == 0


@HOSTS
async def test_udp(host: str) -> None:
    received = Received()
    async with await listen(url("udp", host), received) as listener:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as meter:
            meter.connect((host, listener.port))
            meter.send(b"one")
            meter.send(b"")  # is no end of anything
            meter.send(b"two")
            await received.until(2)
            assert [chunk[1:] for chunk in received.chunks] == [(b"one", True), (b"two", True)]
            assert received.chunks[0][0].endswith(f":{meter.getsockname()[1]}")


async def test_several_at_once() -> None:
    received = Received()
    async with await listen("tcp://127.0.0.1:0", received) as listener:
        writers = [(await asyncio.open_connection("127.0.0.1", listener.port))[1] for _ in range(5)]
        for number, writer in enumerate(writers):
            writer.write(bytes((number,)))
        await received.until(5)
        assert {data for _, data, _ in received.chunks} == {bytes((number,)) for number in range(5)}
        for writer in writers:
            writer.close()
        await received.until(10)


async def test_the_longest_silent_one_is_closed() -> None:
    received = Received()
    async with await listen("tcp://127.0.0.1:0", received, most=3) as listener:
        ends = []
        for number in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(bytes((number,)))
            await received.until(number + 1)
            ends.append((reader, writer))
        ends[0][1].write(b"still here")
        await received.until(4)
        _, another = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await ends[1][0].read() == b""  # the second one was silent longest
        await received.until(5)
        assert listener.connections == 3
        another.write(b"x")
        ends[0][1].write(b"y")
        await received.until(7)
        for _, writer in [*ends, (None, another)]:
            writer.close()


async def test_a_crowd() -> None:
    """Someone who opens connections without end only ever holds the limit."""
    received = Received()
    async with await listen("tcp://127.0.0.1:0", received, most=4) as listener:
        writers = []
        for _ in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writers.append(writer)
        await received.until(36)
        assert listener.connections == 4
        for writer in writers:
            writer.close()


async def test_idle_connections_are_closed() -> None:
    received = Received()
    async with await listen("tcp://127.0.0.1:0", received, idle=0.05) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        await received.until(1)
        assert listener.connections == 0
        writer.close()


async def test_after_the_end_nothing_is_handed_over() -> None:
    received = Received()
    listener = await listen("tcp://127.0.0.1:0", received)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"a")
    await received.until(1)
    listener.close()
    listener.close()
    assert await reader.read() == b""
    await listener.wait_closed()
    assert len(received.chunks) == 1
    assert listener.connections == 0
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", listener.port)


async def test_a_port_in_use() -> None:
    async with await listen("tcp://127.0.0.1:0", Received()) as listener:
        with pytest.raises(ConnectFailed, match="is in use") as caught:
            await listen(f"tcp://127.0.0.1:{listener.port}", Received())
        assert "stop it" in caught.value.hint
    async with await listen("udp://127.0.0.1:0", Received()) as listener:
        with pytest.raises(ConnectFailed, match="is in use"):
            await listen(f"udp://127.0.0.1:{listener.port}", Received())


@pytest.mark.parametrize("wrong", ["tcp://192.0.2.1:4059", "udp://192.0.2.1:4059"])
async def test_another_machines_address(wrong: str) -> None:
    with pytest.raises(ConnectFailed, match="does not have that address"):
        await listen(wrong, Received())


@pytest.mark.parametrize(
    "wrong", ["127.0.0.1:4059", "http://127.0.0.1:80", "tcp://", "tcp://host:port", "tcp://a:b:0:c"]
)
async def test_no_address(wrong: str) -> None:
    with pytest.raises((ConfigError, ConnectFailed)):
        await listen(wrong, Received())


async def test_a_burst_of_idle_connections_keeps_the_bound(caplog: pytest.LogCaptureFixture) -> None:
    """Closed at once and once each: neither descriptors nor the log grow with what comes."""
    caplog.set_level("INFO")
    received = Received()
    async with await listen("tcp://127.0.0.1:0", received, most=8) as listener:
        opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", listener.port) for _ in range(200)))
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"abc")
        await received.until(1)
        async with asyncio.timeout(60):
            while not any(data == b"abc" for _, data, _ in received.chunks):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert listener.connections <= 8
        assert len([record for record in caplog.records if "other connections" in record.getMessage()]) == 1
        for _, other in opened:
            other.close()
        writer.close()


def test_the_pace_of_a_host() -> None:
    paces = _Paces()
    assert paces.take("a", _BURST, 0.0) == 0
    assert paces.take("a", _PACE, 0.0) == 1.0
    assert paces.take("b", 1, 0.0) == 0, "another host is not held up"
    assert paces.take("a", _PACE, 0.5) == 0.5
    assert paces.take("a", _PACE, 1.0) == 0
    assert paces.take("a", _BURST, 1000.0) == 0
    assert paces.take("a", 1, 1000.0) > 0, "nobody saves up more than one burst"


def test_the_paces_of_many_hosts_need_little() -> None:
    paces = _Paces()
    for number in range(10_000):
        paces.take(str(number), 1, 0.0)
    assert len(paces._left) <= _HOSTS


async def test_what_is_too_much_waits_and_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="dlms_mqtt.transport")
    monkeypatch.setattr("dlms_mqtt.transport.listen._BURST", 4096)
    received, sent = Received(), bytes(range(256)) * 128
    async with await listen("tcp://127.0.0.1:0", received) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(sent)
        writer.close()
        async with asyncio.timeout(60):
            while not received.chunks or received.chunks[-1][1]:
                await received.until(len(received.chunks) + 1)
    assert b"".join(data for _, data, _ in received.chunks) == sent
    assert caplog.text.count("more than 64 kB a second is not taken") == 1


async def test_datagrams_past_the_pace_are_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="dlms_mqtt.transport")
    monkeypatch.setattr("dlms_mqtt.transport.listen._BURST", 1500)
    monkeypatch.setattr("dlms_mqtt.transport.listen._PACE", 0.001)
    received = Received()
    async with await listen("udp://127.0.0.1:0", received) as listener:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            other.bind(("127.0.0.2", 0))
            for _ in range(5):
                sender.sendto(bytes(1000), ("127.0.0.1", listener.port))
            other.sendto(b"meter", ("127.0.0.1", listener.port))
            chunks = await received.until(2)
    assert [len(data) for _, data, _ in chunks] == [1000, 5]
    assert caplog.text.count("is not taken") == 1


async def test_a_crowd_of_one_host_closes_nobody_elses() -> None:
    async with await listen("tcp://127.0.0.1:0", Received(), most=3) as listener:
        meter, meters_writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.2", 0))
        crowd = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(6)]
        for reader, _ in crowd[:4]:
            async with asyncio.timeout(60):
                assert await reader.read() == b""
        assert listener.connections == 3
        assert not meter.at_eof()
        for writer in (meters_writer, *(writer for _, writer in crowd)):
            writer.close()
