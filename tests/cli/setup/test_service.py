"""``dlms-mqtt setup --service``: the unit fits installation and configuration, the steps are shown, then taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlms_mqtt.cli.setup import service
from dlms_mqtt.cli.setup.service import steps, unit_for
from tests.cli.conftest import Cli


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with a secret, and commands that only note that they were called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sudo", "systemctl", "install", "chgrp", "chmod", "useradd"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    file = tmp_path / "config.yaml"
    file.write_text(f"bridge: {{state_dir: {tmp_path}/state}}\nmeters: {{}}\n")
    (tmp_path / "secrets.yaml").write_text("a: text:b\n")
    return file


def test_it_is_printed_and_not_installed_unasked(cli: Cli, config: Path, tmp_path: Path) -> None:
    result = cli("setup", "--service", "--config", str(config))
    assert result.status == 0, result.err
    assert f"run --config {config}\n" in result.out
    assert "systemctl enable --now dlms-mqtt" in result.out
    assert not (tmp_path / "calls").exists()


def test_it_is_installed(cli: Cli, config: Path, tmp_path: Path) -> None:
    result = cli("setup", "--service", "--config", str(config), "--install")
    assert result.status == 0, result.err
    called = (tmp_path / "calls").read_text()
    order = ["install -d -m 0700", "/etc/systemd/system/dlms-mqtt.service", "systemctl daemon-reload", "enable --now"]
    assert [called.index(words) for words in order] == sorted(called.index(words) for words in order)
    assert "journalctl -u dlms-mqtt" in result.out


def test_a_step_that_fails_ends_it(cli: Cli, config: Path, tmp_path: Path) -> None:
    for name in ("sudo", "install"):
        (tmp_path / "tools" / name).write_text("#!/bin/sh\nexit 1\n")
    result = cli("setup", "--service", "--config", str(config), "--install")
    assert result.status == 1
    assert "This failed: " in result.err and "install -d" in result.err
    assert "enable" not in ((tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else "")


def test_a_configuration_of_root_is_run_by_a_user_of_its_own(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_is_user", lambda name: False)
    made = [" ".join(command) for command in steps(Path("u"), config, Path("/nowhere/state.sqlite"), "dlms-mqtt")]
    secrets = config.with_name("secrets.yaml")
    assert made[0].startswith("useradd --system ") and made[0].endswith(" dlms-mqtt")
    assert made[1:3] == [f"chgrp dlms-mqtt {config} {secrets}", f"chmod 0640 {config} {secrets}"]


def test_counters_go_on_where_they_are(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "STATE_DIR", tmp_path / "of-the-service")
    state = tmp_path / "state.sqlite"
    state.touch()
    made = [" ".join(command) for command in steps(Path("u"), config, state, "alice", tmp_path / "of-the-service")]
    assert f"install -m 0600 -o alice {state} {tmp_path}/of-the-service/state.sqlite" in made
    assert not [command for command in made if command.startswith(("chgrp", "useradd"))]


def test_a_state_dir_of_the_configuration_is_made_and_may_be_written(cli: Cli, config: Path, tmp_path: Path) -> None:
    """Everything else is read-only for the bridge, so that it could not start."""
    state = tmp_path / "state"
    state.mkdir()
    for name in ("state.sqlite", "state.sqlite-wal", "seal.key", "notes.txt"):
        (state / name).touch()
    result = cli("setup", "--service", "--config", str(config))
    assert f'\nReadWritePaths="{state}"\n' in result.out
    owner = service._user_of(config)
    assert f"install -d -m 0700 -o {owner} {state}\n" in result.out
    assert f"chown {owner} {state}/seal.key {state}/state.sqlite {state}/state.sqlite-wal\n" in result.out
    assert "/var/lib/dlms-mqtt/state.sqlite" not in result.out


def test_without_a_state_dir_systemd_gives_it_one(cli: Cli, config: Path) -> None:
    config.write_text("meters: {}\n")
    result = cli("setup", "--service", "--config", str(config))
    assert "ReadWritePaths" not in result.out
    assert " /var/lib/dlms-mqtt\n" in result.out


def test_a_state_at_home_is_seen_by_the_service() -> None:
    unit = unit_for("/opt/bin/dlms-mqtt", Path("/etc/dlms-mqtt/config.yaml"), "alice", Path("/home/alice/100%"))
    assert "\nProtectHome=read-only\n" in unit
    assert '\nReadWritePaths="/home/alice/100%%"\n' in unit


def test_what_is_in_a_home_is_run_by_its_owner() -> None:
    unit = unit_for("/home/alice/.venv/bin/dlms-mqtt", Path("/home/alice/config.yaml"), "alice")
    assert "\nUser=alice\n" in unit and "\nProtectHome=read-only\n" in unit
    assert "\nExecStart=/home/alice/.venv/bin/dlms-mqtt run --config /home/alice/config.yaml\n" in unit
    unit = unit_for("/opt/bin/dlms-mqtt", Path("/etc/dlms-mqtt/config.yaml"), "dlms-mqtt")
    assert "\nUser=dlms-mqtt\n" in unit and "\nProtectHome=yes\n" in unit
