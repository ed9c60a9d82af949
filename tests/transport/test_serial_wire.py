"""How bytes of a serial port reach the loop and leave it: more than the system takes, devices that vanish."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from dlms_mqtt.errors import ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import Inbox, SerialFormat
from dlms_mqtt.transport.registry import open_transport
from dlms_mqtt.transport.serial import SerialTransport
from dlms_mqtt.transport.serial_wire import DeviceWire, ThreadWire, words
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


# -- one end of a pseudo-terminal, the other in the test's hand --------------------------------------------------------


class Port:
    """A port as pyserial opens it: raw, and reads of nothing come back empty."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        settings = termios.tcgetattr(self._slave)
        settings[6][termios.VMIN] = 0
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        for descriptor in (self.master, self._slave):
            os.set_blocking(descriptor, False)

        self._open = {self.master, self._slave}

    def fileno(self) -> int:
        return self._slave

    def close(self, *ends: int) -> None:
        """Each end once: its number may be somebody else's afterwards."""
        for end in self._open.intersection(ends):
            self._open.remove(end)
            os.close(end)


@contextmanager
def opened() -> Iterator[tuple[Port, DeviceWire, Inbox]]:
    port, inbox = Port(), Inbox()
    wire = DeviceWire(asyncio.get_running_loop(), port, inbox, "probe")
    try:
        yield port, wire, inbox
    finally:
        wire.stop()
        port.close(port.master, port.fileno())


async def test_nothing_to_read_is_no_end() -> None:
    with opened() as (port, wire, inbox):
        wire.pull()
        assert inbox.error is None
        os.write(port.master, b"x")
        wire.pull()
        assert await inbox.read(60) == b"x"


async def test_a_port_that_refuses_to_read_without_data_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as (_, wire, inbox):
        monkeypatch.setattr(os, "read", Mock(side_effect=BlockingIOError))
        wire.pull()
        assert inbox.error is None


@pytest.mark.parametrize(
    ("error", "words_of_it"),
    [(OSError(errno.EIO, "Input/output error"), "probe has gone"), (OSError(errno.ENXIO, "No such"), "(No such)")],
)
@pytest.mark.parametrize("call", ["read", "write"])
async def test_an_error_of_the_device_is_told_once(
    monkeypatch: pytest.MonkeyPatch, call: str, error: OSError, words_of_it: str
) -> None:
    with opened() as (_, wire, inbox):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, Mock(side_effect=error))
            wire.pull() if call == "read" else wire.write(b"x")
        assert inbox.error is not None and inbox.error.message.endswith(words_of_it)
        first = inbox.error
        wire.pull()
        await wire.flushed()
        assert inbox.error is first


@pytest.mark.parametrize("attributes", [True, False], ids=["attributes", "no attributes"])
async def test_a_device_that_reads_as_empty_when_it_is_gone(monkeypatch: pytest.MonkeyPatch, attributes: bool) -> None:
    """Some drivers refuse the attributes then, others only say that the line has hung up."""
    with opened() as (port, wire, inbox):
        monkeypatch.setattr(os, "read", Mock(return_value=b""))
        monkeypatch.setattr(termios, "tcgetattr", Mock(side_effect=None if attributes else termios.error))
        if attributes:
            port.close(port.master)
        wire.pull()
        assert inbox.error is not None and inbox.error.message == "probe has gone"


async def test_a_full_port_takes_the_rest_when_it_is_emptied() -> None:
    with opened() as (port, wire, _):
        with suppress(BlockingIOError):
            while True:
                os.write(port.fileno(), bytes(4096))
        wire.write(b"the")
        wire.write(b" end")
        received = b""
        async with asyncio.timeout(60):
            while not received.endswith(b"the end"):
                with suppress(BlockingIOError):
                    received += os.read(port.master, 65536)
                await asyncio.sleep(0)
        await wire.flushed()


async def test_flushing_a_port_that_is_closed_meanwhile() -> None:
    with opened() as (port, wire, _):
        wire.stop()
        port.close(port.fileno())
        await wire.flushed()


class RemotePort:
    """A port that is read in a thread: ``answers`` in turn, then nothing."""

    name = "rfc2217://probe"
    in_waiting = 0

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = list(answers)

    def read(self, _size: int) -> bytes:
        answer = self._answers.pop(0) if self._answers else b""
        if isinstance(answer, Exception):
            raise answer
        return answer

    def write(self, _data: bytes) -> None:
        raise OSError("remote side is away")


async def test_a_remote_port_that_takes_nothing_has_gone() -> None:
    inbox = Inbox()
    wire = ThreadWire(asyncio.get_running_loop(), RemotePort(), inbox)
    with pytest.raises(ConnectionLost, match=r"probe has gone \(remote side is away\)"):
        wire.write(b"x")
    with pytest.raises(ConnectionLost, match="remote side is away"):
        await inbox.read(60)
    wire.stop()
    await asyncio.to_thread(wire.join)


async def test_what_a_remote_port_says_after_the_end_is_nobodys() -> None:
    port, inbox = RemotePort(), Inbox()
    wire = ThreadWire(asyncio.get_running_loop(), port, inbox)
    wire.stop()
    wire._deliver(inbox.feed, b"late")
    await asyncio.to_thread(wire.join)
    await asyncio.sleep(0)
    assert (inbox.discard(), inbox.error) == (b"", None)


@pytest.mark.parametrize("error", [TypeError("its socket is None"), AttributeError("recv"), OSError("away")])
async def test_a_remote_port_whose_peer_leaves(error: Exception) -> None:
    """pyserial's remote ports fail in all these ways."""
    inbox = Inbox()
    wire = ThreadWire(asyncio.get_running_loop(), RemotePort(b"1", error), inbox)
    assert await inbox.read(60) == b"1"
    with pytest.raises(ConnectionLost, match=f"probe has gone .{words(error)}."):
        await inbox.read(60)
    await asyncio.to_thread(wire.join)


def test_the_words_of_an_error() -> None:
    assert words(OSError(errno.ENOENT, "No such file")) == "No such file"
    assert words(Exception("code", "text of pyserial")) == "text of pyserial"
    assert words(Exception()) == ""
