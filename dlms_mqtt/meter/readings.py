"""From what a meter sent to what people read: raw value, scaler and unit -> a value in the published unit.

Everything is computed in Decimal, so 0.1 stays 0.1. A value that cannot be believed is published with the word for it
in ``quality``, never silently changed.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

from dlms_mqtt.cosem.classes import scaler_attribute
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.quantity import Kind, Quantity
from dlms_mqtt.meter.json_text import number_text
from dlms_mqtt.protocol.axdr.data import CONTAINERS, NUMBERS, Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.axdr.values import shortest_float32
from dlms_mqtt.protocol.obis import Obis

Value = Decimal | str | None


class Quality(StrEnum):
    """How far a reading can be trusted."""

    GOOD = "good"
    UNSCALED = "unscaled"  # the meter did not tell scaler and unit: the number is as sent
    OTHER_UNIT = "other-unit"  # the meter's unit cannot be turned into the quantity's
    NOT_SPECIFIED = "not-specified"  # the meter said that it has no value now
    UNREADABLE = "unreadable"  # not the kind of value that this quantity has


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one meter at one time. ``value`` is a number or text; ``raw`` is plain Python as sent."""

    obis: Obis
    class_id: int | None
    attribute: int
    key: str
    raw: Any
    scaler: int | None
    value: Value
    unit: str
    time: datetime
    quality: str = Quality.GOOD


# (the meter's unit, the published unit) -> factor; a pair that is missing cannot be converted.
CONVERSIONS: dict[tuple[str, str], Decimal] = {
    ("Wh", "kWh"): Decimal("0.001"),
    ("varh", "kvarh"): Decimal("0.001"),
    ("VAh", "kVAh"): Decimal("0.001"),
    ("J", "kWh"): 1 / Decimal(3_600_000),
    ("J", "MJ"): Decimal("0.000001"),
    ("J/h", "W"): 1 / Decimal(3600),
    ("L", "m³"): Decimal("0.001"),
    ("m³/d", "m³/h"): 1 / Decimal(24),
    ("Pa", "bar"): Decimal("0.00001"),
    ("atm", "bar"): Decimal("1.01325"),
    ("", "%"): Decimal(1),
    ("%", ""): Decimal("0.01"),
    ("A", "mA"): Decimal(1000),
    ("V²h", ""): Decimal(1),
    ("A²h", ""): Decimal(1),
    ("1/Wh", ""): Decimal(1000),  # a pulse constant is told in pulses per kWh
    ("1/varh", ""): Decimal(1000),
    ("1/VAh", ""): Decimal(1000),
    **{
        (one, other): Decimal(seconds) / Decimal(others)
        for one, seconds in (("s", 1), ("min", 60), ("h", 3600), ("d", 86_400))
        for other, others in (("s", 1), ("min", 60), ("h", 3600), ("d", 86_400))
        if one != other
    },
}
# What a unit is published as where the quantity does not say.
PUBLISHED = {"Wh": "kWh", "varh": "kvarh", "VAh": "kVAh", "J": "MJ", "Pa": "bar", "L": "m³"}
_DIGITS = Decimal("0.000000001")  # where a factor has no end, as from joule


def convert(value: Decimal, unit: str, quantity_unit: str | None) -> tuple[Decimal, str, Quality]:
    """The value in the unit that is published, that unit, and ``other-unit`` where the meter's does not fit."""
    wanted = PUBLISHED.get(unit, unit) if quantity_unit is None else quantity_unit
    if unit == wanted:
        return value, unit, Quality.GOOD
    factor = CONVERSIONS.get((unit, wanted))
    if factor is not None:
        return _exact(value * factor), wanted, Quality.GOOD
    if quantity_unit is None:
        return value, unit, Quality.GOOD
    converted, published, _ = convert(value, unit, None)
    return converted, published, Quality.OTHER_UNIT


