"""A port to listen on later, for programs that cannot be asked which one they took."""

from __future__ import annotations

import random
import socket

_PORTS = range(15000, 32000)  # below those that systems give to connections by themselves: nobody takes it meanwhile


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody uses."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
