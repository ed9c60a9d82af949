from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.access import AttributeAccess
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.meter.catalogue.lookup import DERIVED, Item, derived, quantity, select, unique
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.catalogue.quantity import DISPLAYS, Kind, refine
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import entries
from tests.meter.frozen_keys import lines

KEYS = Path(__file__).parents[1] / "keys.txt"
obis_codes = st.binary(min_size=6, max_size=6).map(Obis)
electric = st.tuples(st.just(1), st.just(0), st.integers(0, 127), st.integers(0, 60), st.integers(0, 130), st.just(255))

NAMES = [
    # OBIS, key, English, German
    ("1.0.1.8.0.255", "energy_import", "Active energy import", "Wirkenergie Bezug"),
    ("1.0.2.8.2.255", "energy_export_t2", "Active energy export tariff 2", "Wirkenergie Lieferung Tarif 2"),
    ("1.1.1.8.0.255", "energy_import", "Active energy import", "Wirkenergie Bezug"),
    ("1.0.16.8.0.255", "energy_net", "Active energy net", "Wirkenergie Saldo"),
    ("1.0.5.8.0.255", "reactive_energy_q1", "Reactive energy Q1", "Blindenergie Q1"),
    ("1.0.9.8.0.255", "apparent_energy_import", "Apparent energy import", "Scheinenergie Bezug"),
    (
        "1.0.1.29.0.255",
        "energy_import_interval",
        "Active energy import in the recording interval",
        "Wirkenergie Bezug im Speicherintervall",
    ),
    ("1.0.16.7.0.255", "power", "Active power", "Wirkleistung"),
    ("1.0.36.7.0.255", "power_l1", "Active power L1", "Wirkleistung L1"),
    ("1.0.1.7.0.255", "power_import", "Active power import", "Wirkleistung Bezug"),
    ("1.0.4.7.0.255", "reactive_power_export", "Reactive power export", "Blindleistung Lieferung"),
    ("1.0.32.7.0.255", "voltage_l1", "Voltage L1", "Spannung L1"),
    ("1.0.51.7.0.255", "current_l2", "Current L2", "Strom L2"),
    ("1.0.91.7.0.255", "current_neutral", "Current neutral", "Strom Neutralleiter"),
    ("1.0.14.7.0.255", "frequency", "Frequency", "Netzfrequenz"),
    ("1.0.73.7.0.255", "power_factor_l3", "Power factor L3", "Leistungsfaktor L3"),
    ("1.0.32.7.124.255", "voltage_l1_thd", "Voltage L1 total harmonic distortion", "Spannung L1 Oberschwingungsgehalt"),
    ("1.0.81.7.4.255", "angle_i1_u1", "Angle I(L1) to U(L1)", "Winkel I(L1) zu U(L1)"),
    ("1.0.1.6.0.255", "demand_max_import", "Maximum active demand import", "Wirkleistung Bezug Maximum"),
    ("1.0.1.4.0.255", "demand_import", "Present active demand import", "Wirkleistung Bezug Mittelwert"),
    ("1.0.32.32.0.255", "voltage_l1_sags", "Voltage L1 sags", "Spannung L1 Unterschreitungen"),
    (
        "1.0.1.8.1.3",
        "energy_import_t1_billing_3",
        "Active energy import tariff 1, billing period 3",
        "Wirkenergie Bezug Tarif 1, Abrechnungsperiode 3",
    ),
    ("1.4.1.8.0.255", "ch4_energy_import", "Active energy import, channel 4", "Wirkenergie Bezug, Kanal 4"),
    ("0.0.96.1.0.255", "serial_number", "Serial number", "Seriennummer"),
    ("0.0.42.0.0.255", "logical_device_name", "Logical device name", "Logischer Gerätename"),
    ("0.0.1.0.0.255", "clock", "Clock", "Uhr"),
    ("0.0.96.14.0.255", "tariff", "Active tariff", "Aktiver Tarif"),
    ("0.0.96.7.21.255", "outages", "Power outages", "Stromausfälle"),
    ("0.0.96.7.7.255", "long_outages_l2", "Long power outages L2", "Lange Ausfälle L2"),
    ("0.2.24.2.1.255", "mbus_2", "M-Bus 2", "M-Bus 2"),
    ("7.0.3.0.0.255", "gas_volume", "Gas volume", "Gasvolumen"),
    ("1.0.0.4.2.255", "current_transformer_ratio", "Current transformer ratio", "Stromwandlerfaktor"),
]
DISPLAYED = [
    # OBIS, unit, device class, state class
    ("1.0.1.8.0.255", "kWh", "energy", "total_increasing"),
    ("1.0.2.8.2.255", "kWh", "energy", "total_increasing"),
    ("1.1.1.8.0.255", "kWh", "energy", "total_increasing"),
    ("1.0.16.8.0.255", "kWh", "energy", "total"),
    ("1.0.5.8.0.255", "kvarh", "reactive_energy", "total_increasing"),
    ("1.0.9.8.0.255", "kVAh", "", "total_increasing"),
    ("1.0.1.29.0.255", "kWh", "energy", ""),
    ("1.0.16.7.0.255", "W", "power", "measurement"),
    ("1.0.36.7.0.255", "W", "power", "measurement"),
    ("1.0.1.7.0.255", "W", "power", "measurement"),
    ("1.0.4.7.0.255", "var", "reactive_power", "measurement"),
    ("1.0.32.7.0.255", "V", "voltage", "measurement"),
    ("1.0.51.7.0.255", "A", "current", "measurement"),
    ("1.0.91.7.0.255", "A", "current", "measurement"),
    ("1.0.14.7.0.255", "Hz", "frequency", "measurement"),
    ("1.0.73.7.0.255", "", "power_factor", "measurement"),
    ("1.0.32.7.124.255", "%", "", "measurement"),
    ("1.0.81.7.4.255", "°", "", "measurement"),
    ("1.0.1.6.0.255", "W", "power", "measurement"),
    ("1.0.1.4.0.255", "W", "power", "measurement"),
    ("1.0.32.32.0.255", "", "", "total_increasing"),
    ("1.0.1.8.1.3", "kWh", "energy", ""),
    ("1.4.1.8.0.255", "kWh", "energy", "total_increasing"),
    ("0.0.96.1.0.255", "", "", ""),
    ("0.0.42.0.0.255", "", "", ""),
    ("0.0.1.0.0.255", "", "timestamp", ""),
    ("0.0.96.14.0.255", "", "", ""),
    ("0.0.96.7.21.255", "", "", "total_increasing"),
    ("0.0.96.7.7.255", "", "", "total_increasing"),
    ("0.2.24.2.1.255", None, "", ""),
    ("7.0.3.0.0.255", "m³", "gas", "total_increasing"),
    ("1.0.0.4.2.255", "", "", ""),
]


