"""Results: plain values that can be pickled, turned into JSON, and given to pandas and polars as they are."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas
import polars
import pytest

from dlms_mqtt import Meter, MeterRefused, Profile, Reading
from dlms_mqtt.client.procedures.profile import Column
from dlms_mqtt.client.procedures.profile import Profile as RawProfile
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.library import results
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import household, serve_tcp

CET = timezone(timedelta(hours=1))
T = DataType
NOON = datetime(2026, 7, 1, 12, tzinfo=CET)


@pytest.fixture
async def meter() -> AsyncIterator[Meter]:
    async with (
        serve_tcp(household(1)) as server,
        Meter(f"tcp://127.0.0.1:{server.port}", client=32, password="12345678", timezone="Europe/Vienna") as meter,
    ):
        yield meter


async def test_everything_can_be_pickled_and_is_json(meter: Meter) -> None:
    found = [
        *await meter.read("1-0:1.8.0", "1-0:32.7.0", "0-0:42.0.0", "0-0:1.0.0", "1/0-0:200.9.9", "1-0:99.1.0:3"),
        *await meter.objects(),
        await meter.profile("1-0:99.1.0", count=5),
        await meter.profile("1-0:99.1.0", count=5, exact=True),
        await meter.clock(),
    ]
    for item in found:
        again = pickle.loads(pickle.dumps(item))
        assert again.as_dict() == item.as_dict()
        assert json.loads(item.to_json()) == json.loads(json.dumps(item.as_dict()))


VALUES: list[tuple[Data, Any]] = [
    (Data(T.OCTET_STRING, b"ABC123"), "ABC123"),
    (Data(T.OCTET_STRING, b"\x00\x01"), b"\x00\x01"),
    (Data(T.OCTET_STRING, b""), b""),
    (Data(T.OCTET_STRING, bytes.fromhex("07ea0701030c000000ffc400")), NOON),
    (Data(T.OCTET_STRING, bytes.fromhex("07eaff01030c000000ffc400")), "2026-*-01T12:00:00+01:00"),
    (Data(T.DATE_TIME, DateTime.from_datetime(NOON)), NOON),
    (Data(T.BOOLEAN, True), True),
    (Data(T.FLOAT32, 1.5), 1.5),
    (Data(T.NULL_DATA, None), None),
    (Data(T.BIT_STRING, "0101"), "0101"),
    (Data(T.STRUCTURE, (Data(T.UNSIGNED, 1), Data(T.ARRAY, (Data(T.UTF8_STRING, "ä"),)))), [1, ["ä"]]),
]


@pytest.mark.parametrize(("data", "expected"), VALUES, ids=lambda value: str(value)[:40])
def test_values_in_plain_python(data: Data, expected: Any) -> None:
    found = results.value_of(data, CET)
    assert found == expected
    assert type(found) is type(expected)


JSON: list[tuple[Any, Any]] = [
    (Decimal("230.10"), 230.1),
    (Decimal(5), 5),
    (Decimal("NaN"), None),
    (float("inf"), None),
    (b"\x01", "01"),
    (NOON, "2026-07-01T12:00:00+01:00"),
    ([1, (Decimal("0.5"),)], [1, [0.5]]),
]


@pytest.mark.parametrize(("value", "expected"), JSON, ids=lambda value: str(value)[:40])
def test_values_in_json(value: Any, expected: Any) -> None:
    assert results.plain(value) == expected


def test_a_refused_reading_in_json() -> None:
    error = MeterRefused("the meter refused", name="object-undefined")
    reading = Reading(Obis.parse("1-0:1.8.0"), 3, 2, None, "", None, NOON, error)
    assert reading.as_dict() == {
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Active energy import",
        "value": None,
        "unit": None,
        "raw": None,
        "time": "2026-07-01T12:00:00+01:00",
        "error": "object-undefined",
        "message": "the meter refused",
    }


# -- profiles as tables -----------------------------------------------------------------------------------------------


def raw(*rows: tuple[Any, ...]) -> RawProfile:
    columns = (
        Column(CaptureObject(8, Obis.parse("0-0:1.0.0"), 2, 0)),
        Column(CaptureObject(3, Obis.parse("1-0:1.8.0"), 2, 0), ScalerUnit(1, 30)),
        Column(CaptureObject(3, Obis.parse("1-0:32.7.0"), 2, 0), ScalerUnit(-1, 35)),
        Column(CaptureObject(3, Obis.parse("1-0:32.7.0"), 2, 1), ScalerUnit(-1, 35)),
        Column(CaptureObject(1, Obis.parse("0-0:96.1.0"), 2, 0)),
    )
    return RawProfile(Obis.parse("1-0:99.1.0"), columns, list(rows), 900, 0)


ROWS = (
    (datetime(2026, 7, 1, 10, tzinfo=UTC), 7, 2301, 2302, b"A1"),
    (datetime(2026, 7, 1, 12, 15, tzinfo=CET), 8, None, 2303, b"\xff\x00"),
)


def table(exact: bool = False) -> Profile:
    return results.profile(raw(*ROWS), CET, exact)


def test_columns_have_names_and_scaled_values() -> None:
    made = table()
    assert made.columns == ("Clock", "Active energy import", "Voltage L1", "Voltage L1 (2)", "Serial number")
    assert made.units == ("", "Wh", "V", "V", "")
    assert made.rows == [
        (datetime(2026, 7, 1, 11, tzinfo=CET), 70, 230.1, 230.2, "A1"),
        (datetime(2026, 7, 1, 12, 15, tzinfo=CET), 80, None, 230.3, b"\xff\x00"),
    ]
    assert {moment.tzinfo for moment, *_ in made.rows} == {CET}  # one zone for a column, whatever the meter states


def test_exact_numbers() -> None:
    assert table(exact=True).rows[0][1:4] == (Decimal(70), Decimal("230.1"), Decimal("230.2"))


def test_it_is_a_sequence_of_dicts() -> None:
    made = table()
    assert len(made) == 2
    assert made[0] == dict(zip(made.columns, made.rows[0], strict=True))
    assert made[-1] == list(made)[1]
    assert made[:1] == [made[0]]
    assert made.as_dict()["rows"][1][4] == "ff00"
    assert made.as_dict()["sources"][1] == "3/1.0.1.8.0.255:2"


def test_an_empty_profile() -> None:
    made = results.profile(raw(), CET, False)
    assert (list(made), made.rows, len(made.columns)) == ([], [], 5)


async def test_pandas_takes_it(meter: Meter) -> None:
    profile = await meter.profile("1-0:99.1.0", count=96)
    frame = pandas.DataFrame(profile)
    assert list(frame.columns) == list(profile.columns)
    assert len(frame) == 96
    assert str(frame["Clock"].dtype).endswith("Europe/Vienna]")
    assert frame["Active energy import"].dtype.kind == "i"
    assert (frame.set_index("Clock")["Active energy import"].diff().dropna() >= 0).all()
    empty = pandas.DataFrame(results.profile(raw(), CET, False), columns=table().columns)
    assert list(empty.columns) == list(table().columns)


async def test_polars_takes_it(meter: Meter) -> None:
    profile = await meter.profile("1-0:99.1.0", count=96)
    frame = polars.DataFrame(profile)
    assert frame.columns == list(profile.columns)
    assert frame.height == 96
    assert frame["Clock"].dtype == polars.Datetime("us", "Europe/Vienna")
    assert frame["Active energy import"].dtype == polars.Int64
    exact = polars.DataFrame(await meter.profile("1-0:99.1.0", count=5, exact=True))
    assert exact["Active energy import"].dtype == polars.Decimal
