"""``profile``: rows by time and by number, as a table, CSV, JSON and chart."""

from __future__ import annotations

import builtins
import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from tests.cli.conftest import Cli
from tests.cli.test_read import VALUE_KEYS

PROFILE = "1.0.99.1.0.255"


def test_json(cli: Cli, meter: list[str]) -> None:
    result = cli("profile", PROFILE, "--first", "2", "--count", "2", *meter, "--json")
    document = result.json
    assert (result.status, result.err) == (0, "")
    assert list(document) == ["meter", "values", "errors"]
    assert document["meter"]["logical_device_name"] == "PYD1000000000001"
    assert document["errors"] == []
    assert [list(value) for value in document["values"]] == [VALUE_KEYS, VALUE_KEYS]
    assert document["values"][0] == {
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Active energy import",
        "raw": 1007,
        "scaler": 0,
        "value": 1007,
        "unit": "Wh",
        "type": "double-long-unsigned",
        "time": "2024-05-01T00:15:00+00:00",
    }
    assert cli("profile", PROFILE, "--first", "2", "--count", "2", *meter, "--format", "json").json == document


def test_table(cli: Cli, meter: list[str]) -> None:
    result = cli("profile", PROFILE, "--count", "1", *meter)
    assert (result.status, result.err) == (0, "1 row\n")
    assert [line.split("  ")[0] for line in result.out.splitlines()] == ["Clock", "2024-05-01T00:00:00+00:00"]
    assert "Active energy import [Wh]" in result.out


def test_csv(cli: Cli, meter: list[str]) -> None:
    result = cli("profile", PROFILE, "--format", "csv", *meter)
    rows = list(csv.reader(io.StringIO(result.out)))
    assert (result.status, result.err) == (0, "")
    assert rows[0] == ["Clock", "Active energy import [Wh]"]
    assert len(rows) == 97
    assert rows[-1] == ["2024-05-01T23:45:00+00:00", "1665"]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2024-05-01T06:00", "2024-05-01T06:45", 4),
        ("2024-05-01T06:00+02:00", "2024-05-01T06:45:00+02:00", 4),
        ("2024-05-01", "2024-05-02", 96),
        ("2024-05-01T23:00", None, 4),
        ("2024-05-03", "2024-05-04", 0),
        ("24h", None, 0),
    ],
)
def test_by_time(cli: Cli, sim: MeterSimulator, meter: list[str], start: str, end: str | None, count: int) -> None:
    result = cli("profile", PROFILE, "--from", start, *(["--to", end] if end else []), *meter, "--json")
    assert result.status == 0
    assert len(result.json["values"]) == count
    assert any(request[0] == 0xC0 and b"\x01\x01\x02\x04" in bytes(request) for request in sim.requests)


