"""A meter that was recorded: it hears what its client said then, and answers what it answered then."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import TransportError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Frame, FrameParser, Kind
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.transport.memory import memory_pair
from tests.frames_data import Entry

LINE = ("192.0.2.1", 4059)


def frames_of(talk: Entry) -> list[Frame]:
    """The frames of a conversation, whoever sent them."""
    parser = FrameParser(Statistics())
    parser.feed(b"".join(bytes.fromhex(octets) for _, octets in talk["frames"]))
    frames = list(iter(parser.next, None))
    assert len(frames) == len(talk["frames"])
    return [frame for frame in frames if isinstance(frame, Frame)]


def messages_of(talk: Entry) -> list[bytes]:
    """The APDUs of a conversation (none of them is segmented)."""
    return [frame.information[3:] for frame in frames_of(talk) if frame.kind is Kind.I]


class ReplayedMeter:
    """``heard``: what the client sent that was recorded too; ``surprises``: where the two differ."""

    def __init__(self) -> None:
        self.near, self._far = memory_pair()
        self.received: list[Any] = []
        self.surprises: list[tuple[Any, Any]] = []

    async def __aenter__(self) -> Self:
        await self._far.open()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._far.close()

    async def _listen(self) -> None:
        while True:
            try:
                octets = self._hear(await self._far.read(None))
            except TransportError:  # the client has closed the line
                await self._far.close()
                await self._far.open()
            else:
                self._far.write(octets)

    def _hear(self, octets: bytes) -> bytes:
        raise NotImplementedError

    def client(self, **options: Any) -> DlmsClient:
        store, random = options.pop("store", None), options.pop("random", lambda size: bytes(size))
        settings = ConnectionSettings(tcp=LINE, framing="hdlc", **{"max_info": 128, "retries": 0, **options})
        return DlmsClient(settings, transport=self.near, store=store, random=random)


class FrameForFrame(ReplayedMeter):
    """Each frame of ours must be the recorded one. What we leave out on purpose (DISC first) is passed over."""

    def __init__(self, frames: Iterable[Frame], client: int, piece: int = 2048) -> None:
        super().__init__()
        self._far.fault = lambda data: [(0.0, data[at : at + piece]) for at in range(0, len(data), piece)]
        self._parser = FrameParser(Statistics())
        self._client = bytes((client << 1 | 1,))
        self._script = deque(frame for frame in frames if self._client in (frame.source, frame.destination))

    @property
    def left(self) -> list[Frame]:
        """What was recorded and did not come."""
        return list(self._script)

    def _hear(self, octets: bytes) -> bytes:
        self._parser.feed(octets)
        answers = b""
        while isinstance(frame := self._parser.next(), Frame):
            answers += self._answer(frame)
        return answers

    def _answer(self, frame: Frame) -> bytes:
        while self._script and self._script[0] != frame and self._script[0].kind is Kind.DISC:
            self._next_answers()
        if not self._script:  # the recording ends before the client has left
            return Frame(Kind.UA | POLL, frame.source, frame.destination, b"", False).encode()
        expected = self._script.popleft()
        if expected == frame:
            self.received.append(frame)
        else:
            self.surprises.append((expected, frame))
        return self._recorded()

    def _next_answers(self) -> None:
        self._script.popleft()
        self._recorded()

    def _recorded(self) -> bytes:
        answers = b""
        while self._script and self._script[0].destination == self._client:
            answers += self._script.popleft().encode()
        return answers


class MessageForMessage(ReplayedMeter):
    """Each APDU of ours must be the recorded one; the link is ours. None: the question was not recorded."""

    def __init__(self, script: Iterable[bytes | None], **addresses: Any) -> None:
        super().__init__()
        self._script = deque(script)
        self._link = HdlcLink(Side.SERVER, **addresses)

    @property
    def left(self) -> list[bytes | None]:
        """What was recorded and did not come."""
        return list(self._script)

    def _hear(self, octets: bytes) -> bytes:
        self._link.receive(octets)
        while (event := self._link.next_event()) is not None:
            if isinstance(event, Received):
                self._answer(event.apdu)
        return self._link.data_to_send()

    def _answer(self, apdu: bytes) -> None:
        expected = self._script.popleft()
        if expected in (None, apdu):
            self.received.append(decode_apdu(apdu))
        else:
            self.surprises.append((expected, apdu))
        answer = self._script.popleft()
        assert answer is not None
        self._link.send(answer)
