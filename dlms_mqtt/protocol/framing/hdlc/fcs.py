"""The 16-bit check sequence of HDLC (CRC-16/X-25, ISO/IEC 13239), at C speed.

X-25 shifts the lowest bit first; ``binascii.crc_hqx`` has the same polynomial but shifts the highest bit first. Turning
the bits of every octet round before, and those of the result after, makes one into the other.

Source: IEC 62056-46:2002, annex A (FCS calculation); Green Book ed. 8, clause 8.
"""

from __future__ import annotations

from binascii import crc_hqx

REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
START = 0xFFFF
RESIDUE = 0x1D0F  # what the turned register holds after octets that are followed by their right check sequence


def turned(register: int) -> bytes:
    """The check sequence that a register holds, as it goes on the line."""
    register ^= 0xFFFF
    return bytes((REVERSED[register >> 8], REVERSED[register & 0xFF]))


def check(data: bytes | bytearray) -> bool:
    """Whether ``data`` ends with its right check sequence."""
    return crc_hqx(data.translate(REVERSED), START) == RESIDUE
