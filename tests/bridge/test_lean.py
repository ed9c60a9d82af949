"""The default set of a three-phase meter in Home Assistant: what is enabled, and what is only there."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.homeassistant.entities import Entity, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

HOUSE = (
    "1.0.1.8.0.255 1.0.1.8.1.255 1.0.1.8.2.255 1.0.2.8.0.255 1.0.3.8.0.255 1.0.4.8.0.255 1.0.16.7.0.255 1.0.1.7.0.255 "
    "1.0.2.7.0.255 1.0.36.7.0.255 1.0.56.7.0.255 1.0.76.7.0.255 1.0.21.7.0.255 1.0.22.7.0.255 1.0.32.7.0.255 "
    "1.0.52.7.0.255 1.0.72.7.0.255 1.0.31.7.0.255 1.0.51.7.0.255 1.0.71.7.0.255 1.0.13.7.0.255 1.0.33.7.0.255 "
    "1.0.14.7.0.255 1.0.1.4.0.255 1.0.1.6.0.255 0.0.1.0.0.255 0.0.42.0.0.255 0.0.96.1.0.255 1.0.0.2.0.255 "
    "0.0.97.98.0.255"
)


def entities() -> list[Entity]:
    found = built_in(("clock", "ciphering", "guard", "poll", "events"), "en")
    for code in HOUSE.split():
        obis = Obis.parse(code)
        class_id = 8 if code.startswith("0.0.1.0") else 4 if ".6." in code else 5 if ".4.0" in code[5:] else 3
        found += value_entities(quantity(obis, class_id, 2), None, "en")
    return found


def enabled(**values: float) -> set[str]:
    return {entity.key for entity in lean(entities(), (), values) if entity.enabled}


def test_a_three_phase_meter() -> None:
    values = {key for key in enabled() if key.startswith(("power", "energy", "voltage", "current"))}
    assert {"power", "energy_import", "energy_import_t1", "energy_import_t2", "energy_export"} <= values
    assert {f"{name}_l{phase}" for name in ("voltage", "current") for phase in (1, 2, 3)} <= values
    assert values <= {*values} - {"power_import", "power_export", "power_import_l1", "power_export_l1"}
    assert len(values) <= 14
    rest = enabled() - values
    assert rest == {"status", "clock_drift", "set_clock", "read_now", "pause", "event"}


def test_nothing_is_lost() -> None:
    assert [entity.key for entity in lean(entities(), (), {})] == [entity.key for entity in entities()]


@pytest.mark.parametrize("key", ["energy_export", "energy_import_t2"])
def test_what_counts_nothing(key: str) -> None:
    assert key not in enabled(**{key: 0})
    assert key in enabled(**{key: 0.1})
    assert "energy_import" in enabled(energy_import=0)


def test_one_way_power_where_no_signed_one_is() -> None:
    part = [entity for entity in entities() if entity.key in ("power_import", "power_export")]
    assert len(part) == 2
    assert all(entity.enabled for entity in lean(part, (), {}))


def test_what_a_person_named_stays() -> None:
    found = {entity.key: entity.enabled for entity in lean(entities(), {"frequency"}, {})}
    assert found["frequency"]
    assert not found["clock"]
