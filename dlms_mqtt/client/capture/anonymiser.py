"""Replaces numbers, titles and secrets of a capture by others of the same length, the same by the same everywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_WINDOW = 4  # octets of a number that are enough to know it again where a block cuts it in two
SHORTEST = 4  # octets of a name: a shorter one is found in too many places that mean something else
_SMALL = 0xFFFF  # such a number is found in too many places that mean something else
_TEXT = re.compile(rb"[ -~]+[\x00\xff]*")  # some meters fill it up
_DIGITS, _LETTERS = range(48, 58), (range(65, 91), range(97, 123))
_NO_TEXT = range(128, 256)


class Anonymiser:
    """Replaces what names a meter or opens it. ``salt`` makes the replacements of one capture; throw it away.

    Of ``names`` the first three octets stay (the maker's letters); of ``hide``, texts of the user's own, none does.
    """

    def __init__(
        self, names: Iterable[bytes], secrets: Iterable[bytes], salt: bytes, hide: Iterable[bytes] = ()
    ) -> None:
        self._salt = salt
        self._map: dict[bytes, bytes] = {}
        self._windows: dict[bytes, bytes] = {}
        for keep, group in ((0, hide), (3, names)):
            for name in sorted({name for name in group if len(name) >= SHORTEST}, key=len, reverse=True):
                self._add(name, self._other(name, keep))
        for secret in filter(None, map(bytes, secrets)):
            self._add(secret, b"x" * len(secret))

    def _other(self, name: bytes, keep: int) -> bytes:
        """Of the same length and kind; a part of a longer name becomes the same part of that one's replacement."""
        longer = next((token for token in self._map if name in token), None)
        if longer is not None:
            start = longer.index(name)
            return self._map[longer][start : start + len(name)]
        noise = hashlib.blake2b(name, key=self._salt[:64]).digest()
        text = _TEXT.fullmatch(name) is not None
        return bytes(
            octet if at < keep and octet not in _DIGITS else _replaced(octet, noise[at % 64], text)
            for at, octet in enumerate(name)
        )

    def _add(self, name: bytes, other: bytes) -> None:
        self._map |= zip(_texts(name), _texts(other), strict=True)
        digits, others = _digits(name), _digits(other)
        if 6 <= len(digits) <= 18 and int(digits) > _SMALL:
            made = _packings(others) if others else [b"x" * len(form) for form in _packings(digits)]
            self._map |= zip(_packings(digits), made, strict=True)
        for at in range(len(name) - _WINDOW + 1):
            window = name[at : at + _WINDOW]
            if len(set(window)) > 2 and not window.isalpha():
                self._windows[window] = other[at : at + _WINDOW]

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


def _replaced(octet: int, noise: int, text: bool) -> int:
    """A digit by a digit, a letter by a letter; what is no text by what is none. Nothing else becomes a digit."""
    if octet in _DIGITS:
        kind = _DIGITS
    elif text:
        kind = next((letters for letters in _LETTERS if octet in letters), range(octet, octet + 1))
    else:
        kind = _NO_TEXT
    return kind[noise % len(kind)]


def _texts(octets: bytes) -> list[bytes]:
    """As it is, from its other end, and in hexadecimal."""
    return [octets, octets[::-1], octets.hex().encode(), octets.hex().upper().encode()]


def _digits(octets: bytes) -> bytes:
    return re.sub(rb"\D", b"", octets)


def _packings(digits: bytes) -> list[bytes]:
    """The same number in binary (four and eight octets) and packed decimal, each from either end."""
    number = int(digits)
    packed = bytes.fromhex("0" * (len(digits) % 2) + digits.decode())
    forms = [(number & 0xFFFFFFFF).to_bytes(4, "big"), number.to_bytes(8, "big"), packed]
    return [*forms, *(form[::-1] for form in forms)]
