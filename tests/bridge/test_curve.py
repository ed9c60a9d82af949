"""Today's load curve out of profile rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.meters.output.curve import Curve
from dlms_mqtt.client.state.store import Store

NOW = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        yield store


def message(*values: Any, obis: str = "1.0.1.8.0.255", unit: str = "kWh", end: datetime = NOW) -> dict[str, Any]:
    start = end - QUARTER * (len(values) - 1)
    rows = [[start + QUARTER * index, None, value] for index, value in enumerate(values)]
    return {"interval": 900, "columns": [{"key": "x", "obis": obis, "unit": unit}], "rows": rows}


def watts(curve: Curve, flow: str = "import", now: datetime = NOW) -> list[float]:
    return [row[1] for row in (curve.today(now) or {}).get(flow, [])]


def test_a_register_becomes_the_power_between_its_rows(store):
    curve = Curve("house", store)
    assert curve.today(NOW) is None
    curve.take("load", message(Decimal("100"), Decimal("100.25"), Decimal("100.25"), Decimal("100.5")))
    assert watts(curve) == [1000.0, 0.0, 1000.0]
    assert curve.today(NOW)["import"][-1][0] == NOW.timestamp()


@pytest.mark.parametrize(
    ("obis", "unit", "value", "flow", "result"),
    [
        ("1.0.2.29.0.255", "kWh", Decimal("0.5"), "export", 2000.0),
        ("1.0.1.29.0.255", "Wh", Decimal(500), "import", 2000.0),
        ("1.0.1.5.0.255", "W", Decimal(750), "import", 750.0),
        ("1.0.1.7.0.255", "kW", Decimal("0.75"), "import", 750.0),
    ],
)
def test_other_columns(store, obis, unit, value, flow, result):
    curve = Curve("house", store)
    curve.take("load", message(value, obis=obis, unit=unit))
    assert watts(curve, flow) == [result]


@pytest.mark.parametrize(
    ("obis", "unit"),
    [("1.0.32.7.0.255", "V"), ("1.0.1.8.1.255", "kWh"), ("1.0.3.8.0.255", "kvarh"), ("7.0.1.8.0.255", "m³")],
)
def test_what_is_no_active_power_of_the_whole_meter_is_no_curve(store, obis, unit):
    curve = Curve("house", store)
    curve.take("load", message(Decimal(1), Decimal(2), obis=obis, unit=unit))
    assert curve.today(NOW) is None


def test_a_restart_loses_none_and_the_day_begins_at_local_midnight(store):
    curve = Curve("house", store)
    curve.take("load", message(*(Decimal(index) / 4 for index in range(60))))
    again = Curve("house", store)
    assert again.today(NOW) == curve.today(NOW)
    assert len(watts(again)) == 36  # 9 hours, and no row of yesterday
    assert len(watts(again, now=NOW.astimezone(ZoneInfo("Europe/Vienna")))) == 40
    again.take("load", message(Decimal("14.75"), Decimal("16.75"), end=NOW + QUARTER))
    assert watts(again)[-1] == 8000.0


def test_holes_falls_and_old_rows(store):
    curve = Curve("house", store)
    curve.take("load", message(Decimal(5), None, Decimal(6), Decimal(1), Decimal(2)))
    assert watts(curve) == [2000.0, 4000.0]
    curve.take("load", message(Decimal(9), end=NOW + timedelta(days=3)))
    assert watts(curve) == []


def test_the_first_profile_tells_it_until_it_is_gone(store):
    curve = Curve("house", store)
    curve.take("load", message(Decimal(1), Decimal(2)))
    curve.take("other", message(Decimal(7), obis="1.0.1.5.0.255", unit="W"))
    assert watts(curve) == [4000.0]
    later = NOW + timedelta(days=2)
    curve.take("other", message(Decimal(7), obis="1.0.1.5.0.255", unit="W", end=later))
    assert watts(curve, now=later) == [7.0]


def test_a_damaged_memory_starts_empty(store):
    store.set("curve", "house", {"profile": "load", "interval": "x", "points": [1]})
    assert Curve("house", store).today(NOW) is None
