"""What a DLMS value is: its type and, in plain Python, what it holds."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time


class DataType(IntEnum):
    """The tags of the standard's CHOICE Data."""

    NULL_DATA = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INTEGER = 28
    DELTA_LONG = 29
    DELTA_DOUBLE_LONG = 30
    DELTA_UNSIGNED = 31
    DELTA_LONG_UNSIGNED = 32
    DELTA_DOUBLE_LONG_UNSIGNED = 33
    DONT_CARE = 255

    @property
    def text(self) -> str:
        """The Blue Book's name: ``double-long-unsigned``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_text(cls, text: str) -> DataType | None:
        """The type of that name, or None."""
        return cls.__members__.get(text.strip().upper().replace("-", "_"))


T = DataType
CONTAINERS = frozenset({T.ARRAY, T.STRUCTURE, T.COMPACT_ARRAY})

# Numbers of a fixed size: the standard's type and the struct code of its octets.
NUMBERS: dict[DataType, str] = {
    T.INTEGER: "b",
    T.LONG: "h",
    T.DOUBLE_LONG: "i",
    T.LONG64: "q",
    T.UNSIGNED: "B",
    T.LONG_UNSIGNED: "H",
    T.DOUBLE_LONG_UNSIGNED: "I",
    T.LONG64_UNSIGNED: "Q",
    T.ENUM: "B",
    T.DELTA_INTEGER: "b",
    T.DELTA_LONG: "h",
    T.DELTA_DOUBLE_LONG: "i",
    T.DELTA_UNSIGNED: "B",
    T.DELTA_LONG_UNSIGNED: "H",
    T.DELTA_DOUBLE_LONG_UNSIGNED: "I",
    T.FLOAT32: "f",
    T.FLOAT64: "d",
}


def shortest_float32(value: float) -> str:
    """The shortest decimal that reads back as the same float32: 123456.78, not 123456.78125."""
    octets = struct.pack(">f", value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if struct.pack(">f", float(text)) == octets), repr(value))


class Data(NamedTuple):
    """A value and its DLMS type.

    Numbers, booleans and text are plain; octet-string and bcd are bytes, a bit-string is text of 0 and 1, dates and
    times are those of ``timestamps``; array, structure and compact-array hold a tuple of Data.
    """

    type: DataType
    value: Any

    def plain(self) -> Any:
        """The value without types: containers as lists."""
        return [item.plain() for item in self.value] if self.type in CONTAINERS else self.value

    def tree(self) -> list[Any]:
        """``[type, value]`` for JSON: containers as lists, octets and times in hex."""
        kind, value = self
        if kind in CONTAINERS:
            return [kind.text, [item.tree() for item in value]]
        if isinstance(value, Date | DateTime | Time):
            value = value.raw
        return [kind.text, value.hex() if isinstance(value, bytes) else value]


class CompactArray(tuple[Data, ...]):
    """The elements of a compact-array; ``description`` is how the meter described them, for encoding them again."""

    description: bytes = b""
