"""Two ends of a line in one process, with the time that a real line takes, counted on the event loop's clock.

On the tests' clock an hour of 300 baud costs nothing. Each end carries a speed and parity of its own: what is sent in
one and received in another turns to rubbish as it does on a wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.transport.base import Inbox, SerialFormat, Transport, closed

Fault = Callable[[bytes], Iterable[tuple[float, bytes]]]
"""What becomes of a write: pieces, and the seconds that each waits before it goes on the line."""

_PIECE = 0.01
"""Seconds of line time that arrive together, much as a USB adapter hands them over."""


@dataclass
class LineCount:
    """What went over a line: octets of each end, line seconds in use, and turn-rounds (questions answered)."""

    octets: list[int] = field(default_factory=lambda: [0, 0])
    seconds: float = 0.0
    turns: int = 0
    last_speaker: int = 1

    def add(self, speaker: int, octets: int, seconds: float) -> None:
        """Count one write of end 0 (the client) or 1 (the meter)."""
        self.octets[speaker] += octets
        self.seconds += seconds
        self.turns += speaker == 1 and self.last_speaker == 0
        self.last_speaker = speaker


class MemoryTransport(Transport):
    """One end of a pair. ``fault`` shapes what this end sends; ``echo`` gives this end its own bytes back.

    ``checks_parity``: characters with a wrong parity bit are lost here, as in meters; a computer's port hands them on.
    """

    def __init__(self, name: str, index: int, count: LineCount, line: SerialFormat | None, latency: float) -> None:
        self.name = name
        self.count = count
        self.peer = self  # until ``memory_pair`` joins two
        self.fault: Fault | None = None
        self.checks_parity = index == 1
        self.echo = False
        self.dtr = self.rts = True
        self.breaks = 0
        self._index = index
        self._format = line
        self._latency = latency
        self._inbox: Inbox | None = None
        self._configured_at = 0.0
        self._free_at = 0.0
        self._received_at = 0.0

    @property
    def format(self) -> SerialFormat | None:
        """Speed and parity of this end; None on a line that takes no time."""
        return self._format

    async def open(self) -> None:
        """Be there for the other end."""
        self._inbox = self._inbox or Inbox(datagram=self.datagram)

    async def close(self) -> None:
        """Leave; on a line without speed (a connection) the other end notices."""
        self._inbox = None
        if self.format is None:
            self._later(self.peer._end, 0.0)

    def write(self, data: bytes) -> None:
        """Put bytes on the line after those already on it."""
        inbox = self._open()
        if inbox.error is not None:
            raise ConnectionLost(inbox.error.message)
        now = asyncio.get_running_loop().time()
        at = max(now, self._free_at, self._received_at + self._latency)
        for delay, piece in self.fault(data) if self.fault else ((0.0, data),):
            at = self._put(piece, at + delay)
        self._free_at = at

    def _put(self, data: bytes, at: float) -> float:
        """Schedule the pieces of ``data`` from ``at`` on; the time when the last bit has left."""
        sent = self.format
        if sent is None:
            self.count.add(self._index, len(data), 0.0)
            self._arrive_at(at, data, None)
            return at
        step = max(1, int(_PIECE * sent.baud / sent.bits))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self._arrive_at(at + sent.seconds(start + len(piece)), piece, sent)
        self.count.add(self._index, len(data), sent.seconds(len(data)))
        return at + sent.seconds(len(data))

    def _arrive_at(self, when: float, data: bytes, sent: SerialFormat | None) -> None:
        if not data:
            return
        self._later(self._deliver, when, data, sent, when)

    def _later(self, function: Callable[..., None], when: float, *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        if when <= loop.time():
            loop.call_soon(function, *arguments)
        else:
            loop.call_at(when, function, *arguments)

    def _deliver(self, data: bytes, sent: SerialFormat | None, when: float) -> None:
        """A speed changed before the last bit has left spoils what is still on its way, as in a real UART."""
        if self._configured_at < when - 1e-6:
            sent = self.format
        self.peer._receive(data, sent)
        if self.echo:
            self._receive(data, sent)

    def _receive(self, data: bytes, sent: SerialFormat | None) -> None:
        self._received_at = asyncio.get_running_loop().time()
        if self._inbox is not None and (arriving := on_the_wire(data, sent, self.format, self.checks_parity)):
            self._inbox.feed(arriving)

    def _end(self) -> None:
        if self._inbox is not None:
            self._inbox.fail(ConnectionLost(f"{self.name} was closed by the other end"))

    async def drain(self) -> None:
        """Wait until the last bit has left."""
        self._open()
        await asyncio.sleep(max(0.0, self._free_at - asyncio.get_running_loop().time()))

    async def read(self, timeout: float | None) -> bytes:
        """At least one byte; ResponseTimeout, ConnectionLost."""
        return await self._open().read(timeout)

    def at_once(self) -> bytes:
        """Of a line of datagrams: one that is there."""
        return self._inbox.at_once() if self._inbox and self.datagram else b""

    def discard(self) -> bytes:
        """Throw away and return what was received."""
        return self._inbox.discard() if self._inbox else b""

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """Change speed and parity of this end."""
        if self._format is not None:
            self._format = SerialFormat(baud, data_bits, parity, stop_bits)
            self._configured_at = asyncio.get_running_loop().time()

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Remember the modem lines."""
        self.dtr = self.dtr if dtr is None else dtr
        self.rts = self.rts if rts is None else rts

    async def send_break(self, seconds: float = 0.3) -> None:
        """The other end counts it in ``breaks``; it takes its time."""
        await asyncio.sleep(seconds)
        self.peer.breaks += 1

    def _open(self) -> Inbox:
        if self._inbox is None:
            raise closed(self.name)
        return self._inbox


