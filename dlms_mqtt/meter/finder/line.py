"""The line while we look for a meter: one port, one question at a time, everything that came kept for the diagnosis."""

from __future__ import annotations

import asyncio
from collections import Counter

from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.meter.finder.evidence import Evidence, Seen, answer, judge
from dlms_mqtt.transport.base import Transport

_QUIET = 0.12  # s without an octet, after which an answer is over
_LONGEST = 3.0  # s that octets may dribble in for one question
_KEPT = 64


class Line:
    """The open port. ``seen`` counts the evidence, ``notes`` are the steps in order."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.seen: Counter[Evidence] = Counter()
        self.notes: list[str] = []
        self.echo = False
        self.unasked = b""
        self.took = 0.0  # s until the last answer
        self._loop = asyncio.get_running_loop()

    @property
    def has_speed(self) -> bool:
        """Whether we can set speed and parity (a TCP converter keeps its own)."""
        return self.transport.format is not None

    async def set_speed(self, baud: int, parity: str = "none", data_bits: int = 8) -> None:
        """Change speed and parity, where the line has them and they differ."""
        now = self.transport.format
        if now is not None and (now.baud, now.parity, now.data_bits) != (baud, parity, data_bits):
            self.forget()
            await self.transport.configure(baud=baud, parity=parity, data_bits=data_bits)

    def forget(self) -> None:
        """What came under other settings answers no question under new ones."""
        self._keep_unasked(self.transport.discard())

    async def ask(self, question: bytes, wait: float) -> Seen:
        """Send octets and judge what comes; returns as soon as an answer is whole."""
        received = await self._received_before()
        self._keep_unasked(received)
        if (late := answer(received)) is not None:
            self.took = float("inf")
            return self._record(late)  # a slow meter answers the question before this one
        received = b""
        self.transport.write(question)
        await self.transport.drain()
        sent_at = self._loop.time()
        deadline = sent_at + wait
        latest = deadline + _LONGEST
        while (left := min(deadline, latest) - self._loop.time()) > 0:
            try:
                received += await self.transport.read(left)
            except ResponseTimeout:
                break
            if answer(received) is not None:
                break
            if received != question:
                deadline = max(deadline, self._loop.time() + self._quiet)
        self.took = self._loop.time() - sent_at
        return self._record(judge(question, received))

    async def _received_before(self) -> bytes:
        """What came unasked; who is still speaking is heard out, because a late answer may be cut in two else."""
        received = self.transport.discard()
        latest = self._loop.time() + _LONGEST
        while received and self._loop.time() < latest and answer(received) is None:
            try:
                received += await self.transport.read(self._quiet)
            except ResponseTimeout:
                break
        return received

    @property
    def _quiet(self) -> float:
        line = self.transport.format
        return max(_QUIET, line.seconds(6) if line else 0.0)

    async def listen(self, seconds: float) -> bytes:
        """Whatever comes in so many seconds, unasked; it ends early after a pause behind something long."""
        received = b""
        end = self._loop.time() + seconds
        while (left := end - self._loop.time()) > 0:
            try:
                received += await self.transport.read(min(left, 1.0) if len(received) > _KEPT else left)
            except ResponseTimeout:
                if len(received) > _KEPT:
                    break
        return received

    def _keep_unasked(self, octets: bytes) -> None:
        self.unasked = (self.unasked + octets)[-1024:]

    def _record(self, seen: Seen) -> Seen:
        self.seen[seen.evidence] += 1
        self.echo = self.echo or seen.echo
        return seen

    def note(self, text: str) -> None:
        """One step of the search, for the report."""
        self.notes.append(text)
