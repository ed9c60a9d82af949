"""A real bridge and its sign of life: there while the event loop turns, too old when the process hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from dlms_mqtt.bridge.alive import EVERY, VARIABLE, alive_file, seconds_since
from dlms_mqtt.bridge.systemd import Notifier
from tests.bridge.conftest import PATIENCE
from tests.bridge.house import write_config
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]


def test_nobody_asks() -> None:
    assert alive_file({}) is None
    assert Notifier({}).interval is None


def test_no_sign_and_signs_of_every_age(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert seconds_since(file) is None
    file.touch()
    assert seconds_since(file) < PATIENCE
    os.utime(file, (0, time.time() - 100))
    assert seconds_since(file) >= 100
    os.utime(file, (0, time.time() + 3600))  # the clock was turned back since
    assert seconds_since(file) > 3000


def test_systemd_and_a_container_may_both_ask(tmp_path: Path) -> None:
    both = {VARIABLE: str(tmp_path / "alive"), "WATCHDOG_USEC": "2000000"}
    assert Notifier(both).interval == 1
    assert Notifier({**both, "WATCHDOG_USEC": "60000000"}).interval == EVERY


async def test_a_folder_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    task = asyncio.create_task(Notifier({VARIABLE: str(tmp_path / "none/alive")}).watchdog())
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _alive(file: Path, within: float) -> int:
    command = [sys.executable, "-m", "dlms_mqtt", "alive", "--within", str(within)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(file)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def _until(file: Path, within: float, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await _alive(file, within) == status:
                return


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to stop a process here")
async def test_a_bridge_that_hangs_is_seen(tmp_path: Path) -> None:
    """Without broker and meter it is alive; stopped, it is not, and continued, it is again."""
    file = tmp_path / "alive"
    path = write_config(tmp_path, free_port(), '  house: {connection: {tcp: "127.0.0.1:1"}}\n')
    assert await _alive(file, PATIENCE) == 1
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dlms_mqtt", "run", "--config", str(path),
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(file), "WATCHDOG_USEC": "200000"},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _until(file, PATIENCE, 0)
        process.send_signal(signal.SIGSTOP)
        await _until(file, 0.5, 1)
        os.utime(file, (0, 0))
        process.send_signal(signal.SIGCONT)
        await _until(file, PATIENCE, 0)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await process.wait()
