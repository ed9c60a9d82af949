"""Profile buffers to plain rows, fast: the first row is the template for all the rows that are shaped like it.

Tags and lengths stand at the same places of every such row, so strided slices compare them for all rows at once and one
``struct`` reads the rest. Where the shape changes (nulls, longer strings) a new run begins; short runs are decoded
value by value.

Source: Blue Book ed. 12, clause 4.3.6 (Profile generic; null-data for what equals the row before).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import repeat, zip_longest
from struct import Struct, calcsize
from typing import Any, NamedTuple

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.decoding import decode, latin, take_length, utf8
from dlms_mqtt.protocol.axdr.repeated_hour import RepeatedHour
from dlms_mqtt.protocol.axdr.timestamps import Date, DateTime, Time, to_datetimes
from dlms_mqtt.protocol.axdr.values import CONTAINERS, NUMBERS, Data, DataType

Row = tuple[Any, ...]
T = DataType

_SHORT_RUN = 6  # from here on a template is cheaper than value by value


class Rows(NamedTuple):
    """A decoded buffer: the type of each column (its first that is not null), the rows, the offset after the buffer."""

    types: list[DataType]
    rows: list[Row]
    end: int


def decode_rows(
    data: bytes,
    offset: int = 0,
    *,
    times: Collection[int] = (),
    tz: tzinfo | None = None,
    sense: int = -1,
    short: MutableMapping[int, int] | None = None,
    hour: RepeatedHour | None = None,
) -> Rows:
    """The rows of an array of structures (or of single values, or a compact-array), as plain values; DecodeError.

    Columns in ``times`` become datetimes, aware when the meter tells its deviation (``sense`` as in
    ``DateTime.to_datetime``) or else by ``tz``; a time with wildcards stays a ``DateTime``. Nulls are None
    (``fill_nulls``); a row that is too short is filled with None, and ``short`` is told how many values it had.
    ``hour`` tells the two passes of the hour that comes twice.
    """
    data = bytes(data)
    kinds, rows, end = _read(data, offset)
    widths = set(map(len, rows))
    longest = max(widths, default=0)
    if len(widths) > 1 and short is not None:
        short.update((index, len(row)) for index, row in enumerate(rows) if len(row) < longest)
    if times or len(widths) > 1:
        columns = list(zip_longest(*rows))
        for index in times:
            if index < len(columns):
                columns[index] = _moments(columns[index], tz, sense, hour)
        rows = list(zip(*columns, strict=True))
    return Rows(kinds, rows, end)


def _read(data: bytes, offset: int) -> Rows:
    if data[offset : offset + 1] != bytes((T.ARRAY,)):
        return _general(data, offset)
    count, at = _count(data, offset + 1)
    kinds: list[DataType] = []
    rows: list[Row] = []
    singly = 0  # after a short run, rows to decode value by value before the next template is tried
    while len(rows) < count:
        shape = _shape(data, at)
        number = _run(data, at, shape, count - len(rows)) if shape else 0
        if shape and number >= _SHORT_RUN:
            end = at + number * shape.size
            _learn(kinds, shape.kinds)
            rows += _unpack(data[at:end], shape, number)
            at, singly = end, 0
        else:
            singly = min(2 * singly + 1, 256)
            for _ in range(min(max(number, singly), count - len(rows))):
                element, at = decode(data, at)
                rows.append(_row(element, kinds))
    return Rows(kinds, rows, at)


def _count(data: bytes, offset: int) -> tuple[int, int]:
    try:
        count, at = take_length(data, offset)
    except IndexError:
        raise DecodeError("the buffer is cut off", offset=offset) from None
    if count > len(data) - at:
        raise DecodeError(f"a buffer of {count} rows in {len(data) - at} octets", offset=offset)
    return count, at


def _general(data: bytes, offset: int) -> Rows:
    buffer, end = decode(data, offset)
    if buffer.type != T.COMPACT_ARRAY:
        raise DecodeError(f"a profile buffer is an array, not {buffer.type.text}", offset=offset)
    kinds: list[DataType] = []
    return Rows(kinds, [_row(element, kinds) for element in buffer.value], end)


def _row(element: Data, kinds: list[DataType]) -> Row:
    """One element as a plain row."""
    items = element.value if element.type == T.STRUCTURE else (element,)
    _learn(kinds, [item.type for item in items])
    return tuple([item.plain() if item.type in CONTAINERS else item.value for item in items])


def _learn(kinds: list[DataType], seen: Sequence[DataType]) -> None:
    """The first type of a column that is not null is the column's."""
    if T.NULL_DATA in kinds or len(seen) > len(kinds):
        kinds[: len(seen)] = [
            new if index >= len(kinds) or kinds[index] == T.NULL_DATA else kinds[index]
            for index, new in enumerate(seen)
        ]


# --- runs of equal rows ---------------------------------------------------------------------------------------------

_EMPTY = (T.NULL_DATA, T.DONT_CARE)

