"""Looks after the state file of a bridge at work: it starts anew where there is room again, or the file is not sound.

Not sound is one that is damaged, and one that somebody deleted or replaced (an old backup): its lock is lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from dlms_mqtt.bridge.state_dir import is_usable
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import CounterRow, Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_PAUSES = (5.0, 60.0, 600.0, 3600.0)  # s until the next look, after so many starts that did not help
_HELPED = 7200.0  # s without trouble: the start before has helped


class StoreWatch:
    """One for all bridges of a process. ``suspect``: damage was met that the quick check may have missed.

    ``reserved``: the counters of a file that is gone; no file that comes in its place may give such numbers again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._starts, self._last = 0, float("-inf")
        self.suspect = False
        self.reserved: list[CounterRow] = []

    async def trouble(self, store: Store, folder: Path) -> None:
        """Returns when the bridge should start anew; what comes back is told once and tried ever more seldom."""
        while True:
            self._forget_what_helped()
            await asyncio.sleep(_PAUSES[min(self._starts, len(_PAUSES) - 1)])
            if sentence := _reason(store, folder):
                break
        _LOG.log(logging.INFO if self._starts else logging.WARNING, "%s; the bridge starts anew", sentence)
        self.suspect = store.damaged
        self._starts, self._last = self._starts + 1, self._clock.monotonic()

    def closing(self, store: Store) -> None:
        """The bridge ends; the store is open still."""
        if store.removed:
            with contextlib.suppress(StoreError):
                self.reserved = store.counters()

    def _forget_what_helped(self) -> None:
        if self._clock.monotonic() - self._last > _HELPED:
            self._starts = 0


def _reason(store: Store, folder: Path) -> str:
    if store.damaged:
        return "The state file was damaged while it was used"
    if store.removed:
        return f"The state file {store.path} was deleted or replaced while it was used"
    if store.path == MEMORY and is_usable(folder):
        return "The state file can be used again"
    return ""
