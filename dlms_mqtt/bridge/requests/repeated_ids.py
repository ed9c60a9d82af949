"""Ids of requests: one that comes again within ten minutes runs nothing, however many came between and after a restart.

Those of requests that change something are on the disk before they run, written together with others: a disk takes ten
milliseconds and more, and nobody else is served meanwhile. So that this holds within bounded memory, more ids than can
be kept are refused until there is room.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from itertools import islice

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.requests.verbs import verb_of
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
REMEMBERED = 600.0  # s
_MOST = 100_000  # ids, about 15 MB
_AT_ONCE = 64  # that are forgotten
_SPACE = "requests"  # namespace of the store: hash of topic and id -> Unix time


class RepeatedIds:
    """``store``: what an earlier run left there counts too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._times: dict[str, float] = {}  # hash -> monotonic, the oldest first
        self._on_disk: set[str] = set()
        self._stale: list[str] = []  # on the disk, and of no use any more
        self._writing: asyncio.Task[None] | None = None
        self._restore()

    def _restore(self) -> None:
        now, monotonic = self._clock.time(), self._clock.monotonic()
        try:
            kept = self._store.items(_SPACE)
        except StoreError:
            return
        rows = [(now - time, name) for name, time in kept.items() if isinstance(time, int | float)]
        self._times = {name: monotonic - max(age, 0.0) for age, name in sorted(rows, reverse=True) if age < REMEMBERED}
        self._on_disk = set(kept)
        self._stale = [name for name in kept if name not in self._times]

    def note(self, address: Address, key: str) -> None:
        """Take note of an id that is about to run; RequestError where it has run, or where no more can be kept."""
        self._forget()
        name = blake2b(f"{'/'.join(address)} {key}".encode(errors="surrogatepass"), digest_size=12).hexdigest()
        if name in self._times:
            raise RequestError(
                "bad-request",
                "This id was used within the last ten minutes; the request is not run again",
                hint="Its reply is not kept any more. Use another id to ask anew.",
            )
        if len(self._times) >= _MOST:
            raise RequestError("busy", "Too many ids within ten minutes", hint="Wait, or send less often.")
        self._times[name] = self._clock.monotonic()
        if not verb_of(address).looks:
            self._store.set_soon(_SPACE, name, round(self._clock.time()))
            self._on_disk.add(name)

    async def written(self) -> None:
        """Until those that were noted are on the disk: what comes in one round of the loop is one write."""
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        await asyncio.shield(self._writing)

    async def _write(self) -> None:
        self._writing = None
        try:
            self._store.write_soon()
        except StoreError as error:
            _LOG.debug("ids of requests are not kept: %s", error.message)

    def _forget(self) -> None:
        """Some of the old ones: this comes before every request, so it costs as much however many are kept."""
        oldest = self._clock.monotonic() - REMEMBERED
        for name in [name for name, time in islice(self._times.items(), _AT_ONCE) if time < oldest]:
            del self._times[name]
            self._stale += [name] if name in self._on_disk else []
        gone, self._stale = self._stale[:_AT_ONCE], self._stale[_AT_ONCE:]
        if gone := [name for name in gone if name not in self._times]:  # else used again meanwhile
            self._on_disk.difference_update(gone)
            try:
                self._store.forget(_SPACE, *gone)
            except StoreError as error:
                _LOG.debug("ids of requests are not forgotten: %s", error.message)
