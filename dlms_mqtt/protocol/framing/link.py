"""What every link has in common: two sides, the events it reports, what it counts, and the contract it keeps.

A link turns APDUs into bytes and back. It never waits and never reads a clock: whoever drives it hands in what the line
gave, takes out what must be sent, and says when a timer ran out.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.statistics import Statistics

if TYPE_CHECKING:
    from dlms_mqtt.protocol.framing.hdlc.frame import FrameParser


class Side(Enum):
    """Which end of the line we are; the client is the primary station, the server (meter) the secondary."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What a link may be made of; each framing takes what it has. Lengths are in octets, windows in frames.

    ``physical`` and ``address_size`` are of HDLC addresses (0: as many octets as needed); ``datagram``: a frame never
    lies across two packets.
    """

    client: int = 16
    server: int = 1
    physical: int | None = None
    address_size: int = 0
    max_info_transmit: int = 128
    max_info_receive: int = 128
    window_transmit: int = 1
    window_receive: int = 1
    datagram: bool = False


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """What was negotiated, seen from our side: octets per information field and frames per window."""

    max_info_transmit: int = 128
    max_info_receive: int = 128
    window_transmit: int = 1
    window_receive: int = 1


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The link stands; APDUs may be sent."""

    parameters: LinkParameters


class Received(NamedTuple):
    """A whole APDU. ``unnumbered``: it is outside the dialogue (a UI frame, or not addressed to us)."""

    apdu: bytes
    source: int
    destination: int
    unnumbered: bool = False


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link is gone. ``reason``: disc, dm, frmr, snrm (the client began anew), stuck; ``detail`` explains it."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """A valid frame that is not yet a whole APDU: the response timer starts again.

    ``progress``: it carried some of the answer; else the peer only says that it is there, or speaks of other things.
    """

    progress: bool = field(default=False, compare=False)


SIGN_OF_LIFE, PROGRESS = Activity(), Activity(progress=True)


@dataclass(frozen=True, slots=True)
class Broken:
    """Nothing for us: ``reason`` is header, check, version, length or rubbish where it is no valid frame; address
    where another station than the one we call sent it, client where it is for another client than us, push where it
    is sent by itself to somebody else.
    """

    reason: str


LinkEvent = LinkUp | Received | LinkDown | Activity | Broken


class Link(Protocol):
    """The three doors of every link: bytes in, events out, bytes out."""

    statistics: Statistics
    numbered: bool
    """Do frames carry numbers, so that each answer belongs to the question before it?"""
    has_connection: bool
    """Is there a link to be set up and taken down (SNRM, DISC), whose end ends the association too?"""
    drained: bool
    """The peer may lack something of ours, or we of its, and repeating frames will not bring it. Where frames are
    numbered that is known only when a repeated question brought nothing but "all has arrived, there is no more"."""

    @classmethod
    def make(cls, side: Side, options: LinkOptions) -> Link:
        """One end with these options."""
        ...

    @staticmethod
    def frame_parser() -> FrameParser | None:
        """What finds frames whose check sequences are made anew when their contents change; None: there are none."""

    def connect(self) -> None:
        """Begin the link (HDLC queues SNRM; the others report LinkUp at once)."""

    def send(self, apdu: bytes) -> None:
        """Queue one APDU. LocalProtocolError while the link is down."""

    @property
    def is_up(self) -> bool:
        """May APDUs be sent now?"""
        ...

    def send_unnumbered(self, apdu: bytes, client: int | None = None) -> None:
        """Queue one APDU outside the dialogue, to ``client`` where given (a push)."""

    def disconnect(self) -> None:
        """End the link (HDLC queues DISC, in any state; the others report LinkDown at once)."""

    def receive(self, data: bytes) -> None:
        """Hand in what the line gave; on datagram links one call per datagram."""

    def next_event(self) -> LinkEvent | None:
        """The next event; None: more bytes are needed."""

    def data_to_send(self) -> bytes:
        """Everything that may be sent now, once. Datagram links: the next datagram, until there is none."""

    def repeat(self) -> bool:
        """The response timer ran out: queue again what must be sent again. False: there is nothing to repeat."""

    def expect(self) -> None:
        """The APDU that came is not (all of) the answer: the peer still owes us something."""

    def quiet(self) -> None:
        """The line fell silent inside a frame (octet timer): what has come of it is rubbish."""
