"""Tells systemd that the bridge is ready and alive (sd_notify), over a plain socket; a file tells a container the same.

Does nothing where neither is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping

from dlms_mqtt.bridge.alive import EVERY, alive_file

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # of syslog


class JournalFormatter(logging.Formatter):
    """Lines for the journal, which has the time already: each begins with its priority (``journalctl -p warning``)."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """As many lines as the record has, each with its priority."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def is_journal(stream: int, environment: Mapping[str, str]) -> bool:
    """Does this descriptor lead to the journal? JOURNAL_STREAM says which one does; a child may have redirected it."""
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


class Notifier:
    """``environment`` holds NOTIFY_SOCKET and WATCHDOG_USEC when systemd started us, DLMS_MQTT_ALIVE in a container."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        self._file = alive_file(environment)
        wanted = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None
        self.interval = min(wanted or EVERY, EVERY) if self._file else wanted

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
            self._touch()
            await asyncio.sleep(self.interval)

    def _touch(self) -> None:
        with contextlib.suppress(OSError):  # whoever looks sees that it does not get younger
            if self._file:
                self._file.touch()
