"""What comes back: plain frozen values that can be printed, compared, pickled, and turned into JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, overload

from dlms_mqtt.cosem.classes import class_name, find
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.json_text import plain
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, CaptureObject
from dlms_mqtt.protocol.axdr.data import CONTAINERS, Data
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time
from dlms_mqtt.protocol.obis import Obis

if TYPE_CHECKING:
    from dlms_mqtt.client.procedures.clock import ClockReading
    from dlms_mqtt.client.procedures.profile import Column
    from dlms_mqtt.client.procedures.profile import Profile as RawProfile
    from dlms_mqtt.client.services.memory import Measured

_OCTETS_OF_A_TIME = 12


class JsonResult:
    """Something that came from a meter; ``as_dict`` holds only what JSON can."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """What it says, as JSON has it: times in ISO 8601, octets in hex, numbers as int and float."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The same as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reading(JsonResult):
    """One attribute of the meter as it was read; either ``value`` or ``error``.

    ``value``: a number with scaler is an exact ``Decimal`` in ``unit``; others are ``int``, ``float``, ``bool``,
    ``datetime``, ``date``, ``time``, ``str`` (also octets that are text, and a time with parts left open),
    ``bytes``, a list of these, or None. ``unit``: the meter's own, such as ``Wh``; empty where there is none.
    ``raw``: the number or octets as sent. ``time``: when it was read (UTC); of a push, when the meter took it.
    """

    obis: Obis
    class_id: int
    attribute: int
    value: Any
    unit: str
    raw: Any
    time: datetime
    error: DlmsMqttError | None = None

    @property
    def name(self) -> str:
        """What it is in plain English: ``Active energy import tariff 1``."""
        return _name(self.obis, self.class_id, self.attribute)

    @property
    def key(self) -> str:
        """The short name that the bridge publishes it by: ``energy_import_t1``."""
        from dlms_mqtt.meter.catalogue.lookup import quantity

        return quantity(self.obis, self.class_id or None, self.attribute).key

    def as_dict(self) -> dict[str, Any]:
        """As of ``dlms-mqtt read --json``, with ``error`` (a code) where there is no value."""
        error = self.error
        return {
            "obis": str(self.obis),
            "class": self.class_id,
            "attribute": self.attribute,
            "name": self.name,
            "value": plain(self.value),
            "unit": self.unit or None,
            "raw": plain(self.raw),
            "time": self.time.isoformat(timespec="seconds"),
        } | ({"error": _code(error), "message": error.told} if error else {})


def reading(measured: Measured, now: datetime, zone: tzinfo | None, sense: int = -1) -> Reading:
    """A value that was read."""
    attribute, data, scaled = measured.attribute, measured.data, measured.scaler_unit
    value = measured.value if scaled else value_of(data, zone, sense)
    return Reading(
        attribute.obis, attribute.class_id, attribute.attribute, value, scaled.unit if scaled else "", _raw(data), now
    )


def _code(error: DlmsMqttError) -> str:
    """A short word: the standard's, else that of the exception (``connect-failed``)."""
    kind = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__)
    return getattr(error, "name", "") or kind.lstrip("-")


def failed(attribute: AttributeDescriptor, error: DlmsMqttError, now: datetime) -> Reading:
    """The meter said no, or was not there."""
    return Reading(attribute.obis, attribute.class_id, attribute.attribute, None, "", None, now, error)


def value_of(data: Data, zone: tzinfo | None, sense: int = -1) -> Any:
    """A value without scaler in plain Python; see ``Reading``."""
    value = data.value
    if data.type in CONTAINERS:
        return [value_of(item, zone, sense) for item in value]
    if isinstance(value, DateTime):
        return value.to_datetime(zone, sense) or value.iso()
    if isinstance(value, Date):
        return value.to_date() or value.iso()
    if isinstance(value, Time):
        return value.to_time() or value.iso()
    return _octets(value, zone, sense) if isinstance(value, bytes) else value


def _octets(octets: bytes, zone: tzinfo | None, sense: int) -> Any:
    from dlms_mqtt.meter.readings import octets_text, plausible_date_time

    if len(octets) == _OCTETS_OF_A_TIME and plausible_date_time(octets):
        moment = DateTime.decode(octets)
        return moment.to_datetime(zone, sense) or moment.iso()
    text = octets_text(octets)
    return octets if text is None else text


def _raw(data: Data) -> Any:
    value = data.value
    if data.type in CONTAINERS:
        return [_raw(item) for item in value]
    return value.raw if isinstance(value, Date | DateTime | Time) else value


def _name(obis: Obis, class_id: int, attribute: int) -> str:
    from dlms_mqtt.meter.catalogue.names import object_name

    return object_name(obis, class_id or None, attribute)