@pytest.mark.parametrize(("obis", "key", "name", "german"), NAMES)
def test_keys_and_names(obis: str, key: str, name: str, german: str) -> None:
    found = quantity(Obis.parse(obis))
    assert (found.key, found.name, found.name_in("de")) == (key, name, german)
    assert (found.name_in("de"), found.name_in("tlh")) == (german, name)
    assert found.catalogued


@pytest.mark.parametrize(("obis", "unit", "device_class", "state_class"), DISPLAYED)
def test_units_and_classes(obis: str, unit: str | None, device_class: str, state_class: str) -> None:
    found = quantity(Obis.parse(obis))
    assert (found.unit, found.device_class, found.state_class) == (unit, device_class, state_class)


def test_keys_are_frozen() -> None:
    """A key keeps its meaning within version 1: lines may be added to keys.txt, none may change or go."""
    frozen = KEYS.read_text().splitlines()
    now = lines()
    assert set(frozen) <= set(now), sorted(set(frozen) - set(now))
    assert set(now) <= set(frozen), "new keys: python tests/meter/frozen_keys.py > tests/meter/keys.txt"


@given(obis_codes | electric.map(Obis), st.sampled_from([None, 1, 3, 4, 5, 7, 8, 70]), st.integers(1, 12))
def test_every_object_has_a_key_and_names(obis: Obis, class_id: int | None, attribute: int) -> None:
    found = quantity(obis, class_id, attribute)
    assert re.fullmatch(r"[a-z0-9_]+", found.key)
    for text in (found.name, found.name_in("de"), object_name(obis, class_id, attribute, "de")):
        assert text and "{" not in text and "  " not in text and text == text.strip()
    assert object_name(obis, class_id, attribute) == found.name
    assert object_name(obis, class_id, attribute, "de") == found.name_in("de")


