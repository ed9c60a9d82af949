"""Replaces numbers, titles and secrets of a capture by others of the same length, the same by the same everywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_WINDOW = 4  # octets of a number that are enough to know it again where a block cuts it in two
_SHORTEST = 4


class Anonymiser:
    """Replaces what names a meter or opens it. ``salt`` makes the replacements of one capture; throw it away."""

    def __init__(self, names: Iterable[bytes], secrets: Iterable[bytes], salt: bytes) -> None:
        self._salt = salt
        self._map: dict[bytes, bytes] = {}
        for name in sorted({name for name in names if len(name) >= _SHORTEST}, key=len, reverse=True):
            self._add_name(name)
        for secret in secrets:
            if secret:
                self._map[bytes(secret)] = b"x" * len(secret)
        self._windows = {
            token[at : at + _WINDOW]: other[at : at + _WINDOW]
            for token, other in self._map.items()
            for at in range(len(token) - _WINDOW + 1)
            if len(set(token[at : at + _WINDOW])) > 2
        }

    def _add_name(self, name: bytes) -> None:
        longer = next((token for token in self._map if name in token), None)
        if longer is not None:
            start = longer.index(name)
            self._map[name] = self._map[longer][start : start + len(name)]
        else:
            self._map[name] = self._other(name)
        self._add_numbers(name, self._map[name])

    def _other(self, name: bytes) -> bytes:
        """Digits by digits, the rest of a text stays; of octets the first three (the maker's letters) stay."""
        noise = hashlib.blake2b(name, key=self._salt[:64]).digest()
        if re.fullmatch(rb"[ -~]+", name):
            return bytes(48 + noise[at % 64] % 10 if 48 <= octet <= 57 else octet for at, octet in enumerate(name))
        return name[:3] + bytes(noise[at % 64] for at in range(3, len(name)))

    def _add_numbers(self, name: bytes, other: bytes) -> None:
        """The same number in binary and packed decimal."""
        digits, others = re.sub(rb"\D", b"", name), re.sub(rb"\D", b"", other)
        if 6 <= len(digits) <= 18 and len(set(digits)) > 2:
            size = 4 if int(digits) < 1 << 32 and int(others) < 1 << 32 else 8
            self._map[int(digits).to_bytes(size, "big")] = int(others).to_bytes(size, "big")
            even = len(digits) % 2
            self._map[bytes.fromhex("0" * even + digits.decode())] = bytes.fromhex("0" * even + others.decode())

    def clean(self, data: bytes) -> bytes:
        """The same octets with every name and secret replaced, also where a frame has cut one in two."""
        for token in sorted(self._map, key=len, reverse=True):
            data = data.replace(token, self._map[token])
        replaced = bytearray(data)
        for at in range(len(data) - _WINDOW + 1):
            window = data[at : at + _WINDOW]
            if window in self._windows:
                replaced[at : at + _WINDOW] = self._windows[window]
        return bytes(replaced)

    def clean_parts(self, parts: list[bytes]) -> list[bytes]:
        """As ``clean``, for octets that follow each other: a name may lie across them."""
        cleaned, at, found = self.clean(b"".join(parts)), 0, []
        for part in parts:
            found.append(cleaned[at : at + len(part)])
            at += len(part)
        return found

    def clean_text(self, text: str) -> str:
        """As ``clean``, for text."""
        return self.clean(text.encode("latin-1", "replace")).decode("latin-1")
