"""Units that exist and units that do not."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.homeassistant.entities import _UNITS
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.quantity import BY_UNIT, DISPLAYS
from dlms_mqtt.meter.catalogue.unit_names import unit_named
from dlms_mqtt.meter.readings import CONVERSIONS, PUBLISHED
from dlms_mqtt.protocol.units import UNITS


def test_every_unit_that_is_published_exists():
    units = {*BY_UNIT, *PUBLISHED.values(), *(display.unit for display in DISPLAYS.values())}
    units |= {unit for pair in CONVERSIONS for unit in pair} | {unit for units in _UNITS.values() for unit in units}
    units |= set(UNITS.values()) - {"other", "count", "currency"}
    for unit in units:
        assert unit_named(unit) == unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [("", ""), ("m3", "m³"), (" kWh ", "kWh"), ("l", "L"), ("€/kWh", "€/kWh"), ("EUR/kWh", "EUR/kWh"), ("ct", "ct")]
    + [("m2", "m²"), ("m^3", "m³"), ("\u03bcA", "\u00b5A"), ("\u03bcg/m³", "\u00b5g/m³")]
    + [(unit, unit) for unit in ("imp", "imp/kWh", "L/h", "MWh", "kvar", "€", "SEK", "1/kWh", "kW·h", "µA", "%", "‰")],
)
def test_a_unit(text, unit):
    assert unit_named(text) == unit


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ("KWh", "kWh"),
        ("kwh", "kWh"),
        ("KWH", "kWh"),
        ("KW", "kW"),
        ("w", "W"),
        ("v", "V"),
        ("a.", ""),
        ("kWhh", "kWh"),
        ("Watt", ""),
        ("M³", "m³"),
        ("M3", "m³"),
        ("M3/H", "m³/h"),
        ("mwH", "MWh"),
        ("hz", "Hz"),
        ("°c", "°C"),
        ("kWh (import)", ""),
        ("foo", ""),
    ],
)
def test_no_unit(text, proposal):
    with pytest.raises(ConfigError, match="there is no unit") as caught:
        unit_named(text)
    assert f"did you mean '{proposal}'?" in caught.value.message if proposal else True