@given(obis_codes, st.integers(1, 12))
def test_an_unknown_object_is_named_after_its_code(obis: Obis, attribute: int) -> None:
    found = quantity(obis, None, attribute)
    if not found.catalogued:
        assert found.key == f"obis_{str(obis).replace('.', '_')}_{attribute}"


def test_home_assistant_takes_the_classes() -> None:
    """Units and state classes as Home Assistant pairs them with the device classes (2025.4 to 2026.11)."""
    units = {
        "energy": {"kWh"}, "reactive_energy": {"kvarh"}, "power": {"W"}, "apparent_power": {"VA"},
        "reactive_power": {"var"},
        "power_factor": {"", "%"}, "voltage": {"V"}, "current": {"A"}, "frequency": {"Hz"}, "gas": {"m³"},
        "water": {"m³"},
        "volume": {"m³"}, "volume_flow_rate": {"m³/h"}, "pressure": {"bar"}, "duration": {"s", "h"},
        "temperature": {"°C"}, "signal_strength": {"dBm"},
    }  # fmt: skip
    totals = {"energy", "reactive_energy", "gas", "water", "volume"}
    for display in DISPLAYS.values():
        assert not display.device_class or display.unit in units[display.device_class]
        assert display.device_class not in totals or display.state_class in ("total", "total_increasing")


@pytest.mark.parametrize(
    ("class_id", "attribute", "key", "kind"),
    [
        (4, 5, "demand_max_import_time", Kind.TIMESTAMP),
        (4, 4, "demand_max_import_status", Kind.BITS),
        (5, 3, "demand_max_import_last", Kind.NUMBER),
        (5, 6, "demand_max_import_time", Kind.TIMESTAMP),
        (4, 3, "obis_1_0_1_6_0_255_3", Kind.NUMBER),
        (None, 5, "obis_1_0_1_6_0_255_5", Kind.NUMBER),
    ],
)
def test_attributes_beside_the_value(class_id: int | None, attribute: int, key: str, kind: Kind) -> None:
    found = quantity(Obis.parse("1.0.1.6.0.255"), class_id, attribute)
    assert (found.key, found.kind) == (key, kind)


def test_published_readings_are_all_catalogued() -> None:
    """Every published reading has a key of its own; only what is no value, or is known to its maker alone, has none."""
    values = [value for entry in entries("push") for value in entry.get("expected", {}).get("values", ())]
    unknown = {
        value["obis"]
        for value in values
        if "obis" in value and not quantity(Obis.parse(value["obis"]), value.get("class")).catalogued
    }
    assert all(re.search(r":(25\.9|17\.0|96\.3\.0|96\.5\.13|128|99)\.?", obis) for obis in unknown), unknown


# --- choosing -------------------------------------------------------------------------------------------------------


def objects(*codes: str) -> list[ObjectInfo]:
    """``3/1.0.1.8.0.255`` -> an object of class 3."""
    split = [code.split("/") for code in codes]
    return [ObjectInfo(int(class_id), 0, Obis.parse(obis)) for class_id, obis in split]


def keys(items: list[Item]) -> set[str]:
    return {item.quantity.key for item in items}


