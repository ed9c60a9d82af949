"""How fast a counter can move and how much can flow, each in its own measure: the energy guard's bounds by unit."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from dlms_mqtt.bridge.config.sections.meter import Supply

_HEAT = 100_000.0  # W; what a house's heat connection can carry, whatever its electric supply
_VOLUME = 50.0  # m³ an hour: more than the gas or water meter of a house can pass
_VOLTS = 230.0

#: unit -> what it measures, and how many of it are one of the first of its kind (kWh, m³, Ah, h).
_UNITS: dict[str, tuple[str, Decimal]] = {
    unit: (kind, Decimal(factor))
    for kind, units in {
        "energy": {"kWh": "1", "Wh": "1000", "MWh": "0.001", "GWh": "0.000001"},
        "reactive": {"kvarh": "1", "varh": "1000", "Mvarh": "0.001"},
        "apparent": {"kVAh": "1", "VAh": "1000", "MVAh": "0.001"},
        "heat": {"MJ": "3.6", "J": "3600000", "kJ": "3600", "GJ": "0.0036"},
        "volume": {"m³": "1", "L": "1000", "mL": "1000000", "ft³": "35.3147", "CCF": "0.353147", "gal": "264.172"},
        "charge": {"Ah": "1", "mAh": "1000", "kAh": "0.001"},
        "time": {"h": "1", "min": "60", "s": "3600", "d": "0.0416666667"},
    }.items()
    for unit, factor in units.items()
}


class Bound(NamedTuple):
    """``an_hour``: the most in an hour; ``slack``: what a jump may exceed that by."""

    an_hour: Decimal
    slack: Decimal

    def most(self, seconds: float, *values: Decimal) -> Decimal:
        """The farthest that a counter gets in this time; one that moves in coarse steps may move by one of them.

        A step is that of the finest of its ``values``: a damaged float of 1E+30 makes no counter coarse.
        """
        exponents = [exponent for value in values if isinstance(exponent := value.as_tuple().exponent, int)]
        step = Decimal(1).scaleb(min(exponents)) if exponents else Decimal(0)
        return self.an_hour * Decimal(seconds) / 3600 + max(self.slack, step)


def bound_of(unit: str, watts: float, electric: bool = True) -> Bound | None:
    """The bound of a counter in this unit behind a supply of so many watts; None where nobody knows."""
    if unit not in _UNITS:
        return None
    kind, factor = _UNITS[unit]
    heat = max(watts, _HEAT) / 1000
    an_hour = {"volume": _VOLUME, "charge": watts / _VOLTS, "time": 1.0, "heat": heat}.get(kind, watts / 1000)
    if not electric:
        an_hour = max(an_hour, heat)
    return Bound(Decimal(an_hour) * factor, factor)


def is_delivered(unit: str) -> bool:
    """Is it a unit of what a meter measures: energy, volume, charge? Hours of work and outages are none."""
    return _UNITS.get(unit, ("time",))[0] != "time"


def converted(value: Decimal, unit: str, wanted: str) -> Decimal | None:
    """The same quantity in another unit; None where the two do not measure the same."""
    if unit == wanted:
        return value
    kind, factor = _UNITS.get(unit, ("", Decimal(1)))
    other, wanted_factor = _UNITS.get(wanted, (" ", Decimal(1)))
    return value / factor * wanted_factor if kind == other else None


FLOWS = frozenset(("power", "apparent_power", "reactive_power", "voltage", "current"))
# Of a moment: motors start, and a supply between phases has 400 V where one to neutral has 230.
_MARGIN = {"W": 1.6, "V": 2.5, "A": 2.0}
_FLOW_UNITS = {
    prefix + unit: (kind, Decimal(factor))
    for unit, kind in (("W", "W"), ("VA", "W"), ("var", "W"), ("V", "V"), ("A", "A"))
    for prefix, factor in (("", "1"), ("k", "0.001"), ("m", "1000"), ("M", "0.000001"))
}


def most_of(unit: str, supply: Supply) -> Decimal | None:
    """The most of a power, voltage or current in this unit; None where nobody knows."""
    if unit not in _FLOW_UNITS:
        return None
    kind, factor = _FLOW_UNITS[unit]
    nominal = {"W": supply.watts, "V": supply.volts, "A": supply.amperes}[kind]
    return Decimal(nominal * _MARGIN[kind]) * factor
