"""What meters send by themselves: bytes of a line in, notifications out, opened and checked.

Nothing of a ciphered push is believed before its tag was verified; its counter must rise per key and system title, so a
replayed push is refused. A push without protection passes where no key is configured for its line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from dlms_mqtt.errors import DlmsMqttError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.apdu import decode_apdu, split_apdus
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest
from dlms_mqtt.protocol.framing.detect import FrameInfo, Message, Rubbish, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.security import Cipher, Keys, PeerCounters, Security, Unprotected

log = logging.getLogger("dlms_mqtt.client")

Notification = DataNotification | EventNotification | InformationReportRequest
_KINDS = (DataNotification, EventNotification, InformationReportRequest)
_CIPHERED_GENERAL = (0xDB, 0xDC)
_TELEGRAM = ord("/")


@dataclass(frozen=True, slots=True)
class Push:
    """One notification. ``opened`` says how it was protected (``verified`` None: nothing vouches for it)."""

    origin: str
    notification: Notification
    opened: Unprotected
    message: Message

    @property
    def system_title(self) -> bytes:
        """Who sent it, as far as it was told."""
        return self.opened.system_title


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that arrived and is not believed or not understood."""

    origin: str
    error: DlmsMqttError


class PushReader:
    """One line (or one connection) on which meters push. ``keys`` None: pushes come plain."""

    def __init__(
        self,
        origin: str,
        keys: Keys | None = None,
        *,
        system_title: bytes = b"",
        accept_unauthenticated: bool = False,
        peer_counters: PeerCounters | None = None,
    ) -> None:
        self.origin = origin
        self._stream = StreamDecoder()
        self._cipher = None
        if keys is not None:
            self._cipher = Cipher(
                suite=None,
                security=Security.NONE,
                minimum=Security.NONE if accept_unauthenticated else Security.AUTHENTICATION,
                keys=keys,
                system_title=b"",
                next_counter=_no_counter,
                peer_title=system_title or None,
                accept_unauthenticated=accept_unauthenticated,
                peer_counters=peer_counters,
                warn=log.warning,
            )

    def feed(self, data: bytes, now: float, *, whole: bool = False) -> Iterator[Push | Refused]:
        """Bytes from the line; ``whole``: a datagram. ``now``: seconds of a steady clock."""
        return self._events(self._stream.feed(data, now, whole=whole))

    def tick(self, now: float) -> Iterator[Push | Refused]:
        """Time has passed: give up what will not be completed."""
        return self._events(self._stream.tick(now))

    def _events(self, events: list[StreamEvent]) -> Iterator[Push | Refused]:
        for event in events:
            if isinstance(event, Message):
                yield from self._message(event)
            elif isinstance(event, Rubbish):
                log.debug("%s: %d octets that belong to nothing", self.origin, len(event.data))
            elif isinstance(event, FrameInfo) and not event.valid:
                log.debug("%s: frame not used: %s", self.origin, event.reason)

    def _message(self, message: Message) -> Iterator[Push | Refused]:
        for octets in split_apdus(message.apdu):
            try:
                push = self._open(octets, message)
            except DlmsMqttError as error:
                yield Refused(self.origin, error)
            else:
                if push is not None:
                    yield push

    def _open(self, octets: bytes, message: Message) -> Push | None:
        if self._cipher is not None:
            opened = self._cipher.open(octets)
        elif octets[0] in _CIPHERED_GENERAL:
            raise SecurityError(
                "a ciphered push arrived, and no key is configured", reason="key", hint="Give the encryption key."
            )
        else:
            opened = Unprotected(octets, None, None, Security.NONE, None, b"")
        if opened.plaintext[:1] == bytes((_TELEGRAM,)):
            raise RemoteProtocolError("the push carries a P1 telegram (text), not DLMS values")
        found = decode_apdu(opened.plaintext)
        return Push(self.origin, found, opened, message) if isinstance(found, _KINDS) else None


def _no_counter() -> int:
    raise RemoteProtocolError("a push source is only listened to")
