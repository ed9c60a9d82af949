"""General block transfer: any APDU in numbered blocks, a window at a time, lost ones sent again; both directions.

One exchange numbers its blocks from 1 on each side, acknowledgements (blocks without data) included. The sender streams
as many blocks as the peer's window takes; the last of a window has no streaming bit and asks for an acknowledgement,
which names the last block that came without a gap. Window 0 means unconfirmed.

    E0     80               00 03         00 02             00         an acknowledgement: block 3, has up to 2
    tag    last, streaming  block-number  block-number-ack  data       of an APDU: len, octets
           window (6 bits)

    client (takes 2 in one go)                meter (its answer makes 5 blocks)
                                        <-    1, streaming
                                        <-    2                    the window is full: the turn is the client's
    1, ack 2                            ->
                                        <-    3, streaming         lost
                                        <-    4
    2, ack 2                            ->                         not even 3 has come
                                        <-    3, streaming
                                        <-    4
    3, ack 4                            ->
                                        <-    5, last              no acknowledgement: the next question is one

Unlike the blocks of GET and SET these carry any APDU, ciphered ones as they are: it is protected first, then cut. So a
block proves nothing about itself, and only the joined whole is believed.

Source: IEC 62056-5-3:2017, clause 7; Green Book ed. 8, clause 9.4.6.13 (general block transfer).
"""

from __future__ import annotations

from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer

MAX_WHOLE = 16 << 20  # octets of one joined APDU: a peer must not fill our memory
_OVERHEAD = 10  # tag, control, two numbers, length of the data (at most 4 octets)
_RECOVERIES = 8  # times that blocks are lost or repeated without any progress, before the exchange is given up


