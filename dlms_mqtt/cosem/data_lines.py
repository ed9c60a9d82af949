"""The lines of a readout or P1 telegram: ``1.8.0(000123.456*kWh)`` as a value with its code, scaler and unit.

Codes may be whole (``1-0:1.8.0*255``) or reduced as on a meter's display (``1.8.0``, ``C.1.0``, ``F.F``, ``1.8.0*01``;
IEC 62056-61). Numbers keep every digit: the value has no point, the scaler says where it was. Times are local; S or W
at their end, or 1 or 0 before them, says whether daylight saving time was in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import NamedTuple

from dlms_mqtt.cosem.local_names import LOCAL
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, Date, DateTime, Time
from dlms_mqtt.protocol.obis import CLOCK, Obis
from dlms_mqtt.protocol.units import unit_code

_SETS = re.compile(r"(?:[^()\s/!]*(?:\([^()]*\))+\s*)+(?=\Z|[^()]*[\x00-\x08])")
_SET = re.compile(r"([^()\s]*)((?:\([^()]*\))+)")
_GROUP = re.compile(r"\(([^()]*)\)")
_ADDRESS = re.compile(r"(?:(\d{1,3})-(\d{1,3}):)?([CFLP]|\d{1,3})\.([CFLP]|\d{1,3})(?:\.(\d{1,3}))?(?:[*&.](\d{1,3}))?")
_NUMBER = re.compile(r"([+-]?)(\d+)(?:[.,](\d+))?(?:\s*\*\s*(.*)|\s*([A-Za-z]\S*))?")
_STAMP = re.compile(r"([012])?(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?([SW])?")
_DAY = re.compile(r"(?:[012](?=\d{6}\Z))?(\d{2})-?(\d{2})-?(\d{2})")
_DAY_FIRST = re.compile(r"(\d{2})[./](\d{2})[./](\d{2})")
_HOUR = re.compile(r"(?:[012](?=\d{6}\Z))?(\d{2}):?(\d{2})(?::?(\d{2}))?")
_TIME = re.compile(r"\d{12}[SW]?")
_BETWEEN = re.compile(r"(?<=\d)[-:,. ]+(?=\d)")
_SUMMER, _WINTER = DAYLIGHT_SAVING, 0
_COUNT = 255
_CURRENT = 255  # group F
_MOST_DIGITS = 18
_MOST_HEX = 8  # digits of an error register

_SHOWN_DATE = re.compile(r"0\.9\.2(?:\*255)?\((\d+)\)")

_TIME_OF_DAY = Obis((1, 0, 0, 9, 1, 255))
_DATE_OF_DAY = Obis((1, 0, 0, 9, 2, 255))

# What lines tell values in, however it is capitalised (kVAr, KWH); the whole Blue Book would mistake A for years.
_SYMBOLS = ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A", "Hz", "J", "L", "m³", "°C", "s", "min", "h", "%", "m3")
_CODES = {symbol.casefold(): unit_code(symbol) for symbol in _SYMBOLS} | {"deg": 8, "secs": 7}
_PREFIXES = {"k": 3, "m": 6, "g": 9}  # kilo, mega, giga; no unit of a line is told in thousandths

#: Letters in the place of groups C and D (IEC 62056-61): general objects, errors, lists, profiles.
_LETTERS = {"C": 96, "F": 97, "L": 98, "P": 99}
_ABSTRACT = frozenset({96, 97, 98})  # group C of reduced codes that are of no medium
_IN_HEX = ((96, 1), (96, 13), (42, 0))  # groups C and D of identifications and messages that telegrams tell in hex
_IDENTIFICATIONS = ((0, 0), (96, 1), (96, 90), (0, 2))  # groups C and D of what is text though it be digits
_ERRORS = (97, 97)
# Groups C and D of energy, which displays show in these where they say nothing.
_DISPLAYED = {(c, 8): "kvarh" if 3 <= c <= 8 else "kWh" for c in (1, 2, 3, 4, 5, 6, 7, 8, 15, 16)}
_HEAT = 6
_OF_HEAT = ("m3", "m³", "gj", "mj", "°c", "m3ph", "l/h")  # units that no electricity meter tells a value in


class DataLine(NamedTuple):
    """One value: plain or, of logs and limits by direction, a structure of texts. ``time``: when it was measured."""

    obis: Obis
    data: Data
    scaler_unit: ScalerUnit | None = None
    time: DateTime | None = None


def data_lines(text: str) -> Iterator[DataLine]:
    """The values in the order of the lines; what is no line of codes and values is passed over."""
    found = list(_sets(text))
    medium = _HEAT if any(_is_of_heat(groups) for _, groups in found) else 1
    units: dict[bytes, str] = {}  # stored values may leave out the unit that the running one has
    codes = [data_code(address, medium) for address, _ in found]
    for (address, groups), code in zip(found, codes, strict=True):
        if address in LOCAL:
            yield from _local(address, groups)
        elif code is not None:
            if code[5] == 0 and _running(code) not in codes:  # the running value has the number 0 at Pafal
                code = _running(code)
            _complete(code, groups, units)
            yield _line(code, groups, hexadecimal=address[:1].isdigit() and "-" in address)


def _running(code: Obis) -> Obis:
    return Obis(code[:5] + b"\xff")


def _complete(code: Obis, groups: list[str], units: dict[bytes, str]) -> None:
    """Take away what says the same twice, and add the unit that goes without saying."""
    if len(groups) == 2 and groups[0] == groups[1]:
        del groups[1]
    number = _NUMBER.fullmatch(groups[0].strip())
    if number is None:
        return
    if unit := number[4] or number[5]:
        units[code[:5]] = unit
    elif (known := units.get(code[:5]) or _DISPLAYED.get((code[2], code[3]))) and (number[3] or code[:5] in units):
        groups[0] = f"{groups[0].strip().rstrip('* ')}*{known}"


def with_clock(lines: list[DataLine]) -> list[DataLine]:
    """The lines, and a clock of its own where date and time of day stand apart (``0.9.2``, ``0.9.1``)."""
    by_code = {line.obis: line.data for line in lines}
    day, hour = by_code.get(_DATE_OF_DAY), by_code.get(_TIME_OF_DAY)
    if CLOCK in by_code or day is None or hour is None or (day.type, hour.type) != (DataType.DATE, DataType.TIME):
        return lines
    moment = datetime.combine(day.value.to_date(), hour.value.to_time())
    stated = DateTime.from_datetime(moment, deviation=False, status=_WINTER)
    return [*lines, DataLine(CLOCK, Data(DataType.DATE_TIME, stated))]


def tells_season(text: str) -> bool:
    """Does the meter write a digit for the season before its dates? Where it shows no date, as most do."""
    found = _SHOWN_DATE.search(text)
    return found is None or len(found[1]) > len("YYMMDD")


def data_code(text: str, medium: int = 1) -> Obis | None:
    """The code that an address means, whole or reduced; None: it is none. ``medium``: group A of reduced ones."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    a, b, c, d, e, f = found.groups()
    group_c = int(_LETTERS.get(c, c))
    e = "0" if e == "255" else e  # EasyMeter: 1-0:1.7.255
    own = (int(a), int(b)) if a else (0 if group_c in _ABSTRACT else medium, 0)
    groups = (*own, group_c, int(_LETTERS.get(d, d)), int(e or 0), _CURRENT if f is None else int(f))
    return Obis(groups) if max(groups) <= _CURRENT else None


