"""The read cursor: the one place of the protocol that slices bytes.

Every getter either returns a whole item or raises DecodeError that says what was missing and where; a length is
checked against what is there before anything is allocated.
"""

from __future__ import annotations

from struct import Struct

from dlms_mqtt.errors import DecodeError

_U16 = Struct(">H")
_U32 = Struct(">I")


class Reader:
    """A cursor over ``data[offset:end]``."""

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self.end - self.offset

    def skip(self, count: int, what: str) -> int:
        """Pass over ``count`` octets; where they began."""
        start = self.offset
        if count < 0 or start + count > self.end:
            raise DecodeError(f"{what} needs {count} bytes, {self.end - start} left", offset=start)
        self.offset = start + count
        return start

    def u8(self, what: str = "octet") -> int:
        """One octet, unsigned."""
        return self.data[self.skip(1, what)]

    def i8(self, what: str = "octet") -> int:
        """One octet, two's complement."""
        return (self.u8(what) ^ 0x80) - 0x80

    def u16(self, what: str = "16-bit number") -> int:
        """Two octets, big endian, unsigned."""
        value: int = _U16.unpack_from(self.data, self.skip(2, what))[0]
        return value

    def u32(self, what: str = "32-bit number") -> int:
        """Four octets, big endian, unsigned."""
        value: int = _U32.unpack_from(self.data, self.skip(4, what))[0]
        return value

    def take(self, count: int, what: str = "octets") -> bytes:
        """The next ``count`` octets."""
        start = self.skip(count, what)
        return bytes(self.data[start : start + count])

    def peek(self) -> int:
        """The next octet without taking it, or -1 at the end."""
        return self.data[self.offset] if self.offset < self.end else -1

    def length(self, what: str = "length") -> int:
        """A length as A-XDR and BER write it: below 128 in one octet, else 80h + count of octets."""
        first = self.u8(what)
        if first < 0x80:
            return first
        count = first & 0x7F
        if not 1 <= count <= 4:
            raise DecodeError(f"{what} has an unusable form {first:02x}", offset=self.offset - 1)
        return int.from_bytes(self.take(count, what), "big")

    def octets(self, what: str = "octet-string") -> bytes:
        """A length and so many octets."""
        start = self.offset + 1
        if start <= self.end and (length := self.data[start - 1]) < 0x80 and start + length <= self.end:
            self.offset = start + length  # nearly always
            return bytes(self.data[start : self.offset])
        return self.take(self.length(what), what)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.remaining)

    def check_end(self, what: str) -> None:
        """Raise unless everything was read."""
        if self.offset != self.end:
            raise DecodeError(f"{self.end - self.offset} stray octets after {what}", offset=self.offset)


def encode_length(value: int) -> bytes:
    """A length as A-XDR and BER write it, in its shortest form."""
    if value < 0x80:
        return bytes((value,))
    octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets
