"""What was read at a time of day outlives a restart, until it is too old; what is read at intervals does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.bridge.meters.output.kept_readings import SPACE, KeptReadings
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.bridge.reading.schedule import At, Every
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def item(daily: bool = True) -> PlanItem:
    schedule = At(((0, 5),), UTC) if daily else Every(30)
    return PlanItem(ENERGY, quantity(ENERGY.obis, 3, 2), schedule)


def reading(value: Any = Decimal("12.50"), time: datetime = NOW) -> Reading:
    return Reading(ENERGY.obis, 3, 2, item().key, 5, None, value, "kWh", time, Quality.GOOD)


@pytest.mark.parametrize("value", [Decimal("12.50"), "text"])
def test_it_is_there_after_a_restart(value: Any) -> None:
    store = Store(MEMORY)
    kept = KeptReadings("house", store)
    kept.take(item(), reading(value))
    kept.keep()
    ((found, again, left),) = KeptReadings("house", store).fresh([item()], NOW + timedelta(hours=1))
    assert found == item()
    assert (again.value, again.unit, again.time, again.quality) == (value, "kWh", NOW, Quality.GOOD)
    assert left == 25 * 3600 - 3600


def test_it_expires() -> None:
    store = Store(MEMORY)
    kept = KeptReadings("house", store)
    kept.take(item(), reading())
    assert list(kept.fresh([item()], NOW + timedelta(hours=25))) == []
    assert list(kept.fresh([item()], NOW - timedelta(seconds=1))) == []  # of a clock that was put back


def test_what_is_read_at_intervals_is_not_kept() -> None:
    store = Store(MEMORY)
    kept = KeptReadings("house", store)
    kept.take(item(daily=False), reading())
    kept.keep()
    assert store.get(SPACE, "house") is None
    kept.take(item(), reading())
    assert list(kept.fresh([item(daily=False)], NOW)) == []  # its schedule was changed


def test_another_meter_has_read_nothing() -> None:
    kept = KeptReadings("house", Store(MEMORY))
    kept.take(item(), reading())
    kept.forget()
    assert list(kept.fresh([item()], NOW)) == []


ROW = ["12.5", True, "kWh", NOW.isoformat(), "good"]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("bad", [None, "odd", [], {}])
def test_a_damaged_memory_is_none(at: int, bad: Any) -> None:
    store = Store(MEMORY)
    store.set(SPACE, "house", {item().key: [*ROW[:at], bad, *ROW[at + 1 :]]})
    for _found, again, _left in KeptReadings("house", store).fresh([item()], NOW):
        assert at in (1, 2) or (at == 0 and again.value == bad)
    store.set(SPACE, "house", {item().key: ["1e999999999", *ROW[1:]]})  # written out it were a gigabyte
    assert list(KeptReadings("house", store).fresh([item()], NOW)) == []
    store.set(SPACE, "house", bad)
    assert list(KeptReadings("house", store).fresh([item()], NOW)) == []


@pytest.mark.parametrize("part", ["get", "set"])
def test_a_disk_that_fails_costs_only_the_memory(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def failing(*_: object) -> None:
        raise StoreError("the disk is full")

    store = Store(MEMORY)
    with monkeypatch.context() as patch:
        patch.setattr(store, part, failing)
        kept = KeptReadings("house", store)
        kept.take(item(), reading())
        kept.keep()
        assert len(list(kept.fresh([item()], NOW))) == 1
    assert len(list(KeptReadings("house", store).fresh([item()], NOW))) == (part == "get")
