"""Ports of ESPHome devices, against a server of the native API in plain text and with Noise."""

from __future__ import annotations

import asyncio
import builtins
import logging
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from dlms_mqtt.errors import ConfigError, ConnectFailed, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.esphome import line as module
from dlms_mqtt.transport.esphome.line import EsphomeTransport
from dlms_mqtt.transport.registry import make_transport, open_transport
from tests.esphome_head import KEY, EsphomeHead
from tests.line import discarded

IN_PLAIN_AND_NOISE = pytest.mark.parametrize("key", ["", KEY], ids=["plain", "noise"])
PATIENCE = 60


def port_of(head: EsphomeHead, **options: Any) -> EsphomeTransport:
    return EsphomeTransport(head.url, noise_psk=head.key.encode() or None, **options)


async def exactly(line: Any, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await line.read(PATIENCE)
    return data


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing tells that a connection has ended
            await asyncio.sleep(0.001)


@IN_PLAIN_AND_NOISE
async def test_both_directions(key: str) -> None:
    async with EsphomeHead(key=key) as head, port_of(head) as line:
        line.write(bytes(range(256)))
        line.write(bytes(2000))
        assert await exactly(head.line, 2256) == bytes(range(256)) + bytes(2000)
        head.line.write(bytes(range(256)))
        assert await exactly(line, 256) == bytes(range(256))
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)
        head.line.write(b"old")
        assert await discarded(line, 3) == b"old"


@IN_PLAIN_AND_NOISE
@pytest.mark.parametrize("version", [(1, 18), (1, 14)], ids=["new", "old"])
async def test_speed_and_parity_change_on_the_open_port(key: str, version: tuple[int, int]) -> None:
    async with (
        EsphomeHead(key=key, version=version) as head,
        port_of(head, baud=300, data_bits=7, parity="even") as line,
    ):
        assert head.line.uart == line.format == SerialFormat(300, 7, "even")
        await head.line.configure(baud=300, data_bits=7, parity="even")
        line.write(b"/?!\r\n")
        assert await exactly(head.line, 5) == b"/?!\r\n"
        for wanted in (SerialFormat(9600), SerialFormat(2400, 8, "odd", 2)):
            await line.configure(**wanted._asdict())
            assert head.line.uart == line.format == wanted
        head.line.write(b"no longer")  # at 300 7E1
        assert b"no longer" not in await line.read(PATIENCE)


async def test_drain_waits_until_the_uart_has_sent_it() -> None:
    async with EsphomeHead(paced=True) as head, port_of(head, baud=300, data_bits=7, parity="even") as line:
        loop = asyncio.get_running_loop()
        line.write(b"/?!\r\n")
        assert line.lag > 0
        await line.drain()
        assert loop.time() >= head.line.sent_until
        assert line.lag == 0


async def test_a_port_without_modem_lines_is_an_error_only_where_they_were_asked_for() -> None:
    async with EsphomeHead() as head:
        head.has_pins = False
        async with port_of(head):
            pass
        with pytest.raises(ConnectFailed, match="has no DTR and RTS"):
            await port_of(head, dtr=True).open()
        await until(lambda: not head.peers)


@IN_PLAIN_AND_NOISE
async def test_the_line_is_cut(key: str) -> None:
    async with EsphomeHead(key=key) as head, port_of(head) as line:
        head.cut()
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="has gone"):
                await line.read(PATIENCE)
        with pytest.raises(ConnectionLost):
            line.write(b"x")
        with pytest.raises(ConnectionLost):
            await line.drain()
        with pytest.raises(ConnectionLost):
            await line.configure(baud=300)
        await line.close()
        with pytest.raises(ConnectFailed, match="nobody listens at"):
            await line.open()
        await head.start()
        await line.open()
        line.write(b"again")
        assert await exactly(head.line, 5) == b"again"


@IN_PLAIN_AND_NOISE
async def test_the_device_restarts(key: str) -> None:
    async with EsphomeHead(key=key) as head, port_of(head, baud=300, data_bits=7, parity="even") as line:
        await head.restart()
        with pytest.raises(ConnectionLost, match="it restarts, or was updated"):
            await line.read(PATIENCE)
        await line.close()
        await line.open()
        assert head.line.uart == SerialFormat(300, 7, "even")  # the device had forgotten it


