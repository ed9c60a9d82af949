"""Octets as the line has them, made without the code that is tested."""

from __future__ import annotations

_LLC = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")


def fcs_bytes(data: bytes) -> bytes:
    """The check sequence of HDLC as the textbook computes it (CRC-16/X-25, ISO/IEC 13239), low octet first."""
    register = 0xFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return (register ^ 0xFFFF).to_bytes(2, "little")


def strip_llc(data: bytes) -> bytes:
    """Without the LLC octets of HDLC."""
    return data[3:] if data[:3] in _LLC else data
