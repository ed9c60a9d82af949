"""The text telegram of a P1 customer port (DSMR): ``/XXX5...``, lines of code and values, ``!`` and a CRC.

It is no APDU, but stands in the place of one: Luxembourg and Styria send it inside general-glo, others bare.
"""

from __future__ import annotations

import re
from typing import Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import Apdu

MAX_SIZE = 1 << 15  # readouts with the history of a year and more are long
_TEXT = re.compile(rb"[\x20-\x7e\t\r\n]*")
_HEAD = re.compile(rb"/(?:[A-Za-z0-9]{3}[\x20-\x7e]{1,60})?\r?\n")  # empty: a readout whose head was not heard
_END = re.compile(rb"\n!(?:\r?\n|([0-9A-Fa-f]{4})(?:\r?\n|\Z))")
_REFLECTED_POLYNOMIAL = 0xA001


def _crc_table() -> tuple[int, ...]:
    table = list(range(256))
    for _ in range(8):
        table = [crc >> 1 ^ (_REFLECTED_POLYNOMIAL if crc & 1 else 0) for crc in table]
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/ARC: x16 + x15 + x2 + 1, least significant bit first, begins with 0."""
    crc = 0
    for octet in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc


@dataclass(frozen=True, slots=True)
class Telegram(Apdu, head=(0x2F,), name="telegram"):
    """A whole telegram as text; ``crc`` is None where it has none (before DSMR 4), else it was checked."""

    text: str
    crc: int | None = None

    @property
    def identification(self) -> str:
        """The first line without its slash: maker and model."""
        return self.text[1:].partition("\n")[0].strip()

    def encode_body(self) -> bytes:
        """The octets after the slash."""
        return self.text[1:].encode("ascii")

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the slash; DecodeError when it is cut or the CRC is wrong."""
        start = reader.offset - 1
        found = find_end(reader.data, start, final=True)
        if found is None:
            raise DecodeError("the telegram is not whole", offset=start)
        end, crc = found
        text = reader.data[start:end]
        if crc is not None and crc16(text[: text.rindex(b"!") + 1]) != crc:
            raise DecodeError("the CRC of the telegram is wrong", offset=end)
        reader.take(end - reader.offset)
        return cls(text.decode("ascii"), crc)


def find_end(data: bytes, start: int, *, final: bool = False) -> tuple[int, int | None] | None:
    """Offset after the telegram at ``start`` and the CRC that it tells; None: not whole (``final``: no line end)."""
    if not _HEAD.match(data, start):
        return None
    end = _END.search(data, start, min(len(data), start + MAX_SIZE))
    if end is None or run_of_text(data, start) < end.start():
        return None
    if end.end() == len(data) and not end[0].endswith(b"\n") and not final:
        return None
    return end.end(), int(end[1], 16) if end[1] else None


def run_of_text(data: bytes, start: int) -> int:
    """Where the text that begins at ``start`` ends."""
    found = _TEXT.match(data, start)
    return found.end() if found else start


def may_begin(data: bytes, start: int) -> bool:
    """Whether a telegram, perhaps not whole yet, may begin at ``start``: a slash, three characters, text to the end."""
    head = data[start : start + 5]
    text_to_the_end = len(data) - start < MAX_SIZE and run_of_text(data, start) == len(data)
    return text_to_the_end and head[:1] == b"/" and (len(head) == 1 or head[1:4].isalnum()) and b"\n" not in head
