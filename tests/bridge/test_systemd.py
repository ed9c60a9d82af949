"""The systemd unit, and what a real ``dlms-mqtt run`` tells systemd: ready, alive, reloaded by a signal, stopping."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from dlms_mqtt.bridge.alive import VARIABLE
from dlms_mqtt.bridge.systemd import JournalFormatter, Notifier, is_journal
from dlms_mqtt.cli import COMMANDS
from tests.bridge.conftest import PATIENCE
from tests.bridge.house import write_config
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "dlms_mqtt/bridge/dlms-mqtt.service"
ANALYZE = shutil.which("systemd-analyze")


class _Unit(configparser.RawConfigParser):
    """Keys may repeat; the values are gathered."""

    def optionxform(self, optionstr):
        return optionstr


def _rows():
    parser = _Unit(strict=False)
    parser.read(UNIT)
    return parser


async def _heard(server: socket.socket, wanted: str, seconds: float = PATIENCE) -> list[str]:
    """Messages until one of them has the wanted line."""
    loop, heard = asyncio.get_running_loop(), []
    async with asyncio.timeout(seconds):
        while not heard or wanted not in heard[-1].splitlines():
            heard.append((await loop.sock_recv(server, 4096)).decode())
    return heard


async def _shortest_pause(server: socket.socket) -> float:
    """Between two signs of life, s."""
    moments = []
    for _ in range(5):
        await _heard(server, "WATCHDOG=1")
        moments.append(asyncio.get_running_loop().time())
    return min(later - sooner for sooner, later in pairwise(moments))


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
async def test_systemd_hears_of_a_real_bridge(tmp_path, abstract):
    """There is no broker and no meter: the bridge is ready all the same."""
    name = f"dlms-mqtt-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    path = write_config(tmp_path, free_port(), '  house: {connection: {tcp: "127.0.0.1:1"}}\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}" if abstract else name)
        server.setblocking(False)
        environment = {
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": f"@{name}" if abstract else name,
            "WATCHDOG_USEC": "1000000",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlms_mqtt", "run", "--config", str(path),
            env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert "STATUS=1 meters" in (await _heard(server, "READY=1"))[-1]
            assert await _shortest_pause(server) < 0.75  # twice in each interval
            process.send_signal(signal.SIGHUP)
            await _heard(server, "WATCHDOG=1")
            path.write_text(path.read_text().replace("mqtt:\n", "mqtt:\n  base_topic: other\n"))
            process.send_signal(signal.SIGHUP)
            anew = await _heard(server, "READY=1")
            assert not [said for said in anew if "STOPPING=1" in said], "it starts anew and does not stop"
            process.terminate()
            await _heard(server, "STOPPING=1")
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
    assert b"Traceback" not in said


async def test_a_wrong_configuration_is_not_started_again_and_again(tmp_path):
    (tmp_path / "config.yaml").write_text("bridge: {idd: x}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dlms_mqtt", "run", "--config", str(tmp_path / "config.yaml"),
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await process.communicate()
    assert str(process.returncode) == _rows()["Service"]["RestartPreventExitStatus"]


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
async def test_it_is_told_that_the_loop_turns_twice_an_interval(clock, tmp_path, abstract):
    name = f"dlms-mqtt-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}" if abstract else name)
        server.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "10000000"})
        notifier.send("READY=1", "STATUS=2 meters")
        watchdog = asyncio.create_task(notifier.watchdog())
        await asyncio.sleep(19)
        watchdog.cancel()
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(server.recv(100))
    assert heard == [b"READY=1\nSTATUS=2 meters", *[b"WATCHDOG=1"] * 4]
    notifier.send("READY=1")  # nobody listens any more


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({VARIABLE: "FILE"}, 10),
        ({VARIABLE: "FILE", "WATCHDOG_USEC": "10000000"}, 5),
        ({VARIABLE: "FILE", "WATCHDOG_USEC": "60000000"}, 10),
    ],
)
async def test_how_often_it_says_that_it_lives(clock, tmp_path, environment, seconds):
    file = tmp_path / "alive"
    notifier = Notifier({key: value.replace("FILE", str(file)) for key, value in environment.items()})
    assert notifier.interval == seconds
    watchdog = asyncio.create_task(notifier.watchdog())
    await asyncio.sleep(0)
    assert file.exists() is (VARIABLE in environment)
    file.unlink(missing_ok=True)
    await asyncio.sleep(11)
    assert file.exists() is (VARIABLE in environment)
    assert watchdog.done() is (seconds is None)
    watchdog.cancel()


async def test_a_sign_of_life_that_cannot_be_left_ends_nothing(clock, tmp_path):
    notifier = Notifier({VARIABLE: str(tmp_path / "none" / "alive")})
    watchdog = asyncio.create_task(notifier.watchdog())
    await asyncio.sleep(25)
    assert not watchdog.done()
    watchdog.cancel()


def test_every_line_of_the_journal_has_its_priority():
    formatter = JournalFormatter()
    levels = {10: "<7>", 20: "<6>", 30: "<4>", 40: "<3>", 50: "<3>"}
    for level, mark in levels.items():
        record = logging.LogRecord("it", level, "", 0, "one\ntwo", (), None)
        assert [line[:3] for line in formatter.format(record).splitlines()] == [mark, mark]


def test_only_the_journal_itself_is_the_journal(tmp_path):
    with (tmp_path / "log").open("w") as file:
        status = os.fstat(file.fileno())
        assert is_journal(file.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(file.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(file.fileno(), {})
    assert not is_journal(file.fileno() if not file.closed else 9999, {"JOURNAL_STREAM": "1:1"})


async def test_the_log_of_a_real_bridge_in_the_journal(tmp_path):
    """A socket stands for the journal's; nothing but lines with a priority comes, and no second time stamp."""
    path = write_config(tmp_path, free_port(), '  house: {connection: {tcp: "127.0.0.1:1"}}\n')
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dlms_mqtt", "run", "--config", str(path), stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
    )  # fmt: skip
    theirs.close()
    ours.setblocking(False)
    loop, said = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(PATIENCE):
            while b"\n" not in said:
                said += await loop.sock_recv(ours, 4096)
            process.terminate()
            while more := await loop.sock_recv(ours, 4096):
                said += more
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        ours.close()
    lines = said.decode().splitlines()
    assert all(re.match(r"<[3467]>[A-Z]+ [\w.]+: ", line) for line in lines), lines
    assert any(line.startswith("<4>WARNING") for line in lines)