def test_a_meter_without_selective_access(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    """Range refused, then entries refused: the whole buffer is read and cut here."""
    from pydlms.cosem.enums import DataAccessResult

    sim._select = lambda *_args: DataAccessResult.OTHER_REASON  # type: ignore[method-assign]
    result = cli("profile", PROFILE, "--from", "2024-05-01T06:00", "--to", "2024-05-01T06:45", *meter, "--json")
    assert (result.status, len(result.json["values"])) == (0, 4)
    result = cli("profile", PROFILE, "--first", "95", "--count", "5", *meter, "--json")
    assert (result.status, len(result.json["values"])) == (0, 2)


def test_refused(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    result = cli("profile", "1.0.99.2.0.255", *meter)
    assert (result.status, result.out) == (1, "")
    assert "object-undefined" in result.err
    sim.set_access(7, ObisCode.parse(PROFILE), 2, mode=0)
    result = cli("profile", PROFILE, *meter, "--json")
    assert (result.status, result.out) == (1, "")
    assert "read-write-denied" in result.err


def test_what_has_come_is_counted_on_a_terminal(
    cli: Cli, sim: MeterSimulator, meter: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Slow(dict):  # type: ignore[type-arg]
        def get(self, key: object, default: object = None) -> object:
            time.sleep(0.05)
            return super().get(key, default)

    sim.objects = Slow(sim.objects)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert cli("profile", PROFILE, *meter, "--json").status == 0
    assert terminal.getvalue().startswith(f"\rtcp://{meter[1]}: connecting\r ")
    assert "frames received" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--from", "24h", "--count", "2"), "by time or by number, not both"),
        (("--first", "0"), "start at 1"),
        (("--count", "-1"), "start at 1"),
        (("--first", "4294967296"), "end at 4294967295"),
        (("--count", "99999999999"), "end at 4294967295"),
        (("--to", "2024-05-02"), "--to needs --from"),
        (("--from", "yesterday"), "yesterday"),
    ],
)
def test_a_choice_that_makes_no_sense_is_told_before_the_meter_is_asked(
    cli: Cli, sim: MeterSimulator, meter: list[str], words: tuple[str, ...], why: str
) -> None:
    result = cli("profile", PROFILE, *words, *meter)
    assert (result.status, result.out, sim.requests) == (2, "", [])
    assert why in result.err


# --- as a chart -----------------------------------------------------------------------------------------------------


def without_rows(sim: MeterSimulator, numbers: range) -> None:
    attributes = sim.objects[7, ObisCode.parse(PROFILE)]
    rows = [row for number, row in enumerate(attributes[2].value) if number not in numbers]
    attributes[2] = DlmsData.array(rows)


def test_in_the_terminal(cli: Cli, sim: MeterSimulator, meter: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    without_rows(sim, range(30, 40))
    result = cli("profile", PROFILE, "--plot", *meter)
    assert result.status == 0
    assert result.out.startswith("Active energy import [Wh], 2024-05-01 00:00 to 2024-05-01 23:45\n")
    assert "(Wh)" in result.out
    assert "x" * 7 in result.out
    assert "10 rows missing: 2024-05-01T07:30:00+00:00 to 2024-05-01T09:45:00+00:00" in result.err
    assert result.err.endswith("86 rows drawn, 10 missing\n")


@pytest.mark.parametrize(("suffix", "mark"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("PNG", b"\x89PNG")])
def test_as_a_picture(
    cli: Cli, sim: MeterSimulator, meter: list[str], tmp_path: Path, suffix: str, mark: bytes
) -> None:
    without_rows(sim, range(30, 40))
    file = tmp_path / f"day.{suffix}"
    result = cli("profile", PROFILE, "--plot", str(file), *meter)
    assert (result.status, result.out) == (0, "")
    assert file.read_bytes().startswith(mark)
    assert list(tmp_path.glob("*day*")) == [file]


def test_a_picture_beside_the_rows(cli: Cli, meter: list[str], tmp_path: Path) -> None:
    file = tmp_path / "day.svg"
    assert len(cli("profile", PROFILE, "--plot", str(file), "--json", *meter).json["values"]) == 96
    assert file.exists()
    result = cli("profile", PROFILE, "--plot", "--json", *meter)
    assert (result.status, result.out) == (2, "")
    assert "--plot FILE" in result.err


def test_another_kind_of_file_is_told_before_the_meter_is_asked(
    cli: Cli, sim: MeterSimulator, meter: list[str]
) -> None:
    result = cli("profile", "--plot", PROFILE, *meter)
    assert (result.status, sim.requests) == (2, [])
    assert ".svg" in result.err
    assert "OBIS goes before --plot" in result.err


def test_a_file_that_cannot_be_written(cli: Cli, meter: list[str], tmp_path: Path) -> None:
    result = cli("profile", PROFILE, "--plot", str(tmp_path / "none" / "day.svg"), *meter)
    assert result.status == 2
    assert "day.svg cannot be written: No such file or directory" in result.err


@pytest.mark.parametrize(("word", "library"), [((), "plotille"), (("day.png",), "matplotlib")])
def test_without_the_library_the_extra_is_named(
    cli: Cli,
    sim: MeterSimulator,
    meter: list[str],
    monkeypatch: pytest.MonkeyPatch,
    word: tuple[str, ...],
    library: str,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    result = cli("profile", PROFILE, "--plot", *word, *meter)
    assert (result.status, result.out, sim.requests) == (2, "", [])
    assert "pip install 'dlms-mqtt[plot]'" in result.err


def test_no_rows(cli: Cli, meter: list[str]) -> None:
    result = cli("profile", PROFILE, "--from", "2024-05-03", "--to", "2024-05-04", "--plot", *meter)
    assert (result.status, result.out) == (1, "")
    assert "nothing to draw: 0 rows" in result.err


def test_without_plot_nothing_is_loaded(cli: Cli, meter: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watched(name: str, *rest: Any) -> Any:
        assert name.partition(".")[0] not in ("matplotlib", "plotille")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", watched)
    assert cli("profile", PROFILE, *meter).status == 0
