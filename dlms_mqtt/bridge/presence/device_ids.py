"""Under which identifiers Home Assistant knows the devices of this bridge, so that two bridges never share one.

Meters of two base topics may have the same id. So the devices of a base topic other than the default carry it; those
that were announced without it, by an earlier version, keep what they have.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from zlib import crc32

from dlms_mqtt.bridge.api.topics import DEFAULT_BASE, DEVICES
from dlms_mqtt.bridge.config.managed_meters import METER_ID
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.lockout import SPACE as LOCKOUT
from dlms_mqtt.bridge.meters.output.kept_readings import SPACE as MOMENTS
from dlms_mqtt.bridge.meters.output.known_scalers import SPACE as SCALERS
from dlms_mqtt.bridge.meters.output.publisher import peer_of
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import StoreError

_LOG = logging.getLogger(__name__)
_SPACE, _FACT, _ALIASES = "bridge", "devices", "aliases"
_MEMORY = ("guard", SCALERS, MOMENTS, LOCKOUT, PEER_COUNTERS)  # what a meter keeps under its new id


def tag_of(base: str) -> str:
    """What the identifiers of this base topic begin with; no two base topics have the same."""
    if base == DEFAULT_BASE:
        return DEVICES
    slug = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")
    return f"{DEVICES}-{slug}" if slug == base else f"{DEVICES}-{slug}-{crc32(base.encode()):08x}"


def device_tag(base: str, store: Store) -> str:
    """The same, but for devices that have been announced before."""
    try:
        kept = store.get(_SPACE, _FACT)
        if isinstance(kept, str) and re.fullmatch("[a-z0-9_-]{1,300}", kept):
            return kept
        tag: str = DEVICES if store.get(_SPACE, "name") is not None else tag_of(base)
        store.set(_SPACE, _FACT, tag)
    except StoreError:
        return tag_of(base)
    return tag


def aliases(meters: Mapping[str, Meter], store: Store) -> dict[str, str]:
    """The ids under which Home Assistant knows renamed meters, by those that they have now; also of who has just gone.

    One that is renamed once more keeps the very first; what it knew goes with it.
    """
    renamed = {name: meter.replaces for name, meter in meters.items() if meter.replaces}
    take_over(store, renamed.items())
    kept = _kept_aliases(store)
    now = {
        name: before if kept.get(before, before) in meters else kept.get(before, before)
        for name, before in renamed.items()
    }
    gone = {name: first for name, first in kept.items() if name not in meters and first not in meters}
    _keep_aliases(store, kept, gone | now)
    last = {first: name for name, first in gone.items()}
    return now | {name: first for first, name in last.items() if first not in now.values()}


def _kept_aliases(store: Store) -> dict[str, str]:
    try:
        kept = store.get(_SPACE, _ALIASES)
    except StoreError:
        return {}
    rows = kept.items() if isinstance(kept, dict) else ()
    return {name: first for name, first in rows if isinstance(first, str) and METER_ID.fullmatch(first)}


def _keep_aliases(store: Store, kept: Mapping[str, str], now: Mapping[str, str]) -> None:
    try:
        if now != kept:
            store.set(_SPACE, _ALIASES, now)
    except StoreError as error:
        _LOG.debug("renamed meters are not remembered: %s", error.message)


def take_over(store: Store, renamed: Iterable[tuple[str, str]]) -> None:
    """Let meters remember under their new ids what they knew under the old ones: (new, old)."""
    for name, before in renamed:
        for space in _MEMORY:
            _take_over(store, space, name, before)
        _take_over(store, PEER_COUNTERS, peer_of(name), peer_of(before))


def _take_over(store: Store, space: str, name: str, before: str) -> None:
    try:
        if store.get(space, name) is None and (known := store.get(space, before)) is not None:
            store.set(space, name, known)
    except StoreError as error:
        _LOG.debug("%s: %s of %s is not taken over: %s", name, space, before, error.message)
