"""How bytes of a serial port reach the loop and leave it: more than the system takes, devices that vanish."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dlms_mqtt.errors import ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.registry import open_transport
from dlms_mqtt.transport.serial import SerialTransport
from tests.line import PacedPty, Rfc2217Server

FAST = SerialFormat(115200)


async def exactly(line: SerialTransport, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await line.read(60)
    return data


async def test_more_than_the_system_takes_at_once() -> None:
    async with PacedPty(SerialFormat(4_000_000), latency=0) as pty, SerialTransport(pty.device, baud=4_000_000) as line:
        sent = bytes(200_000)
        line.write(sent)
        line.write(b"end")
        received = 0
        while received < len(sent) + 3:
            received += len(await pty.meter.read(60))
        await line.drain()


async def test_a_cancelled_read_leaves_nothing_and_loses_nothing() -> None:
    async with PacedPty(FAST, latency=0) as pty, SerialTransport(pty.device, baud=115200) as line:
        task = asyncio.create_task(line.read(None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pty.meter.write(b"kept")
        assert await exactly(line, 4) == b"kept"


async def test_the_device_vanishes_and_comes_back_under_its_name(tmp_path: Path) -> None:
    stable = tmp_path / "usb-probe"
    line = SerialTransport(str(stable), baud=115200)
    async with PacedPty(FAST) as pty:
        stable.symlink_to(pty.device)
        await line.open()
        pty.unplug()
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="has gone") as caught:
                await line.read(2)
        assert "by-id" in caught.value.hint
        with pytest.raises(ConnectionLost):
            line.write(b"x")
        await line.drain()
        await line.close()
    stable.unlink()
    with pytest.raises(ConnectFailed, match="there is no port"):
        await line.open()
    async with PacedPty(FAST, latency=0) as pty:
        stable.symlink_to(pty.device)
        await line.open()
        pty.meter.write(b"again")
        assert await exactly(line, 5) == b"again"
        await line.close()


async def test_writing_to_a_vanished_device() -> None:
    async with PacedPty(FAST) as pty, SerialTransport(pty.device) as line:
        pty.unplug()
        line.write(b"x")
        with pytest.raises(ConnectionLost):
            await line.read(2)


async def test_loop_url() -> None:
    async with await open_transport("loop://", dtr=False) as line:
        line.write(b"there and back")
        assert await exactly(line, 14) == b"there and back"  # type: ignore[arg-type]
        await line.configure(baud=2400, parity="even")
        assert line.format == SerialFormat(2400, 8, "even")
        await line.lines(rts=True)
        await line.drain()
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)


async def test_rfc2217_server_leaves() -> None:
    async with Rfc2217Server() as server, SerialTransport(server.url) as line:
        task = asyncio.create_task(line.read(None))
        await asyncio.sleep(0.02)
        server.unplug()
        with pytest.raises(ConnectionLost, match="has gone"):
            await asyncio.wait_for(task, 60)
