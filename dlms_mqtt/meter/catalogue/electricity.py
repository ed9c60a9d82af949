"""Electricity (A = 1): what groups C, D and E say, as tables that are combined: 1.8.2 is import, energy, tariff 2.

Phases repeat the table of the sum: C + 20 is L1, + 40 L2, + 60 L3.
"""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.frozen import replace
from dlms_mqtt.languages.texts import Title, Word, titled
from dlms_mqtt.meter.catalogue.quantity import DISPLAYS, Quantity

TARIFF, HARMONIC, ANGLE = "tariff {e}", "harmonic {e}", "Angle {a} to {b}"
PHASES = {0: "", 20: "l1", 40: "l2", 60: "l3"}


class Flow(NamedTuple):
    """One direction of energy: kind (the row of ``KINDS``), key and name."""

    kind: str
    key: str
    en: str

    @property
    def direction(self) -> Word | str:
        """What fills the gap in a name; the quadrants are called the same everywhere."""
        return self.en if self.en.startswith("Q") else Word(self.en)


class EnergyKind(NamedTuple):
    """Active, reactive, apparent: beginnings of keys and names."""

    prefix: str
    en: str


class Measure(NamedTuple):
    """What group D makes of a flow; ``{k}`` kind, ``{d}`` direction; an ``interval`` value is no running total."""

    noun: str  # energy, power or demand
    key: str
    en: str
    interval: bool = False

    def title(self, kind: EnergyKind, flow: Flow) -> Title:
        """The name of this measure of a flow."""
        return titled(self.en, k=Word(kind.en, self.noun), d=flow.direction)


class Base(NamedTuple):
    """A quantity that has no direction: key, name and display."""

    key: str
    en: str
    display: str


KINDS = {
    "active": EnergyKind("", "active"),
    "reactive": EnergyKind("reactive_", "reactive"),
    "apparent": EnergyKind("apparent_", "apparent"),
}

FLOWS: dict[int, Flow] = {
    1: Flow("active", "import", "import"),
    2: Flow("active", "export", "export"),
    3: Flow("reactive", "import", "import"),
    4: Flow("reactive", "export", "export"),
    5: Flow("reactive", "q1", "Q1"),
    6: Flow("reactive", "q2", "Q2"),
    7: Flow("reactive", "q3", "Q3"),
    8: Flow("reactive", "q4", "Q4"),
    9: Flow("apparent", "import", "import"),
    10: Flow("apparent", "export", "export"),
    15: Flow("active", "absolute", "import plus export"),
    16: Flow("active", "net", "net"),
    17: Flow("active", "q1", "Q1"),
    18: Flow("active", "q2", "Q2"),
    19: Flow("active", "q3", "Q3"),
    20: Flow("active", "q4", "Q4"),
}

MEASURES: dict[int, Measure] = {
    2: Measure("demand", "demand_cumulative_{d}", "cumulative maximum {k} demand {d}"),
    3: Measure("demand", "demand_min_{d}", "minimum {k} demand {d}"),
    4: Measure("demand", "demand_{d}", "present {k} demand {d}"),
    5: Measure("demand", "demand_last_{d}", "last {k} demand {d}"),
    6: Measure("demand", "demand_max_{d}", "maximum {k} demand {d}"),
    7: Measure("power", "power_{d}", "{k} power {d}"),
    8: Measure("energy", "energy_{d}", "{k} energy {d}"),
    9: Measure(
        "energy",
        "energy_{d}_period",
        "{k} energy {d} this billing period",
        True,
    ),
    10: Measure("energy", "energy_{d}_above", "{k} energy {d} above threshold"),
    12: Measure(
        "demand",
        "demand_cumulative_2_{d}",
        "cumulative maximum {k} demand {d} 2",
    ),
    13: Measure("demand", "demand_min_2_{d}", "minimum {k} demand {d} 2"),
    14: Measure("demand", "demand_2_{d}", "present {k} demand {d} 2"),
    15: Measure("demand", "demand_last_2_{d}", "last {k} demand {d} 2"),
    16: Measure("demand", "demand_max_2_{d}", "maximum {k} demand {d} 2"),
    23: Measure("demand", "demand_min_3_{d}", "minimum {k} demand {d} 3"),
    24: Measure("demand", "demand_3_{d}", "present {k} demand {d} 3"),
    25: Measure("demand", "demand_last_3_{d}", "last {k} demand {d} 3"),
    26: Measure("demand", "demand_max_3_{d}", "maximum {k} demand {d} 3"),
    27: Measure(
        "demand",
        "demand_interval_{d}",
        "{k} demand {d} in the recording interval",
    ),
    28: Measure(
        "demand",
        "demand_interval_2_{d}",
        "{k} demand {d} in recording interval 2",
    ),
    29: Measure(
        "energy",
        "energy_{d}_interval",
        "{k} energy {d} in the recording interval",
        True,
    ),
    30: Measure(
        "energy",
        "energy_{d}_interval_2",
        "{k} energy {d} in recording interval 2",
        True,
    ),
    55: Measure("demand", "demand_test_{d}", "{k} test demand {d}"),
    58: Measure("energy", "energy_{d}_test", "{k} test energy {d}", True),
}

