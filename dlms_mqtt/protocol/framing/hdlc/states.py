"""Which frame is legal when: the link states of both sides of HDLC, and what each frame does in them.

A frame that is missing from its row is ignored: it is late, reflected, or of no meaning to this side. Actions are names
of methods of HdlcLink.
"""

from __future__ import annotations

from enum import Enum

from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from dlms_mqtt.protocol.framing.link import Side


class LinkState(Enum):
    """Normal disconnected mode, normal response mode, and the client's two ways between them."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"


_NUMBERED = {
    Kind.I: "take_information",
    Kind.RR: "take_ready",
    Kind.RNR: "take_not_ready",
    Kind.REJ: "take_ready",  # a request to send again: what is not acknowledged is sent again anyway
    Kind.SREJ: "take_ready",
    Kind.UI: "take_unnumbered",
}
_REFUSED = {Kind.I: "answer_dm", Kind.RR: "answer_dm", Kind.RNR: "answer_dm", Kind.REJ: "answer_dm"}

ACTIONS: dict[Side, dict[LinkState, dict[Kind, str]]] = {
    Side.CLIENT: {
        LinkState.DISCONNECTED: {Kind.UI: "take_unnumbered"},
        LinkState.CONNECTING: {
            Kind.UA: "accept_answer",
            Kind.DM: "link_refused",
            Kind.FRMR: "link_rejected",
            Kind.UI: "take_unnumbered",
        },
        LinkState.CONNECTED: {**_NUMBERED, Kind.DM: "link_refused", Kind.FRMR: "link_rejected"},
        LinkState.DISCONNECTING: {
            Kind.UA: "link_ended",
            Kind.DM: "link_ended",
            Kind.FRMR: "link_ended",
            Kind.UI: "take_unnumbered",
        },
    },
    Side.SERVER: {
        LinkState.DISCONNECTED: {
            **_REFUSED,
            Kind.SNRM: "accept_request",
            Kind.DISC: "answer_dm",
            Kind.UI: "take_unnumbered",
        },
        LinkState.CONNECTED: {
            **_NUMBERED,
            Kind.SNRM: "accept_request",
            Kind.DISC: "accept_end",
            Kind.UNKNOWN: "answer_frmr",
        },
    },
}
