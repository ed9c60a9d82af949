from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport import serial as serial_module
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.holder import Holder, find_holders, port_in_use
from dlms_mqtt.transport.registry import open_transport
from dlms_mqtt.transport.serial import SerialTransport
from tests.line import PacedPty, Rfc2217Server, discarded

FAST = SerialFormat(115200)


async def exactly(line: SerialTransport, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await line.read(60)
    return data


async def test_both_directions_over_a_pseudo_terminal() -> None:
    async with PacedPty(FAST, latency=0) as pty, SerialTransport(pty.device, baud=115200) as line:
        line.write(bytes(range(256)))
        got = b""
        while len(got) < 256:
            got += await pty.meter.read(60)
        assert got == bytes(range(256))
        pty.meter.write(got)
        assert await exactly(line, 256) == got


async def test_the_speed_that_was_set_is_read_back() -> None:
    async with PacedPty() as pty, SerialTransport(pty.device, baud=300, data_bits=7, parity="even") as line:
        assert pty.baud == 300
        assert line.format == SerialFormat(300)  # a pseudo-terminal is always 8N1, and says so
        for baud, parity in ((9600, "none"), (2400, "even"), (2400, "odd"), (57600, "none")):
            await line.configure(baud=baud, data_bits=8, parity=parity)
            assert (pty.baud, line.format) == (baud, SerialFormat(baud))


async def test_a_wrong_speed_gives_rubbish_and_a_right_one_takes_its_time() -> None:
    async with PacedPty(SerialFormat(9600), latency=0.03) as pty, SerialTransport(pty.device, baud=300) as line:
        line.write(b"hello")
        assert await pty.meter.read(3) != b"hello"
        await asyncio.sleep(0.2)
        pty.meter.discard()
        await line.configure(baud=9600)
        began = time.monotonic()
        line.write(bytes(96))
        await line.drain()
        assert time.monotonic() - began > 0.095
        await pty.meter.read(1)


async def test_timeout_and_discard() -> None:
    async with PacedPty(FAST, latency=0) as pty, SerialTransport(pty.device, baud=115200) as line:
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)
        pty.meter.write(b"old")
        assert await discarded(line, 3) == b"old"
        assert line.discard() == b""


async def test_modem_lines_are_an_error_only_when_asked_for() -> None:
    async with PacedPty(FAST) as pty:
        with pytest.raises(ConnectFailed, match="no DTR and RTS"):
            await open_transport(pty.device, dtr=True)
        async with SerialTransport(pty.device) as line:
            with pytest.raises(ConnectFailed):
                await line.lines(rts=False)
            await line.send_break(0.01)


async def test_a_port_held_by_another_program_is_told_by_name() -> None:
    program = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print('open', flush=True); input()"
    async with PacedPty(FAST) as pty:
        child = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", program, pty.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert child.stdout
            await asyncio.to_thread(child.stdout.readline)
            with pytest.raises(ConnectFailed, match=rf"is in use by .*python.* \(process {child.pid}\)"):
                await open_transport(pty.device)
        finally:
            child.communicate(b"\n")
        async with SerialTransport(pty.device):
            pass


