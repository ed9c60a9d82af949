"""A key or password: bytes whose text is always ``***``.

Only code that computes with a secret sees its bytes; a log line, an error or a diagnostic shows stars.
"""

from __future__ import annotations

from collections.abc import Iterable


class Secret(bytes):
    """Bytes that print as ``***``: ``repr``, ``str`` and ``format``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)


def mark_of(secrets: Iterable[bytes], salt: bytes) -> str:
    """Tells whether secrets are the same as before, and nothing else about them; what is kept of them on disk."""
    import hashlib  # most programs have no secret, or nothing to remember of it

    # scrypt and no plain hash: meter passwords are often eight digits, which are tried through in a second.
    return hashlib.scrypt(b"\0".join(map(bytes, secrets)), salt=salt, n=1024, r=8, p=1, dklen=12).hex()