class BlockTransfer:
    """The state of one exchange in blocks.

    ``max_pdu``: octets the peer takes in one APDU (0: any); ``window``: blocks that we take in one go (1..63);
    ``follow``: what came in blocks is answered in blocks (the meter's side).
    """

    def __init__(self, *, max_pdu: int, window: int = 1, follow: bool = False) -> None:
        self.max_pdu = max_pdu
        self.follow = follow
        self.window = max(1, window)
        self.peer_window = 1
        self.reset()

    def reset(self) -> None:
        """Forget a broken exchange."""
        self._chunks: list[bytes] = []
        self._base = 0  # our number before the first chunk
        self._acked = 0  # our last number that the peer has
        self._number = 0  # our last number used
        self._joined = bytearray()
        self._seen = 0  # octets of it, when somebody last asked
        self._expected = 1  # the peer's next number
        self._first = b""  # of the peer's blocks: tells a repeated question from a new one
        self._receiving = False  # more blocks of the peer must come
        self._answer_in_blocks = False
        self._progress()

    def _progress(self) -> None:
        self._recoveries = self._repeats = self._copies = 0

    @property
    def sending(self) -> bool:
        """Is an APDU of ours under way in blocks, or at its end and not yet answered?"""
        return bool(self._chunks)

    @property
    def receiving(self) -> bool:
        """Has some of the peer's APDU come, and must more come?"""
        return self._receiving

    def grew(self) -> bool:
        """Has the peer's APDU grown since this was last asked?"""
        before, self._seen = self._seen, len(self._joined)
        return self._seen > before

    def needed(self, octets: bytes) -> bool:
        """Does this APDU go in blocks: too long for one, or the answer to one that came in blocks?"""
        return self._answer_in_blocks or bool(self.max_pdu and len(octets) > self.max_pdu)

    def start(self, octets: bytes) -> list[GeneralBlockTransfer]:
        """Begin to send an APDU; the blocks of its first window."""
        # An answer goes on in the exchange of its question: its blocks carry the acknowledgement of that.
        if not self._answer_in_blocks:
            self.reset()
        self._answer_in_blocks = False
        size = max(1, (self.max_pdu or 0xFFFF) - _OVERHEAD)
        self._chunks = [octets[at : at + size] for at in range(0, len(octets), size)]
        self._base = self._acked = self._number
        return self._next_window()

    def receive(self, block: GeneralBlockTransfer) -> tuple[list[GeneralBlockTransfer], bytes | None]:
        """Take a block: what must be sent now, and the whole APDU when this completed it."""
        # A peer may change its window with each block. 0 is not kept: it says that this peer confirms nothing and wants
        # nothing confirmed, not that it takes none.
        if block.window:
            self.peer_window = block.window
        if not block.data and self._chunks and not self._joined:
            return self._acknowledged(block), None
        if self._is_repeated(block):
            return self._answer_again(block), None
        if block.block_number == 1 and not self._joined:
            self._begin(block)
        return self._take(block)

    def repeat(self) -> list[GeneralBlockTransfer]:
        """The peer went quiet: what it has not acknowledged, or what we have of its own; [] when nothing is open."""
        self._repeats += 1
        self._copies = 0
        if self._repeats > _RECOVERIES:
            return []
        if self._chunks:
            # Where all have arrived, the last one again lets the peer see that its answer has not.
            self._acked = min(self._acked, self._base + len(self._chunks) - 1)
            return self._next_window()
        return [self._acknowledgement()] if self._receiving else []

    def _is_repeated(self, block: GeneralBlockTransfer) -> bool:
        """A block of the question that we have answered: it must not be carried out twice."""
        if not self.follow or not self._chunks or block.block_number >= self._expected:
            return False
        return block.block_number != 1 or block.data == self._first

    def _answer_again(self, block: GeneralBlockTransfer) -> list[GeneralBlockTransfer]:
        # The question in blocks once more: the client has nothing of the answer, which is here still.
        if block.streaming:
            return []
        self._recover("answers lost")
        return self._next_window()

    def _begin(self, block: GeneralBlockTransfer) -> None:
        # The peer's block 1: a new exchange, unless it answers our own blocks.
        if not (self._chunks and block.block_number_ack):
            self.reset()
        self._expected = 1
        self._first = block.data

    def _take(self, block: GeneralBlockTransfer) -> tuple[list[GeneralBlockTransfer], bytes | None]:
        self._chunks, self._acked = [], self._base  # data is the answer: our own blocks have arrived
        self._receiving = not block.last
        if block.block_number != self._expected:
            return self._out_of_order(block), None
        if len(self._joined) + len(block.data) > MAX_WHOLE:
            raise FramingError(f"the peer sends more than {MAX_WHOLE} octets in blocks")
        self._joined += block.data
        self._expected += 1
        self._progress()
        if block.last:
            whole = bytes(self._joined)
            self._joined.clear()
            self._answer_in_blocks = self.follow
            return [], whole
        return ([] if block.streaming or not block.window else [self._acknowledgement()]), None

    def _out_of_order(self, block: GeneralBlockTransfer) -> list[GeneralBlockTransfer]:
        if block.streaming and not block.last:
            return []  # the end of the window asks
        if block.block_number < self._expected and self._is_copy():
            return []
        if not block.window:
            raise FramingError("a block of an unconfirmed transfer is missing")
        self._recover("blocks lost or repeated")
        self._receiving = True
        return [self._acknowledgement()]

    def _acknowledged(self, block: GeneralBlockTransfer) -> list[GeneralBlockTransfer]:
        # Acknowledgements have numbers too, but none is sent twice: a gap in them is none, so it is just taken.
        self._expected = block.block_number + 1
        if block.block_number_ack > self._number:
            raise FramingError(f"the peer acknowledges block {block.block_number_ack}, which was not sent")
        if block.block_number_ack < self._base:
            # An acknowledgement of ours was lost with its number; the peer has nothing of this message yet.
            self._base = self._number = block.block_number_ack
            self._recover("acknowledgements lost")
        elif block.block_number_ack > self._acked:
            self._progress()
        elif self._copies and not self.follow:
            return []
        if block.block_number_ack < self._number:
            self._copies += 1
            self._recover("blocks lost on the way to the peer")
        self._acked = block.block_number_ack
        return self._next_window() if self._acked < self._base + len(self._chunks) else []

    def _next_window(self) -> list[GeneralBlockTransfer]:
        # From the first that the peer lacks, whatever was sent of them before: what it has twice it skips. Made anew
        # each time, because the acknowledgement in it may have moved.
        final = self._base + len(self._chunks)
        end = min(self._acked + self.peer_window, final)
        self._number = max(self._number, end)
        return [
            GeneralBlockTransfer(
                last=number == final,
                streaming=number != end,
                window=self.window,
                block_number=number,
                block_number_ack=self._expected - 1,
                data=self._chunks[number - self._base - 1],
            )
            for number in range(self._acked + 1, end + 1)
        ]

    def _acknowledgement(self) -> GeneralBlockTransfer:
        self._number += 1
        return GeneralBlockTransfer(
            last=True,
            streaming=False,
            window=self.window,
            block_number=self._number,
            block_number_ack=self._expected - 1,
            data=b"",
        )

    def _is_copy(self) -> bool:
        """A block once more, out of a line that doubles or because our acknowledgement was lost: it is answered every
        second time, so that doubled answers die out. The meter's side answers always: it has no timer of its own.
        """
        self._copies += 1
        return not self.follow and self._copies % 2 == 1

    def _recover(self, what: str) -> None:
        self._recoveries += 1
        if self._recoveries > _RECOVERIES:
            raise FramingError(f"general block transfer given up: {what} {_RECOVERIES} times")
