"""What meters send by themselves: bytes of a line in, notifications out, opened and checked.

Nothing of a ciphered push is believed before its tag was verified; its counter must rise per key and system title, so a
replayed push is refused, over another connection too. A push without protection passes only where no key is given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dlms_mqtt.errors import DecodeError, DlmsMqttError, FramingError, RemoteProtocolError, SecurityError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu import Part, decode_apdu, split_apdus
from dlms_mqtt.protocol.apdu.general import PLAIN_TAGS
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest
from dlms_mqtt.protocol.framing.stream.decoder import FrameInfo, Message, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.p1_telegram import Telegram
from dlms_mqtt.protocol.security import Cipher, Keys, PeerCounters, Security, Unprotected

log = logging.getLogger("dlms_mqtt.client")

Notification = DataNotification | EventNotification | InformationReportRequest | Telegram
_KINDS = (DataNotification, EventNotification, InformationReportRequest, Telegram)
_TELLS_TITLE = (0xDB, 0xDC)
_CIPHERED = frozenset(PLAIN_TAGS) | {0xDB, 0xDC, 0xDD, 0xDF}
_VAGUE = ("key", "tag", "title")  # reasons that also another meter's message has
MOST_READERS = 64


@dataclass(frozen=True, slots=True)
class PushSource:
    """Who may push on a line: its keys (None: it pushes plain), and its system title (b"": any).

    ``peer_counters`` remembers across restarts; ``name`` is the caller's own.
    """

    name: str = ""
    keys: Keys | None = None
    system_title: bytes = b""
    accept_unauthenticated: bool = False
    peer_counters: PeerCounters | None = None

    def cipher(self) -> Cipher | None:
        """What opens its messages."""
        if self.keys is None:
            return None
        return Cipher(
            suite=None,
            security=Security.NONE,
            minimum=Security.NONE if self.accept_unauthenticated else Security.AUTHENTICATION,
            keys=self.keys,
            system_title=b"",
            next_counter=_no_counter,
            peer_title=self.system_title or None,
            accept_unauthenticated=self.accept_unauthenticated,
            peer_counters=self.peer_counters,
            warn=log.warning,
        )


@dataclass(frozen=True, slots=True)
class Push:
    """One notification. ``opened`` says how it was protected (``verified`` None: nothing vouches for it).

    ``sources`` names who it can be from: one, or (plain pushes) every source without a key.
    """

    origin: str
    notification: Notification
    opened: Unprotected
    message: Message
    sources: tuple[str, ...] = ()

    @property
    def system_title(self) -> bytes:
        """Who sent it, as far as it was told."""
        return self.opened.system_title


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that arrived and is not believed or not understood."""

    origin: str
    error: DlmsMqttError


_DAMAGED_FOR = 5.0  # s of octets without a message: longer than a first frame that began before we listened
_TELL_AGAIN = 60.0  # s
_FIRST, _LATER = 2, 8  # times at which damage came: before and after the first message
_FEW = 32  # octets: what a plug or a spark makes is not told


class Damage:
    """What came since the last message and is none: octets without a frame, frames with a wrong check sequence."""

    def __init__(self) -> None:
        self.octets = self.frames = self._times = 0
        self._since: float | None = None
        self._last = 0.0
        self._patience = _FIRST  # where messages were whole before, noise spoils some

    def note(self, event: StreamEvent, now: float) -> None:
        """Count it; a message ends the damage."""
        if isinstance(event, Message):
            self.octets, self.frames, self._times, self._since = 0, 0, 0, None
            self._patience = _LATER
            return
        damaged = isinstance(event, FrameInfo) and not event.valid
        octets = 0 if isinstance(event, FrameInfo) else len(event.data)
        self.frames += damaged
        self.octets += octets
        if damaged or octets:
            self._times += now != self._last or not self._times
            self._since, self._last = now if self._since is None else self._since, now

    def error(self, now: float) -> FramingError | None:
        """What to tell, once a minute; None while there is too little."""
        little = self._times < self._patience or (self.octets <= _FEW and self.frames <= 1)
        if self._since is None or now - self._since < _DAMAGED_FOR or little:
            return None
        self._since = now + _TELL_AGAIN - _DAMAGED_FOR
        if self.frames:
            text = f"{self.frames} damaged frames arrive, and no valid one: their check sequences are wrong"
            hint = "Speed and parity seem right: check the cable, the position of the head, and foreign light."
        else:
            text = f"{self.octets} octets arrive, and no valid frame is among them"
            hint = (
                "Check speed and parity (`dlms-mqtt find --serial PORT` tries them), then the cable and its polarity."
            )
        return FramingError(text, hint=hint)


