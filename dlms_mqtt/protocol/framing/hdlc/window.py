"""The two directions of numbered HDLC frames: what we send until it is acknowledged, and segments until they are whole.

Nothing here knows whose turn it is; ``link.py`` decides when to send.

Source: IEC 62056-46:2002, clause 6.4.4 (normal response mode); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

MAX_APDU = 1 << 20  # octets of segments that are collected before the peer is taken for mad


class Outgoing:
    """Frames not yet sent, and frames sent but not acknowledged: those go out again with their old N(S)."""

    __slots__ = ("_oldest", "_unacknowledged", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, bool]] = deque()  # information and segmentation bit
        self._unacknowledged: deque[tuple[bytes, bool]] = deque()
        self._oldest = 0  # N(S) of the first unacknowledged frame

    def __bool__(self) -> bool:
        return bool(self._unacknowledged or self._waiting)

    @property
    def unacknowledged(self) -> bool:
        """Is anything sent and not acknowledged?"""
        return bool(self._unacknowledged)

    @property
    def next_number(self) -> int:
        """N(S) of the next frame that is new."""
        return self._oldest + len(self._unacknowledged) & 7

    def queue(self, data: bytes, size: int) -> None:
        """Cut a message into segments of so many octets."""
        for start in range(0, len(data), size):
            self._waiting.append((data[start : start + size], start + size < len(data)))

    def acknowledge(self, number: int) -> bool:
        """N(R): every frame before it has arrived. False: a number outside the window is an old one, says nothing."""
        count = number - self._oldest & 7
        if not 0 < count <= len(self._unacknowledged):
            return False
        for _ in range(count):
            self._unacknowledged.popleft()
        self._oldest = number
        return True

    def answered(self) -> None:
        """Who answers a message has had it: all its frames arrived, whatever number the peer expects next."""
        if not self._waiting:
            self._oldest = self.next_number
            self._unacknowledged.clear()

    def frames(self, window: int) -> Iterator[tuple[int, bytes, bool, bool]]:
        """All that may be sent now: N(S), information, segmentation bit, is it the last."""
        while self._waiting and len(self._unacknowledged) < window:
            self._unacknowledged.append(self._waiting.popleft())
        last = len(self._unacknowledged) - 1
        for index, (information, segmented) in enumerate(self._unacknowledged):
            yield self._oldest + index & 7, information, segmented, index == last

    def sent(self, information: bytes, segmented: bool) -> bool:
        """Is this what we sent and have no acknowledgement for?"""
        return bool(self._unacknowledged) and (information, segmented) in self._unacknowledged


class Incoming:
    """The segments of a message, in order."""

    __slots__ = ("_segments", "_size")

    def __init__(self) -> None:
        self._segments: list[bytes] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._segments)

    def add(self, information: bytes) -> bool:
        """One more segment; False: that is more than any message may have."""
        self._segments.append(information)
        self._size += len(information)
        return self._size <= MAX_APDU

    def take(self, headers: tuple[bytes, ...]) -> bytes:
        """The whole message without its LLC header; nothing is kept.

        Tolerated: meters that put the header into every segment, which is believed only where each of them has it.
        """
        segments, self._segments, self._size = self._segments, [], 0
        if len(segments) == 1:
            return without_llc(segments[0], headers)
        if all(segment.startswith(headers) for segment in segments):
            return b"".join([segment[3:] for segment in segments])
        return without_llc(b"".join(segments), headers)


def without_llc(information: bytes, headers: tuple[bytes, ...]) -> bytes:
    """Tolerated: meters that leave the LLC header out."""
    return information[3:] if information.startswith(headers) else information
