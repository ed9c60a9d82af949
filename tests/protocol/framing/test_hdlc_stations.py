"""Which frames on a shared line are for us."""

from __future__ import annotations

from dlms_mqtt.protocol.framing.hdlc import HdlcLink
from dlms_mqtt.protocol.framing.link import Side


def test_a_reflection_is_never_the_meter() -> None:
    """Client 1 and server 1/17: the reflected frame comes from "1" and goes to "1"."""
    link = HdlcLink(Side.CLIENT, client=1, server=1, physical=17)
    link.connect()
    link.receive(link.data_to_send())
    assert link.next_event() is None
