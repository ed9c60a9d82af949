"""From a push to readings: what a meter says by itself, with the keys, units and times that a poll would give.

Scaler and unit come from the message, else from the published list that it names, else from what the caller knows
about the meter; without any the reading is ``unscaled``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from dlms_mqtt.client.push import Notification
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE, default_class
from dlms_mqtt.cosem.classes import TIMES, VALUES
from dlms_mqtt.cosem.pattern import PatternTable
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.lookup import Item, quantity, unique
from dlms_mqtt.meter.push.current_transformers import behind_transformers
from dlms_mqtt.meter.push.layouts import PushValue, push_values
from dlms_mqtt.meter.push.telegram import telegram_values
from dlms_mqtt.meter.push.vendor_lists import listed_scaler, unnamed
from dlms_mqtt.meter.readings import Reading, date_time_of, judged, make_reading, text_of
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest, VariableName
from dlms_mqtt.protocol.axdr.data import CONTAINERS, Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.p1_telegram import Telegram

#: A meter's clock is believed when it is not farther than this from ours; else a push is as old as its arrival.
BELIEVED = timedelta(minutes=10)
LOGICAL_NAME = 1  # the attribute that only repeats the OBIS code
_EXTENDED_REGISTER = 4
(_CAPTURE_TIME,) = TIMES[_EXTENDED_REGISTER]
# What a code alone means of objects with more than one value: state of a relay, threshold in force, kind of device.
_CLOCK = PatternTable([("0.*.1.0.*.255", True)])
_IDENTITIES = PatternTable(
    [
        ("0.0.42.0.0.255", "logical_device_name"),
        ("0.0.96.1.0.255", "serial_number"),
        ("0.0.96.1.*.255", ""),
        ("1.*.96.1.*.255", ""),
        ("1.*.0.0.*.255", ""),
    ]
)
_PUSH_SETUP = PatternTable([("0.*.25.9.0.255", True)])
_LIST_NAME = PatternTable([("1.*.0.2.129.255", True)])
_NUMBER_AT_LEAST = 6  # characters of a text without a code that may be the meter's number

Scalers = Mapping[AttributeDescriptor | Obis, ScalerUnit]
ShortNames = Mapping[int, AttributeDescriptor]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which meter a push is from, as far as it says. ``names``: every identification in it, as text."""

    system_title: bytes = b""
    logical_device_name: str = ""
    serial_number: str = ""
    names: frozenset[str] = frozenset()

    def is_device(self, name: str) -> bool:
        """Whether ``name`` is the logical device name, the serial number or another identification of this meter."""
        return name.strip() in self.names


class _Value(NamedTuple):
    """A value with a code, and when it was taken where its own line says so."""

    value: PushValue
    time: DateTime | None = None


class PushedValues:
    """What one notification says: its values are worked out once, when it is made. DecodeError.

    ``short_names``: what the variables of an InformationReport are.
    """

    def __init__(self, notification: Notification, short_names: ShortNames | None = None) -> None:
        self.notification = notification
        self._values = _values(notification, short_names or {})

    def measured(self, scalers: Scalers | None = None) -> list[Measured]:
        """The values as a poll would have read them: attribute, data, scaler and unit.

        Without values that have no code, lists and logical names; each attribute once. ``scalers``: scaler and unit by
        attribute or OBIS, configured or remembered.
        """
        name = _list_name(self._values)
        rows: dict[AttributeDescriptor, Measured] = {}
        for attribute, value in _attributes(self._values):
            known = (
                _sensible(value.scaler_unit)
                or listed_scaler(name, attribute.obis, value.data.value)
                or _known(attribute, scalers or {})
            )
            rows.setdefault(attribute, Measured(attribute, value.data, known))
        return behind_transformers(name, list(rows.values()))

    @property
    def list_name(self) -> str:
        """The published list that the message says it follows; "" where it names none."""
        return _list_name(self._values).strip()

    def taken_at(self, arrival: datetime, zone: tzinfo | None = None, sense: int = -1) -> datetime:
        """When they were taken: what the push says, unless its clock is far off or without a zone.

        ``arrival``: when it came (aware); ``zone``, ``sense``: of the meter's clock, see ``DateTime.to_datetime``.
        """
        moment = self.stated_time(zone, sense)
        if moment is None or abs(moment - arrival) > BELIEVED:
            return arrival
        return min(moment, arrival)  # nothing is from the future

    def stated_time(self, zone: tzinfo | None = None, sense: int = -1) -> datetime | None:
        """The time that the push itself tells (aware); None where it tells none."""
        stated = self._stated_date_time()
        moment = stated.to_datetime(zone, sense) if stated else None
        return moment if moment is not None and moment.tzinfo is not None else None

    def readings(
        self, arrival: datetime, zone: tzinfo | None = None, sense: int = -1, scalers: Scalers | None = None
    ) -> list[Reading]:
        """The values in the units that are published; see ``measured`` and ``taken_at``."""
        rows, time = self.measured(scalers), self.taken_at(arrival, zone, sense)
        quantities = {(item.obis, item.attribute): item.quantity for item in unique(map(catalogued, rows))}
        readings = [
            make_reading(
                quantities[row.attribute.obis, row.attribute.attribute],
                row.data,
                time,
                obis=row.attribute.obis,
                class_id=row.attribute.class_id or None,
                attribute=row.attribute.attribute,
                scaler_unit=row.scaler_unit,
                zone=zone,
                sense=sense,
            )
            for row in rows
        ]
        if isinstance(self.notification, Telegram):
            return readings  # its numbers are written as they are meant
        return list(map(judged, readings))

    def identity(self, system_title: bytes = b"") -> Identity:
        """Which meter it is from."""
        found: dict[str, str] = {}
        names: list[str] = []
        for value, _ in self._values:
            kind = _IDENTITIES.find(value.obis) if value.obis else None
            text = text_of(value.data)
            if not text or (kind is None and not _may_be_number(value)):
                continue
            names.append(text.strip())
            found.setdefault(kind or "", text.strip())
        found.pop("", None)
        return Identity(system_title, **found, names=frozenset(names))

    def _stated_date_time(self) -> DateTime | None:
        """Of the notification itself, else of the clock among its values."""
        stated = getattr(self.notification, "time", None)
        if stated is not None:
            return stated  # type: ignore[no-any-return]
        clocks = (value.data for value, _ in self._values if value.obis and _CLOCK.find(value.obis))
        return next(filter(None, map(date_time_of, clocks)), None)


