"""OBIS patterns: ``1.0-1.21.8.1-63.255`` is six groups, each a number, a range, a list (``1,3,5``) or ``*``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

RowT = TypeVar("RowT")
Groups = tuple[int, ...]  # a group is the set of its numbers as bits: bit 8 stands for 8
_EVERY = -1


def parse_pattern(text: str) -> Groups:
    """Six sets of numbers; ValueError when there are not six."""
    groups = tuple(_EVERY if group == "*" else sum(map(_span, group.split(","))) for group in text.split("."))
    if len(groups) != 6:
        raise ValueError(f"'{text}' is not a pattern of six groups")
    return groups


def _span(text: str) -> int:
    low, _, high = text.partition("-")
    return (2 << int(high or low)) - (1 << int(low))


def matches(groups: Groups, obis: bytes) -> bool:
    """Whether each octet is in its group."""
    return all(group >> octet & 1 for group, octet in zip(groups, obis, strict=True))


class PatternTable(Generic[RowT]):
    """Rows found by OBIS, in the table's order; sorted by group C when first asked, so that many rows stay fast."""

    def __init__(self, rows: Iterable[tuple[str, RowT]]) -> None:
        self._rows = [(parse_pattern(text), row) for text, row in rows]
        self._with_c: dict[int, list[tuple[Groups, RowT]]] = {}

    def candidates(self, obis: bytes) -> list[RowT]:
        """Every row whose pattern matches."""
        c = obis[2]
        if c not in self._with_c:
            self._with_c[c] = [item for item in self._rows if item[0][2] >> c & 1]
        return [row for groups, row in self._with_c[c] if matches(groups, obis)]

    def find(self, obis: bytes) -> RowT | None:
        """The first row whose pattern matches."""
        return next(iter(self.candidates(obis)), None)
