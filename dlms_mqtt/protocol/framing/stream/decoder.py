"""Messages out of a stream of unknown kind, for `listen` and `decode`: HDLC, wired M-Bus, wrapper and bare APDUs.

Whatever is no frame is passed over; after it, the stream is taken up again at the next frame that proves itself valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from dlms_mqtt.protocol.framing.hdlc.frame import FLAG
from dlms_mqtt.protocol.framing.mbus import CONTROLS
from dlms_mqtt.protocol.framing.stream.events import Block, FrameInfo, Message, Rubbish, StreamEvent
from dlms_mqtt.protocol.framing.stream.place import Found, Place, Result, Wait
from dlms_mqtt.protocol.framing.stream.plausibility import begins_apdu
from dlms_mqtt.protocol.framing.stream.reassembly import (
    GENERAL_BLOCK_TRANSFER,
    SENT_AGAIN,
    BlockJoiner,
    Key,
    SegmentJoiner,
)
from dlms_mqtt.protocol.framing.stream.recognisers import (
    HDLC,
    LLC_HEADERS,
    MBUS,
    RAW,
    RECOGNISERS,
    next_checked,
)

__all__ = ["Block", "FrameInfo", "Message", "Rubbish", "StreamDecoder", "StreamEvent"]

# What a frame can begin with where no message must begin, as far as the octets that are here tell.
_BEGINNINGS = re.compile(
    rb"\x7e(?:[\xa0-\xaf]|\Z)"
    rb"|\x68(?:\Z|(.)(?:\Z|\1(?:\Z|\x68(?:\Z|[%b]))))"
    rb"|\x00(?:\x01|\Z)"
    rb"|[\xdb\xdc](?:\x08|\Z)"
    rb"|/(?:[0-9A-Za-z]|\Z)"
    rb"|\xaf(?:[\x30-\x7a\xb1-\xfa]|\Z)"  # the same at 7E1
    rb"|\x02(?:[0-9A-Z\r]|\Z)"
    rb"|\x82(?:[\x30-\x5a\xb1-\xda\x8d]|\Z)" % CONTROLS,
    re.DOTALL,
)
_BLOCK_TAG = bytes((GENERAL_BLOCK_TRANSFER,))
_MBUS_NUMBERS = 0x0F
_MAX_RUBBISH = 256
_EAGER = 2048  # octets up to which a bare APDU is tried again at every new octet
_NO_START = "the beginning of the message is missing"


class StreamDecoder:
    """Bytes in, messages out. Times are seconds of any steady clock; without them nothing is ever too old.

    ``octet_timeout``: silence that ends a frame; ``message_timeout``: silence between the parts of a message.
    """

    def __init__(
        self,
        framings: Iterable[str] = tuple(RECOGNISERS),
        *,
        octet_timeout: float = 3.0,
        message_timeout: float = 30.0,
    ) -> None:
        self._recognisers = [RECOGNISERS[framing] for framing in framings]
        self._octet_timeout = octet_timeout
        self._message_timeout = message_timeout
        self._buffer = b""
        self._last = 0.0
        self._fresh = True  # a message may begin here
        self._flag_used = False  # the buffer begins with the closing flag of the last frame
        self._seen: frozenset[str] = frozenset()
        self._retry_at = 0
        self._ended = False  # nothing more will come, or the octets are a datagram
        self._rubbish = b""
        self._segments = SegmentJoiner()
        self._blocks = BlockJoiner()

    def feed(self, data: bytes, now: float = 0.0, *, whole: bool = False) -> list[StreamEvent]:
        """More octets of the stream; ``whole``: they end here (a datagram), no frame goes on in the next call."""
        events = self.tick(now)
        self._last = now
        self._buffer += data
        self._ended = whole
        events += self._scan(now, final=whole)
        return events

    def tick(self, now: float) -> list[StreamEvent]:
        """Time has passed: give up what is too old."""
        late = self._buffer and now - self._last > self._octet_timeout
        self._ended = False
        events = self._scan(self._last, final=True) if late else []
        before = now - self._message_timeout
        return [*events, *self._segments.expire(before), *self._blocks.expire(before)]

    def finish(self) -> list[StreamEvent]:
        """Nothing more will come."""
        self._ended = True
        events = self._scan(self._last, final=True)
        forever = float("inf")
        return [*events, *self._segments.expire(forever), *self._blocks.expire(forever)]

    @property
    def unfinished(self) -> bool:
        """Whether something has begun that time alone may end: only then ``tick`` is needed."""
        return bool(self._buffer or self._segments or self._blocks)

    def _scan(self, now: float, *, final: bool) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if final or len(self._buffer) >= self._retry_at:
            while (found := self._next(final)) is not None:
                events += self._flush_rubbish()
                events += self._take(found, now)
            self._retry_at = len(self._buffer) * 17 // 16 if len(self._buffer) > _EAGER else 0
        if final or len(self._rubbish) > _MAX_RUBBISH:
            events += self._flush_rubbish()
        self._fresh = self._fresh or final
        return events

    def _flush_rubbish(self) -> Iterator[Rubbish]:
        if self._rubbish:
            yield Rubbish(self._rubbish)
        self._rubbish = b""

    def _next(self, final: bool) -> Found | None:
        """The next frame, cut out of the buffer; None: more octets are needed."""
        offset = 0
        while offset < len(self._buffer):
            result = self._recognise(offset, final)
            if isinstance(result, Found):
                return self._cut_out(offset, result)
            following = self._after(offset, result)
            if result is not None and following < len(self._buffer):
                damaged = self._recognise(offset, final=True)  # a whole frame follows, so this one has ended
                if isinstance(damaged, Found) and not damaged.frame.valid:
                    return self._cut_out(offset, damaged)
            if result is not None and following == len(self._buffer):
                break
            self._fresh = False
            offset = following
        self._skip(offset)
        return None

    def _cut_out(self, offset: int, found: Found) -> Found:
        self._skip(offset)
        self._buffer = self._buffer[found.end - offset :]
        self._remember(found.frame)
        return found

    def _remember(self, frame: FrameInfo) -> None:
        self._fresh = frame.valid
        self._flag_used = frame.valid and frame.framing == HDLC
        if frame.proved:
            self._seen |= {frame.type if frame.framing == RAW else frame.framing}

    def _recognise(self, offset: int, final: bool) -> Result:
        """What begins at this offset; None: nothing does."""
        place = Place(self._buffer, offset, self._fresh, final, self._seen, final and self._ended)
        waiting: Wait | None = None
        for recognise in self._recognisers:
            result = recognise(place)
            if isinstance(result, Found) or result is Wait.CERTAIN:
                return result
            waiting = waiting or result
        return waiting

    def _after(self, offset: int, result: Wait | None) -> int:
        """Where to look next when nothing whole begins at ``offset``; the end of the buffer: nowhere."""
        if result is Wait.CERTAIN:
            return len(self._buffer)
        if result is Wait.POSSIBLE:
            return next_checked(self._buffer, offset + 1)
        beginning = _BEGINNINGS.search(self._buffer, offset + 1)
        return beginning.start() if beginning else len(self._buffer)

    def _skip(self, count: int) -> None:
        skipped = self._buffer[:count]
        if self._flag_used and count:
            skipped = skipped.removeprefix(FLAG)  # the closing flag, which might have opened another frame
            self._flag_used = False
        self._rubbish += skipped
        self._buffer = self._buffer[count:]

    # From frames to messages

    def _take(self, found: Found, now: float) -> Iterator[StreamEvent]:
        if found.data is None:
            yield found.frame
            return
        for event in _TAKERS.get(found.frame.framing, StreamDecoder._take_whole)(self, found, now):
            if isinstance(event, Message) and event.apdu[:1] == _BLOCK_TAG:
                yield from self._blocks.add(event, now)
            else:
                yield event

    def _take_hdlc(self, found: Found, now: float) -> Iterator[StreamEvent]:
        frame, data = found.frame, found.data or b""
        key = _key(frame)
        has_header = data.startswith(LLC_HEADERS)
        if self._segments.repeats(key, frame):
            yield replace(frame, reason=SENT_AGAIN)
            return
        if has_header:
            yield from self._segments.drop(key)
        begun = has_header or self._segments.started(key) or begins_apdu(data, whole=not frame.segmented)
        if not begun:
            yield replace(frame, reason=_NO_START)
        else:
            data = data[3:] if has_header else data
            yield from self._join(key, found, data, last=not frame.segmented, now=now)

    def _take_mbus(self, found: Found, now: float) -> Iterator[StreamEvent]:
        key = _key(found.frame)
        if found.number != self._segments.count(key) & _MBUS_NUMBERS:
            yield from self._segments.drop(key)
        if found.number == self._segments.count(key) & _MBUS_NUMBERS:
            yield from self._join(key, found, found.data or b"", last=found.last, now=now)
        else:
            yield replace(found.frame, reason=_NO_START)

    def _take_whole(self, found: Found, now: float) -> Iterator[StreamEvent]:
        frame = found.frame
        yield Message(frame.framing, found.data or b"", (frame,), frame.source, frame.destination)

    def _join(self, key: Key, found: Found, data: bytes, *, last: bool, now: float) -> Iterator[StreamEvent]:
        message = self._segments.add(key, found.frame, data, last=last, now=now)
        if message is not None:
            yield message


def _key(frame: FrameInfo) -> Key:
    return frame.framing, frame.source, frame.destination


#: Framings that cut a message into several frames; of all others each frame is a whole message.
_TAKERS = {HDLC: StreamDecoder._take_hdlc, MBUS: StreamDecoder._take_mbus}
