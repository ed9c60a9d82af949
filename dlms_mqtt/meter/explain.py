"""Captured bytes in words: frames, ciphering, APDU, values with OBIS names. No history of counters is kept or judged.

One ``Explainer`` follows one capture: it remembers the system titles of AARQ and AARE, and which attributes the last
request asked for, so that the answer to it can be labelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from dlms_mqtt.errors import DecodeError, DlmsMqttError, SecurityError
from dlms_mqtt.meter.explain_json import apdu_json, value_json
from dlms_mqtt.meter.push import PushValue, plain_tree, push_values
from dlms_mqtt.meter.telegram import telegram_json
from dlms_mqtt.protocol.acse import Aare, Aarq
from dlms_mqtt.protocol.apdu import decode_apdu, split_apdus
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.general import CipheredApdu, GeneralDedCiphering, GeneralGloCiphering
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.results import decode_results
from dlms_mqtt.protocol.apdu.telegram import Telegram
from dlms_mqtt.protocol.data import Data, decode
from dlms_mqtt.protocol.framing.detect import FrameInfo, Message, Rubbish, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.security import Cipher, Keys, PeerCounters, Security
from dlms_mqtt.protocol.security.suites import SUITE_MASK

_TAG = 12
_HEADER = 5
_CIPHERED = (CipheredApdu, GeneralGloCiphering, GeneralDedCiphering)


def explain(data: bytes, keys: Keys | None = None, system_title: bytes = b"") -> dict[str, Any]:
    """The document of ``decode --json`` for a whole capture."""
    stream = StreamDecoder()
    return Explainer(keys, system_title).document([*stream.feed(data), *stream.finish()])


class Explainer:
    """Follows one capture. ``system_title``: of the sender, where the messages do not tell it."""

    def __init__(self, keys: Keys | None = None, system_title: bytes = b"") -> None:
        self._keys = keys
        self._title = system_title
        self._titles: set[bytes] = set()
        self._asked: list[AttributeDescriptor] = []
        self._blocks = bytearray()
        self.frames: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def document(self, events: Iterable[StreamEvent]) -> dict[str, Any]:
        """Messages, frames that belong to none, octets that belong to nothing, and errors."""
        messages: list[dict[str, Any]] = []
        rest = b""
        for event in events:
            if isinstance(event, Message):
                messages += self.message(event)
            elif isinstance(event, FrameInfo):
                self.frames.append(frame_json(event))
            elif isinstance(event, Rubbish):
                rest += event.data
        document: dict[str, Any] = {"messages": messages, "rest": rest.hex(), "errors": self.errors}
        return document | ({"frames": self.frames} if self.frames else {})

    def message(self, message: Message) -> list[dict[str, Any]]:
        """Each APDU of a message; the frames are named with the first. What cannot be read is no message."""
        frames = [frame_json(frame) for frame in message.frames]
        parts: list[dict[str, Any]] = []
        for octets in split_apdus(message.apdu):
            try:
                parts.append({"framing": message.framing, "frames": []} | self.apdu(octets))
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

    def apdu(self, octets: bytes) -> dict[str, Any]:
        """One APDU; DecodeError."""
        message = decode_apdu(octets)
        if isinstance(message, _CIPHERED):
            return self._ciphered(octets, message)
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
        return part if plaintext is None else part | {"plaintext": plaintext.hex()} | self._inside(plaintext)

    def _inside(self, plaintext: bytes) -> dict[str, Any]:
        try:
            return self._plain(decode_apdu(plaintext))
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
            return telegram_json(message)
        self._learn(message)
        part: dict[str, Any] = {"apdu": {"name": message.NAME, **apdu_json(message)}}
        body = self._body(message)
        if body is None:
            return part
        tree = plain_tree(body)
        if tree is not None:
            part["tree"] = tree.tree()
        part["values"] = [value_json(value) for value in self._values(message, body)]
        return part

    def _learn(self, message: Apdu) -> None:
        if isinstance(message, Aarq) and message.calling_ap_title:
            self._titles.add(message.calling_ap_title)
        elif isinstance(message, Aare) and message.responding_ap_title:
            self._titles.add(message.responding_ap_title)
        elif isinstance(message, GetRequestNormal):
            self._asked = [message.attribute]
        elif isinstance(message, GetRequestWithList):
            self._asked = [attribute for attribute, _ in message.items]

    def _body(self, message: Apdu) -> bytes | None:
        """The encoded value that a message carries, None where there is none (or not yet: a block)."""
        if isinstance(message, DataNotification | EventNotification):
            return message.data
        if isinstance(message, GetResponseNormal):
            return None if message.error is not None else message.data
        if isinstance(message, GetResponseBlock):
            return self._joined(message)
        return b"" if isinstance(message, GetResponseWithList) else None

    def _joined(self, block: GetResponseBlock) -> bytes | None:
        if block.block_number == 1:
            self._blocks.clear()
        self._blocks += block.data
        return bytes(self._blocks) if block.last and block.error is None else None

    def _values(self, message: Apdu, body: bytes) -> list[PushValue]:
        if isinstance(message, DataNotification):
            return push_values(body)
        if isinstance(message, EventNotification):
            return [_labelled(message.attribute, decode(body)[0])]
        if isinstance(message, GetResponseWithList):
            answers: Iterable[Any] = message.results
        elif len(self._asked) > 1:
            answers = decode_results(body)
        else:
            answers = [decode(body)[0]]
        return [
            _labelled(attribute, answer)
            for attribute, answer in zip(self._asked, answers, strict=False)
            if isinstance(answer, Data)
        ]


def _labelled(attribute: AttributeDescriptor, data: Data) -> PushValue:
    return PushValue(data, attribute.obis, None, attribute.class_id, attribute.attribute)


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
    return shown | {"reason": frame.reason} if frame.reason else shown
