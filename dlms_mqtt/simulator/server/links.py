"""The meter's ends of links, and how a UA may look that a client did not expect."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Link, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.meter import Meter

FRAMINGS = ("hdlc", "wrapper", "bare")


class MeterHdlcLink(HdlcLink):
    """An HDLC link whose UA may be odd."""

    odd_ua = ""

    def _reply(self, kind: Kind, information: bytes = b"") -> None:
        if self.odd_ua and kind is Kind.UA and information:
            information = self._odd()
        super()._reply(kind, information)

    def _odd(self) -> bytes:
        """What meters have been seen to send, with the true values in it."""
        p = self.parameters
        rows = {
            "empty": b"",
            "short": _groups(
                (5, 1, p.max_info_transmit & 0xFF), (6, 1, p.max_info_receive & 0xFF), (7, 1, 1), (8, 1, 1)
            ),
            "long": _groups((5, 4, p.max_info_transmit), (6, 4, p.max_info_receive), (7, 4, 1), (8, 4, 1)),
            "window-only": _groups((7, 1, 1), (8, 1, 1)),
            "reversed": _groups((8, 4, 1), (7, 4, 1), (6, 2, p.max_info_receive), (5, 2, p.max_info_transmit)),
        }
        if self.odd_ua not in rows:
            raise ConfigError(f"there is no odd UA '{self.odd_ua}'", hint=f"There is {', '.join(rows)}.")
        return rows[self.odd_ua]


def _groups(*rows: tuple[int, int, int]) -> bytes:
    body = b"".join(bytes((number, size)) + value.to_bytes(size, "big") for number, size, value in rows)
    return b"\x81\x80" + bytes((len(body),)) + body


def make_link(framing: str, meter: Meter, faults: Faults | None = None, *, datagram: bool = False, **hdlc: Any) -> Link:
    """The meter's end of a link; ``hdlc``: max_info and window of HdlcLink. ConfigError."""
    if framing == "wrapper":
        return WrapperLink(Side.SERVER, server=meter.server, datagram=datagram)
    if framing == "bare":
        return BareLink(Side.SERVER, server=meter.server)
    if framing != "hdlc":
        raise ConfigError(f"there is no framing '{framing}'", hint=f"There is {', '.join(FRAMINGS)}.")
    link = MeterHdlcLink(Side.SERVER, server=meter.server, physical=meter.physical, **hdlc)
    odd = faults.get("odd-ua") if faults else None
    if odd is not None:
        link.odd_ua = odd.value
        if odd.value in ("empty", "window-only"):  # which mean the defaults, so the meter must keep to them
            link.offer = type(link.offer)()
    return link


__all__ = ["FRAMINGS", "MeterHdlcLink", "make_link"]
