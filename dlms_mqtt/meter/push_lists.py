"""Lists that vendors publish for pushes without codes or without scalers, as rows.

KFM_001: Kaifa's list for Norway; which elements there are is told by their number. Kamstrup: the lists of Norway and
Sweden have codes but no scalers; theirs are published too (currents in 0.01 A, energies in 10 Wh).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

_W, _VAR, _WH, _VARH, _A, _V = 27, 29, 30, 32, 33, 35


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
SCALES: Mapping[str, Mapping[tuple[int, int], ScalerUnit]] = {"Kamstrup_V0001": _KAMSTRUP}


def listed_scaler(list_name: str, obis: bytes) -> ScalerUnit | None:
    """Scaler and unit that the published list gives for groups C and D of a code."""
    return SCALES.get(list_name, {}).get((obis[2], obis[3])) if obis[0] == 1 else None


# Iskraemeco AM550 of Slovenia: only values, told by their number and types. What is named here was compared with what
# reader firmwares show for the same messages; the rest (reactive power, energies of the other list) stays unnamed.
_IMPORTS = [_row(f"1.0.{c}.7.0.255", 0, _W) for c in (21, 41, 61)]
_EXPORTS = [_row(f"1.0.{c}.7.0.255", 0, _W) for c in (22, 42, 62)]
_CENTIAMPERES = [_row(f"1.0.{c}.7.0.255", -2, _A) for c in (31, 51, 71)]
_ISKRA_HEAD = {0: _row("0.0.42.0.0.255"), 2: _POWER[0], 3: _POWER[1]}


def _iskra(phases: int) -> tuple[tuple[DataType, ...], Mapping[int, ListRow]]:
    """The types of the elements, and what the known ones are."""
    octets, number, short = DataType.OCTET_STRING, DataType.DOUBLE_LONG_UNSIGNED, DataType.LONG_UNSIGNED
    types = (*[octets] * 2, *[number] * 4, *[short] * 2 * phases, *[number] * 2 * phases)
    by_phase = [rows[phase] for rows in (_VOLTAGES, _CENTIAMPERES, _IMPORTS, _EXPORTS) for phase in range(phases)]
    return types, _ISKRA_HEAD | dict(enumerate(by_phase, 6))


_ISKRA = dict((_iskra(1), _iskra(3)))
_ISKRA_NAME = b"ISK"


def unnamed(items: Sequence[Data]) -> Mapping[int, ListRow]:
    """What the elements of a list without codes are, by place, as far as that is known."""
    rows = _ISKRA.get(tuple(item.type for item in items), {})
    return rows if rows and items[0].value.startswith(_ISKRA_NAME) else {}
