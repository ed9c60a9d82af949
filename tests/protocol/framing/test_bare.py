"""No framing: what is handed in is one message, what is sent goes out as it is."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.link import LinkDown, LinkUp, Received, Side


@pytest.mark.parametrize(("side", "source", "destination"), [(Side.CLIENT, 1, 16), (Side.SERVER, 16, 1)])
def test_a_message_comes_from_the_other_side(side: Side, source: int, destination: int) -> None:
    link = BareLink(side)
    link.receive(b"\xc4\x01")
    assert link.next_event() == Received(b"\xc4\x01", source, destination)
    assert link.next_event() is None
    assert link.statistics.frames == 1


def test_it_is_up_and_down_at_once() -> None:
    link = BareLink(Side.CLIENT)
    assert link.is_up and link.drained and not link.numbered and not link.has_connection
    link.connect()
    link.disconnect()
    up = link.next_event()
    assert isinstance(up, LinkUp) and up.parameters.max_info_transmit == 0xFFFF
    assert link.next_event() == LinkDown("disc")
    assert link.data_to_send() == b""


def test_what_is_sent_goes_out_once() -> None:
    link = BareLink(Side.CLIENT)
    link.send(b"ab")
    link.send_unnumbered(b"c")
    assert (link.data_to_send(), link.data_to_send(), link.repeat()) == (b"abc", b"", False)