def memory_pair(
    *,
    latency: float = 0.0,
    line: SerialFormat | None = None,
    datagram: bool = False,
    name: str = "memory",
) -> tuple[MemoryTransport, MemoryTransport]:
    """Client end and meter end, both open at once when ``open`` is called on them.

    ``latency`` is the meter's turn-round: seconds from the last byte it hears to the first it says. ``line`` gives the
    line a speed: each octet takes its bits; without it the line takes no time, as a network in one machine does.
    """
    count = LineCount()
    client = MemoryTransport(name, 0, count, line, 0.0)
    meter = MemoryTransport(f"{name} (meter)", 1, count, line, latency)
    client.peer, meter.peer = meter, client
    client.datagram = meter.datagram = datagram
    return client, meter


def on_the_wire(data: bytes, sent: SerialFormat | None, receiver: SerialFormat | None, checked: bool = False) -> bytes:
    """What an end with the format ``receiver`` makes of bytes sent with ``sent``.

    ``checked``: characters whose parity bit is wrong are dropped (pyserial's ports hand them on, meters do not).
    """
    if sent is None or receiver is None:
        return data
    if sent.baud != receiver.baud or sent.bits != receiver.bits:
        return _rubbish(data, sent, receiver)
    if sent.data_bits == receiver.data_bits == 8:
        return b"" if checked and sent.parity != receiver.parity else data
    wire = _with_parity(data, sent.parity) if sent.data_bits == 7 else data
    if receiver.data_bits == 8:
        return wire
    right = _with_parity(wire, receiver.parity)
    return bytes(octet & 0x7F for octet, good in zip(wire, right, strict=True) if not checked or octet == good)


def _with_parity(data: bytes, parity: str) -> bytes:
    """Seven data bits with the parity bit above them, as an 8N1 receiver sees them."""
    odd = parity == "odd"
    return bytes(octet & 0x7F | (((octet & 0x7F).bit_count() & 1) ^ odd) << 7 for octet in data)


def _rubbish(data: bytes, sent: SerialFormat, receiver: SerialFormat) -> bytes:
    """A fast receiver sees several characters in a slow one, a slow receiver one in several; never the right ones."""
    ratio = receiver.baud / sent.baud
    length = max(1, min(round(len(data) * ratio), len(data) * 4)) if data else 0
    filled = 0x00 if ratio > 1 else 0xFF
    return bytes((data[int(index * len(data) / length)] * 73 + 29 * index & 0xD5) ^ filled for index in range(length))
