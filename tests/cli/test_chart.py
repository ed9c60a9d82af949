"""Rows as a chart in the terminal and as a picture, with units, gaps and missing rows."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.cli import chart
from dlms_mqtt.client.procedures.profile import Column, Profile
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

PROFILE = "1.0.99.1.0.255"
START = datetime(2024, 5, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
CLOCK = Column(CaptureObject(8, Obis((0, 0, 1, 0, 0, 255)), 2, 0))
ENERGY = Column(CaptureObject(3, Obis((1, 0, 1, 8, 0, 255)), 2, 0), ScalerUnit(-1, 30))
STATUS = Column(CaptureObject(1, Obis((0, 0, 96, 10, 1, 255)), 2, 0))


def profile(
    *rows: tuple[Any, ...], columns: tuple[Column, ...] = (CLOCK, STATUS, ENERGY), period: int = 900
) -> Profile:
    dated = columns.index(CLOCK) if CLOCK in columns else None
    return Profile(Obis.parse(PROFILE), columns, list(rows), period, dated)


def quarters(*numbers: int) -> list[tuple[Any, ...]]:
    return [(START + number * QUARTER, 0, 1000 + number) for number in numbers]


def test_a_curve_of_what_is_measured() -> None:
    drawn = chart.chart_of(profile(*quarters(0, 1, 2)), UTC)
    (curve,) = drawn.curves  # the status is no measured value
    assert (curve.title, curve.pieces) == (
        "Active energy import [Wh]",
        [[(START, 100.0), (START + QUARTER, 100.1), (START + 2 * QUARTER, 100.2)]],
    )
    assert (drawn.gaps, drawn.missing) == ([], 0)


def test_missing_rows_end_a_piece_and_are_counted() -> None:
    drawn = chart.chart_of(profile(*quarters(0, 1, 5, 6, 8)), UTC)
    assert [len(piece) for piece in drawn.curves[0].pieces] == [2, 2, 1]
    assert drawn.gaps == [
        chart.Gap(START + 2 * QUARTER, START + 4 * QUARTER, 3, START + 5 * QUARTER),
        chart.Gap(START + 7 * QUARTER, START + 7 * QUARTER, 1, START + 8 * QUARTER),
    ]
    assert drawn.missing == 4


def test_a_missing_value_is_a_gap_and_no_missing_row() -> None:
    rows = quarters(0, 1, 2, 3)
    rows[2] = (rows[2][0], 0, None)
    drawn = chart.chart_of(profile(*rows), UTC)
    assert [len(piece) for piece in drawn.curves[0].pieces] == [2, 1]
    assert drawn.missing == 0


def test_the_newest_row_first_is_drawn_the_same_way() -> None:
    rows = quarters(0, 1, 5)
    assert chart.chart_of(profile(*reversed(rows)), UTC) == chart.chart_of(profile(*rows), UTC)


def test_the_hour_that_comes_twice_is_no_gap_and_the_one_that_is_left_out_neither() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for day in (datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 10, 27, tzinfo=UTC)):
        rows = [((day + n * QUARTER).astimezone(zone), 0, n) for n in range(12)]
        drawn = chart.chart_of(profile(*rows), zone)
        assert (drawn.gaps, [len(piece) for piece in drawn.curves[0].pieces]) == ([], [12])


def test_rows_by_event_have_no_missing_rows() -> None:
    assert chart.chart_of(profile(*quarters(0, 1, 500), period=0), UTC).gaps == []


def test_rows_without_a_time_are_left_out_and_without_a_clock_numbered() -> None:
    rows = [*quarters(0, 1), (None, 0, 7)]
    assert [len(piece) for piece in chart.chart_of(profile(*rows), UTC).curves[0].pieces] == [2]
    drawn = chart.chart_of(profile((5,), (6,), columns=(ENERGY,)), UTC)
    assert drawn.curves[0].pieces == [[(1, 0.5), (2, 0.6)]]
    assert "(row)" in chart.terminal_chart(drawn, 80)


@pytest.mark.parametrize(
    "rows", [[], [(START, 0, None)], [(START, 0, "text")], [(START, 0, True)], [(START, 0, float("nan"))]]
)
def test_nothing_to_draw(rows: list[tuple[Any, ...]]) -> None:
    assert chart.chart_of(profile(*rows, columns=(CLOCK, STATUS, ENERGY)), UTC).curves == []


@pytest.mark.parametrize("numbers", [[0], [0, 0], [0, 1], [0, 100_000], [0, 1, 5_000]])
def test_any_span_fits_the_terminal(numbers: list[int]) -> None:
    """Also one row, rows of one time, and years of missing rows (marked as often as there are characters)."""
    text = chart.terminal_chart(chart.chart_of(profile(*quarters(*numbers)), ZoneInfo("Europe/Berlin")), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Active energy import [Wh], 2024-05-01 02:00 to ")
    assert ("x" in text.split("\n", 1)[1]) == (max(numbers) > 1)


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = chart.chart_of(profile(*quarters(0, 1, 5)), UTC)
    assert "\x1b[" not in chart.terminal_chart(drawn, 80)  # a pipe
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in chart.terminal_chart(drawn, 80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in chart.terminal_chart(drawn, 80)


def test_a_picture_holds_names_units_and_missing_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")  # words as words
    chart.write_picture(chart.chart_of(profile(*quarters(0, 1, 5)), UTC), tmp_path / "a.svg")
    words = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert all(word in words for word in ("Active energy import", "Wh", "rows missing"))


def test_a_picture_without_a_clock_is_drawn_along_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    chart.write_picture(chart.chart_of(profile((5,), (6,), columns=(ENERGY,)), UTC), tmp_path / "a.svg")
    assert "row" in "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())


@pytest.mark.parametrize(("picture", "library"), [(False, "plotille"), (True, "matplotlib")])
def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, picture: bool, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"--plot needs {library}") as raised:
        chart.need_library(picture)
    assert "pip install 'dlms-mqtt[plot]'" in raised.value.hint


def test_a_terminal_without_the_characters_is_told_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(ConfigError, match="characters that this terminal lacks") as raised:
        chart.need_library(picture=False)
    assert raised.value.hint == "--plot FILE.png"
    chart.need_library(picture=True)
