"""Python values on their way to the meter: as the type that it holds, in the unit that it is read in."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import NUMBERS, Data, DataType, to_data
from dlms_mqtt.protocol.axdr.timestamps import DateTime

_FLOATS = (DataType.FLOAT32, DataType.FLOAT64)
_SMALL_NUMBERS = (DataType.INTEGER, DataType.LONG, DataType.UNSIGNED)
# What a method without a stated argument takes: most meters want integer 0, never a bare null.
_NO_ARGUMENT = Data(DataType.INTEGER, 0)


def type_named(name: str | None) -> DataType | None:
    """The type of that name, None where none is given. ConfigError."""
    found = DataType.from_text(name) if name is not None else None
    if name is not None and found is None:
        raise ConfigError(f"'{name}' is no DLMS type", key="type", hint="Such as long-unsigned or octet-string.")
    return found


def written(value: Any, kind: DataType, scaled: ScalerUnit | None, zone: tzinfo, sense: int = -1) -> Data:
    """A value as the meter holds it; ConfigError where it does not fit. ``zone``, ``sense``: of the meter's clock."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=zone)
        value = DateTime.from_datetime(moment.astimezone(zone), sense=sense)
    elif isinstance(value, str) and kind is DataType.OCTET_STRING:
        value = value.encode()
    elif kind in NUMBERS and not isinstance(value, bool):
        value = _number(value, kind, scaled)
    try:
        return to_data(value, kind)
    except ConfigError as error:
        raise ConfigError(error.message, key="value", hint=error.hint) from None


def _number(value: Any, kind: DataType, scaled: ScalerUnit | None) -> int | float:
    try:
        number = Decimal(str(value)).scaleb(-scaled.scaler if scaled else 0)
    except InvalidOperation:
        raise ConfigError(f"{value!r} is no number", key="value") from None
    if kind in _FLOATS:
        return float(number)
    if not number.is_finite() or number != number.to_integral_value():
        raise ConfigError(f"the meter cannot hold so many decimals as {value} has", key="value")
    return int(number)


def argument_of(method: MethodDescriptor, argument: Any, kind: DataType | None) -> Data:
    """The argument of a method in the type that was asked for, else in the one its class states. ConfigError."""
    if isinstance(argument, Data):
        return argument
    row = find(method.class_id)
    stated = row.method(method.method) if row else None
    kind = kind or (stated.type if stated else None)
    if argument is None:
        return Data(kind, 0) if kind in _SMALL_NUMBERS else _NO_ARGUMENT
    if kind is None:
        raise ConfigError(f"the type of the argument of {method} is not known", key="type", hint="Give type=...")
    return to_data(argument, kind)
