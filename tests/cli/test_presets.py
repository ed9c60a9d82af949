from __future__ import annotations

from pathlib import Path

from dlms_mqtt.meter.presets.preset import preset_names
from tests.cli.conftest import Cli


def test_all_of_them(cli: Cli) -> None:
    result = cli("presets")
    assert result.status == 0
    assert all(f"\n{name} " in result.out for name in preset_names())
    assert {row["id"] for row in cli("presets", "--json").json["presets"]} == set(preset_names())


def test_one_with_its_sources(cli: Cli) -> None:
    result = cli("presets", "energomera-spodes")
    assert "client: 32" in result.out
    assert "source: latonita/esphome-dlms-cosem" in result.out
    assert "(sure: medium)" in result.out
    document = cli("presets", "energomera-spodes", "--json").json
    assert document["connection"]["baud"] == 9600
    assert document["claims"][0]["source"]


def test_a_file_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: Mine\nconnection: {client: 7}\n")
    assert "client: 7" in cli("presets", str(path)).out


def test_what_ones_own_file_leaves_out_and_what_nobody_is_shown(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("connection: {client: 7, password: 'text:geheim99'}\nclaims: [{says: it works}]\nnotes: [7]\n")
    for words in ((), ("--json",)):
        result = cli("presets", str(path), *words)
        assert result.status == 0
        assert "it works" in result.out
        assert "***" in result.out
        assert "geheim99" not in result.out


def test_an_unknown_one(cli: Cli) -> None:
    result = cli("presets", "nothing-like-it")
    assert result.status == 2
    assert "`dlms-mqtt presets` lists them" in result.err