class PushOpener:
    """Takes the protection off; one for all the connections of a port, so that a replay is known on each."""

    def __init__(self, sources: Iterable[PushSource]) -> None:
        sources = tuple(sources)
        self._plain = tuple(source.name for source in sources if source.keys is None)
        self._ciphers = [(source, cipher) for source in sources if (cipher := source.cipher())]

    def open(self, part: Part, origin: str, message: Message) -> Push | None:
        """The push in an APDU; None where it is a message of another kind. SecurityError, DecodeError."""
        names: tuple[str, ...]
        if part.octets[0] in _CIPHERED:
            names, opened, found = self._open(part.octets)
        else:
            names, opened = self._plain, Unprotected(part.octets, None, None, Security.NONE, None, b"")
            found = part.decoded()
        if not isinstance(found, _KINDS):
            log.debug("%s: a %s, which is no push", origin, found.NAME)
            return None
        if not opened.security and (names is not self._plain or not names):
            raise SecurityError(
                f"a {found.NAME} without protection arrived, though a key is configured",
                reason="unprotected",
                hint="Somebody else may send here; leave the key away if the meter itself pushes plain.",
            )
        return Push(origin, found, opened, message, names)

    def _open(self, octets: bytes) -> tuple[tuple[str, ...], Unprotected, Apdu]:
        failure: SecurityError | None = None
        for source, cipher in self._candidates(octets):
            try:
                opened = cipher.open(octets)
                return (source.name,), opened, _inside(opened)
            except SecurityError as error:
                failure = error if failure is None or failure.reason in _VAGUE else failure
        raise failure or SecurityError(
            "a ciphered push arrived, and no key is configured", reason="key", hint="Give the encryption key."
        )

    def _candidates(self, octets: bytes) -> list[tuple[PushSource, Cipher]]:
        """Whose message it may be. Where no title fits, the first one's cipher says what is wrong."""
        title = octets[2:10] if octets[0] in _TELLS_TITLE else b""
        named = [row for row in self._ciphers if title and row[0].system_title == title]
        open_ones = [row for row in self._ciphers if not title or not row[0].system_title]
        return named or open_ones or self._ciphers[:1]


class PushReader:
    """One line (or one connection) on which meters push. ``keys`` None: pushes come plain.

    ``opener`` stands for the other arguments, where several lines or meters share one.
    """

    def __init__(
        self,
        origin: str,
        keys: Keys | None = None,
        *,
        system_title: bytes = b"",
        accept_unauthenticated: bool = False,
        peer_counters: PeerCounters | None = None,
        opener: PushOpener | None = None,
    ) -> None:
        self.origin = origin
        self._stream = StreamDecoder()
        self._damage = Damage()
        source = PushSource("", keys, system_title, accept_unauthenticated, peer_counters)
        self._opener = opener or PushOpener([source])

    @property
    def unfinished(self) -> bool:
        """Whether something has begun and is not whole: only then ``tick`` is needed."""
        return self._stream.unfinished

    def feed(self, data: bytes, now: float, *, whole: bool = False) -> list[Push | Refused]:
        """Bytes from the line; ``whole``: a datagram. ``now``: seconds of a steady clock."""
        return self._events(self._stream.feed(data, now, whole=whole), now)

    def tick(self, now: float) -> list[Push | Refused]:
        """Time has passed: give up what will not be completed."""
        return self._events(self._stream.tick(now), now)

    def finish(self) -> list[Push | Refused]:
        """The connection has ended."""
        return self._events(self._stream.finish(), 0.0)

    def _events(self, events: list[StreamEvent], now: float) -> list[Push | Refused]:
        """What the events are; a ``Refused`` with a FramingError where only damage comes for seconds."""
        found: list[Push | Refused] = []
        for event in events:
            self._damage.note(event, now)
            if isinstance(event, Message):
                found += self._message(event)
            elif isinstance(event, FrameInfo):
                log.debug("%s: frame not used: %s", self.origin, event.reason or event.type)
            else:
                log.debug("%s: %d octets that belong to nothing", self.origin, len(event.data))
        damage = self._damage.error(now)
        return [*found, Refused(self.origin, damage)] if damage else found

    def _message(self, message: Message) -> list[Push | Refused]:
        found: list[Push | Refused] = []
        for part in split_apdus(message.apdu):
            try:
                push = self._opener.open(part, self.origin, message)
            except DlmsMqttError as error:
                found.append(Refused(self.origin, error))
            else:
                found += [push] if push else []
        return found


class PushReaders:
    """One reader for each connection or sender of a listening port; past ``limit`` the longest silent one goes."""

    def __init__(self, sources: Iterable[PushSource], *, limit: int = MOST_READERS) -> None:
        self._opener = PushOpener(sources)
        self._limit = limit
        self._readers: dict[str, PushReader] = {}

    @property
    def unfinished(self) -> bool:
        """Whether ``tick`` is needed."""
        return any(reader.unfinished for reader in self._readers.values())

    def feed(self, origin: str, data: bytes, now: float, *, whole: bool = False) -> list[Push | Refused]:
        """Bytes from somewhere; none at all: that connection ended."""
        reader = self._readers.pop(origin, None) or PushReader(origin, opener=self._opener)
        if not data:
            return reader.finish()
        found = reader.feed(data, now, whole=whole)
        if reader.unfinished or not whole:  # a datagram that was a message of its own leaves nothing behind
            self._readers[origin] = reader
        return found + self._give_up()

    def _give_up(self) -> list[Push | Refused]:
        if len(self._readers) <= self._limit:
            return []
        silent = next(iter(self._readers))
        return self._readers.pop(silent).finish()

    def tick(self, now: float) -> list[Push | Refused]:
        """Time has passed: give up what will not be completed."""
        unfinished = [reader for reader in self._readers.values() if reader.unfinished]
        return [event for reader in unfinished for event in reader.tick(now)]


def _inside(opened: Unprotected) -> Apdu:
    try:
        return decode_apdu(opened.plaintext)
    except DecodeError as error:
        encrypted = bool(opened.security & Security.ENCRYPTION)
        raise what_failed(error, opened.plaintext, proved=opened.verified is not None or not encrypted) from error


def what_failed(error: DecodeError, plaintext: bytes, *, proved: bool) -> DlmsMqttError:
    """Why a deciphered message cannot be read. Where no tag ``proved`` the key, only its being a message does."""
    begins_text = plaintext[:1] == Telegram.HEAD and plaintext[1:4].isalnum()
    if proved or begins_text:
        return error
    return SecurityError(
        "what the message decrypts to is no message: the encryption key or the system title is not the meter's",
        reason="key",
        hint="Check the encryption key and the system title.",
    )


def _no_counter() -> int:
    raise RemoteProtocolError("a push source is only listened to")
