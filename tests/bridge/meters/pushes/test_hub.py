"""A port serves many meters: each hears all of it, the last one closes it, and forgers are told ever so seldom."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from dlms_mqtt.bridge.meters.pushes.hub import PushHub
from dlms_mqtt.bridge.meters.pushes.receiver import Receiver
from dlms_mqtt.client.push import Refused
from dlms_mqtt.errors import ConnectFailed, DecodeError, DlmsMqttError, SecurityError
from tests.free_port import free_port


class Kept(Receiver):
    """Keeps what it is given; ``refuses``: it can use none of it."""

    def __init__(self, refuses: DlmsMqttError | None = None) -> None:
        self.data, self.gone, self.closed, self.ticks = b"", list[str](), False, 0
        self.came, self.went = asyncio.Event(), asyncio.Event()
        self._refuses = refuses

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        self.data += data
        self.came.set()
        return [Refused(origin, self._refuses)] if self._refuses else []

    def forget(self, origin: str) -> None:
        self.gone.append(origin)
        self.went.set()

    def tick(self) -> None:
        self.ticks += 1

    def close(self) -> None:
        self.closed = True


async def test_a_port_for_two_meters() -> None:
    hub, first, second = PushHub(), Kept(), Kept()
    url = "tcp://127.0.0.1:0"
    await hub.join(url, "first", first)
    await hub.join(url, "second", second)
    _, writer = await asyncio.open_connection("127.0.0.1", hub.port(url))
    writer.write(b"telegram")
    await writer.drain()
    async with asyncio.timeout(60):
        await second.came.wait()
    assert first.data == second.data == b"telegram"
    writer.close()
    async with asyncio.timeout(60):
        await second.went.wait()
    hub.remove(url, "first")
    assert first.closed
    assert hub.is_read(url)
    hub.remove(url, "second")
    hub.remove(url, "nobody")
    assert not hub.is_read(url)
    with pytest.raises(KeyError):
        hub.port(url)


async def test_a_port_that_cannot_be_opened() -> None:
    port = free_port()
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", port):
        with pytest.raises(ConnectFailed):
            await PushHub().join(f"tcp://127.0.0.1:{port}", "first", Kept())


def test_a_line_that_somebody_else_reads() -> None:
    hub, receiver = PushHub(), Kept()
    hub.share("serial:/dev/ttyUSB0", "first", receiver)
    take = hub.feed("serial:/dev/ttyUSB0")
    take("meter", b"one", True)
    hub.feed("serial:/dev/ttyUSB1")("meter", b"two", True)
    assert receiver.data == b"one"


@pytest.mark.expect_log("a push was refused")
async def test_what_one_can_use_is_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    hub, bad = PushHub(), Kept(SecurityError("no", reason="key"))
    hub.share("line", "bad", bad)
    good = Kept()
    hub.share("line", "good", good)
    hub.feed("line")("10.0.0.1:5", b"x", True)
    assert not caplog.records
    hub.remove("line", "good")
    hub.feed("line")("10.0.0.1:5", b"x", True)
    assert len(caplog.records) == 1


async def test_messages_that_will_not_be_completed(clock: object) -> None:
    hub, receiver = PushHub(), Kept()
    hub.share("line", "first", receiver)
    running = asyncio.create_task(hub.run())
    await asyncio.sleep(10.5)
    assert receiver.ticks == 10
    running.cancel()


@pytest.mark.expect_log("a push was refused")
async def test_forgers_are_told_once_a_minute_for_each_reason(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    hub = PushHub()
    for number in range(100):
        hub._tell_refused(f"10.0.0.{number}", SecurityError("no", reason="key"))
        hub._tell_refused(f"10.0.0.{number}", DecodeError("no"))
    assert len(caplog.records) == 2
    await asyncio.sleep(61)
    hub._tell_refused("10.0.0.200", SecurityError("no", reason="key"))
    assert len(caplog.records) == 3


@pytest.mark.expect_log("cannot")
async def test_a_port_of_a_meter_at_work_that_cannot_be_opened_is_told_until_it_can() -> None:
    port, hub = free_port(), PushHub()
    url = f"tcp://127.0.0.1:{port}"
    receiver = mock.Mock(**{"meter.id": "house"})
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", port):
        await hub.add(url, receiver)
        assert str(port) in hub.trouble[url]
    await hub.add(url, receiver)
    assert hub.trouble == {}
    hub.remove(url, "house")
    receiver.close.assert_called_once_with()
