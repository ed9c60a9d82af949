"""From the meter's answer to what topics say: the user's own scaler, unit, words and transform applied; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from dlms_mqtt.bridge.api.payload import plain_text
from dlms_mqtt.bridge.reading.plan import PlanItem, moment_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.quantity import Kind, counts_since_ever, refine
from dlms_mqtt.meter.readings import Quality, Reading, judged, make_reading
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time

#: With these the value itself is worth nothing: the reading is sent, the topics keep what they have.
UNUSABLE = frozenset((Quality.NOT_SPECIFIED, Quality.UNREADABLE))
_WIDE = Context(prec=1000)  # a float64 with the largest scaler has 436 digits before the point
_MOMENTS: dict[DataType, type[DateTime | Date | Time]] = {
    DataType.DATE_TIME: DateTime,
    DataType.DATE: Date,
    DataType.TIME: Time,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When and how a cycle was read."""

    time: datetime
    zone: tzinfo
    sense: int = -1


def reading_of(item: PlanItem, measured: Measured, moment: Moment) -> Reading:
    """One reading out of one answer."""
    config, attribute = item.config, item.attribute
    scaler_unit = measured.scaler_unit
    if config and config.scaler is not None:
        scaler_unit = ScalerUnit(config.scaler, scaler_unit.unit_code if scaler_unit else 255)
    quantity = item.quantity
    reading = make_reading(
        quantity,
        _as_moment(item, measured.data),
        moment.time,
        obis=attribute.obis,
        class_id=attribute.class_id,
        attribute=attribute.attribute,
        scaler_unit=scaler_unit,
        zone=moment.zone,
        sense=moment.sense,
    )
    return _as_configured(item, judged(reading) if quantity.kind is Kind.NUMBER else reading)


def _as_moment(item: PlanItem, data: Data) -> Data:
    """Most meters keep dates and times as octets: the user's word says what they are."""
    moment = moment_of(item.quantity, item.config) if item.config else None
    if moment is None or not isinstance(data.value, bytes):
        return data
    try:
        return Data(moment, _MOMENTS[moment].decode(data.value))
    except DecodeError:
        return data


def _as_configured(item: PlanItem, reading: Reading) -> Reading:
    config = item.config
    if config is None:
        return reading
    if config.transform and isinstance(reading.value, Decimal):
        reading = replace(reading, value=config.transform(reading.value))
    if config.decimals is not None and isinstance(reading.value, Decimal):
        reading = replace(reading, value=rounded(reading.value, config.decimals))
    if config.unit is not None:
        return replace(reading, unit=config.unit, quality=Quality.GOOD)
    return reading


def rounded(value: Decimal, decimals: int) -> Decimal:
    """Rounded as people do it: half away from zero."""
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _WIDE)


def with_class(item: PlanItem, unit: str, device_type: Reading | None = None) -> PlanItem:
    """The item of a quantity whose unit was open, with the classes of the ``unit`` that is published.

    ``device_type`` is what its M-Bus channel says of itself.
    """
    obis = item.attribute.obis
    number = device_type.raw if device_type is not None and obis[0] == 0 and isinstance(device_type.raw, int) else None
    found = refine(item.quantity, unit, number, total=counts_since_ever(obis))
    return item if found is item.quantity else replace(item, quantity=found)


def bits_of(item: PlanItem, reading: Reading) -> dict[str, bool]:
    """The named bits of a word, by key."""
    if item.quantity.kind is not Kind.BITS or not isinstance(reading.value, Decimal):
        return {}
    word = int(reading.value)
    return {f"{item.key}_{name}": bool(word >> bit & 1) for bit, name in item.quantity.words.items()}


def reading_json(meter: str, reading: Reading) -> dict[str, Any]:
    """The message of the ``reading`` topic, without its ``seq``."""
    return {
        "meter": meter,
        "time": reading.time.isoformat(timespec="seconds"),
        "key": reading.key,
        "obis": str(reading.obis),
        "class": reading.class_id,
        "attribute": reading.attribute,
        **_value(reading),
        "unit": reading.unit,
        "raw": raw_text(reading.raw),
        "quality": str(reading.quality),
    }


def _value(reading: Reading) -> dict[str, Any]:
    """``value`` is always a number, text goes in ``text``; an enum has both."""
    if isinstance(reading.value, Decimal):
        return {"value": reading.value}
    number = reading.raw if isinstance(reading.raw, int | float) else None
    text = {} if reading.value is None else {"text": reading.value}
    return ({} if number is None else {"value": number}) | text


def raw_text(raw: Any) -> str:
    """What the meter sent, as text."""
    return plain_text(raw)