async def test_a_port_held_by_this_program() -> None:
    async with PacedPty(FAST) as pty, SerialTransport(pty.device):
        with pytest.raises(ConnectFailed, match="is in use by another program or user"):
            await open_transport(pty.device)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A process table with a bridge, another program, one whose files are hidden, and one that left."""
    for pid, command in ((11, "python3\0/opt/bin/dlms-mqtt\0run\0--config\0x\0"), (12, "/usr/bin/minicom\0"), (13, "")):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "cmdline").write_text(command)
        (tmp_path / str(pid) / "fd" / "3").symlink_to("/dev/null")
    (tmp_path / "14").mkdir()
    (tmp_path / "self").mkdir()
    (tmp_path / "12" / "fd" / "4").symlink_to("/dev/gone")
    (tmp_path / "13" / "cmdline").unlink()
    return tmp_path


def test_holders_by_name(proc: Path) -> None:
    assert find_holders("/dev/null", proc) == [
        Holder(11, "dlms-mqtt run", True),
        Holder(12, "minicom", False),
        Holder(13, "a program", False),
    ]
    assert find_holders("/dev/zero", proc) == []
    assert find_holders("/dev/not-there", proc) == []


def test_a_bridge_is_asked_to_pause(proc: Path) -> None:
    error = port_in_use("/dev/null", proc)
    assert "dlms-mqtt run (process 11)" in error.message
    assert "request/pause" in error.hint
    assert "pause" not in port_in_use("/dev/zero", proc).hint


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("/dev/serial/by-id/not-there", ConnectFailed, "there is no port"),
        ("/dev/null", ConnectFailed, "could not be opened"),
        ("nonsense://x", ConfigError, "is no serial port"),
    ],
)
async def test_ports_that_cannot_be_opened(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await open_transport(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
async def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "port").touch(mode=0)
    with pytest.raises(ConnectFailed, match="may not open"):
        await open_transport(str(tmp_path / "port"))


async def test_an_impossible_speed() -> None:
    async with PacedPty(FAST) as pty, SerialTransport(pty.device) as line:
        with pytest.raises(ConnectFailed, match="cannot be set to -5"):
            await line.configure(baud=-5)


async def test_parity_and_speed_over_rfc2217() -> None:
    async with Rfc2217Server(latency=0) as server:
        line = SerialTransport(server.url, baud=300, data_bits=7, parity="even")
        port = server.port
        async with line:
            assert (port.baudrate, port.bytesize, port.parity) == (300, 7, "E")
            assert (port.dtr, port.rts) == (True, True)
            line.write(b"/?!\r\n\xff")
            assert await read_all(server, 6) == b"/?!\r\n\x7f"
            server.meter.write(b"/ISK\r\n")
            assert await exactly(line, 6) == b"/ISK\r\n"
            await line.configure(baud=9600)
            await server.meter.configure(baud=9600)
            assert (port.baudrate, port.bytesize, port.parity) == (9600, 8, "N")
            server.meter.write(b"\x7e\xff\x7e")
            assert await exactly(line, 3) == b"\x7e\xff\x7e"
            await line.lines(dtr=False)
            await line.send_break(0.01)
            assert port.dtr is False


async def read_all(server: Rfc2217Server, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await server.meter.read(60)
    return data


async def test_rfc2217_refused(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectFailed, match="nobody listens"):
        await open_transport(f"rfc2217://127.0.0.1:{unused_tcp_port}")


class SlowPort(serial.SerialBase):  # type: ignore[misc]
    """A remote port that takes long to open."""

    def __init__(self) -> None:
        self.may_open, self.closed_late = threading.Event(), threading.Event()
        self.name, self.is_open = "slow", False

    def open(self) -> None:
        self.may_open.wait(60)

    def close(self) -> None:
        self.closed_late.set()


@pytest.fixture
def slow_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowPort]:
    port = SlowPort()
    monkeypatch.setattr(serial_module.SerialTransport, "_prepare", lambda self: port)
    yield port
    port.may_open.set()


async def test_cancelled_while_opening_closes_what_still_opened(slow_port: SlowPort) -> None:
    task = asyncio.create_task(SerialTransport("slow://").open())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow_port.may_open.set()
    assert await asyncio.to_thread(slow_port.closed_late.wait, 60)


async def test_use_while_closed() -> None:
    line = SerialTransport("/dev/ttyNothing")
    await line.close()
    assert line.discard() == b""
    for use in (lambda: line.read(1), line.drain, line.lines, line.send_break, lambda: line.configure(baud=300)):
        with pytest.raises(ConnectionLost, match="not open"):
            await use()
    with pytest.raises(ConnectionLost):
        line.write(b"x")


# -- what is closed has no last word -----------------------------------------------------------------------------------


async def test_a_port_that_fails_while_it_is_closed_leaves_a_cancellation_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An OSError in its place would be taken for a lost line, and the line opened again for ever."""

    def fail(port: serial.Serial) -> None:
        close(port)
        monkeypatch.undo()
        raise OSError(5, "Input/output error")

    async def wait_on(device: str) -> None:
        async with SerialTransport(device) as line:
            opened.set()
            await line.read(None)

    close, opened = serial.Serial.close, asyncio.Event()
    async with PacedPty(FAST, latency=0) as pty:
        monkeypatch.setattr(serial.Serial, "close", fail)
        waiting = asyncio.create_task(wait_on(pty.device))
        await opened.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()


async def test_a_break_that_cannot_be_ended_leaves_a_cancellation_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def set_break(port: serial.Serial, on: bool) -> None:
        if not on:
            raise OSError(5, "Input/output error")
        begun.set()

    begun = asyncio.Event()
    async with PacedPty(FAST, latency=0) as pty, SerialTransport(pty.device) as line:
        monkeypatch.setattr(serial.Serial, "break_condition", property(lambda _: False, set_break))
        breaking = asyncio.create_task(line.send_break(3600))
        await begun.wait()
        breaking.cancel()
        await asyncio.wait([breaking])
        assert breaking.cancelled()


async def test_a_port_without_a_break_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: serial.Serial, on: bool) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    async with PacedPty(FAST, latency=0) as pty, SerialTransport(pty.device) as line:
        monkeypatch.setattr(serial.Serial, "break_condition", property(lambda _: False, refuse))
        with pytest.raises(ConnectFailed, match=r"cannot hold .* Inappropriate ioctl") as caught:
            await line.send_break(0.01)
        assert caught.value.hint == "Leave out wake_up_break."
