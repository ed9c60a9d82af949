"""Seven data bits with even parity on a line that moves eight: the software form of 7E1."""

from __future__ import annotations

_EVEN = bytes(octet & 0x7F | (octet & 0x7F).bit_count() % 2 << 7 for octet in range(256))
_STRIPPED = bytes(octet & 0x7F for octet in range(256))


def add_parity(data: bytes) -> bytes:
    """Every octet with its even parity in bit 7, as a 7E1 port would send it."""
    return data.translate(_EVEN)


def strip_parity(data: bytes) -> bytes:
    """Every octet without bit 7."""
    return data.translate(_STRIPPED)


def has_parity(data: bytes) -> bool:
    """Whether these are 7E1 octets that were read as 8N1: bit 7 is set somewhere, and is the even parity everywhere."""
    return not data.isascii() and add_parity(data) == data


def parity_until(data: bytes) -> int:
    """How many octets from the start carry their even parity in bit 7."""
    expected = add_parity(data)
    if expected == data:
        return len(data)
    return next(at for at, (octet, right) in enumerate(zip(data, expected, strict=True)) if octet != right)
