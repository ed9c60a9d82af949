"""Profiles that store nothing: a row is worked out of the past when somebody asks for it.

A profile knows the keys of its rows, oldest first, and makes the cells of a row from its key. Load profiles have meter
times as keys, an event log has events.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from dlms_mqtt.cosem.structures import CaptureObject, array, capture_objects
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime, is_summer
from dlms_mqtt.protocol.buffer import encode_length
from dlms_mqtt.protocol.obis import CLOCK as CLOCK_NAME
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.household.clock_object import moment_of
from dlms_mqtt.simulator.server.meter import Code, Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Outcome, make, named

CLOCK = CaptureObject(8, CLOCK_NAME, 2, 0)
_FIFO = 1
_NO_SORT_OBJECT = CaptureObject(0, Obis(bytes(6)), 0, 0)

# What the profile status says of an interval in which this happened (IDIS).
_STATUS = {Code.POWER_DOWN: 0x80, Code.CLOCK_ADJUSTED: 0x20, Code.POWER_UP: 0x04}
_SUMMER = 0x08


class Column(NamedTuple):
    """A captured attribute, and its cell in the row with this key, encoded."""

    source: CaptureObject
    cell: Callable[[Any], bytes]


class Profile:
    """Rows of one Profile generic object. ``time``: the meter time of a key; ``most``: rows the buffer holds."""

    def __init__(
        self,
        meter: Meter,
        columns: Sequence[Column],
        keys: Callable[[int], Sequence[Any]],
        time: Callable[[Any], float],
        most: int,
    ) -> None:
        self.meter = meter
        self.columns = columns
        self.most = most
        self.since = float("-inf")
        self._keys = keys
        self._time = time

    def keys(self) -> Sequence[Any]:
        """The keys of the rows in the buffer, oldest first."""
        keys = self._keys(self.most)
        first = bisect_right(keys, self.since, key=self._time)
        return keys[first:]

    def encode(self, keys: Sequence[Any], columns: Sequence[Column]) -> bytes:
        """The buffer with these rows and columns."""
        head = bytes((DataType.STRUCTURE,)) + encode_length(len(columns))
        rows = [head + b"".join([column.cell(key) for column in columns]) for key in keys]
        if "profile_nulls" in self.meter.oddities and columns and columns[0].source.class_id == CLOCK.class_id:
            rows[1:] = [head + b"\x00" + row[len(head) + 14 :] for row in rows[1:]]
        return bytes((DataType.ARRAY,)) + encode_length(len(rows)) + b"".join(rows)

    def buffer(self, _context: Context) -> bytes:
        """Attribute 2."""
        return self.encode(self.keys(), self.columns)

    def used(self, _context: Context) -> Data:
        """Attribute 7."""
        return named("double-long-unsigned", len(self.keys()))

    # -- selective access ---------------------------------------------------------------------------------------------

    def by_range(self, _context: Context, access: AccessSelector) -> bytes | int:
        """Selector 1: rows from one time to another."""
        parts = access[1].value
        if not isinstance(parts, tuple) or len(parts) != 4:
            return DataAccessResult.TYPE_UNMATCHED
        try:
            restricting = CaptureObject.from_data(parts[0])
            columns = self._picked(capture_objects(parts[3]))
        except DecodeError:
            return DataAccessResult.TYPE_UNMATCHED
        if restricting[:3] != CLOCK[:3] or columns is None:
            return DataAccessResult.OTHER_REASON
        start, end = (moment_of(self.meter, part.value) for part in parts[1:3])
        keys = self.keys()
        first = bisect_left(keys, start.timestamp(), key=self._time) if start else 0
        last = bisect_right(keys, end.timestamp(), key=self._time) if end else len(keys)
        return self.encode(keys[first:last], columns)

    def _picked(self, wanted: Sequence[CaptureObject]) -> Sequence[Column] | None:
        known = {column.source[:3]: column for column in self.columns}
        found = [known[item[:3]] for item in wanted if item[:3] in known]
        return None if len(found) != len(wanted) else found or self.columns

    def by_entry(self, _context: Context, access: AccessSelector) -> bytes | int:
        """Selector 2: rows and columns by number."""
        parts = access[1].value
        if not isinstance(parts, tuple) or len(parts) != 4:
            return DataAccessResult.TYPE_UNMATCHED
        first, last, left, right = (part.value for part in parts)
        if not all(isinstance(number, int) for number in (first, last, left, right)):
            return DataAccessResult.TYPE_UNMATCHED
        if first < 1 or left < 1:
            return DataAccessResult.OTHER_REASON
        keys = self.keys()
        return self.encode(keys[first - 1 : last or None], self.columns[left - 1 : right or None])

    def reset(self, _context: Context, _argument: Data | None) -> Outcome:
        """Method 1: the buffer is empty from now on."""
        self.since = self.meter.seconds()
        return Outcome()


def profile_object(obis: str, profile: Profile, period: int, **options: Any) -> CosemObject:
    """The Profile generic object over a profile."""
    return make(
        7,
        obis,
        profile.buffer,
        array([column.source for column in profile.columns]),
        named("double-long-unsigned", period),
        named("enum", _FIFO),
        _NO_SORT_OBJECT.to_data(),
        profile.used,
        named("double-long-unsigned", profile.most),
        version=1,
        selectors={2: {1: profile.by_range, 2: profile.by_entry}},
        methods={1: profile.reset},
        **options,
    )


# -- keys of load profiles: when a period of the meter's time ended ---------------------------------------------------


def each(meter: Meter, period: int) -> Callable[[int], Sequence[float]]:
    """Every ``period`` seconds."""

    def keys(most: int) -> Sequence[float]:
        last = int(meter.seconds() // period) * period
        return range(last - (most - 1) * period, last + 1, period)

    return keys


def each_day(meter: Meter) -> Callable[[int], Sequence[float]]:
    """Every local midnight."""

    def keys(most: int) -> Sequence[float]:
        today = meter.now().replace(hour=0, minute=0, second=0, microsecond=0)
        # Wall clock arithmetic: midnight stays midnight when summer time begins.
        return [(today - timedelta(days=back)).timestamp() for back in range(most - 1, -1, -1)]

    return keys


def each_month(meter: Meter) -> Callable[[int], Sequence[float]]:
    """Midnight of every first of a month."""

    def keys(most: int) -> Sequence[float]:
        now = meter.now()
        months = [now.year * 12 + now.month - 1 - back for back in range(most - 1, -1, -1)]
        return [datetime(m // 12, m % 12 + 1, 1, tzinfo=meter.zone).timestamp() for m in months]

    return keys


# -- cells ------------------------------------------------------------------------------------------------------------


def time_cell(meter: Meter) -> Callable[[float], bytes]:
    """The clock when the row was captured."""

    def cell(shown: float) -> bytes:
        return b"\x09\x0c" + DateTime.from_datetime(datetime.fromtimestamp(shown, meter.zone)).raw

    return cell


def status_cell(meter: Meter, period: int) -> Callable[[float], bytes]:
    """What happened in the interval before the row."""

    def cell(shown: float) -> bytes:
        first = bisect_right(meter.events, shown - period, key=lambda event: event.time)
        bits = _SUMMER if is_summer(datetime.fromtimestamp(shown, meter.zone)) else 0
        for event in meter.events[first:]:
            if event.time > shown:
                break
            bits |= _STATUS.get(event.code, 0)  # type: ignore[call-overload]
        return bytes((DataType.UNSIGNED, bits))

    return cell


def register_cell(meter: Meter, value: Callable[[float], int]) -> Callable[[float], bytes]:
    """A double-long-unsigned as it stood at a meter time; ``value`` takes the true time."""

    def cell(shown: float) -> bytes:
        true = meter.timeline.true_time(shown)
        # A time that the clock jumped over: the meter captured when it noticed.
        return b"\x06" + value(shown if true is None else true).to_bytes(4, "big")

    return cell
