"""The configuration that is meant where none is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlms_mqtt.cli import configuration
from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    usual = tmp_path / "etc/config.yaml"
    usual.parent.mkdir()
    monkeypatch.setattr(configuration, "USUAL", (Path("config.yaml"), usual))
    return usual


def _write(file: Path, name: str, address: str) -> None:
    file.write_text(f"bridge: {{id: {name}, state_dir: state}}\nmeters: {{m: {{connection: {{tcp: '{address}'}}}}}}\n")


def test_the_one_here_goes_before_that_of_the_machine(cli: Cli, elsewhere: Path) -> None:
    _write(elsewhere, "machine", "192.0.2.1:4059")
    assert cli("check").out.startswith("bridge machine,")
    _write(Path("config.yaml"), "here", "192.0.2.1:4059")
    assert cli("check").out.startswith("bridge here,")


@pytest.mark.parametrize("command", ["run", "check"])
def test_none_at_all_is_told(cli: Cli, command: str) -> None:
    result = cli(command)
    assert result.status == 2 and "no configuration: config.yaml and " in result.err
    assert "Give --config FILE." in result.err


def test_commands_that_talk_to_a_meter(cli: Cli, meter: list[str]) -> None:
    _write(Path("config.yaml"), "here", meter[meter.index("--tcp") + 1])
    rest = [word for word in meter if word not in meter[meter.index("--tcp") : meter.index("--tcp") + 2]]
    assert cli("read", "1.0.1.8.0.255", *rest, "--json").json["values"]


def test_a_line_that_is_given_leaves_the_file_alone(cli: Cli, meter: list[str]) -> None:
    Path("config.yaml").write_text("meters: nonsense")
    assert cli("read", "1.0.1.8.0.255", *meter, "--json").status == 0


def test_counters_are_those_of_the_bridge(cli: Cli) -> None:
    _write(Path("config.yaml"), "here", "192.0.2.1:4059")
    key = ("--encryption-key", "hex:" + "00" * 16, "--security", "encryption")
    assert cli("counter", "--raise", "77", *key).status == 0
    assert Path("state/state.sqlite").exists()
    assert [row["next"] for row in cli("counter", "--json").json["counters"]] == [77]
