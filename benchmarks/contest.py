"""Contenders take turns, the best round of each counts, and the table says how they compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

OURS = "dlms-mqtt"
CONTENDERS = (OURS, "gurux-dlms", "dlms-cosem", "pydlms-client")


def seconds_each(work: Callable[[], object], least: float = 0.15) -> float:
    """Seconds that one call takes, over calls for at least so long."""
    work()
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < least:
        work()
        calls += 1
    return passed / calls


def take_turns(works: Mapping[str, Callable[[], float]], rounds: int, best: Callable[..., float]) -> dict[str, float]:
    """The best figure of each contender over so many rounds."""
    figures: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            figures[name].append(work())
    return {name: best(values) for name, values in figures.items()}


class Table:
    """One row per job, one column per contender. ``target``: what our ratio to the best other one should reach."""

    def __init__(self, contenders: Sequence[str] = CONTENDERS) -> None:
        self._contenders = contenders
        self._line("", contenders)

    def row(
        self, job: str, figures: Mapping[str, float | None], *, more: bool, form: str, target: float = 1.0
    ) -> float:
        """Print a row; our ratio to the best other one (``more``: is a larger figure better?)."""
        others = [value for name, value in figures.items() if name != OURS and value]
        best = (max if more else min)(others) if others else None
        cells = [_cell(figures.get(name), best, more, form) for name in self._contenders]
        ours = figures.get(OURS)
        ratio = _ratio(ours, best, more) if ours and best else 0.0
        verdict = f"{ratio:.2f}x, target {target:g}x: {'reached' if ratio >= target else 'MISSED'}" if ratio else ""
        self._line(job, cells, verdict)
        return ratio

    def _line(self, job: str, cells: Sequence[str], verdict: str = "") -> None:
        print(f"{job:<34}" + "".join(f"{cell:>20}" for cell in cells) + "  " + verdict, flush=True)


def _ratio(value: float, best: float, more: bool) -> float:
    return value / best if more else best / value


def _cell(value: float | None, best: float | None, more: bool, form: str) -> str:
    if value is None:
        return "-"
    return f"{value:{form}} ({_ratio(value, best, more):.2f})" if best else f"{value:{form}}"
