"""The command `run`: without a broker, with a wrong configuration, until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from dlms_mqtt.cli.bridge import run
from tests.cli.conftest import Cli

COMMAND = [sys.executable, "-m", "dlms_mqtt"]


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_run_without_a_broker_ends_on_sigterm(tmp_path: Path) -> None:
    """A bridge whose broker is away waits for it, and still ends when it is told to."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"bridge: {{state_dir: {tmp_path / 'state'}}}\n"
        "mqtt: {host: 127.0.0.1, port: 1}\n"
        "meters: {house: {connection: {tcp: '127.0.0.1:1'}}}\n"
    )
    process = await _start("run", "--config", str(config))
    try:
        async with asyncio.timeout(60):
            assert process.stderr is not None
            while b"127.0.0.1" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_run_with_a_wrong_configuration_is_status_2(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("meters:\n  house:\n    conection: {tcp: 'x:1'}\n")
    process = await _start("run", "--config", str(config))
    _out, error = await process.communicate()
    assert process.returncode == 2
    assert f"{config}:3" in error.decode()
    assert "did you mean" in error.decode()
    assert os.linesep * 3 not in error.decode()


def test_it_serves_the_configuration_that_is_meant(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is given, else the usual one; without any nothing is started."""
    served: list[tuple[Path, int]] = []
    monkeypatch.setattr(run, "run_bridge", lambda file, verbose: served.append((file, verbose)))
    assert cli("run", "--config", "mine.yaml", "-v").status == 0
    monkeypatch.chdir(tmp_path)
    result = cli("run")
    assert result.status == 2 and "Give --config FILE." in result.err
    (tmp_path / "config.yaml").touch()
    assert cli("run").status == 0
    assert served == [(Path("mine.yaml"), 1), (Path("config.yaml"), 0)]
