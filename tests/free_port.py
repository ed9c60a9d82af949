"""A port to listen on later, for programs that cannot be asked which one they took."""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle

_PORTS = range(15000, 32000)  # below those that systems give to connections by themselves: nobody takes it meanwhile
_SHARE = 1000  # of one worker of pytest-xdist: another one's may be free just now and still be meant for use


def _own_ports() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % (len(_PORTS) // _SHARE)
    return _PORTS[worker * _SHARE : (worker + 1) * _SHARE]


def _turned(ports: range) -> list[int]:
    """From a random one on, as another run of the tests may be under way."""
    first = random.SystemRandom().randrange(len(ports))
    return [*ports[first:], *ports[:first]]


_next = cycle(_turned(_own_ports()))  # one after the other: none is given twice before its user had time to take it


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody uses."""
    while True:
        port = next(_next)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
