"""The two addresses of an HDLC link, and which frames on a shared line are for us.

Source: IEC 62056-46:2002, clause 6.4.2 (addressing); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from dlms_mqtt.protocol.framing.hdlc.address import Address, decode_address, encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, Kind
from dlms_mqtt.protocol.framing.link import Side


class Stations:
    """``own`` and ``peer`` are the octets that our frames carry; ``client`` and ``server`` the numbers behind them."""

    __slots__ = ("_server_address", "client", "own", "peer", "server", "side")

    def __init__(self, side: Side, client: int, server: int, physical: int | None, address_size: int) -> None:
        self.side = side
        self.client = client
        self.server = server
        meter = encode_address(server, physical, address_size)
        self._server_address = decode_address(meter)
        self.own, self.peer = encode_address(client), meter
        if side is Side.SERVER:
            self.own, self.peer = self.peer, self.own

    def hears(self, frame: Frame) -> bool:
        """Whether a frame whose addresses are not just ours is for us all the same."""
        source, destination = decode_address(frame.source), decode_address(frame.destination)
        if self.side is Side.SERVER:
            return _same(destination, self._server_address) or is_broadcast(frame)
        if frame.source == self.own and frame.destination == self.peer:
            return False  # our own frame, reflected: by number alone it may be the meter's (client 1, server 1/17)
        # Tolerated: an address of another size, and what a meter pushes to another client over the same line.
        return _same(source, self._server_address) and (destination.upper == self.client or frame.kind is Kind.UI)

    def wrong_address(self, frame: Frame) -> str | None:
        """Client: "address" where another station than the one we call answers us, "client" where ours answers another
        client, "push" for what a meter sends by itself; None for anything else (our own frames, the talk of others).
        """
        if self.side is Side.SERVER or frame.source == self.own:
            return None
        source, destination = decode_address(frame.source), decode_address(frame.destination)
        ours, us = _same(source, self._server_address), destination.upper == self.client
        if us:
            return None if ours else "address"
        if frame.kind is Kind.UI:
            return "push"
        return "client" if ours else None

    def adopt(self, frame: Frame) -> None:
        """A meter answers whoever called it, with the very octets it was called by."""
        self.peer, self.own = frame.source, frame.destination
        self.client = decode_address(frame.source).upper


def is_broadcast(frame: Frame) -> bool:
    """Whether this is for every station; nobody answers it."""
    return frame.kind is Kind.UI and decode_address(frame.destination).broadcast


def _same(address: Address, other: Address) -> bool:
    """Whether two addresses mean the same station; one without a physical part fits every one."""
    if address.upper != other.upper:
        return False
    return None in (address.lower, other.lower) or address.lower == other.lower
