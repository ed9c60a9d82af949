"""Objects by what people call them: codes, and keys of the catalogue."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.reference import method_of, object_of
from dlms_mqtt.protocol.obis import Obis


@pytest.mark.parametrize(
    ("text", "obis", "number"),
    [
        ("energy_import", "1.0.1.8.0.255", 2),
        ("energy_export_t2", "1.0.2.8.2.255", 2),
        ("ch2_voltage_l1", "1.2.32.7.0.255", 2),
        ("energy_import_t1_billing_3", "1.0.1.8.1.3", 2),
        ("voltage_l1_harmonic_5", "1.0.32.7.5.255", 2),
        ("mbus_3_serial_number", "0.3.96.1.0.255", 2),
        ("device_id_7", "0.0.96.1.7.255", 2),
        ("clock_status", "0.0.1.0.0.255", 4),
        ("demand_max_import_time", "1.0.1.6.0.255", 5),
        ("firmware", "1.0.0.2.0.255", 2),
        ("obis_1_0_96_55_0_255_2", "1.0.96.55.0.255", 2),
        ("energy_import:3", "1.0.1.8.0.255", 3),
        ("1-0:1.8.0", "1.0.1.8.0.255", None),
    ],
)
def test_object(text: str, obis: str, number: int | None) -> None:
    found = object_of(text)
    assert (found.obis, found.number) == (Obis.parse(obis), number)


@pytest.mark.parametrize("text", ["energy", "energy_import_t99", "ch300_voltage_l1", "voltage_l1_billing_300", "x"])
def test_no_key(text: str) -> None:
    with pytest.raises(ConfigError, match="is no object"):
        object_of(text)


def test_the_attribute_of_a_key_is_no_method() -> None:
    assert method_of("clock_status") == ObjectRef(None, Obis((0, 0, 1, 0, 0, 255)))
    assert method_of("clock:1").number == 1
    assert method_of("3/energy_import:reset") == ObjectRef(3, Obis((1, 0, 1, 8, 0, 255)), None, "reset")
