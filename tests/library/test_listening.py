"""``listen``: pushes as they come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks import samples
from dlms_mqtt import Push, listen
from dlms_mqtt.errors import ConnectFailed, ConnectionLost

NUMBER = "7ea027010201105a87e6e7000f40000000090c07e7031603031c2aff800000020106000008e580bb7e"
PLAIN, CIPHERED = samples.push()
KEYS: Any = {"encryption_key": bytes(samples.KEY), "authentication_key": samples.AUTHENTICATION_KEY.hex()}


async def send(address: str, *messages: bytes) -> None:
    host, port = address.removeprefix("tcp://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    for message in messages:
        writer.write(message)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_pushes_over_tcp() -> None:
    async with listen("tcp://127.0.0.1:0", timezone="UTC") as pushes:
        await send(pushes.address, bytes.fromhex(NUMBER), bytes.fromhex(NUMBER))
        seen: list[Push] = []
        async for push in pushes:
            seen.append(push)
            if len(seen) == 2:
                break
    assert [push.readings[0].value for push in seen] == [2277, 2277]
    assert seen[0].origin.startswith("127.0.0.1:")
    assert pickle.loads(pickle.dumps(seen[0])).as_dict() == seen[0].as_dict()
    with pytest.raises(OSError):
        await send(pushes.address, b"")


async def test_ciphered_pushes_are_believed_once() -> None:
    """What is played back, and what comes plain though there is a key, comes with the error and without readings."""
    async with listen("tcp://127.0.0.1:0", **KEYS) as pushes:
        stream = aiter(pushes)
        seen = []
        for message in (CIPHERED, CIPHERED, PLAIN):
            await send(pushes.address, message)
            seen.append(await anext(stream))
    assert [push.error is None for push in seen] == [True, False, False]
    assert seen[0].verified is True
    assert seen[0].system_title == samples.TITLE
    assert seen[1].readings == seen[2].readings == []
    assert "error" in seen[1].as_dict()


async def test_over_udp() -> None:
    async with listen("udp://127.0.0.1:0") as pushes:
        port = int(pushes.address.rpartition(":")[2])
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
        )
        transport.sendto(bytes.fromhex(NUMBER))
        assert (await anext(aiter(pushes))).readings[0].value == 2277
        transport.close()


async def test_a_loop_alone_opens_and_closes() -> None:
    pushes = listen("tcp://127.0.0.1:0")
    async with contextlib.aclosing(aiter(pushes)) as stream:
        waiting = asyncio.create_task(anext(stream))
        while pushes.address.endswith(":0"):  # noqa: ASYNC110 - it opens in its own time
            await asyncio.sleep(0)
        await send(pushes.address, bytes.fromhex(NUMBER))
        assert (await waiting).readings[0].value == 2277
    with pytest.raises(OSError):
        await send(pushes.address, b"")


@pytest.fixture
async def port() -> AsyncIterator[tuple[str, int]]:
    meter, device = os.openpty()
    yield os.ttyname(device), meter
    os.close(device)
    with contextlib.suppress(OSError):
        os.close(meter)


async def test_a_serial_port(port: tuple[str, int]) -> None:
    device, meter = port
    async with listen(device, baud=115200) as pushes:
        os.write(meter, bytes.fromhex(NUMBER))
        push = await anext(aiter(pushes))
    assert push.readings[0].value == 2277
    assert abs(push.time - datetime.now(UTC)).total_seconds() < 60


async def test_a_serial_line_that_ends(port: tuple[str, int]) -> None:
    device, meter = port
    async with listen(device) as pushes:
        os.close(meter)
        with pytest.raises(ConnectionLost):
            await anext(aiter(pushes))


async def test_what_cannot_be_opened() -> None:
    with pytest.raises(ConnectFailed):
        async for _ in listen("/dev/no-such-port"):
            pass
    with pytest.raises(ValueError, match="is no"):
        await anext(aiter(listen("tcp://0.0.0.0:x")))
