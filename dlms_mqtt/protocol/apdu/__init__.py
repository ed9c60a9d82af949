"""Every APDU, and the one table that finds the class for the bytes.

Octets after a message are no error (meters send some): they stay in ``data`` or ``trailing`` where the message has such
a field, and ``decode_prefix`` says where the message ended.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.acse import messages as acse
from dlms_mqtt.protocol.apdu import access, action, errors, general, get, initiate, notification, short_name
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.errors import ServiceError, StateError
from dlms_mqtt.protocol.apdu.general import PLAIN_TAGS, CipheredApdu
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import Apdu, LazyValue, code_text
from dlms_mqtt.protocol.p1_telegram import Telegram

ROOMS = (acse, get, set_, action, short_name, access, general, notification, errors, initiate)
APDUS: tuple[type[Apdu], ...] = tuple([row for room in ROOMS for row in room.APDUS])
TABLE: dict[bytes, type[Apdu]] = {row.HEAD: row for row in APDUS} | {bytes((t,)): CipheredApdu for t in PLAIN_TAGS}

_DECODERS: dict[bytes, Callable[[bytes], Apdu]] = {head: row.from_bytes for head, row in TABLE.items()}
_DECODERS[Telegram.HEAD] = Telegram.from_bytes  # in the place of an APDU; no framing but its own may rely on its head
# What takes all that follows its head: nothing is left over behind it.
_WHOLE = {head: _DECODERS[head] for head, row in TABLE.items() if issubclass(row, LazyValue)}
_WHOLE[Telegram.HEAD] = Telegram.from_bytes
_SERVICES = {head[0] for head in TABLE if len(head) == 2}
_LLC = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")
_MOST_APDUS = 64  # in one buffer; more would be rubbish, and splitting them all would take time


def decode_apdu(data: bytes) -> Apdu:
    """Any APDU; DecodeError names a tag that is not known."""
    decoder = _DECODERS.get(data[:2]) or _DECODERS.get(data[:1])
    if decoder is None:
        raise _unknown(data)
    return decoder(data)


def decode_with_rest(data: bytes) -> tuple[Apdu, bytes]:
    """Any APDU and what is left over behind it; of one that ends in a raw value that is not yet known. DecodeError."""
    decoder = _WHOLE.get(data[:2]) or _WHOLE.get(data[:1])
    if decoder is not None:
        return decoder(data), b""
    row = TABLE.get(data[:2]) or TABLE.get(data[:1])
    if row is None:
        raise _unknown(data)
    reader = Reader(data, len(row.HEAD))
    message = row.read_body(reader)
    return message, data[reader.offset :]


def decode_prefix(data: bytes, offset: int = 0) -> tuple[Apdu, int]:
    """The APDU at ``offset``, and the offset after it; a value that is left raw is checked too. DecodeError."""
    row = TABLE.get(data[offset : offset + 2]) or TABLE.get(data[offset : offset + 1])
    if row is None:
        raise _unknown(data[offset:])
    reader = Reader(data, offset + len(row.HEAD))
    message = row.read_body(reader)
    # A message that takes the rest of the bytes says itself how much of that was not its own.
    return message, reader.offset - len(getattr(message, "trailing", b""))


def _unknown(data: bytes) -> DecodeError:
    if not data:
        return DecodeError("an empty APDU", offset=0)
    if data[0] in _SERVICES:
        return DecodeError(f"{data[:2].hex(' ')} begins no known form of its service", offset=1)
    return DecodeError(f"APDU tag {data[0]:02x} is not known{_perhaps_exception(data)}", offset=0)


def _perhaps_exception(data: bytes) -> str:
    """Some meters say exception-response under a tag of their own: state-error and service-error tell."""
    if len(data) not in (3, 7):
        return ""
    state, service = StateError.of(data[1]), ServiceError.of(data[2])
    known = isinstance(state, StateError) and isinstance(service, ServiceError)
    return f"; it has the form of an exception-response ({code_text(state)}, {code_text(service)})" if known else ""


class Part(NamedTuple):
    """One of the APDUs that share a buffer; ``message`` None: it cannot be read, or has not been yet."""

    octets: bytes
    message: Apdu | None = None

    def decoded(self) -> Apdu:
        """The message; DecodeError."""
        return self.message or decode_apdu(self.octets)


def split_apdus(data: bytes) -> list[Part]:
    """The APDUs that share a buffer (several pushes in one HDLC frame), each by its own length and without LLC octets.

    Octets that begin no APDU stay with the one before them, so that nothing is lost; never raises. What had to be
    decoded to find an end comes along, so that nobody decodes it again.
    """
    parts: list[Part] = []
    offset = 0
    while offset < len(data):
        start = offset + 3 if data[offset : offset + 3] in _LLC and offset + 3 < len(data) else offset
        message, end = _first(data, start) if len(parts) < _MOST_APDUS else (None, start)
        if end == start and parts:
            parts[-1] = parts[-1]._replace(octets=parts[-1].octets + data[offset:])
            break
        if parts:
            parts[-1] = Part(parts[-1].octets, _without_next(parts[-1].message))
        offset = end if end > start else len(data)
        parts.append(Part(data[start:offset], message))
    return parts


def _first(data: bytes, start: int) -> tuple[Apdu | None, int]:
    try:
        return decode_prefix(data, start)
    except DecodeError:
        return None, start


def _without_next(message: Apdu | None) -> Apdu | None:
    """A message that took the octets of its successor for its own end; None: it must be read anew."""
    if not getattr(message, "trailing", b""):
        return message
    return message.trimmed() if isinstance(message, LazyValue) else None