# C -> quantities without a direction; those of the sum repeat for the phases.
_PHASED: dict[int, Base] = {
    11: Base("current", "Current", "current"),
    12: Base("voltage", "Voltage", "voltage"),
    13: Base("power_factor", "Power factor", "power_factor"),
    14: Base("frequency", "Frequency", "frequency"),
}
BASES: dict[int, tuple[Base, str]] = {
    **{c + offset: (base, phase) for offset, phase in PHASES.items() for c, base in _PHASED.items()},
    84: (Base("power_factor_export", "Power factor export", "power_factor"), ""),
    **{
        84 + n: (
            Base("power_factor_export", "Power factor export", "power_factor"),
            f"l{n}",
        )
        for n in (1, 2, 3)
    },
    90: (Base("current_sum", "Current sum", "current"), ""),
    91: (Base("current_neutral", "Current neutral", "current"), ""),
    92: (Base("voltage_neutral", "Voltage neutral", "voltage"), ""),
    124: (Base("voltage_l1_l2", "Voltage L1-L2", "voltage"), ""),
    125: (Base("voltage_l2_l3", "Voltage L2-L3", "voltage"), ""),
    126: (Base("voltage_l3_l1", "Voltage L3-L1", "voltage"), ""),
}

# D -> which value of such a quantity: key, name, display (empty: the quantity's own).
LEVELS: dict[int, tuple[str, str, str]] = {
    0: ("_average_period", "average this billing period", ""),
    3: ("_min", "minimum", ""),
    4: ("_average", "present average", ""),
    5: ("_average_last", "last average", ""),
    6: ("_max", "maximum", ""),
    7: ("", "", ""),
    13: ("_min_2", "minimum 2", ""),
    14: ("_average_2", "present average 2", ""),
    15: ("_average_last_2", "last average 2", ""),
    16: ("_max_2", "maximum 2", ""),
    23: ("_min_3", "minimum 3", ""),
    24: ("_average_3", "present average 3", ""),
    25: ("_average_last_3", "last average 3", ""),
    26: ("_max_3", "maximum 3", ""),
    27: ("_interval", "in the recording interval", ""),
    28: ("_interval_2", "in recording interval 2", ""),
    31: ("_low_threshold", "low threshold", ""),
    32: ("_sags", "sags", "count"),
    33: ("_sag_duration", "sag duration", "duration"),
    34: ("_sag_magnitude", "sag magnitude", ""),
    35: ("_high_threshold", "high threshold", ""),
    36: ("_swells", "swells", "count"),
    37: ("_swell_duration", "swell duration", "duration"),
    38: ("_swell_magnitude", "swell magnitude", ""),
    39: ("_missing_threshold", "missing threshold", ""),
    40: ("_missing", "missing", "count"),
    41: ("_missing_duration", "missing duration", "duration"),
    42: ("_missing_magnitude", "missing magnitude", ""),
    43: ("_sag_time_threshold", "sag time threshold", "duration"),
    44: ("_swell_time_threshold", "swell time threshold", "duration"),
    45: ("_missing_time_threshold", "missing time threshold", "duration"),
    51: ("_interval_min", "minimum in the recording interval", ""),
    52: ("_interval_2_min", "minimum in recording interval 2", ""),
    53: ("_interval_max", "maximum in the recording interval", ""),
    54: ("_interval_2_max", "maximum in recording interval 2", ""),
}
_INSTANTANEOUS = 7
_SETTINGS = frozenset({31, 35, 39, 43, 44, 45})

# E of 1.0.81.7.E: units are the vector, tens what it is measured against.
_VECTORS = {
    0: ("u1", "U(L1)"),
    1: ("u2", "U(L2)"),
    2: ("u3", "U(L3)"),
    4: ("i1", "I(L1)"),
    5: ("i2", "I(L2)"),
    6: ("i3", "I(L3)"),
    7: ("in", "I(N)"),
}
_DISTORTION = {
    124: ("_thd", "total harmonic distortion"),
    125: ("_tdd", "total demand distortion"),
    126: ("_harmonics", "all harmonics"),
}

