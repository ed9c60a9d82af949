"""How often Home Assistant takes what changes all the time and is looked at rarely: its recorder keeps a row for each.

The topics say every reading. Home Assistant's template takes one when it is the last before a multiple of the period
(its statistics are made every five minutes), or a jump. An empty answer leaves a sensor of a number as it is.
"""

from __future__ import annotations

from dlms_mqtt.frozen import dataclass

#: Which device classes, and by how much they must differ in their unit to be taken at once; None: never.
_JUMPS: dict[tuple[str, str], float | None] = {
    ("energy", "kWh"): None,
    ("voltage", "V"): 2,
    ("current", "A"): 0.5,
    ("duration", "s"): 2,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """``period`` and the ``interval`` of the readings in s; ``jump`` in the unit of the value."""

    period: int
    interval: int
    jump: float | None


def pace_of(device_class: str, unit: str, interval: float, period: float) -> Pace | None:
    """Of a sensor that is read every so many seconds; None: every reading is taken."""
    kind = device_class, unit
    return Pace(round(period), round(interval), _JUMPS[kind]) if kind in _JUMPS and interval < period else None


def paced(pace: Pace, value: str, expression: str) -> str:
    """A template for ``expression``, whose number is in the variable ``value``."""
    slots = " != ".join(f"({moment} + {pace.interval}) // {pace.period}" for moment in _MOMENTS)
    taken = [f"not {value} | is_number", "not this.state | is_number", slots]
    if pace.jump is not None:
        taken.append(f"({value} | float - this.state | float) | abs >= {pace.jump:g}")
    return f"{{{{ ({expression}) if {' or '.join(taken)} else '' }}}}"


_MOMENTS = ("now() | as_timestamp", "this.last_updated | as_timestamp")
