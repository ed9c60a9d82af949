"""JSON as the MQTT API writes it: decimals exactly as they are (0.1 stays 0.1), times in ISO 8601, no NaN."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from dlms_mqtt.meter.json_text import dumps, number_text, plain_text

__all__ = ["MAX_REQUEST", "decimal_of", "dumps", "is_too_long", "loads", "number_text", "plain_text"]

MAX_REQUEST = 262_144  # octets; nobody has a longer honest request
_DIGITS = 400  # more than a float64 can have before the point or zeros after it


def _no_constant(text: str) -> None:
    raise ValueError(text)


def decimal_of(text: str) -> Decimal:
    """The number; ValueError when it is none or written out would have hundreds of digits (1e999999999)."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError(text) from None
    if is_too_long(value):
        raise ValueError("a number of too many digits")
    return value


def is_too_long(value: Decimal) -> bool:
    """Would it be hundreds of digits or zeros, written out?"""
    return value.is_finite() and abs(value.adjusted()) > _DIGITS


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
