"""What a meter's clock has shown and what it was doing since when: profiles are read out of the past, not stored.

The clock is a row of pieces, each with an offset from true time that may drift; modes say when the supply was cut or a
tariff was forced. All times are seconds since 1970, true ones unless they are called meter time.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class _Piece(NamedTuple):
    start: float
    offset: float
    drift: float  # seconds per second


class Mode(NamedTuple):
    """From ``start`` on: ``tariff`` 0 follows the calendar; nothing is measured while not ``connected``."""

    start: float
    tariff: int = 0
    connected: bool = True


class Timeline:
    """Starts with a right clock, the calendar's tariff, and the supply connected."""

    def __init__(self) -> None:
        self._pieces = [_Piece(float("-inf"), 0.0, 0.0)]
        self.modes = [Mode(float("-inf"))]

    def meter_time(self, true: float) -> float:
        """What the clock shows at a true time."""
        piece = self._pieces[bisect_right(self._pieces, true, key=lambda item: item.start) - 1]
        return true + piece.offset + (piece.drift * (true - piece.start) if piece.drift else 0.0)

    def true_time(self, shown: float) -> float | None:
        """When the clock first showed this; None for a time that a correction jumped over."""
        for index, piece in enumerate(self._pieces):
            origin = piece.start if piece.drift else 0.0
            true = (shown - piece.offset + piece.drift * origin) / (1 + piece.drift)
            end = self._pieces[index + 1].start if index + 1 < len(self._pieces) else float("inf")
            if piece.start <= true < end:
                return true
        return None

    def set(self, true: float, shown: float) -> None:
        """The clock was set; its drift stays."""
        self._pieces.append(_Piece(true, shown - true, self._pieces[-1].drift))

    def drift(self, true: float, per_day: float) -> None:
        """From now on the clock gains so many seconds per day."""
        self._pieces.append(_Piece(true, self.meter_time(true) - true, per_day / 86400))

    @property
    def mode(self) -> Mode:
        """What the meter does now."""
        return self.modes[-1]

    def change(self, true: float, *, tariff: int | None = None, connected: bool | None = None) -> None:
        """Force a tariff (0: back to the calendar), cut or restore the supply."""
        old = self.mode
        new_tariff = old.tariff if tariff is None else tariff
        self.modes.append(Mode(true, new_tariff, old.connected if connected is None else connected))

    def spans(self, true: float) -> list[tuple[float, float, Mode]]:
        """The modes up to a time, each from when to when."""
        ends = [mode.start for mode in self.modes[1:]] + [float("inf")]
        return [(m.start, min(end, true), m) for m, end in zip(self.modes, ends, strict=True) if m.start < true]
