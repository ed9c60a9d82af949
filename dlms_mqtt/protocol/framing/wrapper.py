"""The wrapper of TCP and UDP (IEC 62056-47): eight octets of version, source port, destination port and length.

A stream may be cut anywhere; a datagram carries whole frames only, so what is left of one is rubbish.

Source: IEC 62056-47:2006; Green Book ed. 8, clause 7 (transport layer for IP networks).
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import NamedTuple

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.framing.link import (
    Broken,
    LinkDown,
    LinkEvent,
    LinkOptions,
    LinkParameters,
    LinkUp,
    Received,
    Side,
)
from dlms_mqtt.protocol.framing.statistics import Statistics

VERSION = 1
HEADER = Struct(">HHHH")
HEADER_SIZE = HEADER.size
MAX_APDU = 0xFFFF
_MARK = b"\x00\x01"


class WrapperHeader(NamedTuple):
    """The header of one frame; ports are wrapper ports (client and server numbers)."""

    version: int
    source: int
    destination: int
    length: int

    def encode(self) -> bytes:
        """The eight octets."""
        return HEADER.pack(*self)

    @classmethod
    def decode(cls, data: bytes | bytearray, offset: int = 0) -> WrapperHeader:
        """The header at ``offset``; eight octets must be there."""
        return cls(*HEADER.unpack_from(data, offset))


def encode_frame(apdu: bytes, source: int, destination: int) -> bytes:
    """One wrapper frame. LocalProtocolError when the APDU is too long for the length field."""
    if len(apdu) > MAX_APDU:
        raise LocalProtocolError(f"an APDU of {len(apdu)} octets does not fit a wrapper frame")
    return HEADER.pack(VERSION, source, destination, len(apdu)) + apdu


class WrapperLink:
    """One association over TCP or UDP. ``datagram``: every ``receive`` is one datagram."""

    numbered = has_connection = False
    drained = True

    def __init__(self, side: Side, *, client: int = 16, server: int = 1, datagram: bool = False) -> None:
        self.side = side
        self.statistics = Statistics()
        self.client = client
        self.server = server
        self._datagram = datagram
        self._buffer = b""
        self._astray = False  # entered amid a frame: what looks like a header must also be one of our peer
        self._events: deque[LinkEvent] = deque()
        self._out: deque[bytes] = deque()
        self._last_sent = b""

    @classmethod
    def make(cls, side: Side, options: LinkOptions) -> WrapperLink:
        """One end; the wrapper has numbers and no sizes."""
        return cls(side, client=options.client, server=options.server, datagram=options.datagram)

    @staticmethod
    def frame_parser() -> None:
        """Nothing is checked here."""

    def connect(self) -> None:
        """The wrapper has no connection of its own: LinkUp at once."""
        self._buffer, self._astray = b"", False
        self._events.append(LinkUp(LinkParameters(MAX_APDU, MAX_APDU)))

    def disconnect(self) -> None:
        """LinkDown at once."""
        self._last_sent = b""
        self._events.append(LinkDown("disc"))

    def send(self, apdu: bytes) -> None:
        """Queue one APDU."""
        ports = (self.client, self.server) if self.side is Side.CLIENT else (self.server, self.client)
        self._last_sent = encode_frame(apdu, *ports)
        self._out.append(self._last_sent)

    def data_to_send(self) -> bytes:
        """Everything queued, once; of datagrams the next one: each carries one frame, as IEC 62056-47 has it."""
        if not self._out:
            return b""
        if self._datagram or len(self._out) == 1:
            return self._out.popleft()
        out = b"".join(self._out)
        self._out.clear()
        return out

    def repeat(self) -> bool:
        """A datagram may be lost, so the last one is sent again; a stream loses nothing."""
        self.quiet()
        if not (self._datagram and self._last_sent and self.side is Side.CLIENT):
            return False
        self.statistics.repeats += 1
        self._out.append(self._last_sent)
        return True

    def expect(self) -> None:
        """Nothing to do: the peer sends without being asked."""

    def quiet(self) -> None:
        """Drop what has come of a frame; on a stream nothing is ever dropped: the rest is only late."""
        if self._datagram and self._buffer:
            self._break("length", self._buffer)
            self._buffer = b""

    def send_unnumbered(self, apdu: bytes, client: int | None = None) -> None:
        """Nothing is numbered here: the same as ``send``."""
        self.send(apdu)

    @property
    def is_up(self) -> bool:
        """Always."""
        return True

    def receive(self, data: bytes) -> None:
        """Hand in bytes of the stream, or one datagram."""
        self._buffer += data
        offset = 0
        while len(self._buffer) - offset >= HEADER_SIZE and (end := self._take_frame(offset)):
            offset = end
        self._buffer = self._buffer[offset:]
        if self._datagram:
            self.quiet()
            self._astray = False

    def next_event(self) -> LinkEvent | None:
        """The next event; None: more bytes are needed."""
        return self._events.popleft() if self._events else None

    def _take_frame(self, start: int) -> int:
        """The offset after the frame (or the rubbish) at ``start``; 0: its end is missing."""
        version, source, destination, length = HEADER.unpack_from(self._buffer, start)
        ours = source == self.server if self.side is Side.CLIENT else destination == self.server
        if version != VERSION or (self._astray and not ours):
            return self._resynchronise(start)
        end: int = start + HEADER_SIZE + length
        if end > len(self._buffer):
            return 0
        self._astray = False
        if not ours:
            self._events.append(Broken("address"))
            return end
        self.statistics.frames += 1
        if self.side is Side.SERVER:
            self.client = source
        # A meter may push to another number over the open connection: that is no answer to us.
        unasked = self.side is Side.CLIENT and destination != self.client
        self._events.append(Received(self._buffer[start + HEADER_SIZE : end], source, destination, unasked))
        return end

    def _resynchronise(self, start: int) -> int:
        found = self._buffer.find(_MARK, start + 1)
        end = found if found >= 0 else len(self._buffer) - 1
        self._break("version", self._buffer[start:end])
        self._astray = True
        return end

    def _break(self, reason: str, noise: bytes) -> None:
        self.statistics.add_noise(noise)
        self._events.append(Broken(reason))
