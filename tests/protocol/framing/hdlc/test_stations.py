"""Which frames on a shared line are for us."""

from __future__ import annotations

from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
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