@dataclass(frozen=True, slots=True)
class MeterObject(JsonResult):
    """One object of the meter's list: its class, its OBIS code, and what this client may do with it."""

    info: ObjectInfo

    @property
    def obis(self) -> Obis:
        """Its code; ``str(obis)`` is ``1.0.1.8.0.255``, ``obis.classic`` is ``1-0:1.8.0*255``."""
        return self.info.obis

    @property
    def class_id(self) -> int:
        """The number of its interface class."""
        return self.info.class_id

    @property
    def version(self) -> int:
        """The version of its interface class."""
        return self.info.version

    @property
    def class_name(self) -> str:
        """The Blue Book's name of its class: ``Register``."""
        return class_name(self.class_id)

    @property
    def name(self) -> str:
        """What it is in plain English."""
        return _name(self.obis, self.class_id, 2)

    @property
    def attributes(self) -> dict[int, str]:
        """Attribute number -> right: ``read-only``, ``read-and-write``, ``no-access`` ...; empty: the list has none."""
        return {number: access.text for number, access in self.info.attribute_access.items()}

    @property
    def methods(self) -> dict[int, str]:
        """Method number -> right: ``access``, ``no-access`` ...; empty where the list states none."""
        return {number: access.text for number, access in self.info.method_access.items()}

    def readable(self, attribute: int = 2) -> bool:
        """False only where the meter's list says that this attribute may not be read."""
        return self.info.readable(attribute)

    def writable(self, attribute: int = 2) -> bool:
        """False only where the meter's list says that this attribute may not be written."""
        return self.info.writable(attribute)

    def attribute_name(self, attribute: int) -> str:
        """The Blue Book's name of an attribute: ``scaler_unit``; empty where the class is not known."""
        row = find(self.class_id, self.version)
        found = row.attribute(attribute) if row else None
        return found.name if found else ""

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}"

    def as_dict(self) -> dict[str, Any]:
        """As of ``dlms-mqtt objects --json``."""
        from dlms_mqtt.meter.json_shapes import object_json

        return object_json(self.info)


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Profile(Sequence[Row], JsonResult):
    """Rows of a load profile or log; a sequence of dicts, so ``pandas.DataFrame(profile)`` and ``polars`` take it.

    ``columns``: a name for each column, all different; ``units``: the meter's unit for each, "" where there is none;
    ``rows``: tuples in that order; ``sources``: the attribute that each column captures. ``period``: seconds between
    rows, 0 where they come by event. Times are aware and in the meter's zone. Numbers are scaled: ``int`` or ``float``
    (``exact=True``: ``Decimal``), or None.
    """

    obis: Obis
    columns: tuple[str, ...]
    units: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    sources: tuple[AttributeDescriptor, ...]
    period: int

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self._dict(row) for row in self.rows[index]]
        return self._dict(self.rows[index])

    def __iter__(self) -> Iterator[Row]:
        return map(self._dict, self.rows)

    def _dict(self, row: tuple[Any, ...]) -> Row:
        return dict(zip(self.columns, row, strict=False))

    def as_dict(self) -> dict[str, Any]:
        """Columns with their units and sources, and the rows."""
        return {
            "obis": str(self.obis),
            "columns": list(self.columns),
            "units": list(self.units),
            "sources": [f"{source.class_id}/{source.obis}:{source.attribute}" for source in self.sources],
            "period": self.period,
            "rows": plain(self.rows),
        }


def profile(raw: RawProfile, zone: tzinfo, exact: bool) -> Profile:
    """The rows as read, with names for the columns and scaled values."""
    cells = [_scale(column, zone, exact) for column in raw.columns]
    columns = list(zip(*raw.rows, strict=True)) if raw.rows else []
    scaled = [list(map(cell, column)) if cell else column for cell, column in zip(cells, columns, strict=False)]
    return Profile(
        raw.obis,
        _names(raw.columns),
        tuple(column.scaler_unit.unit if column.scaler_unit else "" for column in raw.columns),
        list(zip(*scaled, strict=True)),
        tuple(AttributeDescriptor(*column.source[:3]) for column in raw.columns),
        raw.period,
    )


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Two columns of one object (a value and the time of its capture) differ by attribute; the rest get a number."""
    names: list[str] = []
    for column in columns:
        name = _column_name(column.source)
        names.append(name if name not in names else f"{name} ({sum(n.startswith(name) for n in names) + 1})")
    return tuple(names)


def _column_name(source: CaptureObject) -> str:
    return _name(Obis(source.obis), source.class_id, source.attribute)


def _scale(column: Column, zone: tzinfo, exact: bool) -> Any:
    """What turns a cell of this column into its value; None: it is one already."""
    scaled = column.scaler_unit
    if scaled is not None:
        return _Scaling(scaled.apply, scaled.scaler, exact)
    if column.is_time:
        return lambda value: value.astimezone(zone) if isinstance(value, datetime) else _cell(value, zone)
    return lambda value: _cell(value, zone)


def _cell(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, bytes):
        return _octets(value, zone, -1)
    return value.iso() if isinstance(value, Date | DateTime | Time) else value


class _Scaling:
    """A number of a column times ten to its scaler; what is no number stays."""

    def __init__(self, apply: Any, scaler: int, exact: bool) -> None:
        self._apply, self._exact = apply, exact
        self._divisor, self._factor = 10 ** max(0, -scaler), 10 ** max(0, scaler)

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return value
        if self._exact:
            return self._apply(value)
        return value * self._factor if self._divisor == 1 else value / self._divisor


@dataclass(frozen=True, slots=True)
class ClockDrift(JsonResult):
    """What the meter's clock showed. ``seconds``: how far it is ahead of ours (negative: behind; None: not set).

    ``time``: what it showed, aware; ``deviation``: minutes, as it states them; ``status``: what it says of itself.
    """

    time: datetime | None
    seconds: float | None
    deviation: int | None
    status: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same with the time in ISO 8601."""
        return {
            "time": self.time.isoformat() if self.time else None,
            "seconds": self.seconds,
            "deviation": self.deviation,
            "status": list(self.status),
        }


def clock_drift(shown: ClockReading) -> ClockDrift:
    """What a reading of the clock comes to."""
    return ClockDrift(shown.moment, shown.drift, shown.deviation, shown.status)
