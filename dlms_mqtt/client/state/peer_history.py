"""What a meter has counted up to, on the disk: without a fresh challenge nothing else tells an old session played back.

Some meters count anew in each association, or after a power cut. Those whose counter has risen over several
associations are held to it, also by a process that starts anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.security import PeerCounters

_LOG = logging.getLogger(__name__)
_KEEP_EVERY = 60.0  # s between writings of the counters of a meter that pushes more often
_TRUSTED = 3  # associations in a row whose counter was above that of the one before
_CHECKED = "/1"  # how names of counters end whose messages had a tag: others can be forged


class PeerHistory(PeerCounters):
    """Of one peer; one write an association: one that is played back begins at or below what is kept."""

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        kept = _shape(self._stored())
        self._before = PeerCounters(kept["counters"]).keep()  # without what is damaged
        self._rose: int = kept["rose"]
        super().__init__(self._before if self._rose >= _TRUSTED else None)
        self._begins = True

    def begin(self) -> None:
        """A new association."""
        self._begins = True

    def take(self, key_id: str, title: bytes, counter: int, verified: bool = True) -> None:
        """As the counters do; the first checked message of an association is kept."""
        super().take(key_id, title, counter, verified)
        if verified and self._begins:
            self._begins = False
            self._note()

    def _note(self) -> None:
        now = _checked(self)
        if known := now.keys() & self._before.keys():
            self._rose = self._rose + 1 if all(now[name] > self._before[name] for name in known) else 0
        self._before |= now
        _keep(self._store, self._source, {"counters": self._before, "rose": min(self._rose, _TRUSTED)})

    def _stored(self) -> Any:
        try:
            return self._store.get(PEER_COUNTERS, self._source)
        except StoreError:
            return None


def _checked(counters: PeerCounters) -> dict[str, int]:
    return {name: counter for name, counter in counters.keep().items() if name.endswith(_CHECKED)}


def _shape(kept: Any) -> dict[str, Any]:
    """A damaged row is none."""
    if (
        not isinstance(kept, dict)
        or not isinstance(kept.get("counters"), dict)
        or not isinstance(kept.get("rose"), int)
    ):
        return {"counters": {}, "rose": 0}
    return kept


class PushHistory(PeerCounters):
    """Of pushes that a command listens to: each with a checked tag is kept when it was taken."""

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        super().__init__(store.peer_counters(source).keep())

    def take(self, key_id: str, title: bytes, counter: int, verified: bool = True) -> None:
        """As the counters do."""
        super().take(key_id, title, counter, verified)
        if verified:
            _keep(self._store, self._source, _checked(self))


class PushCounters(PeerCounters):
    """Of pushes of a meter at work, which come too often to be kept one by one: the disk is ahead by a minute's.

    A killed process takes no message twice; at most a minute's of them are refused that were never taken.
    """

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        super().__init__(self._stored())
        self._marks = self.keep()  # what the disk holds: at or ahead of what was taken
        self._kept, self._taken = float("-inf"), 0  # when it was written last, and how many were taken since

    def _stored(self) -> dict[str, int]:
        try:
            return self._store.peer_counters(self._source).keep()
        except StoreError:
            return {}

    def keep_ahead(self, now: float) -> None:
        """One was taken, at ``now`` (s on the monotonic clock)."""
        self._taken += 1
        if all(counter <= self._marks.get(name, -1) for name, counter in self.keep().items()):
            return
        since = max(now - self._kept, 1.0)
        ahead = int(self._taken * _KEEP_EVERY / since) if since < _KEEP_EVERY else 0
        self._kept, self._taken = now, 0
        self._marks = self.keep(ahead)
        _keep(self._store, self._source, self._marks)

    def close(self) -> None:
        """No more will come: the disk says exactly what was taken."""
        self._store.keep_peer_counters(self._source, self)


def _keep(store: Store, source: str, counters: Mapping[str, Any]) -> None:
    try:
        store.set(PEER_COUNTERS, source, counters)
    except StoreError as error:
        _LOG.debug("%s: what the meter counted is not kept: %s", source, error.message)
