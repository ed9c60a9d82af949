"""Which frame is legal when: the link states of both sides of HDLC, and what each frame does in them.

A frame that is missing from its row is ignored: it is late, reflected, or of no meaning to this side. What an action
does stands in ``HdlcLink``, one method each. SNRM and DISC are commands of the client, UA, DM and FRMR responses of the
server; normal response mode is the only one that is used.

Two rows need a reason. A meter without a link answers what belongs into one with DM, so that a client learns that its
link has ended and need not wait; UI is taken in every state, since a push belongs to no link. And a client that takes
its link down is content with any answer: UA, DM and FRMR all come from a meter that has none any more.

Source: IEC 62056-46:2002, clause 6.4.4 (normal response mode); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from enum import Enum

from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from dlms_mqtt.protocol.framing.link import Side


class LinkState(Enum):
    """Normal disconnected mode, normal response mode, and the client's two ways between them.

    The server has no ways between: it answers SNRM and DISC in the same breath.
    """

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"


class Action(Enum):
    """What a frame does."""

    ACCEPT_ANSWER = "accept answer"
    ACCEPT_END = "accept end"
    ACCEPT_REQUEST = "accept request"
    ANSWER_DM = "answer dm"
    ANSWER_FRMR = "answer frmr"
    LINK_ENDED = "link ended"
    LINK_REFUSED = "link refused"
    LINK_REJECTED = "link rejected"
    TAKE_INFORMATION = "take information"
    TAKE_NOT_READY = "take not ready"
    TAKE_READY = "take ready"
    TAKE_UNNUMBERED = "take unnumbered"


_NUMBERED = {
    Kind.I: Action.TAKE_INFORMATION,
    Kind.RR: Action.TAKE_READY,
    Kind.RNR: Action.TAKE_NOT_READY,
    Kind.REJ: Action.TAKE_READY,  # a request to send again: what is not acknowledged is sent again anyway
    Kind.SREJ: Action.TAKE_READY,
    Kind.UI: Action.TAKE_UNNUMBERED,
}
_REFUSED = {Kind.I: Action.ANSWER_DM, Kind.RR: Action.ANSWER_DM, Kind.RNR: Action.ANSWER_DM, Kind.REJ: Action.ANSWER_DM}

ACTIONS: dict[Side, dict[LinkState, dict[Kind, Action]]] = {
    Side.CLIENT: {
        LinkState.DISCONNECTED: {Kind.UI: Action.TAKE_UNNUMBERED},
        LinkState.CONNECTING: {
            Kind.UA: Action.ACCEPT_ANSWER,
            Kind.DM: Action.LINK_REFUSED,
            Kind.FRMR: Action.LINK_REJECTED,
            Kind.UI: Action.TAKE_UNNUMBERED,
        },
        LinkState.CONNECTED: {**_NUMBERED, Kind.DM: Action.LINK_REFUSED, Kind.FRMR: Action.LINK_REJECTED},
        LinkState.DISCONNECTING: {
            Kind.UA: Action.LINK_ENDED,
            Kind.DM: Action.LINK_ENDED,
            Kind.FRMR: Action.LINK_ENDED,
            Kind.UI: Action.TAKE_UNNUMBERED,
        },
    },
    Side.SERVER: {
        LinkState.DISCONNECTED: {
            **_REFUSED,
            Kind.SNRM: Action.ACCEPT_REQUEST,
            Kind.DISC: Action.ANSWER_DM,
            Kind.UI: Action.TAKE_UNNUMBERED,
        },
        LinkState.CONNECTED: {
            **_NUMBERED,
            Kind.SNRM: Action.ACCEPT_REQUEST,
            Kind.DISC: Action.ACCEPT_END,
            Kind.UNKNOWN: Action.ANSWER_FRMR,  # in a link silence would only bring the same frame again
        },
    },
}