def _sets(text: str) -> Iterator[tuple[str, list[str]]]:
    """Address and values of each data set; a line that begins with a value belongs to the address before it."""
    last: tuple[str, list[str]] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("/") or _SETS.match(line) is None:
            continue
        for address, groups in _SET.findall(line):
            # Energomera: the value of the next tariff, with or without its name.
            goes_on = not address or (address in LOCAL and last is not None and last[0] == address)
            if goes_on and last is not None:
                last[1].extend(_GROUP.findall(groups))
                continue
            if last is not None:
                yield last
            last = (address, _GROUP.findall(groups))
    if last is not None:
        yield last


def _is_of_heat(groups: list[str]) -> bool:
    return any(group.rpartition("*")[2].strip().casefold() in _OF_HEAT for group in groups if "*" in group)


def _local(name: str, groups: list[str]) -> Iterator[DataLine]:
    unit, codes = LOCAL[name]
    for code, text in zip(map(Obis.parse, codes), groups, strict=False):
        yield _single(code, f"{text}*{unit}" if unit and "*" not in text else text, hexadecimal=False)


def _line(code: Obis, groups: list[str], hexadecimal: bool) -> DataLine:
    """A value alone, one behind its time or before it, or (logs, limits by direction) several, which stay text."""
    if len(groups) == 1:
        return _single(code, groups[0], hexadecimal)
    if len(groups) == 2 and (moment := _time(groups[0])) is not None:
        return _single(code, groups[1], hexadecimal)._replace(time=moment)
    moment = stamp_of("".join(groups[1:])) if len(groups) <= 3 and _NUMBER.fullmatch(groups[0]) else None
    if moment is not None:
        return _single(code, groups[0], hexadecimal)._replace(time=moment)
    return DataLine(code, Data(DataType.STRUCTURE, tuple(Data(DataType.VISIBLE_STRING, group) for group in groups)))