def test_what_the_unit_says():
    service = _rows()["Service"]
    assert service["Type"] == "notify" and float(service["WatchdogSec"]) >= 30
    program, command, *_ = service["ExecStart"].split()
    assert program.endswith("/dlms-mqtt") and command in COMMANDS
    assert service["ExecReload"] == '/bin/sh -c "kill -HUP ${MAINPID}"'  # a small Debian has no /bin/kill
    assert service["Restart"] == "on-failure"
    assert f"/var/lib/{service['StateDirectory']}" == "/var/lib/dlms-mqtt"  # the default of bridge.state_dir
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute", "ProtectKernelModules"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""
    assert service["User"] != "root"
    assert service["LimitCORE"] == "0", "a dump would hold keys"
    assert service["MemoryMax"] == "512M"


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_unit_and_calls_it_hardened(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/dlms-mqtt", "/bin/true"))
    verified = subprocess.run([ANALYZE, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    assert UNIT.name not in verified.stderr  # it warns of other units of the machine too
    security = [ANALYZE, "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    scored = subprocess.run(security, capture_output=True, text=True)
    if "unrecognized option" in scored.stderr:
        pytest.skip("systemd-analyze is too old to look at a file")
    assert scored.returncode == 0, scored.stdout.splitlines()[-1]  # exposure at most 1.5 of 10
