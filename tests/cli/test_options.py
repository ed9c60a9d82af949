"""Which meter a command talks to: options, a configuration, both, a preset below them, and the zone that holds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dlms_mqtt.cli.options import configured, seconds_option
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.times import parse_moment
from tests.cli.conftest import Cli

CONFIG = """\
bridge: {{}}
meters:
  house:
    connection: {{tcp: "{address}", framing: {framing}}}
  barn:
    connection: {{tcp: "127.0.0.1:1"}}
"""


@pytest.fixture
def config(meter: list[str], tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "dlms-mqtt.yaml"
    file.write_text(CONFIG.format(address=meter[1], framing="wrapper"))
    yield file


#: local time -> hours before UTC: both sides of the change in spring and of that in autumn
SIDES = [
    ("2026-03-29T01:59:59", 1),
    ("2026-03-29T03:00:00", 2),
    ("2026-10-20T12:00:00", 2),
    ("2026-10-25T01:59:59", 2),
    ("2026-10-25T03:00:00", 1),
    ("2026-11-22T12:00:00", 1),
]
sides = pytest.mark.parametrize(("text", "hours"), SIDES)


@sides
@pytest.mark.parametrize("line", ["", "bridge: {timezone: Europe/Vienna}\n"], ids=["no timezone", "timezone"])
def test_the_command_line_with_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, text: str, hours: int
) -> None:
    monkeypatch.setenv("TZ", "Europe/Vienna")
    file = tmp_path / "config.yaml"
    file.write_text(line + "meters: {house: {connection: {tcp: meter.example}}}\n")
    where = configured(Namespace(config=file, meter=None, state=None), {})
    expected = datetime.fromisoformat(text).replace(tzinfo=UTC) - timedelta(hours=hours)
    assert parse_moment(text, where.zone, datetime.now(UTC)) == expected


def test_a_meter_of_a_configuration(cli: Cli, config: Path, tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state.sqlite")]
    result = cli("read", "1.0.1.8.0", "--config", str(config), "--meter", "house", "--json", *state)
    assert result.status == 0
    assert result.json["values"][0]["value"] == 12345678
    result = cli("read", "1.0.1.8.0", "--config", str(config), *state)
    assert (result.status, result.out) == (2, "")
    assert "--meter house|barn" in result.err
    result = cli("read", "1.0.1.8.0", "--config", str(config), "--meter", "shed", *state)
    assert (result.status, result.out) == (2, "")
    assert "no meter 'shed'" in result.err
    result = cli("read", "1.0.1.8.0", "--config", str(config), "--meter", "barn", *state)
    assert result.status == 1


def test_an_option_beside_the_configuration(cli: Cli, config: Path, meter: list[str], tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state.sqlite")]
    result = cli("clock", "--config", str(config), "--meter", "barn", *meter, "--json", *state)
    assert result.status == 0


def test_a_mistake_in_the_configuration(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "dlms-mqtt.yaml"
    file.write_text(CONFIG.format(address="10.0.0.1:x", framing="carrier-pigeon"))
    result = cli("read", "1.0.1.8.0", "--config", str(file), "--meter", "house")
    assert (result.status, result.out) == (2, "")
    assert f"{file}:4" in result.err


def test_a_preset_goes_below_the_options(cli: Cli, meter: list[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: Mine\nconnection: {client: 77, framing: wrapper}\n")
    assert cli("read", "1.0.1.8.0", *meter, "--preset", str(file)).status == 1  # that client is refused
    assert cli("read", "1.0.1.8.0", *meter, "--preset", str(file), "--client", "16").status == 0
    result = cli("read", "1.0.1.8.0", *meter, "--preset", "no-such-family")
    assert (result.status, "there is no preset 'no-such-family'" in result.err) == (2, True)


def test_no_meter_at_all(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("clock")
    assert (result.status, result.out) == (2, "")
    assert "which meter? Give --serial PORT, --tcp HOST:PORT or --config FILE." in result.err
    result = cli("clock", "--tcp", "192.0.2.1:4059", "--meter", "house")
    assert (result.status, result.out) == (2, "")
    assert "--meter names a meter of a configuration. Give --config FILE too." in result.err


def test_the_configuration_where_it_usually_stands(cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    config.rename(config.parent / "config.yaml")
    assert cli("clock", "--meter", "house", "--state", "state.sqlite", "--json").status == 0


@pytest.mark.parametrize(("text", "seconds"), [(None, None), ("2", 2.0), ("1.5", 1.5), ("2min", 120.0)])
def test_seconds_with_a_unit_or_without(text: str | None, seconds: float | None) -> None:
    assert seconds_option(Namespace(timeout=text), "timeout") == seconds


def test_a_duration_that_is_none_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"^--timeout: expected a time with a unit .* not 'soon'"):
        seconds_option(Namespace(timeout="soon"), "timeout")