async def test_a_probe_is_pulled_out_of_the_device() -> None:
    async with EsphomeHead() as head, port_of(head) as line:
        head.unplug()
        with pytest.raises(ConnectionLost, match="has gone"):
            await line.read(PATIENCE)


async def test_a_cancelled_read_leaves_nothing_and_loses_nothing() -> None:
    async with EsphomeHead() as head, port_of(head) as line:
        task = asyncio.create_task(line.read(None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        head.line.write(b"kept")
        assert await exactly(line, 4) == b"kept"


@IN_PLAIN_AND_NOISE
async def test_a_device_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    from dlms_mqtt.transport.esphome import head as connecting

    monkeypatch.setattr(connecting, "_PATIENCE", 0.2)
    async with EsphomeHead(key=key) as head:
        head.answers = False
        line = port_of(head)
        with pytest.raises(ConnectFailed, match="does not answer"):
            await line.open()
        with pytest.raises(ConnectionLost, match="is not open"):
            await line.read(1)


async def test_opening_can_be_cancelled() -> None:
    async with EsphomeHead() as head:
        head.answers = False
        task = asyncio.create_task(port_of(head).open())
        await until(lambda: head.peers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not head.peers)


async def test_no_key_in_what_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with EsphomeHead(key=KEY) as head:
        line = await open_transport(f"{head.url}&noise_psk={KEY}")
        line.write(b"x")
        await line.drain()
        await line.close()
    assert KEY not in f"{caplog.text} {line.name} {line!r}"


async def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith(module.__name__.rpartition(".")[0]):
            raise ImportError("No module named 'serialx'", name="serialx")
        return imported(name, *args, **kwargs)

    line = make_transport("esphome://127.0.0.1:1/?port_name=x")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"not installed \(serialx\)") as caught:
        await line.open()
    assert "dlms-mqtt[esphome]" in caught.value.hint


async def test_a_port_that_is_not_open() -> None:
    line = make_transport("esphome://127.0.0.1:1/?port_name=x")
    assert line.discard() == b""
    for call in (lambda: line.read(1), line.drain, lambda: line.configure(baud=300), lambda: line.lines(dtr=True)):
        with pytest.raises(ConnectionLost, match="is not open"):
            await call()
    with pytest.raises(ConnectionLost):
        line.write(b"x")
    await line.close()


class OfLibrary(Exception):
    """What the library raises."""


class FailingHead:
    """A port of a device that fails at whatever it is asked for."""

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, 0

    def write(self, *_: object) -> None:
        raise self.error

    async def flush(self, *_: object) -> None:
        raise self.error

    configure = lines = flush

    def close(self) -> None:
        self.closed += 1


async def failing(error: Exception, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[EsphomeTransport, Any]:
    """A port that opens, and fails from then on."""
    line, head = EsphomeTransport("esphome://127.0.0.1:1/?port_name=x", **options), FailingHead(error)

    async def connect(*_: object) -> FailingHead:
        return head

    library = SimpleNamespace(ERRORS=(OfLibrary, OSError), connect=connect)
    monkeypatch.setattr(module, "_library", lambda: library)
    return line, head


@pytest.mark.parametrize(
    ("error", "kind"), [(OfLibrary("not supported"), ConnectFailed), (OSError(104, "reset"), ConnectionLost)]
)
async def test_a_device_that_fails_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    """What the device refuses is told from a line that is gone."""
    line, head = await failing(error, monkeypatch)
    if kind is ConnectionLost:
        with pytest.raises(ConnectionLost, match="does not answer any more"):
            await line.open()
        assert head.closed == 1
        monkeypatch.setattr(line, "_set_lines", AsyncMock())
    await line.open()
    with pytest.raises(ConnectionLost, match="does not answer any more"):
        line.write(b"x")
    with pytest.raises(ConnectionLost):
        await line.drain()
    with pytest.raises(kind, match=None if kind is ConnectionLost else "cannot be set to 300 7E1: not supported"):
        await line.configure(baud=300, data_bits=7, parity="even")
    with pytest.raises(kind):
        await line.lines(dtr=True)
    await line.lines()
    assert line.format == SerialFormat()
    await line.close()


async def test_an_open_port_is_opened_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    line, head = await failing(OfLibrary("no pins"), monkeypatch)
    await line.open()
    await line.open()
    await line.close()
    await line.close()
    assert head.closed == 1
