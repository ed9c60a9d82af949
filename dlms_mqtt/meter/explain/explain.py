"""Captured bytes in words: frames, ciphering, APDU, values with OBIS names. No history of counters is kept or judged.

One ``Explainer`` follows one capture: it remembers the system titles of AARQ and AARE, and (``explain_services``) what
the last request asked for, so that the answer to it can be labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import tzinfo
from typing import Any

from dlms_mqtt.client.capture.marks import RECEIVED, SENT
from dlms_mqtt.client.push import what_failed
from dlms_mqtt.errors import DecodeError, DlmsMqttError, SecurityError
from dlms_mqtt.meter.explain.capture_text import Piece
from dlms_mqtt.meter.explain.json_shapes import apdu_json, pushed_json
from dlms_mqtt.meter.explain.services import Dialogue, whole_value
from dlms_mqtt.meter.explain.telegram import readout_document, telegram_json
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.protocol.acse.messages import Aare, Aarq
from dlms_mqtt.protocol.apdu import Part, decode_apdu, split_apdus
from dlms_mqtt.protocol.apdu.general import PLAIN_TAGS, CipheredApdu, GeneralDedCiphering, GeneralGloCiphering
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, read_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import decode_parameters
from dlms_mqtt.protocol.framing.stream.decoder import FrameInfo, Message, Rubbish, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.p1_telegram import Telegram
from dlms_mqtt.protocol.security import Cipher, Keys, PeerCounters, Security
from dlms_mqtt.protocol.security.suites import SUITE_MASK

_TAG = 12
_HEADER = 5
_WAYS = {SENT: "sent", RECEIVED: "received"}
_CIPHERED = (CipheredApdu, GeneralGloCiphering, GeneralDedCiphering)


def explain(
    data: bytes | Sequence[Piece],
    keys: Keys | None = None,
    system_title: bytes = b"",
    progress: Callable[[int, int], None] = lambda done, total: None,
    zone: tzinfo | None = None,
) -> dict[str, Any]:
    """The document of ``decode --json`` for a whole capture; of pieces, each message says its direction.

    With a ``zone``, which its times are in, a push has ``readings`` too, as `listen` gives them.
    """
    pieces = [Piece(data)] if isinstance(data, bytes) else data
    events = list(_events(pieces))
    document = Explainer(keys, system_title, zone).directed(_counted(events, progress))
    whole = b"".join(piece.octets for piece in pieces)
    return document if document["messages"] else _value_document(whole) or readout_document(whole) or document


def _events(pieces: Sequence[Piece]) -> Iterator[tuple[str, StreamEvent]]:
    """What the pieces hold, in their order; each direction is a stream, in which a new piece is a new frame."""
    streams = {piece.direction: StreamDecoder() for piece in pieces}
    for piece in pieces:
        for event in streams[piece.direction].feed(piece.octets, whole=len(streams) > 1):
            yield piece.direction, event
    for direction, stream in streams.items():
        for event in stream.finish():
            yield direction, event


_Counted = Iterator[tuple[str, StreamEvent]]


def _counted(events: list[tuple[str, StreamEvent]], progress: Callable[[int, int], None]) -> _Counted:
    for number, event in enumerate(events):
        progress(number, len(events))
        yield event


def _value_document(data: bytes) -> dict[str, Any] | None:
    """For octets that are no message but exactly one encoded value."""
    contents = whole_value(data)
    if contents is None:
        return None
    message = {"framing": "raw-data", "frames": [], "apdu": {"name": "data"}, **contents.json()}
    return {"messages": [message], "rest": "", "errors": []}


class Explainer:
    """Follows one capture. ``system_title``: of the sender, where the messages do not tell it.

    With a ``zone``, which its times are in, a push has ``readings`` too.
    """

    def __init__(self, keys: Keys | None = None, system_title: bytes = b"", zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._keys = keys
        self._title = system_title
        self._titles: set[bytes] = set()
        self._dialogue = Dialogue()
        self.frames: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def document(self, events: Iterable[StreamEvent]) -> dict[str, Any]:
        """Messages, frames that belong to none, octets that belong to nothing, and errors."""
        return self.directed(("", event) for event in events)

    def directed(self, events: Iterable[tuple[str, StreamEvent]]) -> dict[str, Any]:
        """The same of two directions: events with who sent them (``capture.SENT``, ``RECEIVED``; empty: not known)."""
        messages: list[dict[str, Any]] = []
        rest = b""
        for direction, event in events:
            way = {"direction": _WAYS[direction]} if direction else {}
            if isinstance(event, Message):
                messages += [way | part for part in self.message(event)]
            elif isinstance(event, FrameInfo):
                self.frames.append(frame_json(event) | way)
            elif isinstance(event, Rubbish):
                rest += event.data
        document: dict[str, Any] = {"messages": messages, "rest": rest.hex(), "errors": self.errors}
        return document | ({"frames": self.frames} if self.frames else {})

    def message(self, message: Message) -> list[dict[str, Any]]:
        """Each APDU of a message; the frames are named with the first. What cannot be read is no message."""
        frames = [frame_json(frame) for frame in message.frames]
        parts: list[dict[str, Any]] = []
        for part in split_apdus(message.apdu):
            try:
                parts.append({"framing": message.framing, "frames": []} | self.apdu(part))
            except DlmsMqttError as error:
                self._error(error)
        if not parts:
            self.frames += frames
            return []
        parts[0]["frames"] = frames
        if message.blocks:
            parts[0]["blocks"] = [asdict(block) | {"data": block.data.hex()} for block in message.blocks]
        return parts

    def _error(self, error: DlmsMqttError) -> None:
        code = (
            error.reason
            if isinstance(error, SecurityError)
            else "decode"
            if isinstance(error, DecodeError)
            else "error"
        )
        self.errors.append({"code": code, "message": error.message, "hint": error.hint})

    def apdu(self, part: Part) -> dict[str, Any]:
        """One APDU; DecodeError."""
        message = part.decoded()
        if isinstance(message, _CIPHERED):
            return self._ciphered(part.octets, message)
        return self._plain(message)

    # -- ciphering ----------------------------------------------------------------------------------------------------

    def _ciphered(
        self, octets: bytes, message: CipheredApdu | GeneralGloCiphering | GeneralDedCiphering
    ) -> dict[str, Any]:
        body = message.body
        title = getattr(message, "system_title", b"")
        if len(body) < _HEADER:
            raise DecodeError("the ciphered content is shorter than its header")
        control = body[0]
        security = Security(control & Security.BOTH)
        ciphering = ciphering_json(f"{octets[0]:02x}", title, control, int.from_bytes(body[1:_HEADER], "big"))
        part: dict[str, Any] = {"ciphering": ciphering, "apdu": {"name": _name(message)}}
        plaintext = self._open(octets, title, security, body, ciphering)
        if plaintext is None:
            return part
        proved = ciphering["verified"] is not None or not security & Security.ENCRYPTION
        return part | {"plaintext": plaintext.hex()} | self._inside(plaintext, proved=proved)

    def _inside(self, plaintext: bytes, *, proved: bool) -> dict[str, Any]:
        try:
            return self._plain(decode_apdu(plaintext))
        except DecodeError as error:
            self._error(what_failed(error, plaintext, proved=proved))
        except DlmsMqttError as error:
            self._error(error)
        return {}

    def _open(
        self, octets: bytes, title: bytes, security: Security, body: bytes, ciphering: dict[str, Any]
    ) -> bytes | None:
        """The plaintext, where it can be had; ``verified`` is set on the way."""
        if not self._keys:
            tag = _TAG if security & Security.AUTHENTICATION else 0
            return None if security & Security.ENCRYPTION else body[_HEADER : len(body) - tag]
        failure: SecurityError | None = None
        for candidate in self._candidates(title):
            try:
                opened = self._cipher(candidate).open(octets)
            except SecurityError as error:
                failure = failure or error
                continue
            ciphering["verified"] = opened.verified
            ciphering["system_title"] = opened.system_title.hex()
            return opened.plaintext
        self._refused(failure, ciphering)
        return None

    def _candidates(self, title: bytes) -> list[bytes]:
        """Whose message it may be: services of their own tag do not say it."""
        known = [self._title, *sorted(self._titles)]
        return [title] if title else [candidate for candidate in known if candidate] or [b""]

    def _cipher(self, title: bytes) -> Cipher:
        return Cipher(
            suite=None,
            security=Security.NONE,
            keys=self._keys or Keys(b""),  # type: ignore[arg-type]
            system_title=b"",
            next_counter=int,
            peer_title=title or None,
            accept_unauthenticated=True,
            minimum=Security.NONE,
            peer_counters=PeerCounters(),
            warn=lambda _text: None,
        )

    def _refused(self, failure: SecurityError | None, ciphering: dict[str, Any]) -> None:
        if failure is None:
            return
        if failure.reason in ("tag", "key") and ciphering["authenticated"] and self._keys and self._keys.authentication:
            ciphering["verified"] = False
        self._error(failure)

    # -- contents -----------------------------------------------------------------------------------------------------

    def _plain(self, message: Apdu) -> dict[str, Any]:
        if isinstance(message, Telegram):
            return telegram_json(message) | self._readings(message)
        self._learn(message)
        part: dict[str, Any] = {"apdu": {"name": message.NAME, **apdu_json(message), **self._carried(message)}}
        try:
            contents = self._dialogue.contents(message)
        except DecodeError as error:
            if not hasattr(message, "block_number"):  # of a block, only the value that it completes is damaged
                raise
            self._error(error)
            return part
        return part if contents is None else part | contents.json() | self._readings(message)

    def _readings(self, message: Apdu) -> dict[str, Any]:
        if self._zone is None or not isinstance(message, DataNotification | EventNotification | Telegram):
            return {}
        found = pushed_json(PushedValues(message), self._zone)
        return {"readings": found} if found else {}

    def _learn(self, message: Apdu) -> None:
        """What the opening of an association tells: titles, and the dedicated key of the messages after it."""
        if isinstance(message, InitiateRequest) and self._keys and len(message.dedicated_key or b"") in (16, 32):
            self._keys = replace(self._keys, dedicated=message.dedicated_key)
        if isinstance(message, Aarq) and message.calling_ap_title:
            self._titles.add(message.calling_ap_title)
        elif isinstance(message, Aare) and message.responding_ap_title:
            self._titles.add(message.responding_ap_title)

    def _carried(self, message: Apdu) -> dict[str, Any]:
        """What ``apdu_json`` cannot open: a ciphered InitiateRequest or -Response, one whose end was left behind."""
        octets = message.initiate if isinstance(message, Aare) else getattr(message, "user_information", None)
        if not octets or (octets[0] not in PLAIN_TAGS and not getattr(message, "trailing", b"")):
            return {}
        try:
            part = self.apdu(Part(octets))
        except DlmsMqttError:
            return {}
        if part["apdu"].get("dedicated_key"):
            part.pop("plaintext", None)  # the key is in it
        return {"user_information": part.pop("apdu") | part}


def _name(message: CipheredApdu | GeneralGloCiphering | GeneralDedCiphering) -> str:
    if not isinstance(message, CipheredApdu):
        return message.NAME
    kind = "ded" if message.dedicated else "glo"
    return f"{kind}-{_PLAIN_NAMES.get(message.plain_tag, f'{message.plain_tag:02x}')}"


_PLAIN_NAMES = {
    0x01: "initiate-request",
    0x05: "read-request",
    0x06: "write-request",
    0x08: "initiate-response",
    0x0C: "read-response",
    0x0D: "write-response",
    0x0E: "confirmed-service-error",
    0x16: "unconfirmed-write-request",
    0x18: "information-report-request",
    0xC0: "get-request",
    0xC1: "set-request",
    0xC2: "event-notification-request",
    0xC3: "action-request",
    0xC4: "get-response",
    0xC5: "set-response",
    0xC7: "action-response",
}


def ciphering_json(tag: str, title: bytes, control: int, invocation_counter: int) -> dict[str, Any]:
    """What the header of a ciphered content says; ``verified`` is still to be found out."""
    return {
        "tag": tag,
        "system_title": title.hex() or None,
        "suite": control & SUITE_MASK,
        "authenticated": bool(control & Security.AUTHENTICATION),
        "encrypted": bool(control & Security.ENCRYPTION),
        "invocation_counter": invocation_counter,
        "verified": None,
    }


def frame_json(frame: FrameInfo) -> dict[str, Any]:
    """One frame; ``reason`` where it is not valid, or is valid and of no use."""
    shown = {
        "type": frame.type,
        "destination": frame.destination,
        "source": frame.source,
        "segmented": frame.segmented,
        "valid": frame.valid,
    }
    return shown | link_parameters(frame) | ({"reason": frame.reason} if frame.reason else {})


def link_parameters(frame: FrameInfo) -> dict[str, Any]:
    """What an SNRM offers or a UA answers, where it says so."""
    if frame.type not in ("SNRM", "UA"):
        return {}
    found = read_frame(frame.raw, 0, final=True)
    if not isinstance(found, Frame) or not found.information:
        return {}
    return {"parameters": asdict(decode_parameters(found.information))}
