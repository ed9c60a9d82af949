"""What an error of the system means in plain words."""

from __future__ import annotations

import errno
import socket

import pytest

from dlms_mqtt.transport.network import connect_failed

LINE = "tcp://10.0.0.5:4059"


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (OSError(errno.ECONNREFUSED, "x"), f"nobody listens at {LINE}", "one client at a time"),
        (OSError(errno.EHOSTUNREACH, "x"), f"{LINE} cannot be reached", "switched on"),
        (OSError(errno.ENETUNREACH, "x"), f"no route to {LINE}", "network"),
        (OSError(errno.ETIMEDOUT, "x"), f"{LINE} does not answer", "firewall"),
        (OSError(errno.EACCES, "x"), f"does not allow a connection to {LINE}", "permissions"),
        (OSError(errno.EMFILE, "x"), "too many open files", "raise the limit"),
        (TimeoutError(), f"{LINE} does not answer", "firewall"),
        (socket.gaierror(-2, "x"), f"the name in {LINE} is unknown", "spelling"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed"), f"nobody listens at {LINE}", "one client"),
        (OSError(errno.EPIPE, "Broken pipe"), f"{LINE} could not be opened: Broken pipe", ""),
        (OSError("odd"), f"{LINE} could not be opened: odd", ""),
    ],
)
def test_words(error: OSError, words: str, hint: str) -> None:
    found = connect_failed(error, LINE)
    assert words in found.message
    assert hint in str(found.hint or "")
