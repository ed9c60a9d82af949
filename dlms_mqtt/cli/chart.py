"""Rows of a load profile as a chart: in the terminal (plotille) or as a picture (matplotlib); the extra ``plot``."""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

from dlms_mqtt.client.procedures.profile import Column, Profile
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.json_shapes import cell_value

PICTURES = (".svg", ".png")
_LATE = 1.5  # periods between two rows from which on one is missing between them
_HEIGHT = 12  # lines of a chart in the terminal
_BESIDE = 28  # columns of the terminal for the numbers at the left and the last label at the right
_LIBRARIES = {True: "matplotlib", False: "plotille"}

Point = tuple[Any, float]  # a time (or the number of a row), a value


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows that should be between two others: the first and the last of them, how many, and the row behind them."""

    first: datetime
    last: datetime
    rows: int
    behind: datetime


@dataclass(frozen=True, slots=True)
class Curve:
    """One column: its name and unit, and its points in pieces that end where a value or a row is missing."""

    name: str
    unit: str
    pieces: list[list[Point]]

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def values(self) -> list[float]:
        """All values."""
        return [value for piece in self.pieces for _, value in piece]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. ``dated``: along times, else along the numbers of the rows."""

    curves: list[Curve]
    gaps: list[Gap]
    dated: bool
    zone: tzinfo

    @property
    def missing(self) -> int:
        """How many rows are missing."""
        return sum(gap.rows for gap in self.gaps)


def need_library(picture: bool) -> None:
    """Before the meter is asked: is there what draws? ConfigError names the extra."""
    name = _LIBRARIES[picture]
    try:
        importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f"--plot needs {name}, which is not installed", hint="Do `pip install 'dlms-mqtt[plot]'`."
        ) from None
    if not picture and not (sys.stdout.encoding or "").lower().startswith("utf"):
        raise ConfigError("a chart is drawn with characters that this terminal lacks", hint="--plot FILE.png")


def chart_of(profile: Profile, zone: tzinfo) -> Chart:
    """The columns of measured values along the time of their rows."""
    dated = profile.time_column is not None
    rows: list[tuple[Any, tuple[Any, ...]]]
    rows = sorted(_dated(profile, zone), key=lambda row: row[0]) if dated else list(enumerate(profile.rows, 1))
    gaps = list(_gaps([moment for moment, _ in rows], profile.period)) if dated else []
    numbers = [index for index in range(len(profile.columns)) if index != profile.time_column]
    measured = [index for index in numbers if profile.columns[index].scaler_unit] or numbers
    curves = [_curve(profile.columns[index], index, rows, gaps) for index in measured]
    return Chart([curve for curve in curves if curve.pieces], gaps, dated, zone)


def _dated(profile: Profile, zone: tzinfo) -> Iterator[tuple[datetime, tuple[Any, ...]]]:
    """The rows that have a time, with it in UTC: two times of one zone are compared by their wall clocks."""
    for row in profile.rows:
        moment = row[profile.time_column or 0]
        if isinstance(moment, datetime):
            yield (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC), row


def _gaps(times: Sequence[datetime], period: int) -> Iterator[Gap]:
    step = timedelta(seconds=period)
    for one, other in itertools.pairwise(times):
        if period and other - one > _LATE * step:
            yield Gap(one + step, other - step, round((other - one) / step) - 1, other)


def _curve(column: Column, index: int, rows: Sequence[tuple[Any, tuple[Any, ...]]], gaps: Sequence[Gap]) -> Curve:
    behind = {gap.behind for gap in gaps}
    pieces: list[list[Point]] = [[]]
    for place, row in rows:
        if place in behind:
            pieces.append([])
        value = _number(cell_value(column, row[index]))
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((place, value))
    unit = column.scaler_unit.unit if column.scaler_unit else ""
    name = object_name(column.source.obis, column.source.class_id, column.source.attribute)
    return Curve(name, unit, [piece for piece in pieces if piece])


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        return None
    return float(value)


# --- in the terminal ------------------------------------------------------------------------------------------------


def terminal_chart(chart: Chart, columns: int) -> str:
    """One chart below the other, ``columns`` wide; ``x`` on the ground marks rows that are missing."""
    return "\n\n".join(_in_terminal(chart, curve, max(columns - _BESIDE, 20)) for curve in chart.curves)


