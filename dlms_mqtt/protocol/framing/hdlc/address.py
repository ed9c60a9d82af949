"""HDLC addresses: one octet, or a logical (upper) and physical (lower) device number in two or four octets.

Every octet carries seven bits; the lowest bit of the last octet of an address is 1.

    21             16         a client, which has always one octet
    02 23          1/17       logical device 1 of the physical device 17
    00 02 00 23    1/17       the same in four octets, for numbers above 127

Many meters listen to one of these forms only, so the size can be set apart from the numbers.

Source: IEC 62056-46:2002, clause 6.4.2 (addressing); Green Book ed. 8, clause 8 (data link layer using HDLC).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from dlms_mqtt.errors import ConfigError, DecodeError

LIMITS = {1: 0x7F, 2: 0x7F, 4: 0x3FFF}  # octets of the whole address -> highest number of each part


class Address(NamedTuple):
    """``upper``: logical device or client; ``lower``: physical device, None in one-octet addresses."""

    upper: int
    lower: int | None = None

    def __str__(self) -> str:
        return str(self.upper) if self.lower is None else f"{self.upper}/{self.lower}"

    @property
    def broadcast(self) -> bool:
        """Whether every station listens to it (all ones in a part)."""
        return self.upper in LIMITS.values() or self.lower in LIMITS.values()


def split_number(number: int) -> Address:
    """A whole address given as one number, as other tools write it: 145 is 1/17, 16401 is 1/17 in four octets."""
    # The number is the two parts put together: seven bits each in two octets, fourteen each in four.
    if number <= LIMITS[1]:
        return Address(number)
    bits = 7 if number <= 0x3FFF else 14
    return Address(number >> bits, number & ((1 << bits) - 1))


def encode_address(upper: int, lower: int | None = None, size: int = 0) -> bytes:
    """The octets of an address; ``size`` 0 takes the shortest form. ConfigError when it does not fit."""
    if not size and lower is None and upper > LIMITS[1]:
        return encode_address(*split_number(upper), size=2 if upper <= 0x3FFF else 4)
    highest = max(upper, lower or 0)
    size = size or (1 if lower is None else 2 if highest <= LIMITS[2] else 4)
    if size not in LIMITS or min(upper, lower or 0) < 0 or highest > LIMITS[size] or (size == 1 and lower is not None):
        raise ConfigError(f"HDLC address {Address(upper, lower)} does not fit {size} octets")
    return _pack(upper, lower or 0, size)


def _pack(upper: int, lower: int, size: int) -> bytes:
    if size == 1:
        return bytes((upper << 1 | 1,))
    if size == 2:
        return bytes((upper << 1, lower << 1 | 1))
    return bytes((upper >> 7 << 1, (upper & 0x7F) << 1, lower >> 7 << 1, (lower & 0x7F) << 1 | 1))


@lru_cache(maxsize=256)
def decode_address(octets: bytes) -> Address:
    """The numbers of an address of one, two or four octets."""
    if len(octets) == 1:
        return Address(octets[0] >> 1)
    if len(octets) == 2:
        return Address(octets[0] >> 1, octets[1] >> 1)
    if len(octets) == 4:
        return Address(octets[0] >> 1 << 7 | octets[1] >> 1, octets[2] >> 1 << 7 | octets[3] >> 1)
    raise DecodeError(f"an HDLC address has 1, 2 or 4 octets, not {len(octets)}")