def test_core_set() -> None:
    view = objects(
        "8/0.0.1.0.0.255", "1/0.0.96.1.0.255", "3/1.0.1.8.0.255", "3/1.0.1.8.1.255", "3/1.0.3.8.0.255",
        "3/1.0.32.7.0.255",
        "4/1.0.1.6.0.255", "3/1.0.1.7.0.255", "3/1.0.2.7.0.255", "7/1.0.99.1.0.255", "70/0.0.96.3.10.255",
        "15/0.0.40.0.0.255", "3/1.0.1.8.0.1", "3/1.0.32.7.3.255", "1/0.0.96.55.0.255",
    )  # fmt: skip
    assert keys(select(view)) == {
        "clock", "serial_number", "energy_import", "energy_import_t1", "voltage_l1", "demand_max_import",
        "demand_max_import_time", "power_import", "power_export", "disconnect_state",
    }  # fmt: skip
    assert {"reactive_energy_import", "energy_import_billing_1", "voltage_l1_harmonic_3"} <= keys(select(view, True))
    assert not any(key.startswith("obis_") for key in keys(select(view, True)))


def test_signed_power_replaces_its_parts() -> None:
    view = objects("3/1.0.16.7.0.255", "3/1.0.1.7.0.255", "3/1.0.2.7.0.255", "3/1.0.21.7.0.255")
    assert keys(select(view)) == {"power", "power_import_l1"}
    assert keys(select(view, True)) == {"power", "power_import", "power_export", "power_import_l1"}


def test_what_may_not_be_read_is_left_out() -> None:
    closed = ObjectInfo(3, 0, Obis.parse("1.0.1.8.0.255"), {2: AttributeAccess(0)})
    assert select([closed], True) == []


def test_two_channels_do_not_share_a_key() -> None:
    view = objects("3/1.1.1.8.0.255", "3/1.0.1.8.0.255", "1/1.0.0.2.0.255", "1/0.0.0.2.0.255")
    assert keys(select(view)) == {"energy_import", "ch1_energy_import", "firmware", "obis_0_0_0_2_0_255_2"}
    assert unique(select(view) * 2) == select(view)


def test_derived_power() -> None:
    assert [row.key for row in derived({"power_import", "power_export", "power_import_l2"})] == ["power", "power_l2"]
    assert derived({"power", "power_import", "power_export"}) == []
    power = DERIVED[0]
    both = {"power_import": Decimal("0.1"), "power_export": Decimal("0.3")}
    assert power.value(both, both) == Decimal("-0.2")
    assert power.value({"power_import": Decimal(5)}, ["power_import"]) == Decimal(5)
    assert power.value({"power_import": Decimal(5)}, ["power_import", "power_export"]) == Decimal(5)  # no export then
    assert power.value({"power_import": Decimal(0)}, ["power_import", "power_export"]) is None
    assert power.value({"power_export": Decimal(5)}, ["power_import", "power_export"]) is None
    assert [row.quantity.key for row in DERIVED] == ["power", "power_l1", "power_l2", "power_l3"]


# --- open units -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "device_type", "device_class", "state_class"),
    [
        ("m³", 3, "gas", "total_increasing"),
        ("m³", 7, "water", "total_increasing"),
        ("m³", None, "volume", ""),
        ("kWh", 4, "energy", ""),
        ("V", None, "voltage", "measurement"),
        ("furlong", None, "", ""),
    ],
)
def test_the_meter_tells_the_unit(unit: str, device_type: int | None, device_class: str, state_class: str) -> None:
    found = refine(quantity(Obis.parse("0.1.24.2.1.255")), unit, device_type)
    assert (found.key, found.unit, found.device_class, found.state_class) == ("mbus_1", unit, device_class, state_class)


def test_a_fixed_unit_stays() -> None:
    fixed = quantity(Obis.parse("1.0.1.8.0.255"))
    assert refine(fixed, "V") is fixed
