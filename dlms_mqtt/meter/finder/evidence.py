"""What the octets that came back say: one word for each kind of answer, found by a row of recognisers.

Only a valid check sequence proves speed and parity; everything else is a hint for the diagnosis.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.finder.path_faults import changed_echo, path_fault
from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Damaged, Frame, FrameParser, Kind
from dlms_mqtt.protocol.framing.seven_bit import has_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import find_identification
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.framing.stream.decoder import Message, StreamDecoder


class Evidence(StrEnum):
    """What was seen on the line."""

    NOTHING = "nothing"
    ECHO = "echo"
    UA = "ua"
    DM = "dm"
    FRMR = "frmr"
    OTHER_STATION = "other-station"
    PUSH = "push"
    WRAPPER = "wrapper"
    IDENTIFICATION = "identification"
    READOUT = "readout"
    PARITY = "parity"
    SEVEN_BITS = "seven-bits"
    SWALLOWS_FF = "swallows-ff"
    SWALLOWS_XON = "swallows-xon"
    EXPANDS_LF = "expands-lf"
    DAMAGED = "damaged"
    MANGLED_ECHO = "mangled-echo"
    GARBLED = "garbled"


_READOUT = re.compile(rb"[0-9A-F]{1,3}(?:-\d+:)?\.?\d+\.\d+(?:[*&.]\d+)?\([^)\r\n]*\)")
#: Tags that begin a push: data and event notifications, ciphered containers, general blocks.
_PUSHED = (b"\x0f", b"\xc2", b"\xdb", b"\xdc", b"\xe0")
_ANSWERS = {Kind.UA: Evidence.UA, Kind.DM: Evidence.DM, Kind.FRMR: Evidence.FRMR}


@dataclass(frozen=True, slots=True)
class Seen:
    """The evidence, the answer's frame where there is one, and the octets (without our own)."""

    evidence: Evidence
    received: bytes = b""
    frame: Frame | None = None
    echo: bool = False


def answer(received: bytes) -> Seen | None:
    """The answer of a meter to SNRM or DISC, as soon as it is whole; None: none has come yet."""
    found = answers(received) if received.count(0x7E) > 1 else []
    return Seen(_ANSWERS[found[0].kind], received, found[0]) if found else None


def answers(received: bytes) -> list[Frame]:
    """Every answer to SNRM or DISC in what came; a burst may get several."""
    return [frame for frame in _frames(received) if frame.kind in _ANSWERS and len(frame.destination) == 1]


def judge(sent: bytes, received: bytes) -> Seen:
    """What came after ``sent``, when nothing more will come."""
    if not received.strip(b"\0"):
        return Seen(Evidence.NOTHING, received)
    echo, rest = _without_echo(sent, received)
    if echo and not rest.strip(b"\0"):
        return Seen(Evidence.ECHO, received, echo=True)
    for recognise in _RECOGNISERS:
        seen = recognise(sent, rest)
        if seen is not None:
            evidence, frame = seen
            return Seen(evidence, rest, frame, echo)
    return Seen(Evidence.GARBLED, rest, echo=echo)


def _without_echo(sent: bytes, received: bytes) -> tuple[bool, bytes]:
    if sent and sent in received:
        before, _, after = received.partition(sent)
        return True, before + after
    return False, received


Recognised = tuple[Evidence, Frame | None] | None


def _hdlc(_sent: bytes, received: bytes) -> Recognised:
    """A valid frame from a meter; frames that we might have sent ourselves are none."""
    found: Recognised = None
    for frame in _frames(received):
        evidence = _ANSWERS.get(frame.kind)
        if evidence is not None and len(frame.destination) == 1:
            return evidence, frame
        if frame.kind is Kind.UI or (frame.kind is Kind.I and frame.information[3:4] in _PUSHED):
            found = Evidence.PUSH, frame
        elif frame.kind is not Kind.UA and frame.encode() not in _sent:
            found = found or (Evidence.OTHER_STATION, frame)
    return found


def _frames(received: bytes) -> list[Frame]:
    parser = FrameParser(Statistics())
    parser.feed(received)
    parser.finish()
    frames = []
    while (frame := parser.next()) is not None:
        if isinstance(frame, Frame):
            frames.append(frame)
    return frames


def _message(_sent: bytes, received: bytes) -> Recognised:
    decoder = StreamDecoder()
    events = [*decoder.feed(received), *decoder.finish()]
    for event in events:
        if isinstance(event, Message) and event.framing in ("mbus", "wrapper"):
            return (Evidence.WRAPPER if event.framing == "wrapper" else Evidence.PUSH), None
    return None


def _identification(_sent: bytes, received: bytes) -> Recognised:
    return (Evidence.IDENTIFICATION, None) if find_identification(received) else None


def _readout(_sent: bytes, received: bytes) -> Recognised:
    return (Evidence.READOUT, None) if _READOUT.search(strip_parity(received)) else None


def _changed_echo(sent: bytes, received: bytes) -> Recognised:
    fault = changed_echo(sent, received)
    return (Evidence(fault), None) if fault else None


def _path(_sent: bytes, received: bytes) -> Recognised:
    fault = path_fault(received)
    return (Evidence(fault), None) if fault else None


def _seven_bits(_sent: bytes, received: bytes) -> Recognised:
    """An answer to SNRM whose bit 7 is gone: flag, 0x20 instead of 0xA0, a length, nothing above 0x7F."""
    flat = received.strip(b"\0")
    looks = len(flat) > 6 and flat[0] == 0x7E and flat[1] & 0xF8 == 0x20 and flat.isascii()
    return (Evidence.SEVEN_BITS, None) if looks else None


def _mangled_echo(sent: bytes, received: bytes) -> Recognised:
    """A copy of what was sent, with a few octets changed."""
    same = sum(a == b for a, b in zip(sent, received, strict=False))
    close = len(sent) > 5 and same >= 0.6 * len(sent) and abs(len(received) - len(sent)) <= 2
    return (Evidence.MANGLED_ECHO, None) if close else None


def _damaged(_sent: bytes, received: bytes) -> Recognised:
    parser = FrameParser(Statistics())
    parser.feed(received)
    parser.finish()
    while (frame := parser.next()) is not None:
        if isinstance(frame, Damaged):
            return Evidence.DAMAGED, None
    return None


def _parity(_sent: bytes, received: bytes) -> Recognised:
    return (Evidence.PARITY, None) if len(received) > 3 and has_parity(received) else None


_RECOGNISERS: tuple[Callable[[bytes, bytes], Recognised], ...] = (
    _hdlc,
    _message,
    _readout,
    _identification,
    _changed_echo,
    _path,
    _seven_bits,
    _mangled_echo,
    _damaged,
    _parity,
)


def odd_parameters(ua: Frame) -> bool:
    """Are the parameters of this UA missing, or not in the four fields and lengths that most meters use?"""
    body = ua.information
    fields, at = [], 3
    while at + 1 < len(body):
        fields.append((body[at], body[at + 1]))
        at += 2 + body[at + 1]
    usual = [number for number, _ in fields] == [5, 6, 7, 8] and all(
        size == 4 if number in (7, 8) else size in (1, 2) for number, size in fields
    )
    return ua.kind is Kind.UA and not (usual and at == len(body))


def station(frame: Frame) -> tuple[int, int | None, int]:
    """Logical and physical number of the meter that sent a frame, and the octets of its address."""
    address = decode_address(frame.source)
    return address.upper, address.lower, len(frame.source)
