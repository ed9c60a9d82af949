"""The line that a meter opens: it is the meter's, before and after somebody asks on it."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport import transport_for
from dlms_mqtt.transport.incoming import Incoming, IncomingTransport, PortTransport
from tests.free_port import free_port


class Dialled:
    """A connection without a network."""

    def __init__(self, origin: str) -> None:
        self.origin, self.sent = origin, b""

    def write(self, data: bytes) -> None:
        self.sent += data


async def test_nobody_has_connected(clock: object) -> None:
    line = IncomingTransport(Incoming(), "tcp://:4059", 3.0)
    with pytest.raises(ConnectFailed, match="no meter has connected to tcp://:4059"):
        await line.open()
    with pytest.raises(ConnectionLost, match="not open"):
        await line.read(1)


async def test_the_connection_outlives_the_transport(clock: object) -> None:
    incoming, meter = Incoming(), Dialled("a:1")
    line = IncomingTransport(incoming, "tcp://:4059", 3.0)
    opening = asyncio.create_task(line.open())
    await asyncio.sleep(1)
    incoming.connected(meter)
    await opening
    for question in (b"one", b"two"):
        await line.open()  # twice does no harm
        line.write(question)
        await line.drain()
        incoming.received("a:1", b"answer to " + question)
        incoming.received("b:2", b"of somebody else")
        assert await line.read(1) == b"answer to " + question
        with pytest.raises(ResponseTimeout):
            await line.read(1)
        await line.close()
        incoming.received("a:1", b"a push while nobody asks")
        assert line.discard() == b""
        await line.open()
    assert meter.sent == b"onetwo"


@pytest.mark.parametrize("how", ["closed", "connected anew"])
async def test_the_meter_hangs_up(clock: object, how: str) -> None:
    incoming = Incoming()
    line = IncomingTransport(incoming, "tcp://:4059", 3.0)
    incoming.connected(Dialled("a:1"))
    await line.open()
    reading = asyncio.create_task(line.read(None))
    await asyncio.sleep(0)
    incoming.received("a:1", b"") if how == "closed" else incoming.connected(Dialled("a:2"))
    with pytest.raises(ConnectionLost, match=how.split()[0]):
        await reading
    with pytest.raises(ConnectionLost, match=how.split()[0]):
        line.write(b"more")
    await line.close()
    if how == "closed":
        with pytest.raises(ConnectFailed):
            await line.open()
    else:
        await line.open()


async def test_a_port_of_ones_own() -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    line = transport_for(parse_settings({"bind": url}))
    assert isinstance(line, PortTransport)
    opening = asyncio.create_task(line.open())
    reader, writer = await _dial(int(url.rpartition(":")[2]))
    await opening
    writer.write(b"I am here")
    assert await line.read(20) == b"I am here"
    line.write(b"question")
    await line.close()
    assert await reader.read(-1) == b"question", "what was written goes out, then the connection ends"
    writer.close()


async def _dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("text", ["udp://127.0.0.1:4059", "127.0.0.1:4059", "tcp://127.0.0.1:99999"])
def test_what_is_no_port_of_ours(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_settings({"bind": text})


def test_one_line_only() -> None:
    with pytest.raises(ConfigError, match="one line only"):
        parse_settings({"bind": "tcp://127.0.0.1:4059", "tcp": "127.0.0.1:4059"})
