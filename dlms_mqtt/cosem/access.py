"""Access rights as an association's object list states them, in all versions of the Association classes.

Up to Association LN version 2 (SN version 3) a mode is a number out of a list; from LN version 3 (SN version 4) on the
same octet is eight bits. A mode the standard does not know counts as allowed: only the meter can say no.

Source: Blue Book ed. 12, clause 4.4 (access control and management); IEC 62056-6-2.
"""

from __future__ import annotations

from typing import NamedTuple

ATTRIBUTE_MODES = {
    0: "no-access",
    1: "read-only",
    2: "write-only",
    3: "read-and-write",
    4: "authenticated-read-only",
    5: "authenticated-write-only",
    6: "authenticated-read-and-write",
}
METHOD_MODES = {0: "no-access", 1: "access", 2: "authenticated-access"}
_PROTECTION_BITS = {
    0x04: "authenticated-request",
    0x08: "encrypted-request",
    0x10: "digitally-signed-request",
    0x20: "authenticated-response",
    0x40: "encrypted-response",
    0x80: "digitally-signed-response",
}
ATTRIBUTE_BITS = {0x01: "read-access", 0x02: "write-access"} | _PROTECTION_BITS
METHOD_BITS = {0x01: "access"} | _PROTECTION_BITS

FIRST_BITS_VERSION_LN = 3
FIRST_BITS_VERSION_SN = 4

_READ_MODES = frozenset({1, 3, 4, 6})
_WRITE_MODES = frozenset({2, 3, 5, 6})


def _words(mode: int, bits: dict[int, str]) -> tuple[str, ...]:
    return tuple(word for bit, word in bits.items() if mode & bit) or ("no-access",)


class AttributeAccess(NamedTuple):
    """What this association may do with an attribute; ``selectors``: its selective accesses, None where not listed."""

    mode: int
    bits: bool = False
    selectors: tuple[int, ...] | None = None

    @property
    def read(self) -> bool:
        """May be read."""
        return bool(self.mode & 1) if self.bits else self.mode in _READ_MODES or self.mode not in ATTRIBUTE_MODES

    @property
    def write(self) -> bool:
        """May be written."""
        return bool(self.mode & 2) if self.bits else self.mode in _WRITE_MODES or self.mode not in ATTRIBUTE_MODES

    @property
    def names(self) -> tuple[str, ...]:
        """The standard's words: one mode, or the names of the bits."""
        return _words(self.mode, ATTRIBUTE_BITS) if self.bits else (self.text,)

    @property
    def text(self) -> str:
        """For a table and JSON: ``read-and-write``, ``read-access, encrypted-request``."""
        if self.bits:
            return ", ".join(self.names)
        return ATTRIBUTE_MODES.get(self.mode, f"mode {self.mode}")


class MethodAccess(NamedTuple):
    """What this association may do with a method."""

    mode: int
    bits: bool = False

    @property
    def invoke(self) -> bool:
        """May be invoked."""
        return bool(self.mode & 1) if self.bits else self.mode != 0

    @property
    def names(self) -> tuple[str, ...]:
        """The standard's words: one mode, or the names of the bits."""
        return _words(self.mode, METHOD_BITS) if self.bits else (self.text,)

    @property
    def text(self) -> str:
        """For a table and JSON."""
        if self.bits:
            return ", ".join(self.names)
        return METHOD_MODES.get(self.mode, f"mode {self.mode}")
