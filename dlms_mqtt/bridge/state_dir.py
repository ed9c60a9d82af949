"""The state directory, opened: what the bridge remembers, and its own key. Without a usable file it goes on without."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from dlms_mqtt.bridge.config.load import STATE_FILE
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, StoreError

_LOG = logging.getLogger(__name__)
_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))  # faults of a disk that may pass


class State(NamedTuple):
    """``trouble``: why nothing is remembered; empty when all is well."""

    store: Store
    seal: SealKey
    trouble: str = ""


def open_state(folder: Path, random: Callable[[int], bytes]) -> State:
    """Open or make it; ConfigError where only the user can help.

    A full, read-only or failing disk and a damaged file are waited out: what carries no secret is read meanwhile.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seal = SealKey.load(folder / "seal.key", random)
    except OSError as error:
        sentence = f"state_dir {folder} cannot be used: {error}"
        if error.errno not in _PASSING:
            raise ConfigError(sentence, key="bridge.state_dir") from None
        _LOG.error("%s; going on without a memory", sentence)
        return State(Store(MEMORY), SealKey(random(32)), sentence)
    try:
        return State(Store(folder / STATE_FILE), seal)
    except StoreError as error:
        _LOG.error("%s; going on without a memory", error.message)
        return State(Store(MEMORY), seal, error.message)


@contextlib.contextmanager
def locked(folder: Path, bridge: str) -> Iterator[None]:
    """Have the state directory alone; StoreError where another bridge has it (a killed one leaves no lock)."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+")
    except OSError:  # opening the state tells why
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"state_dir {folder} is in use by {_holder(file)}",
                hint="Give each bridge a bridge.state_dir of its own, or end the other one.",
            ) from None
        with contextlib.suppress(OSError):  # a full disk: the lock is there all the same
            file.truncate(0)
            file.write(f"the bridge '{bridge}' (process {os.getpid()})")
            file.flush()
        yield


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read(200) or "another bridge"


def is_usable(folder: Path) -> bool:
    """Can the state file be used (again)?"""
    try:
        SealKey.load(folder / "seal.key", os.urandom)
        Store(folder / STATE_FILE).close()
    except (StoreError, OSError):
        return False
    return True