# How a value stands in a row: its struct code ("" for strings, whose length says it, and for nulls), its size, and what
# makes it plain where it is not that already.
_FIELDS: dict[int, tuple[str, int, Callable[[Any], Any] | None]] = {
    **{kind: (code, calcsize(">" + code), None) for kind, code in NUMBERS.items()},
    **dict.fromkeys(_EMPTY, ("", 0, None)),
    T.BOOLEAN: ("?", 1, None),
    T.BCD: ("1s", 1, None),
    T.DATE_TIME: ("12s", 12, DateTime),
    T.DATE: ("5s", 5, Date),
    T.TIME: ("4s", 4, Time),
    T.OCTET_STRING: ("", 0, None),
    T.VISIBLE_STRING: ("", 0, latin),
    T.UTF8_STRING: ("", 0, utf8),
}


class _Shape(NamedTuple):
    """A row as a template: where the tags and lengths stand, and how to read what is between them."""

    size: int
    marks: list[tuple[int, bytes]]
    layout: Struct
    kinds: list[DataType]
    makers: list[Callable[[Any], Any] | None]


def _shape(data: bytes, start: int) -> _Shape | None:
    """The template of the row at ``start``; None for rows that have none (containers within, long strings)."""
    if data[start : start + 1] != bytes((T.STRUCTURE,)):
        return None
    try:
        count, at = take_length(data, start + 1)
        return _template(data, start, at, count) if 0 < count <= len(data) - at else None
    except (IndexError, KeyError):
        return None


def _template(data: bytes, start: int, at: int, count: int) -> _Shape | None:
    """IndexError past the end, KeyError for a type of no fixed size."""
    marks, code = list(range(start, at)), f"{at - start}x"
    kinds: list[DataType] = []
    makers: list[Callable[[Any], Any] | None] = []
    for _ in range(count):
        tag = data[at]
        field, size, maker = _FIELDS[tag]
        kinds.append(T(tag))
        marks.append(at)
        at += 1
        if not field and tag not in _EMPTY:  # a string: its length is a mark too
            size = data[at]
            marks.append(at)
            at += 1
            field = f"x{size}s"
        if size >= 0x80:
            return None
        if field:
            makers.append(maker)
        code += "x" + field
        at += size
    octets = [(mark - start, data[mark : mark + 1]) for mark in marks]
    return _Shape(at - start, octets, Struct(">" + code), kinds, makers)


def _run(data: bytes, start: int, shape: _Shape, limit: int) -> int:
    """How many rows from ``start`` on have this shape: looked at in growing steps, so that short runs stay cheap."""
    limit = min(limit, (len(data) - start) // shape.size)
    found, step = 0, 16
    while found < limit:
        step = min(step, limit - found)
        alike = _alike(data, start + found * shape.size, shape, step)
        found += alike
        if alike < step:
            break
        step *= 4
    return found


def _alike(data: bytes, start: int, shape: _Shape, limit: int) -> int:
    """How many of the next ``limit`` rows have all the marks."""
    for mark, octet in shape.marks:
        column = data[start + mark : start + limit * shape.size : shape.size]
        limit = len(column) - len(column.lstrip(octet))
    return limit


def _unpack(run: bytes, shape: _Shape, number: int) -> list[Row]:
    """The rows of a run."""
    if len(shape.makers) == len(shape.kinds) and not any(shape.makers):
        return list(shape.layout.iter_unpack(run))
    read = iter(zip(*shape.layout.iter_unpack(run), strict=True))
    makers = iter(shape.makers)
    columns: list[Any] = []
    for kind in shape.kinds:
        if kind in _EMPTY:
            columns.append(repeat(None, number))
        else:
            maker = next(makers)
            columns.append(map(maker, next(read)) if maker else next(read))
    return list(zip(*columns, strict=True))


# --- times and nulls ------------------------------------------------------------------------------------------------


def _moments(column: Sequence[Any], tz: tzinfo | None, sense: int, hour: RepeatedHour | None) -> Row:
    """The column with its 12-octet values as datetimes."""
    raw = [value.raw if isinstance(value, DateTime) else value for value in column]
    which = [index for index, value in enumerate(raw) if isinstance(value, bytes) and len(value) == 12]
    raws = [raw[index] for index in which]
    made = list(column)
    moments = to_datetimes(raws, tz, sense)
    for index, moment in zip(which, hour.resolve(raws, moments) if hour else moments, strict=True):
        made[index] = moment
    return tuple(made)


def fill_nulls(rows: Sequence[Row], *, times: Collection[int] = (), period: timedelta | None = None) -> list[Row]:
    """The rows with "as in the row before" put in for None; in ``times`` columns the time before plus ``period``.

    A time stays None without a period or without a full time before it; so does what has nothing before it.
    """
    filled: list[Row] = []
    before: Row = ()
    for row in rows:
        if None in row:
            row = tuple(
                _follow(old, period if index in times else None, index in times) if value is None else value
                for index, (value, old) in enumerate(zip_longest(row, before[: len(row)]))
            )
        filled.append(row)
        before = row
    return filled


def _follow(old: Any, period: timedelta | None, is_time: bool) -> Any:
    if not is_time:
        return old
    if period is None or not isinstance(old, datetime):
        return None
    if old.tzinfo is None:
        return old + period
    return (old.astimezone(UTC) + period).astimezone(old.tzinfo)  # real time, not wall clock
