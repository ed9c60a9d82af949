"""What was read at a time of day (`at`), on the disk: after a restart it stands until its time comes again.

The value keeps its own time, and lives no longer than it would have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api.payload import decimal_of
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.bridge.reading.schedule import At
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.readings import Quality, Reading

_LOG = logging.getLogger(__name__)
SPACE = "at"  # namespace of the store


class KeptReadings:
    """Of one meter."""

    def __init__(self, meter_id: str, store: Store) -> None:
        self._id, self._store = meter_id, store
        self._rows = self._restored()
        self._kept = dict(self._rows)

    def _restored(self) -> dict[str, Any]:
        try:
            saved = self._store.get(SPACE, self._id)
        except StoreError:
            saved = None
        return saved if isinstance(saved, dict) else {}

    def take(self, item: PlanItem, reading: Reading) -> None:
        """Take note of a reading, if it is of an item that is read at a time of day."""
        if isinstance(item.schedule, At):
            self._rows[item.key] = [
                str(reading.value), isinstance(reading.value, Decimal), reading.unit, reading.time.isoformat(),
                str(reading.quality),
            ]  # fmt: skip

    def keep(self) -> None:
        """Write what is new."""
        if self._rows != self._kept:
            self._kept = dict(self._rows)
            try:
                self._store.set(SPACE, self._id, self._rows)
            except StoreError as error:
                _LOG.debug("%s: what was read at its time is not kept: %s", self._id, error.message)

    def forget(self) -> None:
        """It is another meter."""
        self._rows.clear()

    def fresh(self, items: Iterable[PlanItem], now: datetime) -> Iterator[tuple[PlanItem, Reading, float]]:
        """What was read of these in an earlier run and is not too old, with how long it lives still (s)."""
        for item in items:
            reading = self._reading(item, now.tzinfo) if isinstance(item.schedule, At) else None
            if reading is not None:
                age = now.timestamp() - reading.time.timestamp()
                left = lifetime(item.schedule) - age
                if age >= 0 and left > 0:
                    yield item, reading, left

    def _reading(self, item: PlanItem, zone: tzinfo | None) -> Reading | None:
        try:
            text, is_number, unit, time, quality = self._rows[item.key]
            value = decimal_of(text) if is_number else str(text)
            moment = datetime.fromisoformat(time).astimezone(zone)
            at = item.attribute
            raw = float(value) if isinstance(value, Decimal) else value
            return Reading(
                at.obis, at.class_id, at.attribute, item.key, raw, None, value, str(unit), moment, Quality(quality)
            )
        except (KeyError, TypeError, ValueError, ArithmeticError):  # none, or of another shape
            return None
