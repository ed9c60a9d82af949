"""Who holds a serial port: the system says only "busy", ``/proc`` knows the program."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from dlms_mqtt.errors import ConnectFailed

_BRIDGES = frozenset({"run", "demo"})
_PAUSE = 'Pause that bridge for a while: the pause switch in Home Assistant, or publish {"minutes": 10} to '
_PAUSE += "BASE/meter/ID/request/pause."


class Holder(NamedTuple):
    """A process that has the port open."""

    pid: int
    program: str
    is_bridge: bool


def find_holders(device: str, proc: Path = Path("/proc")) -> list[Holder]:
    """Other processes that have ``device`` open, as far as this user may see them."""
    try:
        wanted = Path(device).stat()
    except OSError:
        return []
    pids = sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()) if proc.is_dir() else []
    return [_describe(proc, pid) for pid in pids if pid != os.getpid() and _has_open(proc / str(pid) / "fd", wanted)]


def port_in_use(device: str, proc: Path = Path("/proc")) -> ConnectFailed:
    """The error that names the program which holds the port and says how to get it."""
    holders = find_holders(device, proc)
    if not holders:
        return ConnectFailed(f"{device} is in use by another program or user", hint="Close it and try again.")
    who = ", ".join(f"{holder.program} (process {holder.pid})" for holder in holders)
    hint = _PAUSE if any(holder.is_bridge for holder in holders) else "Close that program and try again."
    return ConnectFailed(f"{device} is in use by {who}", hint=hint)


def _has_open(folder: Path, wanted: os.stat_result) -> bool:
    try:
        links = list(folder.iterdir())
    except OSError:  # gone meanwhile, or another user's
        return False
    return any(_same_device(link, wanted) for link in links)


def _same_device(link: Path, wanted: os.stat_result) -> bool:
    try:
        found = link.stat()
    except OSError:
        return False
    if stat.S_ISCHR(wanted.st_mode):
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == wanted.st_rdev
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _describe(proc: Path, pid: int) -> Holder:
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    words = [word for word in words if word] or ["a program"]
    for position, word in enumerate(words[:4]):
        if Path(word).name in ("dlms-mqtt", "dlms_mqtt"):
            command = next((later for later in words[position + 1 :] if not later.startswith("-")), "")
            return Holder(pid, f"dlms-mqtt {command}".strip(), command in _BRIDGES)
    return Holder(pid, Path(words[0]).name, False)
