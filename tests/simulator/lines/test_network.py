"""A meter on the network: TCP and UDP, many at once, faults of one connection."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any
from unittest.mock import Mock

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    ConnectionLost,
    ResponseTimeout,
)
from dlms_mqtt.protocol.apdu import get
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    PASSWORD,
    Faults,
    Meter,
    MeterServer,
    make_link,
    serve_tcp,
    serve_udp,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.network import TcpServer, _Connection, _Datagrams
from dlms_mqtt.simulator.server.associations import LN_SERVICES
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    OPEN,
)
from tests.simulator.wrapped import aarq

READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_udp_with_lost_datagrams() -> None:
    from dlms_mqtt.simulator import Faults

    meter = household(clock=FakeClock())
    async with serve_udp(meter, faults=Faults(["lost,after=1"])) as address:
        assert await energy(udp=address, timeout=1.0) > 1_000_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("deaf,after=2", ResponseTimeout),
        ("drop,after=2", ConnectionLost),
        ("restart,after=2", ConnectionLost),
        ("echo", None),
        ("noise:9", None),
        ("trickle:0.0001", None),
        ("delay:0.001", None),
    ],
)
async def test_faults_on_tcp(fault: str, kind: type[Exception] | None) -> None:
    trouble = Faults([fault])
    meter = household(clock=FakeClock(), faults=trouble)
    async with serve_tcp(meter, faults=trouble) as server:
        chosen = ConnectionSettings(
            tcp=("127.0.0.1", server.port), timeout=2.0 if kind is ResponseTimeout else 20.0, **READER
        )
        async with DlmsClient(chosen) as client:
            if kind is None:
                assert (await client.get(ENERGY)).value > 0
                return
            with pytest.raises(kind):
                for _ in range(4):
                    await client.get(ENERGY)


async def test_late_pieces_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine stands still for a second while they are sent."""
    loop, written = asyncio.get_running_loop(), bytearray()
    connection = _Connection(TcpServer(lambda: MeterServer(household(), make_link("wrapper", household()))))
    connection.connection_made(Mock(is_closing=lambda: False, write=written.extend))
    real, calls = loop.time, count()
    monkeypatch.setattr(loop, "time", lambda: real() + (next(calls) > 2))
    connection._send([(0.0001 if at else 0.0, octet.to_bytes()) for at, octet in enumerate(b"in their order")])
    connection._send([(0.0, b", and later")])
    async with asyncio.timeout(60):
        while len(written) < 25:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert written == b"in their order, and later"


async def test_two_hundred_associations_on_tcp() -> None:
    meter = household(clock=FakeClock())
    async with serve_tcp(meter) as server:

        async def one(number: int) -> Any:
            options = (
                GMAC | {"invocation_counter": 1, "system_title": number.to_bytes(8, "big")} if number % 4 == 0 else OPEN
            )
            settings = ConnectionSettings(tcp=("127.0.0.1", server.port), timeout=300.0, **options)
            async with DlmsClient(settings) as client:
                await together.wait()
                return (await client.get(ENERGY)).value

        together = asyncio.Barrier(200)
        values = await asyncio.gather(*map(one, range(200)))
        assert len(set(values)) == 1
        async with asyncio.timeout(300):
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


class Endpoint(asyncio.DatagramTransport):
    """The socket of a meter on UDP; ``sent`` to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, Any]] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((bytes(data), addr))


def on_udp(meter: Meter, *faults: str) -> tuple[_Datagrams, Endpoint]:
    found = _Datagrams(
        lambda: MeterServer(meter, make_link("wrapper", meter, Faults(faults), datagram=True), Faults(faults))
    )
    endpoint = Endpoint()
    found.connection_made(endpoint)
    return found, endpoint


ASK, ME, OTHER = encode_frame(aarq().encode(), 17, 1), ("192.0.2.1", 1), ("192.0.2.2", 1)


async def test_each_address_on_udp_has_a_session_of_its_own(clock: FakeClock) -> None:
    meter = household(clock=clock)
    line, endpoint = on_udp(meter)
    for address in (ME, OTHER):
        line.datagram_received(ASK, address)
    await asyncio.sleep(0.1)
    assert [address for _, address in endpoint.sent] == [ME, OTHER]
    assert len(meter.sessions) == 2
    (session, _) = meter.sessions
    assert isinstance(session, MeterServer)
    session.push(b"\x0f\x00\x00\x00\x01\x00\x00")
    assert endpoint.sent[-1][0].endswith(b"\x0f\x00\x00\x00\x01\x00\x00") and endpoint.sent[-1][1] in (ME, OTHER)


async def test_what_a_fault_does_to_a_datagram(clock: FakeClock) -> None:
    meter = household(clock=clock)
    line, endpoint = on_udp(meter, "deaf")
    line.datagram_received(ASK, ME)
    await asyncio.sleep(1)
    assert endpoint.sent == []
    line.datagram_received(ASK, ME)
    await asyncio.sleep(1)
    assert len(endpoint.sent) == 1
    line, endpoint = on_udp(meter, "delay:5")
    line.datagram_received(ASK, ME)
    await asyncio.sleep(4)
    assert endpoint.sent == []
    await asyncio.sleep(2)
    assert len(endpoint.sent) == 1


async def test_a_datagram_client_that_is_dropped_leaves_no_session(clock: FakeClock) -> None:
    meter = household(clock=clock)
    line, endpoint = on_udp(meter, "drop-in-blocks:2")
    short = InitiateRequest(conformance=LN_SERVICES & ~Conformance.GENERAL_BLOCK_TRANSFER, max_pdu_size=200)
    line.datagram_received(encode_frame(aarq(initiate=short).encode(), 17, 1), ME)
    listed = get.GetRequestNormal(0xC1, AttributeDescriptor(15, Obis.parse("0.0.40.0.0.255"), 2))
    line.datagram_received(encode_frame(listed.encode(), 17, 1), ME)
    await asyncio.sleep(1)
    assert len(meter.sessions) == 1
    answers = len(endpoint.sent)
    line.datagram_received(encode_frame(get.GetRequestNext(0xC1, 1).encode(), 17, 1), ME)
    await asyncio.sleep(1)
    assert not meter.sessions and len(endpoint.sent) == answers
