"""The load profile P.01 of meters in clear text as attributes of a profile object: columns, period and rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from dlms_mqtt.cosem.data_lines import data_code, stamp_of, unit_of
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, DateTime
from dlms_mqtt.protocol.obis import CLOCK, Obis

_GROUP = re.compile(r"\(([^()]*)\)")
_STATUS = Obis((0, 0, 96, 10, 1, 255))
_HEAD = 4  # groups before the columns: time, status, minutes, number of columns
_REGISTER, _DEMAND, _DATA, _CLOCK_CLASS = 3, 5, 1, 8
_AVERAGES = (4, 5)  # groups D of averages
_FIFO = 1
_LONGEST_PERIOD = 366 * 24 * 60  # minutes
_NO_HEAD = "the head of the load profile is not understood"


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """``period``: seconds; ``scalers``: of the columns behind time and status; ``rows``: one structure each."""

    columns: tuple[CaptureObject, ...]
    scalers: tuple[ScalerUnit, ...]
    period: int
    rows: tuple[Data, ...]

    def attribute(self, number: int) -> Data | None:
        """An attribute of class 7; None: it is not known."""
        values = {
            2: Data(DataType.ARRAY, self.rows),
            3: Data(DataType.ARRAY, tuple(column.to_data() for column in self.columns)),
            4: Data(DataType.DOUBLE_LONG_UNSIGNED, self.period),
            5: Data(DataType.ENUM, _FIFO),
            6: self.columns[0].to_data(),
        }
        return values.get(number)


def parse_load_profile(text: str) -> LoadProfile:
    """The rows of ``P.01(time)(status)(minutes)(columns)(code)(unit)...``; a head comes again after a gap.

    DecodeError.
    """
    parts = [(line, _GROUP.findall(line)) for line in map(str.strip, text.splitlines()) if line.endswith(")")]
    if not parts or not parts[0][0].startswith("P."):
        raise DecodeError("the load profile does not begin with a head")
    _, head = parts[0]
    _, _, period = _head(head)
    columns = list(_columns(head))
    values = [list(map(_decimal, groups)) for line, groups in parts if not line.startswith("P.")]
    places = [max((_places(row[at]) for row in values if at < len(row)), default=0) for at in range(len(columns))]
    scalers = tuple(
        ScalerUnit(unit.scaler - count, unit.unit_code) for (_, unit), count in zip(columns, places, strict=True)
    )
    captured = (CaptureObject(_CLOCK_CLASS, CLOCK, 2, 0), CaptureObject(_DATA, _STATUS, 2, 0), *(c for c, _ in columns))
    return LoadProfile(captured, scalers, round(period.total_seconds()), tuple(_rows(parts, places)))


def _head(groups: list[str]) -> tuple[DateTime | None, str, timedelta]:
    """Time of the first row behind it, status, period. DecodeError."""
    try:
        stamp, status, minutes = stamp_of(groups[0]), groups[1], int(groups[2])
    except (IndexError, ValueError):
        raise DecodeError(_NO_HEAD) from None
    if not 0 <= minutes <= _LONGEST_PERIOD:
        raise DecodeError(_NO_HEAD)
    return stamp, status, timedelta(minutes=minutes)


def _columns(head: list[str]) -> Iterator[tuple[CaptureObject, ScalerUnit]]:
    try:
        count = int(head[3])
        pairs = list(zip(head[_HEAD : _HEAD + 2 * count : 2], head[_HEAD + 1 : _HEAD + 2 * count : 2], strict=True))
    except (IndexError, ValueError):
        raise DecodeError(_NO_HEAD) from None
    for text, unit in pairs:
        code, scale = data_code(text), unit_of(unit)
        if code is None or scale is None:
            raise DecodeError(f"the column {text} ({unit}) of the load profile is not understood")
        demand = code[3] in _AVERAGES
        yield CaptureObject(_DEMAND if demand else _REGISTER, code, 3 if demand else 2, 0), scale


def _rows(parts: list[tuple[str, list[str]]], places: list[int]) -> Iterator[Data]:
    moment, status, period = None, "", timedelta()
    for line, groups in parts:
        if line.startswith("P."):
            moment, status, period = _head(groups)
            continue
        values = [_value(text, count) for text, count in zip(groups, places, strict=False)]
        time = Data(DataType.NULL_DATA, None) if moment is None else Data(DataType.OCTET_STRING, moment.encode())
        yield Data(DataType.STRUCTURE, (time, Data(DataType.VISIBLE_STRING, status), *values))
        moment = None if moment is None else _later(moment, period)


def earlier(moment: DateTime, period: timedelta) -> DateTime:
    """A local time so much before another, on the same side of daylight saving time."""
    return _later(moment, -period)


def _later(moment: DateTime, period: timedelta) -> DateTime:
    found = moment.to_datetime()
    if found is None:
        return moment
    return DateTime.from_datetime(found.replace(tzinfo=None) + period, deviation=False, status=moment.status or 0)


def _value(text: str, places: int) -> Data:
    number = _decimal(text)
    if number is None:
        return Data(DataType.NULL_DATA, None)
    return Data(DataType.LONG64, int(number.scaleb(places)))


def _decimal(text: str) -> Decimal | None:
    return Decimal(text.replace(",", ".")) if re.fullmatch(r"[+-]?\d{1,18}(?:[.,]\d{1,9})?", text.strip()) else None


def _places(number: Decimal | None) -> int:
    exponent = 0 if number is None else number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def range_request(table: str, start: DateTime, end: DateTime, season: bool) -> str:
    """``P.01(from;to)``; ``season``: the meter writes a digit for it before its times."""
    return f"{table}({_moment(start, season)};{_moment(end, season)})"


def _moment(stamp: DateTime, season: bool) -> str:
    found = stamp.to_datetime()
    if found is None:
        return ""
    digit = str(int(bool((stamp.status or 0) & DAYLIGHT_SAVING))) if season else ""
    return digit + f"{found:%y%m%d%H%M}"