def _in_terminal(chart: Chart, curve: Curve, width: int) -> str:
    import plotille

    figure = plotille.Figure()
    figure.width, figure.height, figure.color_mode = width, _HEIGHT, "names"  # no colours in a pipe, nor with NO_COLOR
    figure.x_label, figure.y_label = ("time" if chart.dated else "row"), curve.unit
    low, high = _limits(curve.values)
    figure.set_y_limits(min_=low, max_=high)
    first, last = _span(chart)
    figure.set_x_limits(min_=first, max_=last)
    digits = max(0, 1 - math.floor(math.log10(high - low)))
    figure.register_label_formatter(float, _label(lambda value: f"{value:.{digits}f}"))
    figure.register_label_formatter(datetime, _label(_time_label(chart)))
    for piece in curve.pieces:
        times, values = zip(*piece, strict=True)
        draw = figure.plot if len(piece) > 1 else figure.scatter
        draw(list(times), list(values), lc="green")
    marks = [moment for gap in chart.gaps for moment in _marks(gap, (last - first) / width)]
    if marks:
        figure.scatter(marks, [low] * len(marks), marker="x", lc="red")
    return f"{curve.title}{_range(chart)}\n{figure.show()}"


def _marks(gap: Gap, step: timedelta) -> Iterator[datetime]:
    """Moments in a gap, one for each character that it is wide."""
    moment = gap.first
    while moment < gap.last:
        yield moment
        moment += step
    yield gap.last


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _span(chart: Chart) -> tuple[Any, Any]:
    places = [place for curve in chart.curves for piece in curve.pieces for place, _ in piece]
    first, last = min(places), max(places)
    if first != last:
        return first, last
    return (first, first + timedelta(minutes=1)) if chart.dated else (first, first + 1)


def _range(chart: Chart) -> str:
    if not chart.dated:
        return ""
    first, last = (moment.astimezone(chart.zone).strftime("%Y-%m-%d %H:%M") for moment in _span(chart))
    return f", {first} to {last}"


def _label(text: Callable[[Any], str]) -> Callable[..., str]:
    """As plotille asks for labels: at most as wide as there is room, towards the side that is said."""

    def label(value: Any, chars: int, delta: Any, left: bool = False) -> str:
        return text(value).ljust(chars) if left else text(value).rjust(chars)

    return label


def _time_label(chart: Chart) -> Callable[[datetime], str]:
    """Short enough to stand below every tenth character."""
    if not chart.dated:
        return str
    first, last = _span(chart)
    form = "%H:%M" if last - first <= timedelta(days=2) else "%m-%d" if last - first < timedelta(days=330) else "%Y-%m"
    return lambda moment: moment.astimezone(chart.zone).strftime(form)


# --- as a picture ---------------------------------------------------------------------------------------------------


def write_picture(chart: Chart, file: Path) -> None:
    """One panel below the other, shaded where rows are missing. The file is whole, or as it was. OSError."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1 + 3 * len(chart.curves)), layout="constrained")
    panels = figure.subplots(len(chart.curves), 1, sharex=True, squeeze=False)[:, 0]
    for panel, curve in zip(panels, chart.curves, strict=True):
        _draw(panel, curve, chart.gaps)
    if chart.dated:
        locator = AutoDateLocator(tz=chart.zone)
        panels[-1].xaxis.set_major_locator(locator)
        panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=chart.zone))
    else:
        panels[-1].set_xlabel("row")
    new = file.with_name(f".{file.name}.new{file.suffix}")
    try:
        figure.savefig(new)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def _draw(panel: Any, curve: Curve, gaps: Sequence[Gap]) -> None:
    panel.set_title(curve.name, loc="left")
    panel.set_ylabel(curve.unit)
    panel.grid(alpha=0.3)
    for piece in curve.pieces:
        times, values = zip(*piece, strict=True)
        panel.plot(times, values, color="tab:blue", linewidth=1.2, marker="." if len(piece) == 1 else "")
    for number, gap in enumerate(gaps):
        panel.axvspan(gap.first, gap.last, color="tab:red", alpha=0.2, label="" if number else "rows missing")
    if gaps:
        panel.legend(loc="upper left")
