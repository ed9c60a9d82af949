"""``dlms-mqtt simulate``: what it says, what it refuses, and that another process can read it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt.cli.tools import simulate
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.simulator.lines.virtual_ports import PtyLine
from tests.fake_clock import FakeClock
from tests.meter.dumped import dumped

Cli = Callable[..., Any]


def test_it_says_where_and_who(cli: Cli) -> None:
    lines = [word for kind in ("--tcp", "--udp", "--rfc2217") for word in (kind, "127.0.0.1:0")]
    result = cli("simulate", *lines, "--pty", "--seconds", "0.01", "--seed", "2")
    assert result.status == 0, result.err
    for where in ("wrapper on TCP ", "wrapper on UDP ", "hdlc on rfc2217://"):
        assert re.search(rf"{where}127\.0\.0\.1:[1-9]\d+", result.out)
    assert re.search(r"hdlc on /dev/pts/\d+ \(direct\)", result.out)
    assert "management" in result.out
    assert "DMQ" in result.out


def test_the_time_is_set(cli: Cli) -> None:
    result = cli("simulate", "--pty", "--seconds", "0", "--time", "2026-07-01T12:00:00")
    assert "2026-07-01 12:00:00 +0200" in result.out


def test_faults_are_listed(cli: Cli) -> None:
    result = cli("simulate", "--list-faults")
    assert result.status == 0
    for word in ("silence", "lock-out", "odd-ua", "tariff-switch", "drop-in-blocks"):
        assert word in result.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fault", "gremlins"), "there is no fault"),
        (("--meter", "nowhere.yaml"), "cannot be read"),
        (("--time", "noon"), "is no time"),
        (("--push", "tcp://127.0.0.1:1,colour=red"), "a push has"),
    ],
)
def test_mistakes_of_usage(cli: Cli, words: tuple[str, ...], sentence: str) -> None:
    result = cli("simulate", "--pty", "--seconds", "0", *words)
    assert result.status == 2
    assert sentence in result.err


def test_a_port_that_is_taken(cli: Cli) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = cli("simulate", "--tcp", f"127.0.0.1:{taken.getsockname()[1]}", "--seconds", "0")
    assert result.status == 1
    assert "cannot be served" in result.err


def test_another_process_reads_it(cli: Cli, tmp_path: Path) -> None:
    description = tmp_path / "meter.yaml"
    description.write_text("seed: 5\nobjects: [{obis: 0.0.128.0.1.255, value: 77, type: unsigned, see: public}]\n")
    words = [sys.executable, "-m", "dlms_mqtt", "simulate", "--pty", "--meter", str(description), "--seconds", "120"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            device = re.search(r"/dev/pts/\d+", process.stdout.readline())
            assert device
            result = cli("read", "1/0.0.128.0.1.255", "--serial", device[0], "--json")
        finally:
            process.terminate()
    assert result.status == 0
    assert result.json["values"][0]["value"] == 77


# -- in this process: what is served, while it is served ---------------------------------------------------------------


@contextlib.asynccontextmanager
async def simulating(monkeypatch: pytest.MonkeyPatch, *words: str) -> AsyncIterator[Callable[[str], Any]]:
    """The command at work; what it gives waits for the sentence with this beginning, whose rest it returns."""
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    args = parser.parse_args(words)
    sentences: list[str] = []
    monkeypatch.setattr(simulate, "say", sentences.append)
    work = simulate._replay(args) if args.replay else simulate._serve(args, simulate._described(args))
    task = asyncio.create_task(work)

    async def told(beginning: str) -> str:
        async with asyncio.timeout(60):
            while not (found := [text for text in sentences if text.startswith(beginning)]):
                assert not task.done(), task
                await asyncio.sleep(0.01)
        return found[0].removeprefix(beginning).partition(" ")[0]

    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def serial_line() -> Iterator[tuple[str, int]]:
    """A serial port by its name, and the other end of it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave), master
    os.close(master)
    os.close(slave)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Of a session of the public client."""
    clock = FakeClock()
    document, _ = clock.run(dumped("wrapper", clock, client=16))
    file = tmp_path / "capture.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


async def name_of(settings: ConnectionSettings) -> Any:
    async with DlmsClient(settings) as client:
        return (await client.get(LOGICAL_DEVICE_NAME)).value


async def test_a_capture_is_served_on_every_kind_of_line(
    monkeypatch: pytest.MonkeyPatch, capture: Path, serial_line: tuple[str, int]
) -> None:
    made: list[str] = []
    plain = PtyLine.open

    async def kept(line: PtyLine) -> None:
        await plain(line)
        made.append(line.name)

    monkeypatch.setattr(PtyLine, "open", kept)
    words = ("--replay", str(capture), "--tcp", "127.0.0.1:0", "--pty", "--serial", serial_line[0])
    async with simulating(monkeypatch, *words) as told:
        host, _, port = (await told("replay on TCP ")).partition(":")
        by_tcp = await name_of(ConnectionSettings(tcp=(host, int(port)), timeout=60))
        assert await told(f"replay on {serial_line[0]}") == ""
        assert await name_of(ConnectionSettings(serial=made[0], framing="wrapper", timeout=60)) == by_tcp
    assert by_tcp.startswith(b"D")


def test_a_capture_on_the_usual_port(cli: Cli, capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "_DEFAULT", "127.0.0.1:0")
    result = cli("simulate", "--replay", str(capture), "--seconds", "0")
    assert (result.status, result.err) == (0, "")
    assert re.fullmatch(r"replay on TCP 127\.0\.0\.1:[1-9]\d+\n", result.out)


async def octets_of(end: int, enough: Callable[[bytes], bool]) -> bytes:
    """What comes at a descriptor, until it is enough."""
    loop, received, whole = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def take() -> None:
        received.extend(os.read(end, 4096))
        if enough(bytes(received)):
            whole.set()

    loop.add_reader(end, take)
    try:
        async with asyncio.timeout(60):
            await whole.wait()
    finally:
        loop.remove_reader(end)
    return bytes(received)


async def test_a_meter_on_a_serial_port(monkeypatch: pytest.MonkeyPatch, serial_line: tuple[str, int]) -> None:
    device, end = serial_line
    async with simulating(monkeypatch, "--serial", device) as told:
        await told(f"hdlc on {device}")
        os.write(end, encode_frame(Kind.SNRM | POLL, encode_address(1), encode_address(16)))
        answer = await octets_of(end, lambda received: received.count(b"\x7e") >= 2)
    assert answer[5] == Kind.UA | POLL


async def test_a_meter_that_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.put_nowait(await reader.read(8))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, simulating(monkeypatch, "--pty", "--push", f"tcp://127.0.0.1:{port},every=0.05"):
        async with asyncio.timeout(60):
            assert (await came.get())[:2] == b"\x00\x01"  # the wrapper's version


async def test_a_readout_behind_a_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulating(monkeypatch, "--tcp", "127.0.0.1:0", "--opening", "readout") as told:
        host, _, port = (await told("readout on TCP ")).partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"/?!\r\n")
        async with asyncio.timeout(60):
            assert await reader.readexactly(1) == b"/"  # the identification; the rest takes its time at 300 baud
        writer.close()
