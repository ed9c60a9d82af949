"""A real Mosquitto on a port of its own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.free_port import free_port

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
_PATIENCE = 240.0  # s for what happens at once, unless the machine has much else to do


class Mosquitto:
    """The broker; ``stop`` and ``start`` keep the port, with or without its memory."""

    def __init__(self, folder: Path, extra: str = "", persistence: bool = False) -> None:
        self.port = free_port()
        self.folder = folder
        self.config = folder / "mosquitto.conf"
        persist = f"persistence true\npersistence_location {folder}/\n" if persistence else "persistence false\n"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it would drop to a user who may not read the folder
        self.config.write_text(f"{user}listener {self.port} 127.0.0.1\n{persist}{extra or 'allow_anonymous true'}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for port in re.findall(r"^listener (\d+)", self.config.read_text(), re.MULTILINE):  # opened one after another
            _wait_for(int(port))

    def stop(self, *, kill: bool = False) -> None:
        if self.process:
            for _ in range(int(_PATIENCE)):  # a Mosquitto that is just starting forgets a signal
                (self.process.kill if kill else self.process.terminate)()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(1)
                    break
            self.process = None


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("mosquitto did not start")
