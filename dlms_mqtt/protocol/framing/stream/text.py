"""Clear text in a stream of unknown kind: telegrams of P1 ports, and readouts that a meter sends by itself."""

from __future__ import annotations

import re

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol import p1_telegram
from dlms_mqtt.protocol.framing.data_block import check_of
from dlms_mqtt.protocol.framing.seven_bit import add_parity, parity_until, strip_parity
from dlms_mqtt.protocol.framing.sign_on import ETX
from dlms_mqtt.protocol.framing.stream.events import FrameInfo
from dlms_mqtt.protocol.framing.stream.place import Found, Place, Result, Wait

TELEGRAM = "telegram"
_BEGINNINGS = b"/\x02"
_WITH_PARITY = add_parity(_BEGINNINGS)
# The identification, the acknowledgement of somebody who asked, and the start of the data block.
_HEAD = re.compile(rb"(?:(/[A-Za-z0-9]{3}[\x20-\x7e]{1,60}\r?\n)(?:\x06[\x20-\x7e]{3}\r?\n)?)?\x02")
_CUT_HEAD = re.compile(rb"/[A-Za-z0-9]{3}[\x20-\x7e]{1,60}\r?\n\x06[\x20-\x7e]{0,3}\r?\n?\Z")
_FIRST_LINE = re.compile(rb"\s*[0-9A-Z][0-9A-Za-z_.:*&-]{0,23}\(")
_LONGEST_CODE = 26
_WRONG_CHECK = "the check character of the readout is wrong"


def recognise_telegram(place: Place) -> Result:
    """The text telegram of a P1 port or a readout; its CRC or check character proves it.

    One without needs a line that has carried nothing else. Meters that send at 7E1 are read by a port at 8N1 with the
    parity in bit 7.
    """
    buffer, at = place.buffer, place.at
    if buffer[at] in _BEGINNINGS:
        return _of_text(place, buffer)
    if buffer[at] in _WITH_PARITY:
        telegram = buffer[at : at + p1_telegram.MAX_SIZE]
        return _of_text(place, buffer[:at] + strip_parity(telegram[: parity_until(telegram)]))
    return None


def _of_text(place: Place, text: bytes) -> Result:
    return _telegram(place, text) or _readout(place, text)


def _telegram(place: Place, text: bytes) -> Result:
    """``text``: the buffer as characters, as far as they may be some."""
    at = place.at
    found = p1_telegram.find_end(text, at, final=place.final)
    if found is None:
        to_the_end = len(text) == len(place.buffer) and p1_telegram.may_begin(text, at)
        return Wait.POSSIBLE if not place.final and to_the_end else None
    end, crc = found
    if crc is None and not place.seen <= {TELEGRAM}:
        return None
    raw = place.buffer[at:end]
    try:
        p1_telegram.Telegram.decode(text[at:end])
    except DecodeError as error:
        return Found(FrameInfo(TELEGRAM, "text", valid=False, reason=error.message, raw=raw, proved=False), at + 1)
    return Found(FrameInfo(TELEGRAM, "text", raw=raw), end, text[at:end])


def _readout(place: Place, text: bytes) -> Result:
    """STX, lines, ETX and a check character, with the identification before it where that was heard."""
    at = place.at
    if not place.seen <= {TELEGRAM}:
        return None
    head = _HEAD.match(text, at)
    if head is None:
        return Wait.POSSIBLE if not place.final and _CUT_HEAD.match(text, at) else None
    start, end = head.end(), p1_telegram.run_of_text(text, head.end())
    begun = _FIRST_LINE.match(text, start) is not None
    if end + 1 >= len(text) and not (place.final and text[end:] == ETX):
        may_begin = begun or end - start < _LONGEST_CODE
        cut = end < len(text) and text[end:] != ETX
        return None if place.final or cut or not may_begin or end - at > p1_telegram.MAX_SIZE else Wait.POSSIBLE
    if not begun or text[end : end + 1] != ETX:
        return None
    return _whole_readout(
        place, (head[1] or b"/\r\n") + text[start:end], text[start : end + 1], text[end + 1 : end + 2]
    )


def _whole_readout(place: Place, message: bytes, checked: bytes, check: bytes) -> Found:
    """As a telegram, which has the same lines."""
    end = place.buffer.index(checked[-1:], place.at) + 1 + len(check)
    raw = place.buffer[place.at : end]
    if check and check_of(checked, check) is None:
        return Found(FrameInfo(TELEGRAM, "readout", valid=False, reason=_WRONG_CHECK, raw=raw, proved=False), end)
    return Found(FrameInfo(TELEGRAM, "readout", raw=raw), end, message.rstrip(b"!\r\n") + b"\r\n!\r\n")
