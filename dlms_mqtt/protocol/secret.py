"""A key or password: bytes whose text is always ``***``.

Only code that computes with a secret sees its bytes; a log line, an error or a diagnostic shows stars.
"""

from __future__ import annotations


class Secret(bytes):
    """Bytes that print as ``***``: ``repr``, ``str`` and ``format``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)
