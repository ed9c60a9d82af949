"""Words for what goes wrong on a network, the same for TCP and UDP."""

from __future__ import annotations

import errno
import re
import socket

from dlms_mqtt.errors import ConnectFailed

_WORDS: dict[int, tuple[str, str]] = {
    errno.ECONNREFUSED: (
        "nobody listens at {name}",
        "Check the port; many meters and converters serve one client at a time.",
    ),
    errno.EHOSTUNREACH: ("{name} cannot be reached", "Is it switched on and in this network?"),
    errno.ENETUNREACH: ("there is no route to {name}", "Check the address and this machine's network."),
    errno.ETIMEDOUT: ("{name} does not answer", "Check the address, the cable and the firewall."),
    errno.EACCES: ("the system does not allow a connection to {name}", "Check the firewall and the permissions."),
    errno.EMFILE: ("this program has too many open files", "Close other connections or raise the limit."),
}


def connect_failed(error: OSError, name: str) -> ConnectFailed:
    """The ConnectFailed that says in plain words what an OSError means for ``name``."""
    if isinstance(error, socket.gaierror):
        return ConnectFailed(f"the name in {name} is unknown", hint="Check the spelling, or write the IP address.")
    sentence, hint = _WORDS.get(_code(error), (f"{{name}} could not be opened: {error.strerror or error}", ""))
    return ConnectFailed(sentence.format(name=name), hint=hint)


def _code(error: OSError) -> int:
    """asyncio folds the errors of several addresses into one text without a number."""
    if error.errno is not None:
        return error.errno
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT
    found = re.search(r"\[Errno (\d+)\]", str(error))
    return int(found[1]) if found else 0
