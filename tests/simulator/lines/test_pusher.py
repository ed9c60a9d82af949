"""Who brings pushes: at intervals, on events, when asked; over a line, to a listener or to all clients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError, ResponseTimeout
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.security import Cipher, Security
from dlms_mqtt.simulator import (
    KEYS,
    Meter,
    serve_memory,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.pusher import Pusher, PushRow, parse_push, push_frame
from dlms_mqtt.simulator.server.push import ON_EVENT, SCHEDULED
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock


@contextlib.asynccontextmanager
async def pushing(meter: Meter, text: str) -> Any:
    near, far = memory_pair()
    await near.open()
    await far.open()
    pusher = Pusher(meter, parse_push(text), far)
    task = asyncio.create_task(pusher.run())
    yield near
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def pushed(near: MemoryTransport, link: Any, timeout: float) -> bytes:
    link.receive(await near.read(timeout))
    event = link.next_event()
    assert isinstance(event, Received)
    return event.apdu


async def test_a_push_on_schedule(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with pushing(meter, "memory,every=60") as near:
        for number in (1, 2, 3):
            message = decode_apdu(await pushed(near, WrapperLink(Side.CLIENT, client=1), 61))
            assert isinstance(message, DataNotification)
            assert message.long_invoke == number
            assert message.time is not None
            values = message.value.value
            assert values[2].value == meter.name.encode()
            assert values[3].type is DataType.DOUBLE_LONG_UNSIGNED
            assert clock.monotonic() == pytest.approx(60 * number)


async def test_a_ciphered_push_on_an_event(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with pushing(meter, "memory,ciphered") as near:
        with pytest.raises(ResponseTimeout):
            await near.read(1000)
        meter.log(46)
        octets = await pushed(near, WrapperLink(Side.CLIENT, client=1), 1)
    cipher = Cipher(
        suite=0,
        security=Security.NONE,
        minimum=Security.BOTH,
        keys=KEYS,
        system_title=b"",
        peer_title=meter.title,
        next_counter=lambda: 0,
        warn=print,
    )
    message = decode_apdu(cipher.unprotect_apdu(octets))
    assert isinstance(message, DataNotification)
    assert [item.value for item in message.value.value[3:]] == [0x2000, 46]


async def test_a_push_over_hdlc_when_asked(clock: FakeClock) -> None:
    meter = household(clock=clock)
    near, far = memory_pair()
    async with pushing(meter, "memory,every=100000,framing=hdlc") as line, serve_memory(meter, far):
        async with DlmsClient(ConnectionSettings(framing="hdlc", client=17), transport=near) as client:
            push = MethodDescriptor(40, Obis.parse("0.0.25.9.0.255"), 1)
            await client.invoke(push, Data(DataType.INTEGER, 0))
        message = decode_apdu(await pushed(line, HdlcLink(Side.CLIENT, client=1), 1))
        assert isinstance(message, DataNotification)


async def test_a_listener_that_is_not_there_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    meter = household(clock=FakeClock())
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    pusher = Pusher(meter, parse_push(f"tcp://127.0.0.1:{port},every=60"))
    with caplog.at_level("INFO", "dlms_mqtt.simulator"):
        await pusher.push()
    assert caplog.text.count(f"push to tcp://127.0.0.1:{port}: ") == 1 and pusher.sent == 1


@pytest.mark.parametrize("every", ["60", "1m", "60s", "0.001h"])
def test_the_time_between_pushes_is_written_as_all_others(every: str) -> None:
    assert parse_push(f"memory,every={every}").every == pytest.approx(3.6 if every == "0.001h" else 60)


def test_a_time_between_pushes_that_is_none() -> None:
    with pytest.raises(ConfigError, match="every of a push: expected a time"):
        parse_push("memory,every=soon")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("memory,colour=red", "a push has to, every"),
        ({"every": 60}, "a push has to, every"),
        ("memory,client=one", "the client of a push is a number"),
        ({"to": "memory", "client": None}, "the client of a push is a number"),
        ("memory,framing=wrap", "there is no framing .wrap."),
    ],
)
def test_rows_that_are_no_push(row: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_push(row)


def test_a_row_of_a_description() -> None:
    row = {
        "to": "clients",
        "every": 60,
        "object": "0.8.25.9.0.255",
        "client": "3",
        "ciphered": "yes",
        "framing": "hdlc",
    }
    assert parse_push(row) == PushRow("clients", 60.0, Obis.parse("0.8.25.9.0.255"), 3, True, "hdlc")
    assert parse_push("memory").obis == ON_EVENT
    assert parse_push("memory,every=60") == PushRow("memory", 60.0, SCHEDULED)


async def test_an_event_does_not_hurry_a_push_on_schedule_nor_another_setup_one_of_its_own(clock: FakeClock) -> None:
    meter = household(clock=clock)
    before = [*meter.on_event], [*meter.on_push]
    async with pushing(meter, "memory,every=60") as near:
        await asyncio.sleep(1)
        meter.log(46)
        for on_push in meter.on_push:
            on_push(ON_EVENT)
        await near.read(100)
        assert clock.monotonic() == pytest.approx(60)
    assert (meter.on_event, meter.on_push) == before


async def test_every_client_that_is_connected_gets_it(clock: FakeClock) -> None:
    meter = household(clock=clock)
    received: list[Any] = []
    near, far = memory_pair()
    settings = ConnectionSettings(framing="wrapper", client=17)
    async with (
        serve_memory(meter, far, "wrapper"),
        DlmsClient(settings, transport=near, on_notification=received.append) as client,
    ):
        pusher = Pusher(meter, parse_push("clients,every=60,client=17"))
        await pusher.push()
        await pusher.push()
        await client.get(AttributeDescriptor(1, Obis.parse("0.0.42.0.0.255"), 2))
    assert [message.long_invoke for message in received] == [1, 2]


async def test_a_listener_gets_it_over_a_connection_of_its_own() -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.read())  # until the meter closes
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    meter = household(clock=FakeClock())
    row = parse_push(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]},every=60")
    await Pusher(meter, row).push()
    assert await received.get() == push_frame(meter, row, 1)
    server.close()
    await server.wait_closed()
