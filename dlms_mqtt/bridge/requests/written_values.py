"""A value that somebody wants written, checked and turned into what the meter holds; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, tzinfo
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.payload import decimal_of
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.readings import convert, date_time_of
from dlms_mqtt.protocol.axdr.data import Data, DataType, parse_value, to_data
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.times import parse_moment

_TEXTS = (DataType.OCTET_STRING, DataType.VISIBLE_STRING, DataType.UTF8_STRING)
_FLOATS = (DataType.FLOAT32, DataType.FLOAT64)
_NUMBERS = frozenset(
    (
        DataType.INTEGER,
        DataType.LONG,
        DataType.DOUBLE_LONG,
        DataType.LONG64,
        DataType.UNSIGNED,
        DataType.LONG_UNSIGNED,
        DataType.DOUBLE_LONG_UNSIGNED,
        DataType.LONG64_UNSIGNED,
        DataType.ENUM,
        *_FLOATS,
    )
)


def item_data(item: PlanItem, value: Any, text: str, kind: DataType, scaled: ScalerUnit | None) -> Data:
    """The value of a writable item as the meter wants it; RequestError ``invalid-value``."""
    config = item.config
    assert config is not None  # noqa: S101 - only a configured item is writable
    if config.transform:
        raise RequestError("not-supported", "An item with a transform cannot be written")
    if item.quantity.words:
        return _checked(_number_of_word(item.quantity.words, text), kind)
    if config.max_length and len(text) > config.max_length:
        raise RequestError("invalid-value", f"The text is longer than {config.max_length} characters")
    if config.max_length or kind not in _NUMBERS:
        return _text(text, kind)
    number = _number(value, text)
    if config.min is not None and config.max is not None and not config.min <= number <= config.max:
        raise RequestError("invalid-value", f"The value must be from {config.min} to {config.max}")
    return _checked(_unscaled(number, scaled, item), kind)


def moment_data(text: str, moment: DataType, held: Data | None, zone: tzinfo, sense: int) -> Data:
    """A date-time, date or time written as the meter writes what it holds: its zone, deviation and type.

    ``zone``, ``sense``: of the meter's clock. A date-time without an offset is the meter's local time.
    RequestError ``invalid-value``.
    """
    try:
        data = _plain_moment(text.strip(), moment, held, zone, sense)
    except (ConfigError, ValueError, OverflowError):  # perhaps with parts that are not specified
        data = free_data(text, moment)
    return Data(held.type, data.value.raw) if held and held.type is DataType.OCTET_STRING else data


def _plain_moment(text: str, moment: DataType, held: Data | None, zone: tzinfo, sense: int) -> Data:
    """A complete date-time on the meter's own clock, a complete date or time of day.

    Else ValueError or ConfigError.
    """
    if moment is DataType.DATE:
        return to_data(date.fromisoformat(text), moment)
    if moment is DataType.TIME:
        return to_data(time.fromisoformat(text), moment)
    known = date_time_of(held) if held else None
    local = parse_moment(text, zone).astimezone(zone)
    stated = known is None or known.deviation is not None
    return Data(moment, DateTime.from_datetime(local, deviation=stated, sense=sense))


def _number_of_word(words: Mapping[int, str], text: str) -> Decimal:
    found = next((number for number, word in words.items() if text in (word, str(number))), None)
    if found is None:
        raise RequestError("invalid-value", f"The value must be one of {', '.join(words.values())}")
    return Decimal(found)


def _number(value: Any, text: str) -> Decimal:
    try:
        number = decimal_of(text) if not isinstance(value, Decimal | int) or isinstance(value, bool) else Decimal(value)
    except ValueError:
        raise RequestError("invalid-value", "The value must be a number") from None
    if not number.is_finite():
        raise RequestError("invalid-value", "The value must be a number")
    return number


def _unscaled(number: Decimal, scaled: ScalerUnit | None, item: PlanItem) -> Decimal:
    config = item.config
    scaler = config.scaler if config and config.scaler is not None else scaled.scaler if scaled else 0
    if scaled is None or (config and config.unit is not None):
        return number.scaleb(-scaler)
    one = convert(Decimal(1), scaled.unit, item.quantity.unit)[0]
    return (number / one).scaleb(-scaler)


def _checked(number: Decimal, kind: DataType) -> Data:
    if kind not in _FLOATS and number != number.to_integral_value():
        raise RequestError("invalid-value", "The meter cannot hold so many decimals")
    try:
        return to_data(float(number) if kind in _FLOATS else int(number), kind)
    except ConfigError as error:
        raise RequestError("invalid-value", error.message, hint=error.hint) from None


def _text(text: str, kind: DataType) -> Data:
    if kind is DataType.OCTET_STRING:
        return Data(kind, text.encode())
    return free_data(text, kind)


def free_data(value: Any, kind: DataType) -> Data:
    """A value of a free request as this type; RequestError ``invalid-value``."""
    try:
        if isinstance(value, str):
            return parse_value(value, kind)
        if isinstance(value, Decimal):
            return _checked(value, kind)
        return to_data(value, kind)
    except (ConfigError, TypeError, ValueError) as error:
        message = error.message if isinstance(error, ConfigError) else f"The value does not fit {kind.text}"
        raise RequestError("invalid-value", message, hint=getattr(error, "hint", "")) from None


def type_named(name: Any) -> DataType | None:
    """The type of a request; None when it names none."""
    if name is None:
        return None
    found = DataType.from_text(name) if isinstance(name, str) else None
    if found is None:
        raise RequestError("invalid-value", f"'{name}' is no DLMS type", hint="Such as long-unsigned.")
    return found
