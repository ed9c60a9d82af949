"""OBIS patterns: ``1.0-1.21.8.1-63.255`` is six groups, each a number, a range, a list (``1,3,5``) or ``*``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Generic, TypeVar

RowT = TypeVar("RowT")
Groups = tuple[int, ...]  # a group is the set of its numbers as bits: bit 8 stands for 8
_EVERY = -1


def parse_pattern(text: str) -> Groups:
    """Six sets of numbers; ValueError when there are not six."""
    groups = tuple(map(_group, text.split(".")))
    if len(groups) != 6:
        raise ValueError(f"'{text}' is not a pattern of six groups")
    return groups


@cache  # the tables say "255" and "0" a thousand times
def _group(text: str) -> int:
    return _EVERY if text == "*" else sum(map(_span, text.split(",")))


def _span(text: str) -> int:
    low, _, high = text.partition("-")
    return (2 << int(high or low)) - (1 << int(low))


def matches(groups: Groups, obis: bytes) -> bool:
    """Whether each octet is in its group."""
    a, b, c, d, e, f = groups
    g, h, i, j, k, m = obis
    return bool(a >> g & b >> h & c >> i & d >> j & e >> k & f >> m & 1)


class PatternTable(Generic[RowT]):
    """Rows found by OBIS, in the table's order; sorted by group C when first asked, so that many rows stay fast."""

    def __init__(self, rows: Iterable[tuple[str, RowT]]) -> None:
        self._rows = [(parse_pattern(text), row) for text, row in rows]
        self._with_c: dict[int, list[tuple[Groups, RowT]]] = {}

    def candidates(self, obis: bytes) -> list[RowT]:
        """Every row whose pattern matches."""
        return [row for groups, row in self._of(obis[2]) if matches(groups, obis)]

    def find(self, obis: bytes) -> RowT | None:
        """The first row whose pattern matches."""
        return next((row for groups, row in self._of(obis[2]) if matches(groups, obis)), None)

    def _of(self, c: int) -> list[tuple[Groups, RowT]]:
        if c not in self._with_c:
            self._with_c[c] = [item for item in self._rows if item[0][2] >> c & 1]
        return self._with_c[c]
