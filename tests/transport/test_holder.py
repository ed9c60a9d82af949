"""Who holds a port: read from a /proc of the test's own, with processes that are gone or another user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlms_mqtt.transport.holder import Holder, find_holders, port_in_use


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "ttyUSB0"
    path.touch()
    return path


def process(proc: Path, pid: int, *words: str, holds: Path | None = None) -> None:
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "1").symlink_to("/nowhere")
    if holds is not None:
        (folder / "3").symlink_to(holds)


def test_only_who_holds_it(tmp_path: Path, device: Path) -> None:
    proc = tmp_path / "proc"
    process(proc, 7, "/usr/bin/cu", "-l", "ttyUSB0", holds=device)
    process(proc, 8, "sleep", "9")
    process(proc, os.getpid(), "pytest", holds=device)
    (proc / "9").mkdir()  # another user's, or gone meanwhile
    (proc / "self").mkdir()
    assert find_holders(str(device), proc) == [Holder(7, "cu", False)]
    error = port_in_use(str(device), proc)
    assert error.message == f"{device} is in use by cu (process 7)"
    assert error.hint == "Close that program and try again."


@pytest.mark.parametrize(
    ("words", "holder"),
    [
        (("python3", "-m", "dlms_mqtt", "run", "--config", "x"), Holder(7, "dlms-mqtt run", True)),
        (("/usr/bin/python3", "/usr/local/bin/dlms-mqtt", "-v", "demo"), Holder(7, "dlms-mqtt demo", True)),
        (("dlms-mqtt", "read", "1.8.0"), Holder(7, "dlms-mqtt read", False)),
        (("dlms-mqtt",), Holder(7, "dlms-mqtt", False)),
        ((), Holder(7, "a program", False)),
    ],
)
def test_our_own_programs_are_known(tmp_path: Path, device: Path, words: tuple[str, ...], holder: Holder) -> None:
    process(tmp_path / "proc", 7, *words, holds=device)
    assert find_holders(str(device), tmp_path / "proc") == [holder]
    assert ("Pause that bridge" in str(port_in_use(str(device), tmp_path / "proc").hint)) is holder.is_bridge


def test_where_nothing_can_be_seen(tmp_path: Path, device: Path) -> None:
    assert find_holders(str(device), tmp_path / "proc") == []
    assert find_holders(str(tmp_path / "nothing"), tmp_path) == []
    assert "another program or user" in port_in_use(str(device), tmp_path / "proc").message
