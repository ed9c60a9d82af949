"""Every key of the catalogue leads back to its object."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlms_mqtt.meter.catalogue.keys import of_key
from dlms_mqtt.meter.catalogue.lookup import quantity

KEYS = (Path(__file__).parents[1] / "keys.txt").read_text(encoding="utf-8").splitlines()


def test_every_key_names_an_object_with_that_key() -> None:
    for line in KEYS:
        key = line.split()[1]
        found = of_key(key)
        assert found is not None, key
        assert quantity(found.obis, found.class_id, found.number or 2).key == key


@pytest.mark.parametrize("text", ["energy", "energy_import_t99", "ch300_voltage_l1", "voltage_l1_billing_300", "x", ""])
def test_what_is_no_key(text: str) -> None:
    assert of_key(text) is None
