"""Which frames on a shared line are for us."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.hdlc.stations import Stations, is_broadcast
from dlms_mqtt.protocol.framing.link import LinkUp, Received, Side


def test_a_reflection_is_never_the_meter() -> None:
    """Client 1 and server 1/17: the reflected frame comes from "1" and goes to "1"."""
    client = HdlcLink(Side.CLIENT, client=1, server=1, physical=17)
    meter = HdlcLink(Side.SERVER, client=1, server=1, physical=17)
    client.connect()
    meter.receive(client.data_to_send())
    assert isinstance(meter.next_event(), LinkUp)
    client.receive(meter.data_to_send())
    assert isinstance(client.next_event(), LinkUp)
    client.send(b"question")
    sent = client.data_to_send()
    client.receive(sent)
    assert client.next_event() is None
    meter.receive(sent)
    assert isinstance(meter.next_event(), Received)
    meter.send(b"answer")
    client.receive(meter.data_to_send())
    event = client.next_event()
    assert isinstance(event, Received)
    assert event.apdu == b"answer"


def stations(side: Side = Side.CLIENT, client: int = 16, physical: int | None = 17) -> Stations:
    return Stations(side, client, 1, physical, 4)


def frame(source: bytes, destination: bytes, kind: int = Kind.I) -> Frame:
    return Frame(kind, destination, source, b"", False)


OURS, OTHER = encode_address(1, 17, 4), encode_address(1, 18, 4)
US, SOMEBODY = encode_address(16), encode_address(32)
EVERYBODY = encode_address(0x3FFF, 0x3FFF, 4)


@pytest.mark.parametrize(
    ("source", "destination", "kind", "heard", "wrong"),
    [
        (OURS, US, Kind.I, True, None),
        (encode_address(1, None, 1), US, Kind.I, True, None),  # an address of another size
        (encode_address(1, 17, 2), US, Kind.I, True, None),
        (OTHER, US, Kind.I, False, "address"),
        (encode_address(2, 17, 4), US, Kind.I, False, "address"),
        (OURS, SOMEBODY, Kind.I, False, "client"),
        (OURS, SOMEBODY, Kind.UI, True, "push"),
        (OTHER, SOMEBODY, Kind.UI, False, "push"),
        (OTHER, SOMEBODY, Kind.I, False, None),
        (US, OURS, Kind.I, False, None),  # our own, reflected
    ],
)
def test_what_a_client_hears(source: bytes, destination: bytes, kind: int, heard: bool, wrong: str | None) -> None:
    found = frame(source, destination, kind)
    assert (stations().hears(found), stations().wrong_address(found)) == (heard, wrong)


@pytest.mark.parametrize(
    ("destination", "kind", "heard"),
    [(OURS, Kind.I, True), (OTHER, Kind.I, False), (EVERYBODY, Kind.UI, True), (EVERYBODY, Kind.I, False)],
)
def test_what_a_meter_hears(destination: bytes, kind: int, heard: bool) -> None:
    found = frame(US, destination, kind)
    meter = stations(Side.SERVER)
    assert (meter.hears(found), meter.wrong_address(found)) == (heard, None)
    assert is_broadcast(found) == (destination == EVERYBODY and kind == Kind.UI)


def test_a_meter_answers_whoever_called_it_by_the_octets_it_was_called_by() -> None:
    meter = stations(Side.SERVER)
    assert (meter.own, meter.peer) == (OURS, US)
    meter.adopt(frame(SOMEBODY, encode_address(1, 17, 2)))
    assert (meter.own, meter.peer, meter.client) == (encode_address(1, 17, 2), SOMEBODY, 32)
