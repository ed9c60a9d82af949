"""The shape of a quantity: what the bridge and the command line know about one value of a meter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from dlms_mqtt.frozen import dataclass, replace
from dlms_mqtt.languages.texts import ENGLISH, Title


class Kind(StrEnum):
    """How a value is shown."""

    NUMBER = "number"
    TEXT = "text"
    ENUM = "enum"  # a number with words
    BITS = "bits"  # a word of flags
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value with a meaning. ``unit`` "" is a plain number, None whatever the meter says.

    ``words`` maps the numbers of an enum (or the bits of a status) to words. ``catalogued`` is False for an object
    that only has a composed name.
    """

    key: str
    title: Title
    unit: str | None = None
    device_class: str = ""
    state_class: str = ""
    precision: int | None = None
    core: bool = False
    category: str = ""
    kind: Kind = Kind.NUMBER
    words: Mapping[int, str] = field(default_factory=dict)
    catalogued: bool = True

    @property
    def name(self) -> str:
        """The name in English."""
        return self.name_in(ENGLISH)

    def name_in(self, language: str) -> str:
        """The name in a language; in English where nobody has translated it."""
        return self.title.in_language(language)

    def extended(self, key: str, text: str, before: str = " ", **gaps: object) -> Quantity:
        """The same quantity under a longer key, and a name that is longer by ``before`` and a text with gaps."""
        return replace(self, key=self.key + key, title=self.title.extended(text, gaps, before))


@dataclass(frozen=True, slots=True)
class Display:
    """Unit, classes and precision that go together."""

    unit: str
    device_class: str = ""
    state_class: str = "measurement"
    precision: int | None = None


DISPLAYS: dict[str, Display] = {
    "energy": Display("kWh", "energy", "total_increasing", 2),
    "reactive_energy": Display("kvarh", "reactive_energy", "total_increasing", 2),
    "apparent_energy": Display("kVAh", "", "total_increasing", 2),
    "power": Display("W", "power", precision=0),
    "reactive_power": Display("var", "reactive_power", precision=0),
    "apparent_power": Display("VA", "apparent_power", precision=0),
    "voltage": Display("V", "voltage", precision=1),
    "current": Display("A", "current", precision=2),
    "frequency": Display("Hz", "frequency", precision=2),
    "power_factor": Display("", "power_factor", precision=3),
    "angle": Display("°", precision=1),
    "percent": Display("%", precision=1),
    "temperature": Display("°C", "temperature", precision=1),
    "signal": Display("dBm", "signal_strength", precision=0),
    "duration": Display("s", "duration", "", 0),
    "operating_time": Display("h", "duration", "total_increasing", 0),
    "gas": Display("m³", "gas", "total_increasing", 3),
    "water": Display("m³", "water", "total_increasing", 3),
    "volume": Display("m³", "volume", "total_increasing", 3),
    "flow": Display("m³/h", "volume_flow_rate", precision=3),
    "pressure": Display("bar", "pressure", precision=3),
    "count": Display("", "", "total_increasing", 0),
    "number": Display("", "", ""),
    "charge": Display("Ah", "", "total_increasing", 3),
}

# What a unit alone tells, for objects that nobody catalogued: no state class for energies, they may be intervals.
BY_UNIT: dict[str, Display] = {
    "kWh": Display("kWh", "energy", "", 2),
    "kvarh": Display("kvarh", "reactive_energy", "", 2),
    "kVAh": Display("kVAh", "", "", 2),
    "m³": Display("m³", "volume", "", 3),
    "L": Display("L", "volume", "", 0),
    **{unit: Display(unit, "energy", "", digits) for unit, digits in (("Wh", 0), ("MWh", 3), ("GWh", 6))},
    **{unit: Display(unit, "energy", "", digits) for unit, digits in (("J", 0), ("kJ", 0), ("MJ", 1), ("GJ", 3))},
    **{unit: Display(unit, "reactive_energy", "", digits) for unit, digits in (("varh", 0),)},
    "VAh": Display("VAh", "", "", 0),
    **{unit: Display(unit, "power", precision=digits) for unit, digits in (("mW", 0), ("kW", 3), ("MW", 6))},
    **{unit: Display(unit, "voltage", precision=digits) for unit, digits in (("mV", 0), ("kV", 4))},
    "mA": Display("mA", "current", precision=0),
    **{DISPLAYS[name].unit: DISPLAYS[name] for name in ("power", "reactive_power", "apparent_power", "voltage")},
    **{DISPLAYS[name].unit: DISPLAYS[name] for name in ("current", "frequency", "angle", "percent", "temperature")},
    **{DISPLAYS[name].unit: DISPLAYS[name] for name in ("signal", "duration", "flow", "pressure")},
    "h": Display("h", "duration", "", 0),
    "min": Display("min", "duration", "", 0),
    "d": Display("d", "duration", "", 0),
}

# M-Bus device types -> what a channel's value is.
_MBUS_DISPLAYS = {3: "gas", 6: "water", 7: "water", 16: "water", 17: "water", 21: "water"}


TOTALS = frozenset(("energy", "reactive_energy", "gas", "water", "volume"))


def refine(quantity: Quantity, unit: str, mbus_device_type: int | None = None, *, total: bool = False) -> Quantity:
    """A quantity whose unit was open, now that the meter has told it (and what is on its M-Bus channel).

    ``unit`` is the published one; ``total``: its code says that it counts since ever.
    """
    if quantity.unit is not None or quantity.kind is not Kind.NUMBER:
        return quantity
    name = _MBUS_DISPLAYS.get(mbus_device_type or -1) if unit == "m³" else None
    display = DISPLAYS[name] if name else BY_UNIT.get(unit, Display(unit, "", ""))
    counts = total and (display.device_class in TOTALS or display.unit in ("kVAh", "VAh", "Ah"))
    state_class = quantity.state_class or ("total_increasing" if counts else display.state_class)
    return replace(
        quantity,
        unit=display.unit,
        device_class=display.device_class,
        state_class=state_class,
        precision=display.precision,
    )


def counts_since_ever(obis: bytes) -> bool:
    """Is this a running total? Electricity: time integral 1; M-Bus: the first value; other media: the index."""
    a, _, c, d, e, f = obis
    return f == 255 and ((a == 1 and d == 8) or (a == 0 and (c, d, e) == (24, 2, 1)) or (5 <= a <= 9 and d == 0))
