"""What all links have in common: their events, and the contract that each keeps."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import (
    Activity,
    Link,
    LinkDown,
    LinkParameters,
    LinkUp,
    Received,
    Side,
)
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.framing.wrapper import WrapperLink

LINKS = [HdlcLink, WrapperLink, BareLink]


def test_progress_makes_no_other_event() -> None:
    assert Activity(progress=True) == Activity()


def test_what_is_proposed_where_nothing_is_said() -> None:
    assert LinkParameters() == LinkParameters(128, 128, 1, 1)  # IEC 62056-46: the defaults of the negotiation


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_says_of_itself_what_it_is(kind: type) -> None:
    link: Link = kind(Side.CLIENT)
    assert link.numbered is link.has_connection is (kind is HdlcLink)
    assert link.is_up is (kind is not HdlcLink)
    assert link.statistics == Statistics()
    assert link.next_event() is None and link.data_to_send() == b""


@pytest.mark.parametrize("kind", LINKS)
def test_both_ends_of_each_understand_each_other(kind: type) -> None:
    client: Link = kind(Side.CLIENT)
    meter: Link = kind(Side.SERVER)

    def carry() -> None:
        for _ in range(4):
            for near, far in ((client, meter), (meter, client)):
                if octets := near.data_to_send():
                    far.receive(octets)

    client.connect()
    carry()
    event = client.next_event()
    assert isinstance(event, LinkUp) and client.is_up
    client.send(b"\xc0\x01")
    carry()
    events = iter(meter.next_event, None)
    assert any(isinstance(found, Received) and found.apdu == b"\xc0\x01" for found in events)
    client.disconnect()
    carry()
    assert any(isinstance(found, LinkDown) for found in iter(client.next_event, None))
