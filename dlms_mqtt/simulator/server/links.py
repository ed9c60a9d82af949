"""The meter's ends of links, and how a UA may look that a client did not expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.framing import registry
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Link, LinkOptions, Side
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.meter import Meter

FRAMINGS = (*registry.FRAMINGS, "bare")


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


def _hdlc_end(options: LinkOptions, faults: Faults | None) -> Link:
    link = MeterHdlcLink.make(Side.SERVER, options)
    odd = faults.get("odd-ua") if faults else None
    if odd is not None:
        link.odd_ua = odd.value
        if odd.value in ("empty", "window-only"):  # which mean the defaults, so the meter must keep to them
            link.offer = type(link.offer)()
    return link


def _bare_end(options: LinkOptions, faults: Faults | None) -> Link:
    return BareLink.make(Side.SERVER, options)


#: Framings whose end at the meter is another than the client's, or that only a simulated meter has.
_OWN_ENDS: dict[str, Callable[[LinkOptions, Faults | None], Link]] = {registry.HDLC: _hdlc_end, "bare": _bare_end}


def make_link(framing: str, meter: Meter, faults: Faults | None = None, **options: Any) -> Link:
    """The meter's end of a link; ``options`` as in ``LinkOptions``, but for the meter's own addresses. ConfigError."""
    if framing not in FRAMINGS:
        raise ConfigError(f"there is no framing '{framing}'", hint=f"There is {', '.join(FRAMINGS)}.")
    known = LinkOptions(server=meter.server, physical=meter.physical, **options)
    if framing in _OWN_ENDS:
        return _OWN_ENDS[framing](known, faults)
    return registry.link_class(framing).make(Side.SERVER, known)


__all__ = ["FRAMINGS", "MeterHdlcLink", "make_link"]
