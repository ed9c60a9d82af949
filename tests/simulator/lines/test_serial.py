"""Our meter on lines: pseudo-terminal and RFC 2217 with and without sign-on, UDP, a line at the wrong speed; pushes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError, RemoteProtocolError, ResponseTimeout
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.security import Cipher, Security
from dlms_mqtt.simulator import (
    KEYS,
    PASSWORD,
    Faults,
    Meter,
    SignOnOptions,
    serve_memory,
    serve_pty,
    serve_rfc2217,
    serve_udp,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.pusher import Pusher, parse_push
from dlms_mqtt.simulator.lines.telnet import ComPort
from dlms_mqtt.simulator.server.push import report, tell_clients
from dlms_mqtt.transport import make_transport
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_pseudo_terminal() -> None:
    meter = household(clock=FakeClock())
    async with serve_pty(meter) as line:
        assert await energy(serial=line.device) == await energy(serial=line.device)
        assert line.client_format.baud == 9600


async def test_a_serial_device_on_both_sides() -> None:
    """The meter opens a device as the client does; two pseudo-terminals make the cable."""
    masters, slaves = zip(*(os.openpty() for _ in range(2)), strict=True)
    loop = asyncio.get_running_loop()
    for slave in slaves:
        tty.setraw(slave)
    for near, far in (masters, masters[::-1]):
        loop.add_reader(near, lambda near=near, far=far: os.write(far, os.read(near, 4096)))
    port = make_transport(os.ttyname(slaves[0]))
    async with serve_memory(household(clock=FakeClock()), port):
        assert await energy(serial=os.ttyname(slaves[1])) > 1_000_000
    for master in masters:
        loop.remove_reader(master)
    for descriptor in (*slaves, *masters):
        os.close(descriptor)


async def test_a_pseudo_terminal_at_another_speed_gives_rubbish() -> None:
    async with serve_pty(household(clock=FakeClock()), paced=False) as line:
        with pytest.raises(ResponseTimeout):
            await energy(serial=line.device, baud=2400, retries=0, timeout=0.2)
        assert line.client_format.baud == 2400


async def test_sign_on_over_a_pseudo_terminal_twice() -> None:
    async with serve_pty(household(clock=FakeClock()), sign_on=SignOnOptions()) as line:
        for _ in range(2):  # the meter is back at 300 baud when the link is closed
            assert await energy(serial=line.device, opening="sign-on") > 1_000_000


async def test_rfc2217_with_sign_on() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), sign_on=SignOnOptions()) as (host, port):
        assert await energy(serial=f"rfc2217://{host}:{port}", opening="sign-on") > 1_000_000


async def test_rfc2217_with_the_wrong_parity_gives_rubbish() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        with pytest.raises(ResponseTimeout):
            await energy(serial=f"rfc2217://{host}:{port}", parity="even", retries=0, timeout=0.3)


async def test_udp_with_lost_datagrams() -> None:
    from dlms_mqtt.simulator import Faults

    meter = household(clock=FakeClock())
    async with serve_udp(meter, faults=Faults(["lost,after=1"])) as address:
        assert await energy(udp=address, timeout=1.0) > 1_000_000


async def test_silence_after_the_sign_on_takes_the_meter_back(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat(300, 7, "even"))
    meter = household(clock=clock)
    async with serve_memory(meter, far, "hdlc", sign_on=SignOnOptions(inactivity=5)):
        client = DlmsClient(ConnectionSettings(**READER, opening="sign-on", serial="memory"), transport=near)
        await client.open()
        assert far.format == SerialFormat(9600)
        await asyncio.sleep(6)
        assert far.format == SerialFormat(300, 7, "even")
        await client.close()
        client = DlmsClient(ConnectionSettings(**READER, opening="sign-on", serial="memory"), transport=near)
        async with client:
            await client.get(ENERGY)


@pytest.mark.parametrize("cut", [1, 2, 5, 100])
def test_telnet_commands_may_come_in_pieces(cut: int) -> None:
    stream = (
        bytes.fromhex("fffd2c fffb2c fffd18")  # DO and WILL COM-PORT, DO terminal-type
        + b"a"
        + bytes.fromhex("fffa2c01000025 80fff0")  # 9600 baud
        + bytes.fromhex("fffa2c0303fff0")  # even
        + b"\xff\xffb"
    )
    port = ComPort()
    plain = answers = b""
    for at in range(0, len(stream), cut):
        data, answer = port.receive(stream[at : at + cut])
        plain, answers = plain + data, answers + answer
    assert plain == b"a\xffb"
    assert (port.format.baud, port.format.parity) == (9600, "even")
    assert bytes.fromhex("fffa2c6500002580fff0") in answers
    assert bytes.fromhex("fffc18") in answers
    assert port.escape(b"\xff") == b"\xff\xff"


@pytest.mark.parametrize("command", ["fffa2c0309fff0", "fffa2c01fff0", "fff0", "fffa2c0aff"])
def test_a_telnet_client_that_sends_nonsense_is_left(command: str) -> None:
    port = ComPort()
    with pytest.raises(RemoteProtocolError):
        port.receive(bytes.fromhex(command) + bytes(100))


async def test_nonsense_ends_only_its_own_connection() -> None:
    async with serve_rfc2217(household(clock=FakeClock()), paced=False) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(bytes.fromhex("fff0"))
        while await reader.read(100):
            pass
        writer.close()
        assert await energy(serial=f"rfc2217://{host}:{port}") > 1_000_000


# -- pushes ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize(
    ("options", "kind"), [({}, EventNotification), ({"referencing": "sn"}, InformationReportRequest)]
)
async def test_reports_over_the_open_association(
    clock: FakeClock, framing: str, options: dict[str, Any], kind: type
) -> None:
    """They come while the client polls, and do not disturb it."""
    meter = household(clock=clock)
    heard: list[Any] = []
    near, far = memory_pair()
    settings = ConnectionSettings(framing=framing, client=17, **options)
    async with (
        serve_memory(meter, far, framing),
        DlmsClient(settings, transport=near, on_notification=heard.append) as client,
    ):
        octets = report(meter, ENERGY, short=bool(options))
        assert tell_clients(meter, octets) == 1
        value = (await client.get(ENERGY)).value
    assert [type(message) for message in heard] == [kind]
    assert heard[0].encode() == octets
    assert value > 1_000_000
    assert not meter.sessions


async def test_a_listener_that_is_not_there_is_tried_again() -> None:
    meter = household(clock=FakeClock())
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await Pusher(meter, parse_push(f"tcp://127.0.0.1:{port},every=60")).push()


@pytest.mark.parametrize(("fault", "share"), [("echo", 1.0), ("echo:0.5", 0.5)])
async def test_a_line_with_echo_gives_back_the_sign_on_too(clock: FakeClock, fault: str, share: float) -> None:
    near, far = memory_pair(line=SerialFormat(300, 7, "even"), latency=0.03)
    await near.open()
    async with serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions(), faults=Faults([fault])):
        near.write(b"/?!\r\n")
        await asyncio.sleep(3)
        heard = near.discard()
    # The line hands octets over one by one; of each its share, rounded up, comes back.
    assert heard.count(b"/") == 2
    assert b"DMQ5" in heard
    assert Faults([fault]).echo(b"12345678") == b"12345678"[: int(8 * share)]
    assert Faults().echo(b"1") == b""
    await near.close()


@pytest.mark.parametrize("every", ["60", "1m", "60s", "0.001h"])
def test_the_time_between_pushes_is_written_as_all_others(every: str) -> None:
    assert parse_push(f"memory,every={every}").every == pytest.approx(3.6 if every == "0.001h" else 60)


def test_a_time_between_pushes_that_is_none() -> None:
    with pytest.raises(ConfigError, match="every of a push: expected a time"):
        parse_push("memory,every=soon")
