"""Names that meters write in the place of codes, and how a meter wants to be asked for a code.

Energomera CE: a name means the values of total and tariffs, or of the phases, one after another.
"""

from __future__ import annotations

import re

from dlms_mqtt.protocol.obis import Obis

_WHOLE = re.compile(r"\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3}(\*255)?\(")
_CURRENT = 255  # group F


def _tariffs(quantity: int, unit: str) -> tuple[str, tuple[str, ...]]:
    return unit, tuple(f"1-0:{quantity}.8.{tariff}" for tariff in range(6))


def _by_phase(first: int, unit: str) -> tuple[str, tuple[str, ...]]:
    return unit, tuple(f"1-0:{first + 20 * phase}.7.0" for phase in range(3))


#: Name -> unit and codes, value by value.
LOCAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "ET0PE": _tariffs(1, "kWh"),
    "ET0PI": _tariffs(2, "kWh"),
    "ET0QE": _tariffs(3, "kvarh"),
    "ET0QI": _tariffs(4, "kvarh"),
    "VOLTA": _by_phase(32, "V"),
    "CURRE": _by_phase(31, "A"),
    "POWPP": _by_phase(21, "kW"),
    "COS_f": _by_phase(33, ""),
    "POWEP": ("kW", ("1-0:1.7.0",)),
    "FREQU": ("Hz", ("1-0:14.7.0",)),
    "SNUMB": ("", ("0-0:96.1.0",)),
}
_NAMES = {Obis.parse(code): name for name, (_, codes) in LOCAL.items() for code in codes}
_LOCAL_NAME = re.compile(rf"(?:{'|'.join(LOCAL)})\(")


def address_of(code: Obis, readout: str) -> str:
    """A code as the meter of this readout writes codes: by a name of its own, whole or reduced."""
    if code in _NAMES and _LOCAL_NAME.search(readout):
        return _NAMES[code]
    whole = _WHOLE.search(readout)
    stored = f"*{code[5]:02d}" if code[5] != _CURRENT else whole[1] or "" if whole else ""
    return (f"{code[0]}-{code[1]}:" if whole else "") + "{}.{}.{}".format(*code[2:5]) + stored
