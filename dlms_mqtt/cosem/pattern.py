"""OBIS patterns: ``1.0-1.21.8.1-63.255`` is six groups, each a number, a range, a list (``1,3,5``) or ``*``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

RowT = TypeVar("RowT")
Groups = tuple[frozenset[int] | None, ...]


def parse_pattern(text: str) -> Groups:
    """Six sets of numbers; None where every number matches."""
    groups = tuple(map(_group, text.split(".")))
    if len(groups) != 6:
        raise ValueError(f"'{text}' is not a pattern of six groups")
    return groups


def _group(text: str) -> frozenset[int] | None:
    if text == "*":
        return None
    return frozenset(number for part in text.split(",") for number in _span(part))


def _span(text: str) -> range:
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


def matches(groups: Groups, obis: bytes) -> bool:
    """Whether each octet is in its group."""
    return all(group is None or octet in group for group, octet in zip(groups, obis, strict=True))


class PatternTable(Generic[RowT]):
    """Rows found by OBIS, the first that matches; looked up by group C and D, so that many rows stay fast."""

    def __init__(self, rows: Iterable[tuple[str, RowT]]) -> None:
        self._rows = [(parse_pattern(text), row) for text, row in rows]
        self._near: dict[tuple[int, int], list[tuple[Groups, RowT]]] = {}

    def candidates(self, obis: bytes) -> list[RowT]:
        """Every row whose pattern matches, in the table's order."""
        near = self._near.get((obis[2], obis[3]))
        if near is None:
            near = self._near[obis[2], obis[3]] = [item for item in self._rows if _possible(item[0], obis)]
        return [row for groups, row in near if matches(groups, obis)]

    def find(self, obis: bytes) -> RowT | None:
        """The first row whose pattern matches."""
        return next(iter(self.candidates(obis)), None)


def _possible(groups: Groups, obis: bytes) -> bool:
    return all(groups[at] is None or obis[at] in groups[at] for at in (2, 3))  # type: ignore[operator]
