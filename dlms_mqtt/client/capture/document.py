"""What was recorded, as it is written to a file: questions with answers, frames with times; no name, no secret."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from dlms_mqtt.client.capture.anonymiser import Anonymiser
from dlms_mqtt.client.capture.marks import FORMAT, RECEIVED, SENT
from dlms_mqtt.client.capture.recorder import Recorder
from dlms_mqtt.client.settings import LINES, ConnectionSettings
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.acse.messages import Aare, Aarq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.framing.hdlc.frame import Frame
from dlms_mqtt.protocol.framing.registry import link_class
from dlms_mqtt.protocol.framing.seven_bit import add_parity, has_parity, strip_parity
from dlms_mqtt.protocol.framing.stream.decoder import Message, StreamDecoder

_ASSOCIATING, _AARQ = range(0x60, 0x64), 0x60
_NUMBER = re.compile(rb"\d{6,}")
_OCTET_STRING, _PROOFS = 0x09, range(8, 65)  # tag, and the lengths of challenges and their answers
_GMAC_PROOF, _GMAC_HEADER = 17, 5  # octets; its security control and counter are no secret, and found elsewhere too
_LEFT_OUT = {
    *LINES,
    "iec_address",
    "system_title",
    "meter_system_title",
    "invocation_counter",
    "wake_up",
}


def capture_document(
    recorder: Recorder,
    settings: ConnectionSettings,
    facts: Mapping[str, Any],
    anonymiser: Anonymiser,
    plain: Mapping[bytes, bytes],
) -> dict[str, Any]:
    """The capture as it is written to YAML: nothing in it names the meter or opens it."""
    ciphered = settings.protection != "none"
    notes = ["The session was ciphered: frames are left out, messages are in plain."] if ciphered else []
    messages, begin = _exchanges(recorder.log, settings.link_framing, plain)
    exchanges = [[anonymiser.clean(apdu).hex() for apdu in row] for row in messages]
    frames = [] if ciphered else _frames(recorder.log, settings.link_framing, anonymiser)
    return {
        "format": FORMAT,
        "connection": _connection(settings),
        "facts": {
            key: anonymiser.clean_text(value) if isinstance(value, str) else value for key, value in facts.items()
        },
        "notes": notes,
        "begin": begin,
        "exchanges": exchanges,
        "frames": frames,
    }


def _connection(settings: ConnectionSettings) -> dict[str, Any]:
    rows = [row for row in fields(settings) if not row.metadata["secret"] and row.name not in _LEFT_OUT]
    values = {row.name: getattr(settings, row.name) for row in rows if getattr(settings, row.name) != row.default}
    plain = {key: value if isinstance(value, str | int | float) else str(value) for key, value in values.items()}
    return plain | {"framing": settings.link_framing, "client": settings.client, "server": settings.server}


def _exchanges(
    log: Iterable[tuple[float, str, bytes]], framing: str, plain: Mapping[bytes, bytes]
) -> tuple[list[list[bytes]], int]:
    """Questions with their answers, in order; what was not answered is left out, and so are the associations.

    Also the place where the last association begins: before it, the invocation counter may have been asked for.
    """
    rows, begin = list[list[bytes]](), 0
    for direction, apdu in messages_in(log, framing):
        if apdu[:1] and apdu[0] in _ASSOCIATING:
            if apdu[0] == _AARQ:
                begin = len(_answered(rows))
            continue
        opened = plain.get(apdu, apdu)
        if direction == SENT:
            rows.append([opened])
        elif rows and opened != rows[-1][0]:  # a line with echo gives back the question
            rows[-1].append(opened)
    return _answered(rows), begin


def _answered(rows: list[list[bytes]]) -> list[list[bytes]]:
    return [row for row in rows if len(row) > 1]


def messages_in(log: Iterable[tuple[float, str, bytes]], framing: str) -> Iterator[tuple[str, bytes]]:
    """The messages of both directions, in order, as their frames were complete."""
    decoders = {direction: StreamDecoder((framing,)) for direction in (SENT, RECEIVED)}
    for seconds, direction, data in log:
        for event in decoders[direction].feed(data, seconds):
            if isinstance(event, Message):
                yield direction, event.apdu


@dataclass(slots=True)
class _Row:
    """A frame, or octets that are none (sign-on, noise, other framings): as they came, without a pause of the other."""

    seconds: float
    direction: str
    content: Frame | bytearray

    @property
    def octets(self) -> bytes:
        """What may name the meter; of a sign-on on an eight-bit port without the parity bits."""
        if isinstance(self.content, Frame):
            return self.content.information
        octets = bytes(self.content)
        return strip_parity(octets) if has_parity(octets) else octets

    def encode(self, cleaned: bytes) -> bytes:
        """With other octets in their place, check sequences and parity bits made anew."""
        if isinstance(self.content, Frame):
            return self.content._replace(information=cleaned).encode()
        return add_parity(cleaned) if has_parity(bytes(self.content)) else cleaned


def _frames(log: Iterable[tuple[float, str, bytes]], framing: str, anonymiser: Anonymiser) -> list[list[Any]]:
    """What went over the line, cleaned: each direction as one stream, because a name may lie across rows."""
    rows = list(_rows(log, framing))
    for direction in (SENT, RECEIVED):
        own = [row for row in rows if row.direction == direction]
        with_parity = [not isinstance(row.content, Frame) and has_parity(row.octets) for row in own]
        octets = [
            strip_parity(row.octets) if parity else row.octets for row, parity in zip(own, with_parity, strict=True)
        ]
        cleaned = anonymiser.clean_parts(octets)
        for row, part, parity in zip(own, cleaned, with_parity, strict=True):
            row.content = bytearray(row.encode(add_parity(part) if parity else part))
    return [[row.seconds, row.direction, row.content.hex()] for row in rows if isinstance(row.content, bytearray)]


def _rows(log: Iterable[tuple[float, str, bytes]], framing: str) -> Iterator[_Row]:
    parsers = {direction: link_class(framing).frame_parser() for direction in (SENT, RECEIVED)}
    run: _Row | None = None
    for seconds, direction, data in log:
        parser = parsers[direction]
        if parser is not None and (parser.begins_in(data) or parser.pending):
            if run is not None:
                yield run
            run = None
            parser.feed(data)
            while (frame := parser.next()) is not None:
                if isinstance(frame, Frame):
                    yield _Row(seconds, direction, frame)
        elif parser is not None and run is not None and run.direction == direction:
            assert isinstance(run.content, bytearray)  # noqa: S101
            run.content += data
        else:
            if run is not None:
                yield run
            run = _Row(seconds, direction, bytearray(data))
    if run is not None:
        yield run


def proofs_in(messages: Iterable[tuple[str, bytes]], plain: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Challenges and their answers in the messages that open an association: they let a weak password be guessed."""
    for _, apdu in messages:
        opened = plain.get(apdu, apdu)
        try:
            found = decode_apdu(opened)
        except DecodeError:
            continue
        if isinstance(found, Aarq | Aare):
            yield bytes(found.authentication_value or b"")
            continue
        for at, octet in enumerate(opened[:-1]):  # the parameter of reply_to_HLS and its answer end their messages
            if octet == _OCTET_STRING and opened[at + 1] in _PROOFS and at + 2 + opened[at + 1] == len(opened):
                proof = opened[at + 2 :]
                yield proof[_GMAC_HEADER:] if len(proof) == _GMAC_PROOF else proof


def names_in(recorder: Recorder, framing: str, *, broken_off: bool) -> Iterator[bytes]:
    """What names the meter in the octets themselves: titles of associations, numbers of six digits in a sign-on.

    ``broken_off``: nobody knows what was read last, so every number of six digits that came is taken for one.
    """
    for _, apdu in messages_in(recorder.log, framing):
        with contextlib.suppress(DecodeError):
            if apdu[:1] in (b"\x60", b"\x61") and isinstance(found := decode_apdu(apdu), Aarq | Aare):
                yield (found.calling_ap_title if isinstance(found, Aarq) else found.responding_ap_title) or b""
    for row in _rows(recorder.log, framing):
        if broken_off or not isinstance(row.content, Frame):
            yield from _NUMBER.findall(row.octets)
