"""Which units there are, for those that people write: the Blue Book's, their multiples, Home Assistant's, currencies.

A unit that does not exist (``KWh``) would cost the device class, the statistics and an hour of somebody's time.
"""

from __future__ import annotations

import difflib
import re

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.units import UNITS

_PREFIXED = "Wh varh VAh W VA var V A J Hz Pa bar Ω g m s Ah C cal"
_MORE = (
    "dm³ cm³ mL cL hL gal CCF MCF ft³ yd³ psi inHg mmHg at °C °F K dB dBm dBA lx lm cd ppm ppb pH rpm "
    "° rad min h d wk mo a t oz lb km mi ft yd in ha ac m² km² ft² in² bit B kB MB GB imp pulse pulses pcs x # ‰ % "
    "Btu thm BTU therm S Nm N kg/s mol% l/h"
)
_CODES = (
    "EUR USD GBP CHF SEK NOK DKK ISK PLN CZK HUF RON BGN RSD RUB UAH BYN KZT GEL TRY ILS SAR AED QAR EGP ZAR NGN KES "
    "GHS INR PKR BDT LKR NPR CNY HKD TWD JPY KRW THB VND IDR MYR SGD PHP AUD NZD CAD MXN BRL ARS CLP COP PEN UYU"
)
_MONEY = re.compile(rf"{_CODES.replace(' ', '|')}|[€$£¥₹₽₴₺₩₪฿]|Kč|zł|kr|Fr|ct|c|p|öre|Cent|cent")
_KNOWN = frozenset(
    {symbol for symbol in UNITS.values() if symbol not in ("other", "count", "currency")}
    | {prefix + unit for unit in _PREFIXED.split() for prefix in ("", "µ", "m", "c", "h", "k", "M", "G", "T")}
    | set(_MORE.split())
)
# What people type for the symbol, as far as it can mean nothing else.
_SPELLINGS = {
    "m3": "m³",
    "m^3": "m³",
    "m2": "m²",
    "m3/h": "m³/h",
    "m3/d": "m³/d",
    "dm3": "dm³",
    "ft3": "ft³",
    "l": "L",
    "ml": "mL",
    "hPA": "hPa",
}
_FOLDED = {unit.casefold(): unit for unit in sorted(_KNOWN, key=lambda unit: (len(unit) > 2, unit), reverse=True)}
_COMMON = (
    "kWh",
    "kvarh",
    "kVAh",
    "kW",
    "kvar",
    "kVA",
    "Wh",
    "V",
    "A",
    "Hz",
    "m³",
    "MJ",
    "GJ",
    "MWh",
    "MW",
    "°C",
    "bar",
    "L/h",
)
_FOLDED |= {spelling.casefold(): unit for spelling, unit in _SPELLINGS.items()}
_FOLDED |= {unit.casefold(): unit for unit in _COMMON}
_PER = re.compile(r"\s*([/·*])\s*")


def unit_named(text: str) -> str:
    """The unit as it is written; ConfigError with a proposal when there is none of that name. "" is a plain number."""
    written = text.strip().replace("\u03bc", "\u00b5")  # the Greek letter, as Home Assistant has it now, looks the same
    unit = _SPELLINGS.get(written, written)
    if not unit or unit in _KNOWN or all(_is_unit(part) for part in _PER.split(unit)[::2]):
        return unit
    near = _FOLDED.get(unit.casefold()) or next(iter(difflib.get_close_matches(unit, _COMMON, 1, 0.5)), "")
    proposal = f"did you mean {near!r}?" if near else "expected one such as kWh, W, V, A, m³, MJ or °C"
    raise ConfigError(f"there is no unit {text!r}; {proposal}")


def _is_unit(part: str) -> bool:
    return _SPELLINGS.get(part, part) in _KNOWN or part == "1" or _MONEY.fullmatch(part) is not None
