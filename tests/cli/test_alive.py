"""``dlms-mqtt alive``: its statuses and sentences; a real bridge is in tests/bridge/test_alive.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dlms_mqtt.bridge.alive import VARIABLE
from tests.cli.conftest import Cli


def test_alive(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "alive"
    file.touch()
    assert cli("alive", "--file", str(file)).status == 0
    monkeypatch.setenv(VARIABLE, str(file))
    assert cli("alive").out.startswith("alive, ")


def test_no_sign(cli: Cli, tmp_path: Path) -> None:
    result = cli("alive", "--file", str(tmp_path / "none"))
    assert result.status == 1
    assert f"no sign of life in {tmp_path / 'none'}." in result.err


def test_too_old(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (0, time.time() - 100))
    assert cli("alive", "--file", str(file), "--within", "1000").status == 0
    result = cli("alive", "--file", str(file))
    assert result.status == 1
    assert " for 1" in result.err


def test_nothing_to_look_at(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    result = cli("alive")
    assert result.status == 2
    assert VARIABLE in result.err
