"""OBIS codes (IEC 62056-61): the six-byte name of everything a meter knows.

Both spellings are read, ``1.0.1.8.0.255`` and ``1-0:1.8.0*255`` (the last group may be left out); printed dotted.
"""

from __future__ import annotations

import re

from dlms_mqtt.errors import ConfigError

_DOTTED = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?")
_CLASSIC = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[*.&](\d{1,3}))?")


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
        """The spelling of IEC 62056-61: ``1-0:1.8.0*255``."""
        return "{}-{}:{}.{}.{}*{}".format(*self)

    @classmethod
    def parse(cls, text: str) -> Obis:
        """Read either spelling; ConfigError when it is neither."""
        match = _DOTTED.fullmatch(text.strip()) or _CLASSIC.fullmatch(text.strip())
        groups = [int(group or 255) for group in match.groups()] if match else []
        if not groups or max(groups) > 255:
            raise ConfigError(f"'{text}' is not an OBIS code", hint="Write it as 1.0.1.8.0.255 or 1-0:1.8.0*255.")
        return cls(groups)
