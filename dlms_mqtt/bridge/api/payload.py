"""JSON as the MQTT API writes it: decimals exactly as they are (0.1 stays 0.1), times in ISO 8601, no NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from dlms_mqtt.protocol.obis import Obis

MAX_REQUEST = 262_144  # octets; nobody has a longer honest request
_DIGITS = 400  # more than a float64 can have before the point or zeros after it


def number_text(value: Decimal | float) -> str:
    """A number without exponent and without zeros that say nothing; '' for what is no number (NaN, infinity)."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    text = format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def plain_text(value: Any) -> str:
    """The text of ``value/<key>``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return number_text(value) if isinstance(value, int | float | Decimal) else _scalar_text(value)


def _scalar_text(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes) and not isinstance(value, Obis):
        return value.hex()
    return value if isinstance(value, str) else str(value)


def dumps(value: Any) -> str:
    """``value`` as JSON."""
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float | Decimal):
        return number_text(value) or "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(_scalar_text(value), ensure_ascii=False)


def _no_constant(text: str) -> None:
    raise ValueError(text)


def decimal_of(text: str) -> Decimal:
    """The number; ValueError when it is none or written out would have hundreds of digits (1e999999999)."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError(text) from None
    if value.is_finite() and abs(value.adjusted()) > _DIGITS:
        raise ValueError("a number of too many digits")
    return value


def loads(payload: bytes | str) -> Any:
    """JSON with decimals kept exactly; ValueError when it is none, too long, too deep or not UTF-8."""
    if len(payload) > MAX_REQUEST:
        raise ValueError("too long")
    text = payload.decode() if isinstance(payload, bytes) else payload
    try:
        value = json.loads(text, parse_float=decimal_of, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("too deep") from None
    if "\\u" in text:
        dumps(value).encode()  # half a surrogate pair is a text that could never be sent back
    return value
