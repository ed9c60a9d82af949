"""Values as people and programs write them: text, plain Python or a JSON tree, checked before they reach a meter."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.axdr.decoding import MAX_DEPTH
from dlms_mqtt.protocol.axdr.timestamp_text import parse_date, parse_date_time, parse_time
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time
from dlms_mqtt.protocol.axdr.values import CONTAINERS, NUMBERS, Data, DataType
from dlms_mqtt.protocol.obis import Obis

T = DataType
_FLOATS = (T.FLOAT32, T.FLOAT64)

_BOOLEANS = dict.fromkeys(("true", "on", "yes", "1"), True) | dict.fromkeys(("false", "off", "no", "0"), False)


def parse_value(text: str, type: DataType) -> Data:  # noqa: A002
    """The value that someone wrote, as this type; ConfigError with the rule when it cannot be one."""
    return Data(type, _PARSERS[type](text.strip() if type not in _TEXTS else text, type))


def to_data(value: Any, type: DataType) -> Data:  # noqa: A002
    """Plain Python (numbers, bytes, text, lists, datetimes) as this type; ConfigError when it does not fit."""
    if isinstance(value, str):
        return parse_value(value, type)
    if type in CONTAINERS:
        return Data(type, _items(value, type, MAX_DEPTH))
    return Data(type, _CHECKS[type](value, type))


def from_tree(tree: Any) -> Data:
    """The value of a JSON tree ``[type, value]``, as ``Data.tree`` makes it; ConfigError."""
    return _from_tree(tree, MAX_DEPTH)


def _from_tree(tree: Any, depth: int) -> Data:
    kind = T.from_text(tree[0]) if _is_node(tree) else None
    if kind is None:
        raise ConfigError('a value is written [type, value], for example ["unsigned", 5]')
    value = tree[1]
    if kind in CONTAINERS:
        return Data(kind, _items(value, kind, depth))
    if kind in _HEX and isinstance(value, str):
        return Data(kind, _HEX[kind](_octets(value, kind)))
    return to_data(value, kind)


def _is_node(tree: Any) -> bool:
    return isinstance(tree, list | tuple) and len(tree) == 2 and isinstance(tree[0], str)


def _items(value: Any, kind: DataType, depth: int) -> tuple[Data, ...]:
    if not isinstance(value, list | tuple) or not depth:
        raise ConfigError(f"{kind.text} is written as a list of [type, value], {MAX_DEPTH} deep at most")
    return tuple(item if isinstance(item, Data) else _from_tree(item, depth - 1) for item in value)


# --- one check for each group of types: plain Python -> what Data holds ---------------------------------------------

_RANGES = {
    kind: (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if code.islower() else (0, (1 << 8 * size) - 1)
    for kind, code in NUMBERS.items()
    if kind not in _FLOATS
    for size in (struct.calcsize(">" + code),)
}


def _wrong(value: Any, kind: DataType, rule: str) -> ConfigError:
    return ConfigError(f"{value!r} is no {kind.text}", hint=f"{kind.text} is {rule}.")


def _integer(value: Any, kind: DataType) -> int:
    low, high = _RANGES[kind]
    try:
        number = int(value)
        exact = not isinstance(value, bool | bytes) and number == value  # 21.0 out of JSON is 21
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or not low <= number <= high:
        raise _wrong(value, kind, f"a whole number from {low} to {high}")
    return number


def _float(value: Any, kind: DataType) -> float:
    try:
        number = struct.unpack(">" + NUMBERS[kind], struct.pack(">" + NUMBERS[kind], value))[0]
    except (struct.error, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise _wrong(value, kind, "a number")
    return float(value)


def _boolean(value: Any, kind: DataType) -> bool:
    if value not in (0, 1) or not isinstance(value, int):
        raise _wrong(value, kind, "true or false")
    return bool(value)


def _nothing(value: Any, kind: DataType) -> None:
    if value is not None:
        raise _wrong(value, kind, "no value: write null")


def _bytes(value: Any, kind: DataType) -> bytes:
    """An octet-string; times as octets too, because most meters keep them so."""
    if isinstance(value, DateTime | Date | Time):
        return value.raw
    if isinstance(value, datetime | date | time):
        return bytes(_from_plain(value).raw)
    if not isinstance(value, bytes | bytearray):
        raise _wrong(value, kind, _OCTETS_RULE)
    return bytes(value)


def _bcd(value: Any, kind: DataType) -> bytes:
    if not isinstance(value, bytes | bytearray) or len(value) != 1:
        raise _wrong(value, kind, "one octet: two digits")
    return bytes(value)


def _from_plain(value: Any) -> Date | DateTime | Time:
    if isinstance(value, datetime):
        return DateTime.from_datetime(value)
    return Date.from_date(value) if isinstance(value, date) else Time.from_time(value)


def _moment(value: Any, kind: DataType) -> Date | DateTime | Time:
    made = _from_plain(value) if isinstance(value, datetime | date | time) else value
    if isinstance(made, DateTime | Date | Time) and type(made) is _MOMENTS[kind]:
        return made
    raise _wrong(value, kind, f"a {kind.text} such as {_EXAMPLES[kind]}")


def _text_only(value: Any, kind: DataType) -> str:
    raise _wrong(value, kind, "text")


_CHECKS: dict[DataType, Callable[[Any, DataType], Any]] = {
    **dict.fromkeys(_RANGES, _integer),
    **dict.fromkeys(_FLOATS, _float),
    **dict.fromkeys((T.NULL_DATA, T.DONT_CARE), _nothing),
    **dict.fromkeys((T.BIT_STRING, T.VISIBLE_STRING, T.UTF8_STRING), _text_only),
    **dict.fromkeys((T.DATE_TIME, T.DATE, T.TIME), _moment),
    T.BOOLEAN: _boolean,
    T.OCTET_STRING: _bytes,
    T.BCD: _bcd,
}


# --- one parser for each group of types: text -> what Data holds ----------------------------------------------------

_INTEGER_TEXT = re.compile(r"[+-]?(\d{1,20}|0[xX][0-9a-fA-F]{1,16})", re.ASCII)
_OCTETS_RULE = "hex digits, text:..., an OBIS code, or a date or time such as 2026-12-31T08:30:00+01:00"
_EXAMPLES = {T.DATE_TIME: "2026-12-31T08:30:00+01:00", T.DATE: "2026-12-31", T.TIME: "08:30:00"}
_MOMENTS: dict[DataType, type] = {T.DATE_TIME: DateTime, T.DATE: Date, T.TIME: Time}
_TEXTS = (T.VISIBLE_STRING, T.UTF8_STRING)


def _parse_integer(text: str, kind: DataType) -> int:
    match = _INTEGER_TEXT.fullmatch(text)
    number = int(text, 16 if "x" in text.lower() else 10) if match else math.nan
    return _integer(number if match else text, kind)


def _parse_float(text: str, kind: DataType) -> float:
    try:
        return _float(float(text), kind)
    except ValueError:
        raise _wrong(text, kind, "a number such as 21.5") from None


def _parse_boolean(text: str, kind: DataType) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise _wrong(text, kind, "true or false")
    return value


def _parse_nothing(text: str, kind: DataType) -> None:
    if text.lower() not in ("", "null"):
        raise _wrong(text, kind, "no value: write null")


def _parse_bits(text: str, kind: DataType) -> str:
    if set(text) - {"0", "1"}:
        raise _wrong(text, kind, "a row of 0 and 1")
    return text


def _parse_ascii(text: str, kind: DataType) -> str:
    if not text.isascii():
        raise _wrong(text, kind, "ASCII text")
    return text


def _parse_utf8(text: str, kind: DataType) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _wrong(text, kind, "text") from None
    return text


def _octets(text: str, kind: DataType) -> bytes:
    digits = re.sub(r"^(0x|hex:)|[ :]", "", text)
    if len(digits) % 2 or re.search(r"[^0-9a-fA-F]", digits):
        raise _wrong(text, kind, "an even number of hex digits" if kind != T.OCTET_STRING else _OCTETS_RULE)
    raw = bytes.fromhex(digits)
    size = {T.BCD: 1, T.DATE_TIME: 12, T.DATE: 5, T.TIME: 4}.get(kind, len(raw))
    if len(raw) != size:
        raise _wrong(text, kind, f"{2 * size} hex digits")
    return raw


_OCTET_FORMS: tuple[tuple[str, Callable[[str], bytes]], ...] = (
    (r"text:.*", lambda text: text[5:].encode()),
    (r"(\d+\.){4,5}\d+|\d+-\d+:.*", Obis.parse),
    (r"(\d{4}|\*)-[^T ]*[T ].*", lambda text: parse_date_time(text).raw),
    (r"(\d{4}|\*)-.*", lambda text: parse_date(text).raw),
    (r"[\d*]{1,2}:[\d*]{1,2}(:[\d*.]+)?", lambda text: parse_time(text).raw),
)


def _parse_octets(text: str, kind: DataType) -> bytes:
    for pattern, parse in _OCTET_FORMS:
        if re.fullmatch(pattern, text, re.ASCII | re.DOTALL):
            return bytes(parse(text))
    return _octets(text, kind)


def _parse_moment(text: str, kind: DataType) -> Date | DateTime | Time:
    parse: dict[DataType, Callable[[str], Date | DateTime | Time]]
    parse = {T.DATE_TIME: parse_date_time, T.DATE: parse_date, T.TIME: parse_time}
    if re.fullmatch(r"(0x|hex:)?[0-9a-fA-F]+", text):
        moment: Date | DateTime | Time = _MOMENTS[kind](_octets(text, kind))
        return moment
    return parse[kind](text)


def _parse_container(text: str, kind: DataType) -> tuple[Data, ...]:
    """The tree of the value, or the list of its elements' trees."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong(text, kind, 'JSON such as [["unsigned", 5], ["enum", 1]]') from None
    if _is_node(tree) and tree[0] == kind.text:
        tree = tree[1]
    return _items(tree, kind, MAX_DEPTH)


_HEX: dict[DataType, Callable[[bytes], Any]] = {
    T.OCTET_STRING: bytes,
    T.BCD: bytes,
    T.DATE_TIME: DateTime,
    T.DATE: Date,
    T.TIME: Time,
}

_PARSERS: dict[DataType, Callable[[str, DataType], Any]] = {
    **dict.fromkeys(_RANGES, _parse_integer),
    **dict.fromkeys(_FLOATS, _parse_float),
    **dict.fromkeys((T.NULL_DATA, T.DONT_CARE), _parse_nothing),
    **dict.fromkeys(CONTAINERS, _parse_container),
    **dict.fromkeys((T.DATE_TIME, T.DATE, T.TIME), _parse_moment),
    T.BOOLEAN: _parse_boolean,
    T.BIT_STRING: _parse_bits,
    T.VISIBLE_STRING: _parse_ascii,
    T.UTF8_STRING: _parse_utf8,
    T.OCTET_STRING: _parse_octets,
    T.BCD: _octets,
}
