"""What the lines of a P1 telegram mean: ``1-0:1.8.0(000123.456*kWh)`` as the value that a push would carry.

Numbers keep every digit: ``raw`` has no point, the scaler says where it was. Times are local; S or W at their end says
whether daylight saving time was in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.push.layouts import PushValue
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.p1_telegram import Telegram
from dlms_mqtt.protocol.units import unit_code

_LINE = re.compile(r"(\d+-\d+:\d+\.\d+\.\d+(?:[*.]\d+)?)((?:\([^()]*\))+)")
_GROUP = re.compile(r"\(([^()]*)\)")
_NUMBER = re.compile(r"(-?)(\d+)(?:[.,](\d+))?(?:\*(.+))?")
_TIME = re.compile(r"\d{12}[SW]?")
_SUMMER, _WINTER = DAYLIGHT_SAVING, 0
_COUNT = 255
_MOST_DIGITS = 18

# What telegrams tell values in, however it is capitalised (kVAr, KWH); the whole Blue Book would mistake A for years.
_SYMBOLS = ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A", "Hz", "J", "L", "m³", "°C", "s", "min", "h", "%", "m3")
_CODES = {symbol.casefold(): unit_code(symbol) for symbol in _SYMBOLS}
_PREFIXES = {"k": 3, "m": 6, "g": 9}  # kilo, mega, giga; no unit of a telegram is told in thousandths
_IN_HEX = ((96, 1), (96, 13), (42, 0))  # groups C and D of identifications and messages


class TelegramValue(NamedTuple):
    """One value, and when the meter behind it (gas, heat) took it, where the line says so."""

    value: PushValue
    time: DateTime | None = None


def telegram_values(telegram: Telegram) -> list[TelegramValue]:
    """The values in the order of the lines; what is no line of code and values is passed over."""
    return list(_values(telegram.text))


def _values(text: str) -> Iterator[TelegramValue]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue
        try:
            code = Obis.parse(found[1])
        except DlmsMqttError:
            continue
        yield _value(code, _GROUP.findall(found[2]))


def _value(code: Obis, groups: list[str]) -> TelegramValue:
    """A value alone, a value behind its time, or (logs, limits by direction) several, which stay text."""
    if len(groups) == 1:
        return TelegramValue(_single(code, groups[0]))
    time = _time(groups[0])
    if len(groups) == 2 and time is not None:
        return TelegramValue(_single(code, groups[1]), time)
    parts = tuple(Data(DataType.VISIBLE_STRING, group) for group in groups)
    return TelegramValue(PushValue(Data(DataType.STRUCTURE, parts), code))


def _single(code: Obis, text: str) -> PushValue:
    if (code[2], code[3]) in _IN_HEX:
        return _octets(code, text)
    time = _time(text)
    if time is not None and (text[-1:] in "SW" or code[2:4] == b"\x01\x00"):
        return PushValue(Data(DataType.DATE_TIME, time), code)
    number = _NUMBER.fullmatch(text)
    if number is None or len(number[2]) + len(number[3] or "") > _MOST_DIGITS:
        return _text(code, text)
    return _number(code, number) or _text(code, text)


def _text(code: Obis, text: str) -> PushValue:
    return PushValue(Data(DataType.VISIBLE_STRING, text), code)


def _octets(code: Obis, text: str) -> PushValue:
    """Identifications and messages are told in hexadecimal; some meters write them as they are."""
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return _text(code, text)
    readable = octets.isascii() and octets.decode("ascii").isprintable()
    return PushValue(Data(DataType.OCTET_STRING, octets), code) if readable else _text(code, text)


def _number(code: Obis, found: re.Match[str]) -> PushValue | None:
    sign, whole, decimals, unit = found.groups()
    scaler_unit = _scaler_unit(unit)
    if scaler_unit is None:
        return None
    raw = int(sign + whole + (decimals or ""))
    data = Data(_type_of(raw), raw)
    if not unit and not decimals:
        return PushValue(data, code)
    return PushValue(data, code, scaler_unit=scaler_unit._replace(scaler=scaler_unit.scaler - len(decimals or "")))


def _type_of(raw: int) -> DataType:
    if raw >= 0:
        return DataType.DOUBLE_LONG_UNSIGNED if raw < 1 << 32 else DataType.LONG64_UNSIGNED
    return DataType.DOUBLE_LONG if raw >= -(1 << 31) else DataType.LONG64


def _scaler_unit(unit: str | None) -> ScalerUnit | None:
    """``kWh`` is three places more than Wh; a unit that nobody knows gives None."""
    if not unit:
        return ScalerUnit(0, _COUNT)
    word = unit.strip().casefold()
    places, symbol = (0, word) if word in _CODES else (_PREFIXES.get(word[:1]), word[1:])
    code = _CODES.get(symbol)
    return None if places is None or code is None else ScalerUnit(places, code)


def _time(text: str) -> DateTime | None:
    """``YYMMDDhhmmssX``; some meters fill it with digits that no calendar has, others leave X out."""
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.strptime(text[:12], "%y%m%d%H%M%S")
    except ValueError:
        return None
    status = _SUMMER if text[12:] == "S" else _WINTER
    return DateTime.from_datetime(moment, deviation=False, status=status)
