"""Unit codes of the Blue Book (attribute scaler_unit) and the symbols people know them by.

Source: Blue Book ed. 12, clause 4.3.2 (Register, scaler_unit).
"""

from __future__ import annotations

UNITS: dict[int, str] = {
    # time
    1: "a",
    2: "mo",
    3: "wk",
    4: "d",
    5: "h",
    6: "min",
    7: "s",
    # angle, temperature, money
    8: "°",
    9: "°C",
    10: "currency",
    # length, speed, volume, flow (the second of a pair is the corrected volume)
    11: "m",
    12: "m/s",
    13: "m³",
    14: "m³",
    15: "m³/h",
    16: "m³/h",
    17: "m³/d",
    18: "m³/d",
    19: "L",
    # mass, force, energy, pressure, heat
    20: "kg",
    21: "N",
    22: "Nm",
    23: "Pa",
    24: "bar",
    25: "J",
    26: "J/h",
    # electricity
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    34: "C",
    35: "V",
    36: "V/m",
    37: "F",
    38: "Ω",
    39: "Ωm",
    40: "Wb",
    41: "T",
    42: "A/m",
    43: "H",
    44: "Hz",
    # pulses per unit (meter constants) and squares over time
    45: "1/Wh",
    46: "1/varh",
    47: "1/VAh",
    48: "V²h",
    49: "A²h",
    50: "kg/s",
    51: "S",
    52: "K",
    53: "1/(V²h)",
    54: "1/(A²h)",
    55: "1/m³",
    56: "%",
    57: "Ah",
    # gas
    60: "Wh/m³",
    61: "J/m³",
    62: "mol%",
    63: "g/m³",
    64: "Pa·s",
    65: "J/kg",
    66: "g/cm²",
    67: "atm",
    # signals
    70: "dBm",
    71: "dBµV",
    72: "dB",
    # imperial and United States customary
    128: "in",
    129: "ft",
    130: "lb",
    131: "°F",
    132: "°R",
    133: "in²",
    134: "ft²",
    135: "ac",
    136: "in³",
    137: "ft³",
    138: "ac·ft",
    139: "gal (imp)",
    140: "gal (US)",
    141: "lbf",
    142: "psi",
    143: "lb/ft³",
    144: "lb/(ft·s)",
    145: "ft²/s",
    146: "Btu",
    147: "thm (EC)",
    148: "thm (US)",
    149: "Btu/lb",
    150: "Btu/ft³",
    151: "ft³",
    152: "ft/s",
    153: "ft³/s",
    154: "ft³/min",
    155: "ft³/h",
    156: "ft³/d",
    157: "ac·ft/s",
    158: "ac·ft/min",
    159: "ac·ft/h",
    160: "ac·ft/d",
    161: "gal (imp)",
    162: "gal (imp)/s",
    163: "gal (imp)/min",
    164: "gal (imp)/h",
    165: "gal (imp)/d",
    166: "gal (US)",
    167: "gal (US)/s",
    168: "gal (US)/min",
    169: "gal (US)/h",
    170: "gal (US)/d",
    171: "Btu/s",
    172: "Btu/min",
    173: "Btu/h",
    174: "Btu/d",
    # the ends of the table
    254: "other",
    255: "count",
}

# Other spellings that people write for the same unit.
_ALIASES = {"m3": 13, "m3/h": 15, "m3/d": 17, "l": 19, "C°": 9, "ohm": 38, "degree": 8, "": 255}

_CODES = {symbol: code for code, symbol in reversed(UNITS.items())} | _ALIASES


def unit_code(text: str) -> int | None:
    """The code of a symbol (the first one where two share it), or None when it is no unit of the Blue Book."""
    return _CODES.get(text.strip())
