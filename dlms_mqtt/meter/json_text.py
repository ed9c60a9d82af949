"""Numbers and documents as text, for command line, MQTT and library alike: decimals exactly as they are, no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

_QUOTED = {False: encode_basestring, True: encode_basestring_ascii}  # by whether it is to be ASCII
_NUMBERS = (int, float, Decimal)


def number_text(value: Decimal | float) -> str:
    """A number without exponent and without zeros that say nothing; '' for what is no number (NaN, infinity)."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, Decimal):
        value = Decimal(repr(value)) if math.isfinite(value) else Decimal("NaN")
    if not value.is_finite():
        return ""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def plain_text(value: Any) -> str:
    """The text of ``value/<key>``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return number_text(value) if isinstance(value, _NUMBERS) else _scalar_text(value)


def _scalar_text(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes) and not isinstance(value, Obis | Secret):  # these say themselves how they are shown
        return value.hex()
    return value if isinstance(value, str) else str(value)


def plain(value: Any) -> Any:
    """``value`` for Python's own ``json``, which knows no Decimal: int and float, as near as those come."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal | float):
        return _near(Decimal(value))
    return value if value is None or isinstance(value, int | str) else _scalar_text(value)


def _near(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def dumps(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """``value`` as JSON: 0.1 stays 0.1, times in ISO 8601, octets in hex, null for what is no number."""
    return _Writer(indent, ascii_only).text(value, 0)


class _Writer:
    """json.dumps knows no Decimal, and a float in its place is another number."""

    def __init__(self, indent: int | None, ascii_only: bool) -> None:
        self._indent = indent
        self._quoted = _QUOTED[ascii_only]

    def text(self, value: Any, level: int) -> str:
        if isinstance(value, str):
            return self._quoted(value)
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, _NUMBERS):
            return number_text(value) or "null"
        if isinstance(value, (dict, Mapping)):
            items = [f"{self._quoted(str(key))}: {self.text(item, level + 1)}" for key, item in value.items()]
            return self._bracketed("{", items, "}", level)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._bracketed("[", [self.text(item, level + 1) for item in value], "]", level)
        return self._quoted(_scalar_text(value))

    def _bracketed(self, begin: str, parts: list[str], end: str, level: int) -> str:
        if self._indent is None or not parts:
            return begin + ", ".join(parts) + end
        margin = "\n" + " " * self._indent * (level + 1)
        return begin + margin + f",{margin}".join(parts) + "\n" + " " * self._indent * level + end
