"""Profiles whose rows are odd: too short, too long, times of UNIX, no times, a range that the meter ignores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.client.procedures.profile import Profile, Selection, read_profile
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.errors import AccessRefused, AttributeFailed, ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis

LOAD = Obis.parse("1.0.99.1.0.255")
CLOCK = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2, 0)
UNIX = CaptureObject(1, Obis.parse("0.0.1.1.0.255"), 2, 0)
IMPORT = CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2, 0)
EXPORT = CaptureObject(3, Obis.parse("1.0.2.8.0.255"), 2, 0)
START = datetime(2024, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def moment(hour: float) -> Data:
    return Data(DataType.OCTET_STRING, DateTime.from_datetime(START + hour * HOUR).encode())


def unix(hour: float) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, int((START + hour * HOUR).timestamp()))


def number(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


NULL = Data(DataType.NULL_DATA, None)


class Meter:
    """A client of a meter that gives one buffer whatever is asked for."""

    def __init__(self, columns: list[CaptureObject], rows: list[list[Data]], period: int = 3600) -> None:
        self._columns = Data(DataType.ARRAY, tuple(column.to_data() for column in columns))
        self._period, self.after = number(period), b""
        self._sort = columns[0].to_data()
        self._rows = Data(DataType.ARRAY, tuple(Data(DataType.STRUCTURE, tuple(row)) for row in rows))
        self.memory = Memory()
        self.settings = SimpleNamespace(referencing="ln", pre_established=False)
        self.association = SimpleNamespace(conformance=Conformance.SELECTIVE_ACCESS)
        self.requests: list[Any] = []
        self.instead: dict[int, Any] = {}

    async def get_many(self, attributes: list[Any]) -> list[Any]:
        values = {3: self._columns, 4: self._period, 5: number(1), 6: self._sort, 7: number(24)}
        return [self.instead.get(row.attribute, values[row.attribute]) for row in attributes]

    async def scalers(self, attributes: list[Any]) -> list[ScalerUnit | None]:
        return [ScalerUnit(0, 30) if row.class_id == 3 else None for row in attributes]

    async def get_raw(self, attribute: Any, access: Any = None) -> bytes:
        self.requests.append(access)
        return encode(self._rows) + self.after

    async def read(self, start: float | None = None, end: float = 24) -> Profile:
        chosen = Selection(None if start is None else START + start * HOUR, START + end * HOUR)
        return await read_profile(self, LOAD, chosen)  # type: ignore[arg-type]


async def test_rows_with_fewer_values_than_the_profile_captures() -> None:
    profile = await Meter([CLOCK, IMPORT, EXPORT], [[moment(h), number(1000 + h)] for h in range(3)]).read(0)
    assert profile.rows == [(START + h * HOUR, 1000 + h, None) for h in range(3)]
    assert [note for note in profile.notes if "2 values where the profile captures 3" in note]


async def test_a_missing_value_is_not_the_one_of_the_row_before() -> None:
    rows = [[moment(0), number(1), number(2)], [moment(1), number(3)], [moment(2), NULL, number(5)]]
    profile = await Meter([CLOCK, IMPORT, EXPORT], rows).read(0)
    assert [row[1:] for row in profile.rows] == [(1, 2), (3, None), (3, 5)]


async def test_rows_with_more_values_than_the_profile_captures() -> None:
    profile = await Meter([CLOCK, IMPORT], [[moment(h), number(h), number(7)] for h in range(8)]).read(0)
    assert profile.rows == [(START + h * HOUR, h) for h in range(8)]
    assert len(profile.columns) == 2 and "3 values" in profile.notes[0]


async def test_rows_without_any_value_and_rows_of_one_value() -> None:
    assert (await Meter([CLOCK, IMPORT], [[], []]).read(0)).rows == []
    assert (await Meter([CLOCK, IMPORT], [[moment(1)]]).read(0)).rows == [(START + HOUR, None)]
    assert (await Meter([CLOCK, IMPORT], []).read(0)).rows == []


async def test_seconds_of_unix_are_times_and_are_asked_for_as_seconds() -> None:
    meter = Meter([UNIX, IMPORT], [[unix(h), number(h)] for h in range(24)])
    profile = await meter.read(3, 5)
    assert [row[0] for row in profile.rows] == [START + h * HOUR for h in (3, 4, 5)]
    (selector, parameter), *_ = meter.requests
    assert selector == 1 and parameter.value[1:3] == (unix(3), unix(5))
    assert "the meter ignored the range: 21 of 24 rows" in profile.notes[0]


@pytest.mark.parametrize("odd", [0, 0xFFFFFFFF])
async def test_a_unix_clock_that_was_never_set_is_no_time(odd: int) -> None:
    profile = await Meter([UNIX, IMPORT], [[number(odd), number(1)], [unix(1), number(2)]], period=0).read(0)
    assert [row[0] for row in profile.rows] == [None, START + HOUR]


async def test_what_is_captured_is_read_once_and_again_when_rows_do_not_fit() -> None:
    meter = Meter([CLOCK, IMPORT], [[moment(0), number(1)]])
    meter.memory.learn_scaler(AttributeDescriptor(3, IMPORT.obis, 3), ScalerUnit(0, 30).to_data())
    await meter.read(0)
    assert LOAD in meter.memory.profiles
    changed = Meter([CLOCK, IMPORT], [[moment(0), number(1), number(2)]])
    changed.memory = meter.memory
    assert (await changed.read(0)).notes
    assert LOAD not in meter.memory.profiles


@pytest.mark.parametrize("silent", [3, 4, 5, 6])
async def test_what_came_once_without_an_answer_is_not_kept(silent: int) -> None:
    """The scaler of a column (3), the period, the order and the sort object of the profile."""
    meter = Meter([CLOCK, IMPORT], [[moment(0), number(1)]])
    failed = AttributeFailed("no answer", error=ResponseTimeout("no answer"), target="7/1.0.99.1.0.255:4")
    if silent > 3:
        meter.memory.learn_scaler(AttributeDescriptor(3, IMPORT.obis, 3), ScalerUnit(0, 30).to_data())
        meter.instead[silent] = failed
    assert (await meter.read(0)).rows
    assert LOAD not in meter.memory.profiles


async def test_without_times_a_range_is_not_kept_to_and_that_is_said() -> None:
    untimed = await Meter([IMPORT], [[number(h)] for h in range(9)]).read(3)
    nulls = await Meter([CLOCK, IMPORT], [[NULL, number(h)] for h in range(9)]).read(3)
    for profile in (untimed, nulls):
        assert len(profile.rows) == 9
        assert "the range cannot be kept to" in profile.notes[0]
    assert (await Meter([IMPORT], [[number(1)]]).read()).notes == ()


async def test_octets_behind_the_rows_are_told() -> None:
    meter = Meter([CLOCK, IMPORT], [[moment(1), number(1)]])
    meter.after = b"\x00\x01"
    assert (await meter.read(0)).notes == ("2 octets follow the rows that the meter announced",)


async def test_an_ordinary_profile_has_no_notes() -> None:
    assert (await Meter([CLOCK, IMPORT], [[moment(h), number(h)] for h in range(24)]).read(0)).notes == ()


class Choosy(Meter):
    """Refuses to select rows by range until the word is taken away."""

    refusal: AccessRefused | None = None

    async def get_raw(self, attribute: Any, access: Any = None) -> bytes:
        if self.refusal is not None and access is not None and access[0] == 1:
            self.requests.append("refused")
            raise self.refusal
        return await super().get_raw(attribute, access)


@pytest.mark.parametrize(("word", "tries"), [("read-write-denied", 3), ("other-reason", 3), ("temporary-failure", 6)])
async def test_a_selector_that_is_refused_is_not_given_up_at_once(word: str, tries: int) -> None:
    """Three times in a row, and not as something that passes; one success makes up for it."""
    meter = Choosy([CLOCK, IMPORT], [[moment(h), number(h)] for h in range(24)])
    meter.refusal = AccessRefused("no", name=word)
    for _ in range(2):
        assert len((await meter.read(3, 5)).rows) == 3  # by number, or cut out of the whole
    meter.refusal = None
    await meter.read(3, 5)
    meter.refusal = AccessRefused("no", name=word)
    meter.requests.clear()
    for _ in range(6):
        assert len((await meter.read(3, 5)).rows) == 3
    assert meter.requests.count("refused") == tries


async def test_rows_are_asked_for_up_to_the_last_number_that_there_is() -> None:
    meter = Meter([CLOCK, IMPORT], [])
    await read_profile(meter, LOAD, Selection(first=0xFFFF_FFFE, count=5))  # type: ignore[arg-type]
    ((_, rows),) = meter.requests
    assert [number.value for number in rows.value[:2]] == [0xFFFF_FFFE, 0xFFFF_FFFF]


async def test_rows_of_the_repeated_hour_that_were_asked_for_beside_the_range_are_no_fault() -> None:
    """We ask for an hour more there: the meter was said to ignore the range, each quarter of an hour."""
    zone, autumn, quarter = ZoneInfo("Europe/Vienna"), datetime(2026, 10, 25, tzinfo=UTC), timedelta(minutes=15)
    times = [autumn - quarter + step * quarter for step in range(8)]
    rows = [[Data(DataType.OCTET_STRING, DateTime.from_datetime(time).encode()), number(1)] for time in times]
    since = Selection(autumn + timedelta(minutes=50), autumn + timedelta(hours=2))
    profile = await read_profile(Meter([CLOCK, IMPORT], rows), LOAD, since, tz=zone)  # type: ignore[arg-type]
    assert [row[0] for row in profile.rows] == times[5:] and profile.notes == ()
    late = Selection(autumn + timedelta(hours=5), autumn + timedelta(hours=6))
    profile = await read_profile(Meter([CLOCK, IMPORT], rows), LOAD, late, tz=zone)  # type: ignore[arg-type]
    assert profile.rows == [] and "8 of 8 rows" in profile.notes[0]
