"""Load profiles and event logs (Profile generic, class 7): only the rows that are asked for, as typed records.

Meters differ in what they allow, so three ways are tried in this order and the one that works is remembered: rows by
range of the sort object, rows by entry number, the whole buffer. Whatever the way, rows outside the range are dropped.

Source: Blue Book ed. 12, clause 4.3.6 (Profile generic, selective access by range and by entry).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from dlms_mqtt.client.procedures.apart import apart
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit, capture_objects
from dlms_mqtt.errors import AccessRefused, AttributeFailed, MeterRefused, RemoteProtocolError, ServiceRefused
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeDescriptor, entry_access, range_access
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_rows, fill_nulls
from dlms_mqtt.protocol.axdr.repeated_hour import RepeatedHour, widened
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis

if TYPE_CHECKING:
    from dlms_mqtt.client.client import DlmsClient

log = logging.getLogger("dlms_mqtt.client")

PROFILE_GENERIC = 7
_DATA, _CLOCK = 1, 8
_UNIX_CLOCK = b"\x01\x01"  # groups C and D
_FIFO, _LIFO = 1, 2
_LAST_UNIX_TIME = 0xFFFFFFFF
LAST_ENTRY = 0xFFFFFFFF  # the highest number that a row may have
_MARGIN = 3  # entries read beyond the estimate: the meter's clock is not ours


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it captures, its DLMS type, and scaler and unit where the captured attribute has them."""

    source: CaptureObject
    scaler_unit: ScalerUnit | None = None
    type: DataType | None = None

    @property
    def is_time(self) -> bool:
        """Does it hold the time of the row?"""
        return self.source.attribute == 2 and (self.source.class_id == _CLOCK or self.is_unix_time)

    @property
    def is_unix_time(self) -> bool:
        """Is that time told in seconds of UNIX (0-b:1.1.e, as gas meters after UNI/TS 11291 do)?"""
        return _is_unix_clock(self.source)


def _is_unix_clock(source: CaptureObject) -> bool:
    return source.class_id == _DATA and source.obis[0] == 0 and source.obis[2:4] == _UNIX_CLOCK


@dataclass(frozen=True, slots=True)
class ProfileShape:
    """What does not change from row to row. ``period``: seconds between rows, 0 when rows come by event."""

    columns: tuple[Column, ...]
    period: int
    sort_method: int
    sort_object: CaptureObject | None

    @property
    def times(self) -> list[int]:
        """The columns that hold times: one or none."""
        return [] if self.time_column is None else [self.time_column]

    @property
    def time_column(self) -> int | None:
        """Index of the column with the time of the row."""
        return next((index for index, column in enumerate(self.columns) if column.is_time), None)


@dataclass(frozen=True, slots=True)
class Profile:
    """Rows of plain values in the order of ``columns``; times are aware, numbers raw (``Column.scaler_unit``).

    A row has as many values as there are columns, None where the meter sent none. ``notes``: what is odd, in sentences.
    """

    obis: Obis
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    period: int
    time_column: int | None
    notes: tuple[str, ...] = ()
    unsure: frozenset[datetime] = frozenset()  # times (UTC) in the hour that comes twice of which nobody knows the pass

    def is_unsure(self, moment: Any) -> bool:
        """Is it the time of a row of which nobody knows the pass?"""
        return bool(self.unsure) and isinstance(moment, datetime) and moment.astimezone(UTC) in self.unsure


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: between two times (aware), or ``count`` entries from number ``first`` on (1 is the meter's first).

    ``after``: the time of the row that was read last, if any: it tells the passes of the hour that comes twice.
    """

    start: datetime | None = None
    end: datetime | None = None
    first: int | None = None
    count: int | None = None
    after: datetime | None = None

    @property
    def by_entry(self) -> bool:
        """Are rows wanted by number?"""
        return self.first is not None or self.count is not None

    def cut(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows by number out of a whole buffer."""
        first = (self.first or 1) - 1
        return rows[first : first + self.count if self.count else None]

    def keeps(self, moment: Any) -> bool:
        """Is a row with this time wanted? A row without a usable time is."""
        if not isinstance(moment, datetime):
            return True
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)  # two times of one zone are compared by their wall clocks
        return (self.start is None or moment >= self.start) and (self.end is None or moment <= self.end)


ALL = Selection()


