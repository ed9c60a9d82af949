"""What a unit tells of a value whose meaning is open, and which codes count since ever."""

from __future__ import annotations

import pytest

from dlms_mqtt.languages.texts import titled
from dlms_mqtt.meter.catalogue.quantity import BY_UNIT, DISPLAYS, Kind, Quantity, counts_since_ever, refine
from dlms_mqtt.protocol.obis import Obis

OPEN = Quantity("value", titled("Value"))


@pytest.mark.parametrize(
    ("unit", "mbus", "total", "device_class", "state_class"),
    [
        ("kWh", None, True, "energy", "total_increasing"),
        ("kWh", None, False, "energy", ""),
        ("W", None, False, "power", "measurement"),
        ("W", None, True, "power", "measurement"),  # a power counts nothing, whatever its code
        ("m³", 3, True, "gas", "total_increasing"),
        ("m³", 7, False, "water", "total_increasing"),
        ("m³", None, True, "volume", "total_increasing"),
        ("m³", 4, False, "volume", ""),
        ("kVAh", None, True, "", "total_increasing"),
        ("parsec", None, True, "", ""),
    ],
)
def test_an_open_unit(unit: str, mbus: int | None, total: bool, device_class: str, state_class: str) -> None:
    found = refine(OPEN, unit, mbus, total=total)
    assert (found.unit, found.device_class, found.state_class) == (unit, device_class, state_class)


@pytest.mark.parametrize("known", [Quantity("a", titled("A"), unit="W"), Quantity("a", titled("A"), kind=Kind.TEXT)])
def test_what_is_known_stays(known: Quantity) -> None:
    assert refine(known, "kWh", total=True) is known


def test_a_state_class_that_is_known_stays() -> None:
    assert refine(Quantity("a", titled("A"), state_class="total"), "kWh", total=True).state_class == "total"


@pytest.mark.parametrize(
    ("obis", "since_ever"),
    [
        ("1.0.1.8.0.255", True),
        ("1.0.1.8.2.255", True),
        ("1.0.1.8.0.1", False),  # of a billing period
        ("1.0.1.9.0.255", False),
        ("1.0.1.7.0.255", False),
        ("0.1.24.2.1.255", True),
        ("0.1.24.2.2.255", False),
        ("7.0.3.0.0.255", True),
        ("7.0.3.1.0.255", False),
    ],
)
def test_codes_that_count_since_ever(obis: str, since_ever: bool) -> None:
    assert counts_since_ever(Obis.parse(obis)) is since_ever


def test_names_grow() -> None:
    longer = OPEN.extended("_t1", "tariff {e}", e=1)
    assert (longer.key, longer.name, longer.name_in("de")) == ("value_t1", "Value tariff 1", "Value Tarif 1")


def test_every_display_of_a_unit_has_that_unit() -> None:
    assert all(display.unit == unit for unit, display in BY_UNIT.items())
    assert all(row.state_class in ("", "measurement", "total_increasing") for row in DISPLAYS.values())
