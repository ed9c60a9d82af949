"""Tells systemd that the bridge is ready and alive (sd_notify), over a plain socket; does nothing without systemd."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping


class Notifier:
    """``environment`` holds NOTIFY_SOCKET and WATCHDOG_USEC when systemd started us."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.interval = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None

    def send(self, *lines: str) -> None:
        """Such as ``READY=1`` or ``STATUS=...``."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), address)

    async def watchdog(self) -> None:
        """Say that the event loop turns, twice per interval, for ever."""
        if self.interval is None:
            return
        while True:
            self.send("WATCHDOG=1")
            await asyncio.sleep(self.interval)
