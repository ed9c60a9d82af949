"""Octets for the trace, without those of known secrets: a line may give back late what was said long ago."""

from __future__ import annotations

from collections.abc import Iterable

_PART = 3  # octets of a secret that are hidden where a read begins or ends with them: it may have been cut there


def masked(data: bytes, secrets: Iterable[bytes]) -> str:
    """``data`` in hexadecimal, with ``**`` for each octet of a secret, also of one that the read has cut in two."""
    hidden: set[int] = set()
    for secret in secrets:
        hidden.update(_whole(data, secret))
        ends = [size for size in range(_PART, len(secret)) if data.endswith(secret[:size])]
        begins = [size for size in range(_PART, len(secret)) if data.startswith(secret[-size:])]
        hidden.update(range(len(data) - max(ends, default=0), len(data)))
        hidden.update(range(max(begins, default=0)))
    if not hidden:
        return data.hex()
    return "".join("**" if index in hidden else f"{octet:02x}" for index, octet in enumerate(data))


def _whole(data: bytes, secret: bytes) -> Iterable[int]:
    at = data.find(secret) if secret else -1
    while at >= 0:
        yield from range(at, at + len(secret))
        at = data.find(secret, at + 1)
