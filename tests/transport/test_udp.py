from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.errors import ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.registry import open_transport
from dlms_mqtt.transport.udp import _Endpoint
from tests.line import discarded


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        for part in data.split(b"|"):
            self.transport.sendto(part, addr)


async def test_datagrams_there_and_back() -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    port = server.get_extra_info("sockname")[1]
    async with await open_transport(f"udp://127.0.0.1:{port}") as line:
        assert line.datagram
        line.write(b"one||two")
        await line.drain()
        assert await line.read(60) == b"one"
        assert await line.read(60) == b"two"
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)
        line.write(b"late|later")
        assert await discarded(line, 9) == b"latelater"
    server.close()
    await line.close()
    with pytest.raises(ConnectionLost):
        line.write(b"x")


async def test_an_empty_datagram_is_not_the_end() -> None:
    endpoint = _Endpoint("meter")
    endpoint.datagram_received(b"", None)
    with pytest.raises(ResponseTimeout):
        await endpoint.inbox.read(0.001)


async def test_nobody_there(unused_udp_port: int) -> None:
    async with await open_transport(f"udp://127.0.0.1:{unused_udp_port}") as line:
        line.write(b"x")
        with pytest.raises(ConnectionLost, match="nobody listens"):
            await line.read(60)
        with pytest.raises(ConnectionLost):
            line.write(b"x")


async def test_unknown_name() -> None:
    with pytest.raises(ConnectFailed, match="is unknown"):
        await open_transport("udp://no-such-meter.invalid:4059")
