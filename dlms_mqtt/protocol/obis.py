"""OBIS codes (IEC 62056-6-1): the six-byte name of everything a meter knows.

What people write is read: ``1.0.1.8.0.255``, ``1-0:1.8.0*255``, ``1-0:1.8.0.255``, ``1-0:1.8.0&255``, ``1-0:1.8.0``
(group F left out: 255), ``1.8.0`` as on a meter's display (groups A and B left out: 1-0), ``0100010800FF``. Printed
dotted.
"""

from __future__ import annotations

import re

from dlms_mqtt.errors import ConfigError

_G = r"([0-9]{1,3})"
_DOTTED = re.compile(rf"{_G}\.{_G}\.{_G}\.{_G}\.{_G}(?:[*.&]{_G})?")
_CLASSIC = re.compile(rf"{_G}-{_G}:{_G}\.{_G}\.{_G}(?:[*.&]{_G})?")
_SHORT = re.compile(rf"()(){_G}\.{_G}\.{_G}(?:[*&]{_G})?")
_HEX = re.compile(r"[0-9A-Fa-f]{12}")
_LEFT_OUT = (1, 0, 0, 0, 0, 255)


class Obis(bytes):
    """Six octets A to F. Compares and hashes as bytes, prints as ``1.0.1.8.0.255``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ".".join(map(str, self))

    def __repr__(self) -> str:
        return f"Obis({self})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def classic(self) -> str:
        """The spelling of IEC 62056-6-1: ``1-0:1.8.0*255``."""
        return "{}-{}:{}.{}.{}*{}".format(*self)

    @classmethod
    def parse(cls, text: str) -> Obis:
        """Read any spelling; ConfigError when it is none."""
        found = cls.recognise(text)
        if found is None:
            raise ConfigError(f"'{text}' is not an OBIS code", hint="Write it as 1.0.1.8.0.255 or 1-0:1.8.0*255.")
        return found

    @classmethod
    def recognise(cls, text: str) -> Obis | None:
        """Read any spelling; None when it is none."""
        text = text.strip()
        if _HEX.fullmatch(text):
            return cls.fromhex(text)
        match = _DOTTED.fullmatch(text) or _CLASSIC.fullmatch(text) or _SHORT.fullmatch(text)
        if match is None:
            return None
        groups = [int(group or default) for group, default in zip(match.groups(), _LEFT_OUT, strict=True)]
        return cls(groups) if max(groups) <= 255 else None


CLOCK = Obis((0, 0, 1, 0, 0, 255))
"""The meter's clock, the one name that every layer above needs."""