def catalogued(row: Measured) -> Item:
    """What the catalogue knows about it."""
    class_id, obis, number = row.attribute
    return Item(class_id, obis, number, quantity(obis, class_id or None, number))


def _sensible(scaler_unit: ScalerUnit | None) -> ScalerUnit | None:
    return scaler_unit if scaler_unit and scaler_unit.is_sensible else None


def _may_be_number(value: PushValue) -> bool:
    """Some lists (Netz NÖ) end with the meter's number without a code; the first element would be the list's name."""
    text = text_of(value.data)
    octets = value.data.type in (DataType.OCTET_STRING, DataType.VISIBLE_STRING) and date_time_of(value.data) is None
    return bool(octets and value.obis is None and value.place and text and len(text) >= _NUMBER_AT_LEAST)


# -- values with their codes -------------------------------------------------------------------------------------------


def _values(notification: Notification, short_names: ShortNames) -> list[_Value]:
    if isinstance(notification, Telegram):
        return [_Value(*found) for found in telegram_values(notification)]
    if isinstance(notification, DataNotification):
        return [_Value(value) for value in _with_places(push_values(notification))]
    if isinstance(notification, EventNotification):
        return [_labelled(notification.attribute, notification.value)]
    return list(_reported(notification, short_names))


def _with_places(values: list[PushValue]) -> list[PushValue]:
    """A list without codes; some begin with the code of the push setup that sends them, which is none of a value."""
    if any(value.obis and not _PUSH_SETUP.find(value.obis) for value in values):
        return values
    rows = unnamed([value.data for value in values])
    return [
        value._replace(obis=row.obis, scaler_unit=row.scaler_unit) if (row := rows.get(place)) else value
        for place, value in enumerate(values)
    ]


def _labelled(attribute: AttributeDescriptor, data: Data) -> _Value:
    return _Value(PushValue(data, attribute.obis, None, attribute.class_id, attribute.attribute))


def _reported(report: InformationReportRequest, short_names: ShortNames) -> Iterator[_Value]:
    for variable, data in zip(report.variables, report.values, strict=False):
        attribute = short_names.get(variable.name) if isinstance(variable, VariableName) else None
        if attribute is not None:
            yield _labelled(attribute, data)


def _attributes(values: list[_Value]) -> Iterator[tuple[AttributeDescriptor, PushValue]]:
    for value, time in values:
        if value.obis is None or value.attribute == LOGICAL_NAME or value.data.type in CONTAINERS:
            continue
        attribute = _attribute(value.obis, value, time)
        yield attribute, value
        if time is not None and quantity(value.obis, _EXTENDED_REGISTER, _CAPTURE_TIME).catalogued:
            captured = attribute._replace(attribute=_CAPTURE_TIME)
            yield captured, PushValue(Data(DataType.DATE_TIME, time), value.obis)


def _attribute(obis: Obis, value: PushValue, time: DateTime | None) -> AttributeDescriptor:
    """A value without class is that of the class that such objects nearly always have."""
    if value.class_id is not None:
        return AttributeDescriptor(value.class_id, obis, value.attribute or DEFAULT_ATTRIBUTE)
    class_id = _EXTENDED_REGISTER if time is not None else default_class(obis) or 0
    return AttributeDescriptor(class_id, obis, VALUES.get(class_id, (DEFAULT_ATTRIBUTE,))[0])


def _known(attribute: AttributeDescriptor, scalers: Scalers) -> ScalerUnit | None:
    return scalers.get(attribute) or scalers.get(attribute.obis)


def _list_name(values: list[_Value]) -> str:
    """The published list that the message says it follows."""
    for value, _ in values:
        if value.place == 0 or (value.obis and _LIST_NAME.find(value.obis)):
            return text_of(value.data) or ""
    return ""
