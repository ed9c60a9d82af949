"""Long frames of the wired M-Bus (EN 13757-2) that carry DLMS APDUs in segments (EN 13757-1): ``68 L L 68 C A CI``...

The low bits of CI number the segments of a message, its 10h bit marks the last. Some meters send frames whose real
length is 256 more than their one-octet length field can say; the checksum tells which.
"""

from __future__ import annotations

from typing import NamedTuple

START = 0x68
STOP = 0x16
OVERHEAD = 6  # 68 L L 68 ... checksum 16
MIN_LENGTH = 5  # C, A, CI, STSAP, DTSAP
LAST_SEGMENT = 0x10
SEGMENT_BITS = 0x0F
_OVERFLOW = 256
# What C may be in a frame that carries data: SND_UD, RSP_UD (frame count, access demand and data flow bits vary).
CONTROLS = bytes((0x53, 0x73, 0x08, 0x18, 0x28, 0x38))


class MbusFrame(NamedTuple):
    """A valid long frame; ``length`` is the real one, ``size`` the octets on the line."""

    length: int
    control: int
    address: int
    control_information: int
    source: int
    destination: int
    data: bytes
    length_overflow: bool

    @property
    def segment(self) -> int:
        """The number of the segment, 0 first."""
        return self.control_information & SEGMENT_BITS

    @property
    def final(self) -> bool:
        """Whether this is the last segment of its message."""
        return bool(self.control_information & LAST_SEGMENT)

    @property
    def size(self) -> int:
        """Octets on the line."""
        return self.length + OVERHEAD

    def encode(self) -> bytes:
        """The frame as it goes on the line."""
        head = (self.control, self.address, self.control_information, self.source, self.destination)
        body = bytes(head) + self.data
        length = len(body) & 0xFF
        return bytes((START, length, length, START)) + body + bytes((sum(body) & 0xFF, STOP))


def read_frame(buffer: bytes, start: int, final: bool = False) -> MbusFrame | bool:
    """The long frame at ``start``; True: it may become one; False: nothing begins there, or its checksum is wrong."""
    head = buffer[start : start + 5]
    if not is_head(head):
        return False
    if len(head) < 5:
        return not final
    for length in (head[1], head[1] + _OVERFLOW):
        end = start + length + OVERHEAD
        if end > len(buffer):
            return not final
        if length >= MIN_LENGTH and _is_valid(buffer, start + 4, end):
            return _frame(buffer, start + 4, end - 2, length != head[1])
    return False


def is_head(head: bytes) -> bool:
    """Whether these octets (up to five) can begin a long frame."""
    begin = bytes((START, *head[1:2] * 2, START))[: len(head)]
    return head[:4] == begin and (len(head) < 5 or head[4] in CONTROLS)


def least_length(head: bytes) -> int:
    """The least real length of the frame with this head: a number too small for any frame has overflowed."""
    return head[1] if head[1] >= MIN_LENGTH else head[1] + _OVERFLOW


def _is_valid(buffer: bytes, start: int, end: int) -> bool:
    return buffer[end - 1] == STOP and sum(buffer[start : end - 2]) & 0xFF == buffer[end - 2]


def _frame(buffer: bytes, start: int, end: int, length_overflow: bool) -> MbusFrame:
    control, address, information, source, destination = buffer[start : start + MIN_LENGTH]
    data = buffer[start + MIN_LENGTH : end]
    return MbusFrame(end - start, control, address, information, source, destination, data, length_overflow)