def _exact(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return value.quantize(_DIGITS) if isinstance(exponent, int) and exponent < -15 else value


def read(
    quantity: Quantity,
    data: Data,
    scaler_unit: ScalerUnit | None,
    zone: tzinfo | None = None,
    sense: int = -1,
) -> tuple[Value, str, Quality]:
    """Value, unit and quality of what the meter sent. ``zone``, ``sense``: see ``DateTime.to_datetime``."""
    if data.type in (DataType.NULL_DATA, DataType.DONT_CARE):
        return None, quantity.unit or "", Quality.NOT_SPECIFIED
    if quantity.kind is Kind.TIMESTAMP:
        return _timestamp(data, zone, sense)
    if quantity.kind is Kind.BITS:
        return _bits(data)
    number = number_of(data)
    if quantity.kind is Kind.NUMBER and _says_nothing(quantity, data, number):
        return None, quantity.unit or "", Quality.NOT_SPECIFIED
    if quantity.kind is Kind.ENUM and number is not None:
        return quantity.words.get(int(number), number_text(number)), "", Quality.GOOD
    if number is None or quantity.kind is Kind.TEXT:
        return _text(data, zone, sense)
    return _scaled(quantity, number, scaler_unit)


# Of what flows now a meter says "no value" by the ends of the type's range (0xFFFF, 0x7FFFFFFF, 0x8000): it is no such
# power or voltage. Counters come by these numbers honestly, and octets of one byte by 255.
_MOMENTARY = frozenset(
    ("power", "reactive_power", "apparent_power", "voltage", "current", "frequency", "power_factor", "temperature")
)
_ENDS = {
    kind: {(1 << 8 * struct.calcsize(code)) - 1}
    if code.isupper()
    else {(1 << 8 * struct.calcsize(code) - 1) - 1, -(1 << 8 * struct.calcsize(code) - 1)}
    for kind, code in NUMBERS.items()
    if code in "hiqHIQ"
}


def _says_nothing(quantity: Quantity, data: Data, number: Decimal | None) -> bool:
    """Is it the number for "no value", or none at all (NaN)?"""
    if number is None:
        return isinstance(data.value, float)
    return quantity.device_class in _MOMENTARY and data.value in _ENDS.get(data.type, ())


def _scaled(quantity: Quantity, number: Decimal, scaler_unit: ScalerUnit | None) -> tuple[Value, str, Quality]:
    if scaler_unit is None:
        plain = not quantity.unit
        return number, "", Quality.GOOD if plain else Quality.UNSCALED
    return convert(number.scaleb(scaler_unit.scaler), scaler_unit.unit, quantity.unit)


def _timestamp(data: Data, zone: tzinfo | None, sense: int) -> tuple[Value, str, Quality]:
    moment = date_time_of(data)
    if moment is None:
        text = _text(data, zone, sense)[0]
        return text, "", Quality.UNREADABLE
    exact = moment.to_datetime(zone, sense)
    return (moment.iso(), "", Quality.NOT_SPECIFIED) if exact is None else (exact.isoformat(), "", Quality.GOOD)


def _bits(data: Data) -> tuple[Value, str, Quality]:
    word = bit_word(data)
    return (None, "", Quality.UNREADABLE) if word is None else (Decimal(word), "", Quality.GOOD)


def _text(data: Data, zone: tzinfo | None, sense: int) -> tuple[Value, str, Quality]:
    return text_of(data, zone, sense), "", Quality.GOOD


def make_reading(
    quantity: Quantity,
    data: Data,
    time: datetime,
    *,
    obis: Obis,
    class_id: int | None,
    attribute: int = 2,
    scaler_unit: ScalerUnit | None = None,
    zone: tzinfo | None = None,
    sense: int = -1,
) -> Reading:
    """What the meter sent, as a reading; ``scaler_unit`` None where the object has none or it is unknown."""
    value, unit, quality = read(quantity, data, scaler_unit, zone, sense)
    scaler = scaler_unit.scaler if scaler_unit else None
    return Reading(obis, class_id, attribute, quantity.key, data.plain(), scaler, value, unit, time, quality)


def judged(reading: Reading) -> Reading:
    """A register has a scaler, even where its quantity has no unit (a power factor of 980)."""
    scaled = reading.scaler is not None or scaler_attribute(reading.class_id or 0, reading.attribute) is None
    if scaled or reading.quality != Quality.GOOD or not isinstance(reading.value, Decimal):
        return reading
    return replace(reading, quality=Quality.UNSCALED)


# --- what plain data says -------------------------------------------------------------------------------------------


def number_of(data: Data) -> Decimal | None:
    """The number, exactly as sent; a float32 in the shortest form that means the same. None when it is none."""
    value = data.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Decimal(value) if isinstance(value, bool) else None
    if isinstance(value, int):
        return Decimal(value)
    number = Decimal(shortest_float32(value) if data.type == DataType.FLOAT32 else repr(value))
    return number if number.is_finite() else None


def bit_word(data: Data) -> int | None:
    """A word of flags as a number: bit 0 of a number is its lowest, of a bit-string its first one."""
    value = data.value
    if data.type == DataType.BIT_STRING:
        return int(value[::-1] or "0", 2)
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return int(value) if isinstance(value, int) and value >= 0 else None


def date_time_of(data: Data) -> DateTime | None:
    """A date-time, also out of twelve octets that can be nothing else; None when it is none."""
    if isinstance(data.value, DateTime):
        return data.value
    if isinstance(data.value, bytes) and plausible_date_time(data.value):
        return DateTime.decode(data.value)
    return None


def _in(value: int, low: int, high: int, *special: int) -> bool:
    return low <= value <= high or value in special or value == 0xFF


def plausible_date_time(raw: bytes) -> bool:
    """Whether twelve octets look like a date-time: every part in its range or "not specified"."""
    if len(raw) != 12:
        return False
    year, deviation = int.from_bytes(raw[:2], "big"), int.from_bytes(raw[9:11], "big", signed=True)
    return (
        (1970 <= year <= 2135 or year == 0xFFFF)
        and _in(raw[2], 1, 12, 0xFD, 0xFE)
        and _in(raw[3], 1, 31, 0xFD, 0xFE, 0xE1)
        and _in(raw[4], 1, 7)
        and _in(raw[5], 0, 23)
        and _in(raw[6], 0, 59)
        and _in(raw[7], 0, 59)
        and _in(raw[8], 0, 99)
        and (-840 <= deviation <= 840 or deviation == -0x8000)
        and raw != b"\xff" * 12
    )


def octets_text(raw: bytes) -> str | None:
    """Octets as text when they are printable (zeros and blanks at the end aside), else None."""
    trimmed = raw.rstrip(b"\x00 \xff")
    if not trimmed:
        return None
    try:
        text = trimmed.decode("ascii" if max(trimmed) < 0x80 else "utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def text_of(data: Data, zone: tzinfo | None = None, sense: int = -1) -> str | None:
    """Any value as text: a date-time in ISO 8601, printable octets as they read, others in hex; None when nested."""
    value = data.value
    if data.type in CONTAINERS or value is None:
        return None
    moment = date_time_of(data)
    if moment is not None:
        exact = moment.to_datetime(zone, sense)
        return exact.isoformat() if exact else moment.iso()
    if isinstance(value, bytes):
        text = octets_text(value)
        return value.hex() if text is None else text
    if isinstance(value, bool):
        return str(value).lower()
    number = number_of(data)
    return str(value).rstrip("\x00") if number is None else number_text(number)