def _single(code: Obis, text: str, hexadecimal: bool) -> DataLine:
    place = (code[2], code[3])
    if hexadecimal and place in _IN_HEX:
        return _octets(code, text)
    if place in _IDENTIFICATIONS and "*" not in text:
        return _text(code, text)
    if place == _ERRORS and len(text) <= _MOST_HEX and re.fullmatch(r"[0-9A-Fa-f]+", text):
        return DataLine(code, Data(DataType.DOUBLE_LONG_UNSIGNED, int(text, 16)))
    return _moment(code, text) or _number(code, text) or _text(code, text)


def _text(code: Obis, text: str) -> DataLine:
    return DataLine(code, Data(DataType.VISIBLE_STRING, text.strip()))


def _octets(code: Obis, text: str) -> DataLine:
    """Identifications and messages are told in hexadecimal; some meters write them as they are."""
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return _text(code, text)
    readable = octets.isascii() and octets.decode("ascii").isprintable()
    return DataLine(code, Data(DataType.OCTET_STRING, octets)) if readable else _text(code, text)


def _number(code: Obis, text: str) -> DataLine | None:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or len(found[2]) + len(found[3] or "") > _MOST_DIGITS:
        return None
    sign, whole, decimals, unit, bare_unit = found.groups()
    scaler_unit = unit_of(unit or bare_unit)
    if scaler_unit is None:
        return None
    raw = int(sign.replace("+", "") + whole + (decimals or ""))
    data = Data(_type_of(raw), raw)
    if not unit and not bare_unit and not decimals:
        return DataLine(code, data)
    return DataLine(code, data, scaler_unit._replace(scaler=scaler_unit.scaler - len(decimals or "")))


def _type_of(raw: int) -> DataType:
    if raw >= 0:
        return DataType.DOUBLE_LONG_UNSIGNED if raw < 1 << 32 else DataType.LONG64_UNSIGNED
    return DataType.DOUBLE_LONG if raw >= -(1 << 31) else DataType.LONG64


def unit_of(unit: str | None) -> ScalerUnit | None:
    """``kWh`` is three places more than Wh; a unit that nobody knows gives None."""
    if not unit:
        return ScalerUnit(0, _COUNT)
    word = unit.strip().casefold()
    places, symbol = (0, word) if word in _CODES else (_PREFIXES.get(word[:1]), word[1:])
    code = _CODES.get(symbol)
    return None if places is None or code is None else ScalerUnit(places, code)


# -- times -------------------------------------------------------------------------------------------------------------


def _moment(code: Obis, text: str) -> DataLine | None:
    """The time of a clock, its halves, of a reset, or of anything that ends in S or W."""
    if code == _TIME_OF_DAY and (hour := _hour(text)):
        return DataLine(code, Data(DataType.TIME, hour))
    if code == _DATE_OF_DAY and (day := _day(text)):
        return DataLine(code, Data(DataType.DATE, day))
    of_clock = code[2:4] == b"\x01\x00"
    is_time = text[-1:] in ("S", "W") or of_clock
    found = _time(text) if is_time else stamp_of(text) if code[2:5] == b"\x00\x01\x02" else None
    if found is None:
        return _text(code, text) if of_clock and _TIME.fullmatch(text) else None  # not so many seconds, nor watts
    return DataLine(code, Data(DataType.DATE_TIME, found))


def _time(text: str) -> DateTime | None:
    """``YYMMDDhhmmssX``; some meters fill it with digits that no calendar has, others leave X out."""
    return stamp_of(text) if _TIME.fullmatch(text) else None


def stamp_of(text: str) -> DateTime | None:
    """``YYMMDDhhmm`` with or without seconds, separators, and a digit before it that tells the season."""
    found = _STAMP.fullmatch(_BETWEEN.sub("", text.strip()))
    if found is None:
        return None
    season, *parts, letter = found.groups()
    try:
        moment = datetime(2000 + int(parts[0]), *(int(part or 0) for part in parts[1:]))  # type: ignore[arg-type]
    except ValueError:
        return None
    status = _SUMMER if letter == "S" or season == "1" else _WINTER
    return DateTime.from_datetime(moment, deviation=False, status=status)


def _day(text: str) -> Date | None:
    found = _DAY.fullmatch(text)
    parts = found.groups() if found else ()
    if not parts and (other := _DAY_FIRST.fullmatch(text)):
        parts = other.groups()[::-1]
    try:
        return Date.from_date(date(2000 + int(parts[0]), int(parts[1]), int(parts[2]))) if parts else None
    except ValueError:
        return None


def _hour(text: str) -> Time | None:
    found = _HOUR.fullmatch(text)
    try:
        return Time.from_time(time(int(found[1]), int(found[2]), int(found[3] or 0))) if found else None
    except ValueError:
        return None