async def read_profile(
    client: DlmsClient,
    obis: Obis,
    selection: Selection = ALL,
    *,
    tz: tzinfo = UTC,
    sense: int = -1,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Profile:
    """The wanted rows. ``tz``: the meter's zone, for times that do not say it; ``sense``: see ``DateTime``.

    AccessRefused and ServiceRefused when every way was refused, DecodeError.
    """
    shape = await _shape(client, obis)
    request = _Request(client, obis, shape, selection, tz, sense, now)
    buffer, whole = await _buffer(request)
    return await apart(len(buffer), lambda: _profile_of(request, buffer, whole=whole))


def _profile_of(request: _Request, buffer: bytes, *, whole: bool) -> Profile:
    obis, shape, selection, tz = request.obis, request.shape, request.selection, request.tz
    short: dict[int, int] = {}
    period = timedelta(seconds=shape.period) if shape.period else None
    hour = RepeatedHour(tz, selection.after, period)
    decoded = decode_rows(buffer, times=shape.times, tz=tz, sense=request.sense, short=short, hour=hour)
    rows = fill_nulls(_timed(decoded.rows, shape, tz), times=shape.times, period=period)
    for index, width in short.items():  # what was not sent is not "as in the row before"
        rows[index] = (*rows[index][:width], *[None] * (len(rows[index]) - width))
    if whole and selection.by_entry:
        rows = selection.cut(rows)
    rows, notes = _fitted(rows, len(shape.columns), short)
    if notes:
        request.client.memory.profiles.pop(obis, None)  # what is captured may have been changed since it was read
    if len(buffer) > decoded.end:
        notes.append(f"{len(buffer) - decoded.end} octets follow the rows that the meter announced")
    rows = _kept(rows, request, notes, whole)
    for note in notes:
        log.info("%s: %s", obis, note)
    columns = tuple(
        Column(column.source, column.scaler_unit, decoded.types[index] if index < len(decoded.types) else None)
        for index, column in enumerate(shape.columns)
    )
    return Profile(obis, columns, rows, shape.period, shape.time_column, tuple(notes), frozenset(hour.unsure))


def _timed(rows: list[tuple[Any, ...]], shape: ProfileShape, tz: tzinfo) -> list[tuple[Any, ...]]:
    """The rows with seconds of UNIX as times."""
    index = shape.time_column
    if index is None or not shape.columns[index].is_unix_time:
        return rows
    return [(*row[:index], _unix_time(row[index], tz), *row[index + 1 :]) if len(row) > index else row for row in rows]


def _unix_time(seconds: Any, tz: tzinfo) -> Any:
    """Nothing where it is no time: a clock that was never set shows 0."""
    if not isinstance(seconds, int) or not 0 < seconds < _LAST_UNIX_TIME:
        return None
    return datetime.fromtimestamp(seconds, UTC).astimezone(tz)


def _fitted(
    rows: list[tuple[Any, ...]], width: int, short: Mapping[int, int]
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Rows of as many values as there are columns, and what was odd: rows may be older than the captured objects."""
    odd = ({len(row) for row in rows} | set(short.values())) - {width}
    if not odd:
        return rows, []
    counts = ", ".join(map(str, sorted(odd)))
    note = f"rows have {counts} values where the profile captures {width} objects now: their columns may be others"
    return [(*row[:width], *[None] * (width - len(row))) for row in rows], [note]


def _kept(rows: list[tuple[Any, ...]], request: _Request, notes: list[str], whole: bool) -> list[tuple[Any, ...]]:
    """The rows within the range; what a meter sends beside that which it was asked for is left out, and said."""
    selection, index = request.selection, request.shape.time_column
    if selection.start is None:
        return rows
    if index is None or not any(isinstance(row[index], datetime) for row in rows):
        if rows:
            notes.append("the rows have no times, so all that the meter keeps are shown: the range cannot be kept to")
        return rows
    asked = Selection(*widened(selection.start, selection.end, request.tz))
    beside = sum(not asked.keeps(row[index]) for row in rows)
    if not whole and beside > _MARGIN:
        notes.append(f"the meter ignored the range: {beside} of {len(rows)} rows were left out here")
    return [row for row in rows if selection.keeps(row[index])]


def attribute(obis: Obis, number: int) -> AttributeDescriptor:
    """An attribute of a profile."""
    return AttributeDescriptor(PROFILE_GENERIC, obis, number)


async def _shape(client: DlmsClient, obis: Obis) -> ProfileShape:
    """Capture objects, period, sort rule, and scaler and unit of each column: read once and kept."""
    known = client.memory.profiles.get(obis)
    if isinstance(known, ProfileShape):
        return known
    objects, period, method, sort = await client.get_many([attribute(obis, number) for number in (3, 4, 5, 6)])
    if isinstance(objects, MeterRefused):
        raise objects
    sources = capture_objects(objects)
    columns = await _columns(client, sources)
    sort_object = _capture_object(sort) or next((c.source for c in columns if c.is_time), None)
    shape = ProfileShape(columns, _number(period, 0), _number(method, _FIFO), sort_object)
    failed = any(isinstance(answer, AttributeFailed) for answer in (period, method, sort))
    if not failed and all(client.memory.knows_scaler(AttributeDescriptor(*source[:3])) for source in sources):
        client.memory.profiles[obis] = shape
    return shape


async def _columns(client: DlmsClient, sources: Sequence[CaptureObject]) -> tuple[Column, ...]:
    captured = [AttributeDescriptor(*source[:3]) for source in sources]
    scalers = await client.scalers(captured)
    return tuple(Column(source, scaler) for source, scaler in zip(sources, scalers, strict=True))


def _number(answer: Data | MeterRefused, default: int) -> int:
    return answer.value if isinstance(answer, Data) and isinstance(answer.value, int) else default


def _capture_object(answer: Data | MeterRefused) -> CaptureObject | None:
    """The sort object; meters that do not sort give one of zeros, or none."""
    try:
        found = CaptureObject.from_data(answer) if isinstance(answer, Data) else None
    except RemoteProtocolError:
        return None
    return found if found and found.class_id else None


@dataclass(frozen=True, slots=True)
class _Request:
    """One question for rows, and what is needed to phrase it."""

    client: DlmsClient
    obis: Obis
    shape: ProfileShape
    selection: Selection
    tz: tzinfo
    sense: int
    now: Callable[[], datetime]

    def restricting(self, sort: CaptureObject, moment: datetime) -> Data:
        """A time as the sort object would show it."""
        if _is_unix_clock(sort):
            return Data(DataType.DOUBLE_LONG_UNSIGNED, max(0, int(moment.timestamp())))
        local = DateTime.from_datetime(moment.astimezone(self.tz), sense=self.sense)
        return Data(DataType.OCTET_STRING, local.encode())


async def _by_range(request: _Request) -> AccessSelector | None:
    sort, selection = request.shape.sort_object, request.selection
    start, until = widened(selection.start, selection.end, request.tz)
    if start is None or sort is None or not (sort.class_id == _CLOCK or _is_unix_clock(sort)):
        return None
    # Some meters refuse an open end, and some a wildcard.
    end = until or request.now() + timedelta(days=1)
    return range_access(sort, request.restricting(sort, start), request.restricting(sort, end))


async def _by_entry(request: _Request) -> AccessSelector | None:
    selection, shape = request.selection, request.shape
    if selection.by_entry:
        first = selection.first or 1
        return entry_access(first, min(first + selection.count - 1, LAST_ENTRY) if selection.count else 0)
    if selection.start is None or not shape.period or shape.sort_method not in (_FIFO, _LIFO):
        return None
    wanted = max(0, int((request.now() - selection.start) / timedelta(seconds=shape.period))) + _MARGIN
    if shape.sort_method == _LIFO:
        return entry_access(1, wanted)
    used = _number((await request.client.get_many([attribute(request.obis, 7)]))[0], 0)
    return entry_access(max(1, used - wanted + 1)) if used else None


_WAYS: tuple[Callable[[_Request], Awaitable[AccessSelector | None]], ...] = (_by_range, _by_entry)


async def _buffer(request: _Request) -> tuple[bytes, bool]:
    """The encoded rows by the first way that the meter allows, and whether that is the whole buffer."""
    client, buffer = request.client, attribute(request.obis, 2)
    for way in _WAYS if _selective(client) else ():
        access = await way(request)
        if access is None or not client.memory.selects(request.obis, access[0]):
            continue
        try:
            rows = await client.get_raw(buffer, access)
        except (AccessRefused, ServiceRefused) as error:
            log.debug("%s: selector %d was refused: %s", request.obis, access[0], error)
            client.memory.learn_selector(request.obis, access[0], error)
        else:
            client.memory.learn_selector(request.obis, access[0], None)
            return rows, False
    return await client.get_raw(buffer), True


def _selective(client: DlmsClient) -> bool:
    wanted = Conformance.PARAMETERIZED_ACCESS if client.settings.referencing == "sn" else Conformance.SELECTIVE_ACCESS
    return client.settings.pre_established or bool(client.association.conformance & wanted)
