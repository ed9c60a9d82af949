"""Date, time and date-time as meters write them: fixed octets in which any part may be "not specified".

The octets are kept as they came, so nothing is lost: FF (FFFF for the year, 8000 for the deviation) is a part that is
None, and the standard's special months and days (FD, FE) stay the numbers they are. An impossible date (31 February,
hour 24) is no error: it has no ``datetime``, but it still prints.

Source: Blue Book ed. 12, clause 4.1.6.1 (date and time formats).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass

CLOCK_STATUS: dict[int, str] = {
    0x01: "invalid-value",
    0x02: "doubtful-value",
    0x04: "different-clock-base",
    0x08: "invalid-clock-status",
    0x80: "daylight-saving-active",
}
DAYLIGHT_SAVING = 0x80

DST_END, DST_BEGIN = 0xFD, 0xFE  # special values of the month
SECOND_LAST_DAY, LAST_DAY = 0xFD, 0xFE  # special values of the day of the month
MONTH_WORDS = {DST_END: "dst-end", DST_BEGIN: "dst-begin"}
DAY_WORDS = {SECOND_LAST_DAY: "second-last", LAST_DAY: "last"}

NO_YEAR = 0xFFFF
NO_DEVIATION = -0x8000
NO_PART = 0xFF

_DATE_TIME = Struct(">HBBxBBBBhB")


def _part(value: int) -> int | None:
    return None if value == NO_PART else value


def _micros(hundredths: int) -> int:
    return 0 if hundredths == NO_PART else hundredths * 10_000


def _text(value: int | None, words: dict[int, str], width: int = 2) -> str:
    return "*" if value is None else words.get(value) or f"{value:0{width}}"


@lru_cache(maxsize=256)
def _zone(offset: int) -> timezone | None:
    """A fixed offset in minutes; None where no zone on earth could be that far off."""
    return timezone(timedelta(minutes=offset)) if abs(offset) < 24 * 60 else None


@dataclass(frozen=True, slots=True)
class _Octets:
    """What the three types share: octets of a fixed number that print as ISO text."""

    raw: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Take the octets as they are; DecodeError when their number is wrong."""
        if len(raw) != SIZES[cls]:
            raise DecodeError(f"a {NAMES[cls]} has {SIZES[cls]} octets, not {len(raw)}")
        return cls(bytes(raw))

    def encode(self) -> bytes:
        """The octets."""
        return self.raw

    def iso(self) -> str:
        """ISO 8601 text, ``*`` where a part is not specified."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.iso()


class _DateParts(_Octets):
    __slots__ = ()

    @property
    def year(self) -> int | None:
        """The year."""
        year = int.from_bytes(self.raw[:2], "big")
        return None if year == NO_YEAR else year

    @property
    def month(self) -> int | None:
        """1 to 12, or 253 (end of daylight saving) or 254 (begin of daylight saving)."""
        return _part(self.raw[2])

    @property
    def day(self) -> int | None:
        """1 to 31, or 254 (last day of the month) or 253 (second last day)."""
        return _part(self.raw[3])

    @property
    def weekday(self) -> int | None:
        """1 (Monday) to 7."""
        return _part(self.raw[4])

    def _date_iso(self) -> str:
        return f"{_text(self.year, {}, 4)}-{_text(self.month, MONTH_WORDS)}-{_text(self.day, DAY_WORDS)}"


class _TimeParts(_Octets):
    __slots__ = ()
    _AT = 0

    @property
    def hour(self) -> int | None:
        """0 to 23."""
        return _part(self.raw[self._AT])

    @property
    def minute(self) -> int | None:
        """0 to 59."""
        return _part(self.raw[self._AT + 1])

    @property
    def second(self) -> int | None:
        """0 to 59."""
        return _part(self.raw[self._AT + 2])

    @property
    def hundredths(self) -> int | None:
        """Hundredths of a second, 0 to 99."""
        return _part(self.raw[self._AT + 3])

    def _time_iso(self) -> str:
        hundredths = f".{self.hundredths:02}" if self.hundredths else ""
        return f"{_text(self.hour, {})}:{_text(self.minute, {})}:{_text(self.second, {})}{hundredths}"


class Date(_DateParts):
    """Five octets: year, month, day of month, day of week."""

    __slots__ = ()

    def to_date(self) -> date | None:
        """A plain date; None with a wildcard or where the calendar has no such day."""
        try:
            return date(self.year or 0, self.month or 0, self.day or 0)
        except ValueError:
            return None

    def iso(self) -> str:
        """``2024-11-21``, ``*-12-last``."""
        return self._date_iso()

    @classmethod
    def from_date(cls, value: date) -> Self:
        """A plain date with its day of week."""
        return cls(value.year.to_bytes(2, "big") + bytes((value.month, value.day, value.isoweekday())))


class Time(_TimeParts):
    """Four octets: hour, minute, second, hundredths."""

    __slots__ = ()

    def to_time(self) -> time | None:
        """A plain time (missing seconds are 0); None without hour or minute, or where no clock shows it."""
        if self.hour is None or self.minute is None:
            return None
        try:
            return time(self.hour, self.minute, self.second or 0, (self.hundredths or 0) * 10_000)
        except ValueError:
            return None

    def iso(self) -> str:
        """``08:30:15.23``; hundredths only where there are some."""
        return self._time_iso()

    @classmethod
    def from_time(cls, value: time) -> Self:
        """A plain time."""
        return cls(bytes((value.hour, value.minute, value.second, value.microsecond // 10_000)))


class DateTime(_DateParts, _TimeParts):
    """Twelve octets: date, time, deviation from UTC and clock status."""

    __slots__ = ()
    _AT = 5

    @property
    def deviation(self) -> int | None:
        """Minutes as sent: from local time to UTC (-60 is UTC+01:00) in meters that follow the Blue Book."""
        deviation = int.from_bytes(self.raw[9:11], "big", signed=True)
        return None if deviation == NO_DEVIATION else deviation

    @property
    def status(self) -> int | None:
        """The clock status octet."""
        return _part(self.raw[11])

    @property
    def status_names(self) -> list[str]:
        """The bits of the clock status that are set, by name."""
        return [name for bit, name in CLOCK_STATUS.items() if bit & (self.status or 0)]

    @property
    def date(self) -> Date:
        """The date alone."""
        return Date(self.raw[:5])

    @property
    def time(self) -> Time:
        """The time of day alone."""
        return Time(self.raw[5:9])

    def to_datetime(self, default_tz: tzinfo | None = None, sense: int = -1) -> datetime | None:
        """A plain datetime, aware when the deviation or ``default_tz`` is known; None where no calendar has it.

        ``sense`` is -1 for deviations from local time to UTC (the standard) and +1 for meters that mean the opposite.
        Missing seconds are 0.
        """
        year, month, day, hour, minute, second, hundredths, deviation, status = _DATE_TIME.unpack(self.raw)
        zone = default_tz if deviation == NO_DEVIATION else _zone(sense * deviation) or default_tz
        second = 0 if second == NO_PART else second
        try:
            moment = datetime(year, month, day, hour, minute, second, _micros(hundredths), zone)
            return _unfold(moment, status) if zone is default_tz is not None else moment
        except (ValueError, OverflowError):
            return None

    def iso(self) -> str:
        """``2024-11-21T08:30:15+01:00``; the offset (Blue Book sense) only where the deviation is known."""
        zone = None if self.deviation is None else _zone(-self.deviation)
        moment = datetime(2000, 1, 1, tzinfo=zone)  # any date: only its offset is printed
        offset = f"{moment:%z}"
        return f"{self._date_iso()}T{self._time_iso()}{offset[:3]}{offset and ':'}{offset[3:]}"

    @classmethod
    def from_datetime(
        cls,
        value: datetime,
        *,
        deviation: bool = True,
        weekday: bool = True,
        status: int | None = None,
        sense: int = -1,
    ) -> Self:
        """The octets of a datetime; ``deviation`` and ``weekday`` False leave these "not specified".

        ``status`` None sets the daylight saving bit from the zone. A naive datetime has no deviation.
        """
        offset = value.utcoffset()
        minutes = NO_DEVIATION if offset is None or not deviation else sense * (offset // timedelta(minutes=1))
        if status is None:
            status = DAYLIGHT_SAVING if is_summer(value) else 0
        day = Date.from_date(value).raw
        return cls(
            (day if weekday else day[:4] + b"\xff")
            + Time.from_time(value.time()).raw
            + minutes.to_bytes(2, "big", signed=True)
            + bytes((status,))
        )


SIZES: dict[type[_Octets], int] = {DateTime: 12, Date: 5, Time: 4}
NAMES: dict[type[_Octets], str] = {DateTime: "date-time", Date: "date", Time: "time"}


def is_summer(moment: datetime) -> bool:
    """Is daylight saving in force? By Irish law, and so in the tables, it is winter whose time is another one."""
    saving = moment.dst()
    if saving:
        return saving > timedelta(0)
    return any((moment.replace(month=month, day=1).dst() or timedelta(0)) < timedelta(0) for month in (1, 7))


def _unfold(moment: datetime, status: int) -> datetime:
    """In the hour that a zone has twice, the clock status says which of the two it is."""
    if status == NO_PART or status & DAYLIGHT_SAVING:
        return moment
    later = moment.replace(fold=1)
    return later if later.utcoffset() != moment.utcoffset() else moment


def to_datetimes(raws: Iterable[bytes], default_tz: tzinfo | None = None, sense: int = -1) -> list[datetime | DateTime]:
    """Many 12-octet date-times at once: datetimes, and ``DateTime`` for those that are none. For profiles."""
    raws = list(raws)
    try:
        return _at_once(raws, default_tz, sense)
    except (ValueError, OverflowError):
        return [value.to_datetime(default_tz, sense) or value for value in map(DateTime, raws)]


def _at_once(raws: list[bytes], default_tz: tzinfo | None, sense: int) -> list[datetime | DateTime]:
    """All of them by one map at C speed; ValueError where one of them needs a closer look."""
    years, months, days, hours, minutes, seconds, hundredths, deviations, status = zip(
        *_DATE_TIME.iter_unpack(b"".join(raws)), strict=True
    )
    micros = repeat(0) if set(hundredths) <= {0, NO_PART} else map(_micros, hundredths)
    zones = {deviation: _zone(sense * deviation) for deviation in set(deviations)}
    if zones == {NO_DEVIATION: None}:
        moments = map(datetime, years, months, days, hours, minutes, seconds, micros, repeat(default_tz))
        return list(map(_unfold, moments, status) if default_tz else moments)
    if None in zones.values():
        raise ValueError
    return list(map(datetime, years, months, days, hours, minutes, seconds, micros, map(zones.__getitem__, deviations)))
