"""The sign of life that a container's health check looks for: a file, touched while the event loop turns."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "DLMS_MQTT_ALIVE"  # names the file, as NOTIFY_SOCKET names systemd's socket
EVERY = 10.0  # s between two signs


def alive_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that the environment names; None: nobody looks."""
    name = environment.get(VARIABLE, "")
    return Path(name) if name else None


def seconds_since(file: Path) -> float | None:
    """Age of the last sign in s, in either direction: a clock that was turned back is no sign; None: there is none."""
    try:
        return abs(time.time() - file.stat().st_mtime)
    except OSError:
        return None
