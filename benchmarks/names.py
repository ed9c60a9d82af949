"""The objects of the fast meter. Imports nothing, so that a contender's memory holds only its own library."""

from __future__ import annotations

Code = tuple[int, int, int, int, int, int]

REGISTERS: list[Code] = [(1, 0, c, d, 0, 255) for c in (1, 2, 3, 4, 21, 22, 41, 42, 61, 62) for d in (7, 8)]
PROFILE: Code = (1, 0, 99, 1, 0, 255)
CLOCK: Code = (0, 0, 1, 0, 0, 255)
STATUS: Code = (0, 0, 96, 10, 1, 255)
VIEW: Code = (0, 0, 40, 0, 0, 255)
FIRST, LAST = 123456, 123475  # what the twenty registers hold


def dotted(code: Code) -> str:
    """``1.0.1.8.0.255``."""
    return ".".join(map(str, code))
