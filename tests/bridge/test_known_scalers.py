"""Scalers of before: for a meter that does not tell them this time, and after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.bridge.meters.output.known_scalers import SPACE, KnownScalers
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
TEXT = AttributeDescriptor(1, Obis.parse("0.0.96.1.0.255"), 2)
WH = ScalerUnit(3, 30)


def measured(attribute: AttributeDescriptor, scaler_unit: ScalerUnit | None = None) -> Measured:
    return Measured(attribute, Data(DataType.LONG_UNSIGNED, 5), scaler_unit)


def test_a_scaler_is_known_again_after_a_restart() -> None:
    store = Store(MEMORY)
    known = KnownScalers("house", store)
    assert known.complete(measured(ENERGY)).scaler_unit is None
    assert known.complete(measured(ENERGY, WH)).scaler_unit == WH
    assert known.complete(measured(ENERGY)).scaler_unit == WH
    known.keep()
    assert KnownScalers("house", store).complete(measured(ENERGY)).scaler_unit == WH
    assert KnownScalers("flat", store).complete(measured(ENERGY)).scaler_unit is None


def test_a_value_without_a_scaler_stays_as_it_is() -> None:
    known = KnownScalers("house", Store(MEMORY))
    assert known.complete(measured(TEXT)) == measured(TEXT)


def test_another_meter_has_others() -> None:
    store = Store(MEMORY)
    known = KnownScalers("house", store)
    known.complete(measured(ENERGY, WH))
    known.keep()
    known.forget()
    assert known.complete(measured(ENERGY)).scaler_unit is None
    known.keep()
    assert store.get(SPACE, "house") == {}


def test_only_what_is_new_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    store, written = Store(MEMORY), list[Any]()
    known = KnownScalers("house", store)
    monkeypatch.setattr(store, "set_soon", lambda *row: written.append(row))
    known.keep()
    known.complete(measured(ENERGY, WH))
    known.keep()
    known.keep()
    assert written == [(SPACE, "house", {"3/1.0.1.8.0.255:2": [3, 30]})]


@pytest.mark.parametrize("saved", ["text", 5, [1], {"3/1.0.1.8.0.255:2": "x"}, {"3/1.0.1.8.0.255:2": [1, 2, 3]}])
def test_a_damaged_memory_is_none(saved: Any) -> None:
    store = Store(MEMORY)
    store.set(SPACE, "house", saved)
    assert KnownScalers("house", store).complete(measured(ENERGY)).scaler_unit is None
