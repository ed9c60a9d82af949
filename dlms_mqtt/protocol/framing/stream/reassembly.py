"""Putting together what came in parts: segments of a link and blocks of a general block transfer, each per sender.

Parts that never become whole are given back as frames with the reason, so that nothing vanishes and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.framing.stream.events import Block, FrameInfo, Message

MAX_SENDERS = 32
MAX_SIZE = 1 << 17  # octets of one message
GENERAL_BLOCK_TRANSFER = 0xE0
SENT_AGAIN = "sent again"
_LAST, _STREAMING, _WINDOW = 0x80, 0x40, 0x3F

Key = tuple[str, str, str]  # framing, source, destination


@dataclass(slots=True)
class _Parts:
    """What has come of one message."""

    since: float
    frames: list[FrameInfo] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)

    def size(self) -> int:
        return sum(map(len, self.data)) + sum(len(block.data) for block in self.blocks.values())


class _Joiner:
    """Parts by sender, with a limit on senders, on size and on time."""

    _why = "the message never ended"

    def __init__(self) -> None:
        self._parts: dict[Key, _Parts] = {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def _open(self, key: Key, now: float) -> _Parts:
        parts = self._parts.setdefault(key, _Parts(now))
        parts.since = now
        return parts

    def drop(self, key: Key, why: str = "") -> Iterator[FrameInfo]:
        """Give up what this sender has begun."""
        parts = self._parts.pop(key, None)
        for frame in parts.frames if parts else ():
            yield replace(frame, reason=why or self._why)

    def expire(self, before: float) -> Iterator[FrameInfo]:
        """Give up what has had no new part since ``before``, and what is too much."""
        for key, parts in list(self._parts.items()):
            if parts.since < before or len(self._parts) > MAX_SENDERS or parts.size() > MAX_SIZE:
                yield from self.drop(key)


class SegmentJoiner(_Joiner):
    """Joins the segments of HDLC and M-Bus messages."""

    def started(self, key: Key) -> bool:
        """Whether this sender has begun a message."""
        return key in self._parts

    def count(self, key: Key) -> int:
        """How many segments of this sender are here."""
        return len(self._parts[key].data) if key in self._parts else 0

    def repeats(self, key: Key, frame: FrameInfo) -> bool:
        """Whether this is the same frame once more, sent again by its link."""
        parts = self._parts.get(key)
        return parts is not None and parts.frames[-1].raw == frame.raw

    def add(self, key: Key, frame: FrameInfo, data: bytes, *, last: bool, now: float) -> Message | None:
        """One more segment; the message when it was the last."""
        parts = self._open(key, now)
        parts.frames.append(frame)
        parts.data.append(data)
        if not last:
            return None
        del self._parts[key]
        return Message(key[0], b"".join(parts.data), tuple(parts.frames), key[1], key[2])


class BlockJoiner(_Joiner):
    """Joins general block transfers, block after block as their numbers say.

    Who only listens cannot ask for a lost block, so blocks of two messages must not be taken for one: what is not the
    next block is not used, and a block that is here already but was another begins anew.
    """

    _why = "blocks of the message are missing"

    def add(self, message: Message, now: float) -> Iterator[Message | FrameInfo]:
        """Take the blocks of a message; what is no block (or acknowledges only) is given back as it is."""
        blocks = list(read_blocks(message.apdu))
        if not any(block.data for block in blocks):
            yield message
            return
        key = (message.framing, message.source, message.destination)
        why = self._why
        for block in blocks:
            if self._begins_anew(key, block):
                yield from self.drop(key)
            if block.number in self._held(key):
                why = SENT_AGAIN
            if block.number != len(self._held(key)) + 1:
                continue
            why = ""
            parts = self._open(key, now)
            parts.blocks[block.number] = block
            self._keep_frames(parts, message)
            if block.last:
                yield self._join(key)
        if why:
            yield from (replace(frame, reason=why) for frame in message.frames)

    def _held(self, key: Key) -> dict[int, Block]:
        return self._parts[key].blocks if key in self._parts else {}

    def _begins_anew(self, key: Key, block: Block) -> bool:
        held = self._held(key).get(block.number)
        return held is not None and held.data != block.data

    @staticmethod
    def _keep_frames(parts: _Parts, message: Message) -> None:
        parts.frames += [frame for frame in message.frames if frame not in parts.frames]

    def _join(self, key: Key) -> Message:
        parts = self._parts.pop(key)
        blocks = tuple(parts.blocks.values())
        return Message(key[0], b"".join(block.data for block in blocks), tuple(parts.frames), key[1], key[2], blocks)


def read_blocks(data: bytes) -> Iterator[Block]:
    """The blocks at the beginning of ``data``; ends at what is none."""
    reader = Reader(data)
    while reader.peek() == GENERAL_BLOCK_TRANSFER:
        try:
            yield _read_block(reader)
        except DecodeError:
            return


def _read_block(reader: Reader) -> Block:
    reader.u8()
    control, number, acknowledged = reader.u8("control"), reader.u16("block number"), reader.u16("acknowledged block")
    data = reader.octets("block data")
    return Block(number, acknowledged, bool(control & _LAST), bool(control & _STREAMING), control & _WINDOW, data)
