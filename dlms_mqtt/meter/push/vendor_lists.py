"""Lists that vendors publish for pushes without codes or without scalers, as rows.

KFM_001: Kaifa's list for Norway; which elements there are is told by their number. Kamstrup: the lists of Norway and
Sweden have codes but no scalers; theirs are published too (currents in 0.01 A, energies in 10 Wh). Lists without codes
of other makers are told by the types of their elements and by the text that identifies the meter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

_W, _VAR, _WH, _VARH, _A, _V, _HZ = 27, 29, 30, 32, 33, 35, 44


class ListRow(NamedTuple):
    """One element of a list."""

    obis: Obis
    scaler_unit: ScalerUnit | None = None


class PositionalList(NamedTuple):
    """A list by its name, and how to tell its rows from the elements that came (None: it is another list)."""

    name: str
    rows: Callable[[Sequence[Data]], list[ListRow] | None]


def _row(obis: str, scaler: int | None = None, unit: int = 0) -> ListRow:
    return ListRow(Obis.parse(obis), None if scaler is None else ScalerUnit(scaler, unit))


_POWER = [
    _row("1.0.1.7.0.255", 0, _W),
    _row("1.0.2.7.0.255", 0, _W),
    _row("1.0.3.7.0.255", 0, _VAR),
    _row("1.0.4.7.0.255", 0, _VAR),
]
_IDENTITY = [_row("1.0.0.2.129.255"), _row("0.0.96.1.0.255"), _row("0.0.96.1.7.255")]
_CURRENTS = [_row(f"1.0.{c}.7.0.255", -3, _A) for c in (31, 51, 71)]
_VOLTAGES = [_row(f"1.0.{c}.7.0.255", -1, _V) for c in (32, 52, 72)]
_ENERGIES = [
    _row("0.0.1.0.0.255"),
    _row("1.0.1.8.0.255", 0, _WH),
    _row("1.0.2.8.0.255", 0, _WH),
    _row("1.0.3.8.0.255", 0, _VARH),
    _row("1.0.4.8.0.255", 0, _VARH),
]
_ONE_PHASE = [*_IDENTITY, *_POWER, _CURRENTS[0], _VOLTAGES[0]]
_THREE_PHASES = [*_IDENTITY, *_POWER, *_CURRENTS, *_VOLTAGES]
_KAIFA_BY_LENGTH = {
    len(rows): rows
    for rows in (_POWER[:1], _ONE_PHASE, _THREE_PHASES, [*_ONE_PHASE, *_ENERGIES], [*_THREE_PHASES, *_ENERGIES])
}
_KAIFA_NAME = b"KFM_001"


def _kaifa(items: Sequence[Data]) -> list[ListRow] | None:
    if len(items) == 1:  # every 2.5 s the power alone, without the name of the list
        return _KAIFA_BY_LENGTH[1] if items[0].type is DataType.DOUBLE_LONG_UNSIGNED else None
    return _KAIFA_BY_LENGTH.get(len(items)) if items and items[0].value == _KAIFA_NAME else None


POSITIONAL: tuple[PositionalList, ...] = (PositionalList("KFM_001", _kaifa),)

_KAMSTRUP: Mapping[tuple[int, int], ScalerUnit] = (
    {(c, 7): ScalerUnit(-2, _A) for c in (31, 51, 71)}
    | {(c, 7): ScalerUnit(0, _V) for c in (32, 52, 72)}
    | {(c, 7): ScalerUnit(0, _W) for c in (1, 2, 21, 22, 41, 42, 61, 62)}
    | {(c, 7): ScalerUnit(0, _VAR) for c in (3, 4, 23, 24, 43, 44, 63, 64)}
    | {(c, 7): ScalerUnit(-2, 255) for c in (13, 33, 53, 73)}
    | {(c, 8): ScalerUnit(1, _WH) for c in (1, 2, 21, 22, 41, 42, 61, 62)}
    | {(c, 8): ScalerUnit(1, _VARH) for c in (3, 4, 23, 24, 43, 44, 63, 64)}
)
# Kaifa's list with codes (Sweden) has the scales of the one without.
_KAIFA = {
    (row.obis[2], row.obis[3]): row.scaler_unit for row in (*_THREE_PHASES, *_ENERGIES) if row.scaler_unit is not None
}
SCALES: Mapping[str, Mapping[tuple[int, int], ScalerUnit]] = {"Kamstrup_V0001": _KAMSTRUP, "KFM_001": _KAIFA}
# Kamstrup meters of some grid operators send voltages in 0.01 V, which nothing in the message tells.
_MOST_VOLTS = 1000


def listed_scaler(list_name: str, obis: bytes, raw: object = None) -> ScalerUnit | None:
    """Scaler and unit that the published list gives for groups C and D of a code; ``raw``: the number as sent."""
    found = SCALES.get(list_name, {}).get((obis[2], obis[3])) if obis[0] == 1 else None
    in_volts = found == ScalerUnit(0, _V) and isinstance(raw, int) and raw > _MOST_VOLTS
    return ScalerUnit(-2, _V) if in_volts else found


# Lists without codes. What is named here was compared with what reader firmwares and grid operators say about the same
# messages; what is not sure stays without a name.
_IMPORTS = [_row(f"1.0.{c}.7.0.255", 0, _W) for c in (21, 41, 61)]
_EXPORTS = [_row(f"1.0.{c}.7.0.255", 0, _W) for c in (22, 42, 62)]
_CENTIAMPERES = [_row(f"1.0.{c}.7.0.255", -2, _A) for c in (31, 51, 71)]
_VOLTS = [_row(f"1.0.{c}.7.0.255", 0, _V) for c in (32, 52, 72)]
_TARIFFS = [_row(f"1.0.{c}.8.{tariff}.255", 0, _WH) for c in (1, 2) for tariff in (0, 1, 2)]
_NAME, _SERIAL = _row("0.0.42.0.0.255"), _row("0.0.96.1.0.255")
_OCTETS, _FLAG, _ENUM = DataType.OCTET_STRING, DataType.BOOLEAN, DataType.ENUM
_U16, _U32 = DataType.LONG_UNSIGNED, DataType.DOUBLE_LONG_UNSIGNED


class UnnamedList(NamedTuple):
    """A list by the types of its elements and how the text at ``text_at`` looks; ``rows`` by place."""

    types: tuple[DataType, ...]
    text: re.Pattern[bytes]
    rows: Mapping[int, ListRow]
    text_at: int = 0


def _by_place(rows: Sequence[ListRow], start: int = 0) -> dict[int, ListRow]:
    return dict(enumerate(rows, start))


def _iskra(phases: int) -> UnnamedList:
    """Iskraemeco AM550 of Slovenia, every few seconds: power, and by phase voltage, current and power."""
    types = (*[_OCTETS] * 2, *[_U32] * 4, *[_U16] * 2 * phases, *[_U32] * 2 * phases)
    by_phase = [rows[phase] for rows in (_VOLTAGES, _CENTIAMPERES, _IMPORTS, _EXPORTS) for phase in range(phases)]
    return UnnamedList(types, _ISKRA, {0: _NAME} | _by_place(_POWER[:2], 2) | _by_place(by_phase, 6))


def _iskra_energies(relay: DataType) -> UnnamedList:
    """The same meters, every 15 minutes: state of the relay, tariff, energies by tariff, reactive energies."""
    rows = {0: _NAME, 2: _row("0.0.96.3.10.255"), 3: _row("0.0.96.14.0.255")}
    return UnnamedList(
        (_OCTETS, _OCTETS, relay, _OCTETS, *[_U32] * 8), _ISKRA, rows | _by_place([*_TARIFFS, *_ENERGIES[3:]], 4)
    )


_ISKRA, _DIGITS = re.compile(rb"ISK\w+"), re.compile(rb"\d{8,16}")
_UNNAMED = (
    _iskra(1),
    _iskra(3),
    _iskra_energies(_FLAG),
    _iskra_energies(_ENUM),
    # Iskraemeco AM550 of Elektro Ljubljana, single tariff of import and export with their sums.
    UnnamedList((_OCTETS, *[_U32] * 8), _ISKRA, _by_place([_NAME, *_POWER[:2], *_TARIFFS])),
    # Iskraemeco AM550 of Elektro Celje.
    UnnamedList(
        (*[_OCTETS] * 2, *[_U16] * 6, *[_U32] * 4),
        _ISKRA,
        {0: _NAME} | _by_place([*_VOLTAGES, *_CENTIAMPERES, *_POWER[:2]], 2),
    ),
    # Iskraemeco AM550 and Siemens IM350 of Carinthia (Austria): number, time, date, energies, power, two messages.
    UnnamedList(
        (*[_OCTETS] * 3, *[_U32] * 6, *[_OCTETS] * 2),
        _DIGITS,
        {0: _SERIAL} | _by_place([*_ENERGIES[1:], *_POWER[:2]], 3),
    ),
    # Landis+Gyr E450 of Slovenia, two lists in turn.
    UnnamedList((_OCTETS, *[_U32] * 8), _DIGITS, _by_place([_SERIAL, *_POWER, *_ENERGIES[1:]])),
    UnnamedList(
        (_OCTETS, *[_U16] * 7, *[_U32] * 6),
        _DIGITS,
        _by_place(
            [_row("0.0.96.1.1.255"), _row("1.0.14.7.0.255", 0, _HZ), *_CENTIAMPERES, *_VOLTS, *_IMPORTS, *_EXPORTS]
        ),
    ),
    # Landis+Gyr E450 of Netz Burgenland (Austria).
    UnnamedList(
        (*[_U16] * 6, *[_U32] * 4, *[_U16] * 3, _OCTETS),
        _DIGITS,
        _by_place([*_VOLTS, *_CENTIAMPERES, *_POWER[:2], *_ENERGIES[1:3]]) | {13: _SERIAL},
        text_at=13,
    ),
)


def unnamed(items: Sequence[Data]) -> Mapping[int, ListRow]:
    """What the elements of a list without codes are, by place, as far as that is known."""
    types = tuple(item.type for item in items)
    for known in _UNNAMED:
        if known.types == types and known.text.fullmatch(items[known.text_at].value):
            return known.rows
    return {}