#: The texts that stand in no row.
PHRASES = (TARIFF, HARMONIC, ANGLE, "{k} power", *(text for _, text in _DISTORTION.values()))
_SHORTEST = "power"  # the value everybody wants gets the shortest key
_SIGNED_POWER = Quantity(_SHORTEST, titled("{k} power", k=Word("active", "power")))
_CORE_ENERGY = frozenset({"energy_import", "energy_export"})
_CORE_POWER = frozenset({"power", "power_import", "power_export"})
_CORE_DEMAND = frozenset({"demand_import", "demand_max_import", "demand_max_export"})
_CORE_BASES = frozenset({"voltage", "current", "power_factor", "frequency"})


def electricity(obis: bytes) -> Quantity | None:
    """What the value group C, D and E mean; None where the tables do not say. Groups B and F are the caller's."""
    c, d, e = obis[2:5]
    if c in BASES:
        return _base(c, d, e)
    if (c, d) == (81, 7):
        return _angle(e)
    return _flow(c, d, e)


def _flow(c: int, d: int, e: int) -> Quantity | None:
    offset = (c - 1) // 20 * 20
    flow, measure = FLOWS.get(c - offset), MEASURES.get(d)
    if flow is None or measure is None or offset not in PHASES or e > 63:
        return None
    kind, phase = KINDS[flow.kind], PHASES[offset]
    key = kind.prefix + measure.key.format(d=flow.key)
    quantity = _SIGNED_POWER if key == "power_net" else Quantity(key, measure.title(kind, flow))
    return _tariff(_phase(_energy_display(quantity, kind, flow, measure), phase), e)


def _energy_display(quantity: Quantity, kind: EnergyKind, flow: Flow, measure: Measure) -> Quantity:
    display = DISPLAYS[kind.prefix + ("energy" if measure.noun == "energy" else "power")]
    state_class = "" if measure.interval else display.state_class
    if flow.key == "net" and measure.noun == "energy":
        state_class = "total" if state_class else ""
    return replace(
        quantity,
        unit=display.unit,
        device_class=display.device_class,
        state_class=state_class,
        precision=display.precision,
        core=quantity.key in _CORE_ENERGY | _CORE_POWER | _CORE_DEMAND,
    )


def _phase(quantity: Quantity, phase: str) -> Quantity:
    if not phase:
        return quantity
    core = quantity.core and quantity.key in _CORE_POWER | _CORE_BASES
    return replace(quantity.extended(f"_{phase}", phase.upper()), core=core)


def _tariff(quantity: Quantity, e: int) -> Quantity:
    if not e:
        return quantity
    core = quantity.core and quantity.key in _CORE_ENERGY
    return replace(quantity.extended(f"_t{e}", TARIFF, e=e), core=core)


def _base(c: int, d: int, e: int) -> Quantity | None:
    base, phase = BASES[c]
    level = LEVELS.get(d)
    if level is None:
        return None
    key, en, display_name = level
    display = DISPLAYS[display_name or base.display]
    core = base.key in _CORE_BASES and d == _INSTANTANEOUS
    quantity = Quantity(base.key, titled(base.en), display.unit, display.device_class, display.state_class, core=core)
    quantity = replace(_phase(quantity, phase).extended(key, en), precision=display.precision)
    if d in _SETTINGS:
        quantity = replace(quantity, state_class="", category="diagnostic")
    return _harmonic(quantity, e)


def _harmonic(quantity: Quantity, e: int) -> Quantity | None:
    if e == 0:
        return quantity
    distortion = _DISTORTION.get(e)
    if distortion is None and e > 120:
        return None
    key, text = distortion or (f"_harmonic_{e}", HARMONIC)
    display = DISPLAYS["percent"] if distortion else None
    quantity = replace(quantity.extended(key, text, e=e), core=False)
    return replace(quantity, unit=display.unit, device_class="", precision=1) if display else quantity


def _angle(e: int) -> Quantity | None:
    vector, reference = _VECTORS.get(e % 10), _VECTORS.get(e // 10)
    if vector is None or reference is None:
        return None
    display = DISPLAYS["angle"]
    return Quantity(
        f"angle_{vector[0]}_{reference[0]}",
        titled(ANGLE, a=vector[1], b=reference[1]),
        display.unit,
        display.device_class,
        display.state_class,
        display.precision,
    )
