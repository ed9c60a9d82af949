"""The data message of IEC 62056-21: STX, lines, ``!``, ETX and a block check character; in mode D the lines alone.

Source: IEC 62056-21:2002, clauses 6.3.4 (data message), 6.2 (block check character) and 6.4.4 (mode D).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.errors import FramingError
from dlms_mqtt.protocol.framing.seven_bit import add_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import ETX, SOH, STX, block_check

MAX_SIZE = 1 << 18
"""Octets of one message: load profiles are long, and a line that never ends must not fill the memory."""

_EOT = b"\x04"
_STARTS = re.compile(b"[" + STX + SOH + b"]")
_ENDS = re.compile(b"[" + ETX + _EOT + b"]")
_BARE_END = re.compile(rb"\)\s*\r?\n!\r?\n")
_SET = re.compile(rb"\([^()\r\n]*\)")
_ENCODING = "latin-1"


Check = Callable[[bytes], bytes]


def sum_check(data: bytes) -> bytes:
    """The check character of Energomera: the sum of all octets."""
    return bytes((sum(data) & 0x7F,))


def check_of(octets: bytes, character: bytes) -> Check | None:
    """How the check character behind these octets was made; None: it is wrong."""
    return next((check for check in (block_check, sum_check) if check(octets) == character), None)


class DataBlock(NamedTuple):
    """``text``: what stood in it; ``end``: the offset after it; ``checked``: a check character proved it;
    ``more``: it is one of several, another follows when it is acknowledged; ``check``: how the character is made."""

    text: str
    end: int
    checked: bool = True
    more: bool = False
    check: Check = block_check


def find_data_block(data: bytes, *, final: bool = False) -> DataBlock | None:
    """The first message in ``data``; None while it is not whole. Rubbish and echoes before it are skipped.

    ``final``: nothing more will come, so a message without its check character is taken as it is. FramingError where
    the check character is wrong.
    """
    text = strip_parity(data)
    start = _STARTS.search(text)
    if start is None:
        return _bare(text, final)
    end = _ENDS.search(text, start.end())
    if end is None or (end.end() == len(text) and not final):
        return None
    body = text[start.end() : end.start()].decode(_ENCODING)
    checked = end.end() < len(text)
    own = text[end.end() : end.end() + 1]
    right = check_of(text[start.end() : end.end()], own)
    if (checked and right is None) or _parity_is_wrong(data[start.end() : end.end()]):
        raise FramingError(
            "the check character of the readout is wrong: it was damaged on the line",
            hint="Check the seat of the head and bright light on it.",
        )
    return DataBlock(body, end.end() + checked, checked, end[0] == _EOT, right or block_check)


def _parity_is_wrong(octets: bytes) -> bool:
    """Where 7E1 is read as 8N1, parity sees what the check character misses: two flips of the same bit."""
    with_parity = sum(octet > 0x7F for octet in octets)
    return with_parity > len(octets) // 4 and add_parity(octets) != octets


def _bare(text: bytes, final: bool) -> DataBlock | None:
    """Mode D, and meters of other modes that leave the control characters out: up to the exclamation mark.

    Then nothing follows, or the next one; anything else is a block whose first character was damaged.
    """
    end = _BARE_END.search(text)
    if end is None or not (text[end.end() :].lstrip(b"\0").startswith(b"/") or (final and end.end() == len(text))):
        return None
    return DataBlock(text[: end.end()].decode(_ENCODING), end.end(), checked=False)


def holds_data(data: bytes) -> bool:
    """Whether there are lines of a readout in it, damaged or not."""
    return len(_SET.findall(strip_parity(data))) > 1
