"""A meter is added to a configuration as text: comments stay, secrets get free names, files are whole or as before."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt.cli.setup import addition
from dlms_mqtt.cli.setup.addition import Addition, SecretName, block, by_hand
from dlms_mqtt.errors import ConfigError

METER: dict[str, Any] = {"connection": {"tcp": "192.0.2.5:4059", "password": SecretName("house_password")}}


def added(tmp_path: Path, old: str, mqtt: dict[str, Any] | None = None) -> str:
    file = tmp_path / "config.yaml"
    if old:
        file.write_text(old)
    return Addition.to(file).new_text("house", METER, mqtt)


def test_secrets_are_named_and_aliases_are_none() -> None:
    shared = {"a": 1}
    assert block({"x": shared, "y": shared, "z": SecretName("one")}, 2) == (
        "  x:\n    a: 1\n  y:\n    a: 1\n  z: !secret one\n"
    )


def test_a_new_configuration_says_who_made_it(tmp_path: Path) -> None:
    text = added(tmp_path, "", {"host": "localhost"})
    assert text.startswith("# Made by `dlms-mqtt setup`")
    assert "mqtt:\n  host: localhost\nmeters:\n  house:\n    connection:\n" in text
    assert "password: !secret house_password\n" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("meters:\n  barn: {every: 5m}  # old\n", "meters:\n  barn: {every: 5m}  # old\n  house:\n"),
        ("meters:\n    barn:\n      every: 5m\n      # deeper: its own\nbridge: {}\n", "own\n    house:\n"),
        ("meters:\n  barn:\n    every: 5m\n# of the bridge\nbridge: {}\n", "every: 5m\n  house:\n"),
        ("meters:\nbridge: {id: a}\n", "meters:\n  house:\n"),
        ("meters: {}\nbridge: {id: a}\n", "meters:\n  house:\n"),
        ("bridge: {id: a}", "bridge: {id: a}\nmeters:\n  house:\n"),
        ("meters:\n  barn:\n    read:\n    - x\n", "- x\n  house:\n"),
        ("meters:\n  barn: {every: 5m}", "barn: {every: 5m}\n  house:\n"),
    ],
)
def test_the_meter_stands_behind_the_last_one(tmp_path: Path, old: str, new: str) -> None:
    text = added(tmp_path, old)
    assert new in text
    kept = iter(text.splitlines())
    assert all(line in kept for line in old.replace("meters: {}", "meters:").splitlines())


@pytest.mark.parametrize("old", ["meters: {barn: {every: 5m}}\n", "{meters: {}}\n"])
def test_what_no_insertion_fits_is_told_with_the_lines_to_add(tmp_path: Path, old: str) -> None:
    with pytest.raises(ConfigError, match="nothing can be added to it") as caught:
        added(tmp_path, old)
    assert "Add this below meters: yourself:\n  house:\n" in caught.value.hint
    assert "!secret house_password" in by_hand(tmp_path, "house", METER).hint


def test_secrets_get_names_that_are_free(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("pw: text:other\nown: text:same\n")
    found = Addition.to(tmp_path / "config.yaml")
    assert found.keep_secret("pw", "text:mine") == "pw_2"
    assert found.keep_secret("pw", "text:mine") == "pw_2"
    assert found.keep_secret("own", "text:same") == "own"
    assert found.keep_secret("pw", "env:PASSWORD") == "env:PASSWORD"
    assert found.secrets == {"pw_2": "text:mine"}


def test_secrets_that_are_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="no mapping of names to secrets") as caught:
        Addition.to(tmp_path / "config.yaml").keep_secret("pw", "text:x")
    assert caught.value.file.endswith("secrets.yaml")


@pytest.mark.parametrize(("mode", "secret_mode"), [(0o644, 0o600), (0o640, 0o640)])
def test_both_files_are_written_and_secrets_are_for_few(tmp_path: Path, mode: int, secret_mode: int) -> None:
    file, secrets = tmp_path / "config.yaml", tmp_path / "secrets.yaml"
    file.write_text("meters: {}\n")
    file.chmod(mode)
    found = Addition.to(file)
    found.keep_secret("house_password", "text:12345678")
    found.write(found.new_text("house", METER, None))
    assert yaml.safe_load(secrets.read_text()) == {"house_password": "text:12345678"}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, secrets)] == [mode, secret_mode]
    assert "12345678" not in file.read_text()
    again = Addition.to(file)
    again.keep_secret("other", "text:x")
    again.write(file.read_text())
    assert list(yaml.safe_load(secrets.read_text())) == ["house_password", "other"]


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("meters: {}\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(addition.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Addition.to(file).write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert file.read_text() == "meters: {}\n"


def test_places_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        Addition.to(tmp_path / "nowhere" / "config.yaml")
    (tmp_path / "config.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        Addition.to(tmp_path / "config.yaml")
    monkeypatch.setattr(addition.os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="cannot be written"):
        Addition.to(tmp_path / "config.yaml")
