"""The energy guard of one meter at work: which readings it watches, what it is told, and its memory on the disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from decimal import Decimal

from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.reading.counter_units import FLOWS, is_delivered, most_of
from dlms_mqtt.bridge.reading.energy_guard import NO_SCALE, EnergyGuard, Held, Reason
from dlms_mqtt.bridge.reading.identity import KEYS, Change, is_nothing
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_EVERY = 3600.0  # s between two writes of the guard's memory, unless something new has happened
_DID = {Reason.FELL: "fell", Reason.ZERO: "turned zero", Reason.JUMPED: "jumped"}
Rows = Iterable[tuple[PlanItem, Reading, float]]


class CounterWatch:
    """Decides about the counters of one meter, by state class: of every unit, transformed or not."""

    def __init__(self, meter_id: str, config: Meter, store: Store, clock: Clock) -> None:
        self._id, self._on, self._store, self._clock = meter_id, config.guard, store, clock
        self._supply = config.supply
        self.guard = EnergyGuard(config.supply.watts)
        self._kept = clock.monotonic()
        self._restore()
        self._landmarks = self.guard.landmarks

    def identify(self, rows: Rows) -> Change | None:
        """Look who the meter says it is; the change when it is another one."""
        change = self.guard.identify(_identities(rows), self._clock.time())
        if change:
            _LOG.warning(
                "%s: this is another meter: %s was %s and is %s; its counters start anew",
                self._id,
                change.key,
                change.old,
                change.new,
            )
        return change

    def is_alive(self, rows: Rows) -> bool:
        """Is something delivered above 0 among these? A meter that boots says 0 of all of it, not of its outages."""
        return any(
            _is_counter(item) and is_delivered(row.unit) and isinstance(row.value, Decimal) and row.value
            for item, row, _ in rows
        )

    def passes(self, item: PlanItem, reading: Reading, alive: bool) -> bool:
        """May it be published? A number without a scale is never put beside those that had one."""
        if reading.quality == Quality.UNSCALED and self.guard.knows(item.key):
            return False
        if not self._on or not isinstance(reading.value, Decimal):
            return True
        if self.guard.identity.in_doubt and _is_counter(item):  # of another meter it will be a new start
            return False
        was_held = item.key in self.guard.held
        check = self._counter_passes if _is_counter(item) else self._flow_passes
        passes = check(item, reading, reading.value, alive)
        if not passes and not was_held:
            self._tell_held(item.key, self.guard.held[item.key])
        return passes

    def _counter_passes(self, item: PlanItem, reading: Reading, value: Decimal, alive: bool) -> bool:
        return self.guard.check(
            item.key,
            value,
            reading.time.timestamp(),
            rising=_state_class(item) == "total_increasing",
            unit=NO_SCALE if reading.quality == Quality.UNSCALED else reading.unit,
            electric=item.attribute.obis[0] == 1,
            alive=alive,
        )

    def _flow_passes(self, item: PlanItem, reading: Reading, value: Decimal, _alive: bool) -> bool:
        most = most_of(reading.unit, self._supply) if item.attribute.obis[0] == 1 else None
        if most is None or item.quantity.device_class not in FLOWS:
            return True
        return self.guard.check_flow(item.key, value, reading.time.timestamp(), most, reading.unit)

    def _tell_held(self, key: str, held: Held) -> None:
        if held.reason is Reason.BEYOND:
            amount = f"{held.value} {held.unit}"
            _LOG.warning("%s: %s %s is held back: it is beyond what the supply can carry", self._id, key, amount)
            return
        if held.last is None:
            _LOG.info("%s: %s starts with 0 and is held back until more reads agree", self._id, key)
            return
        _LOG.warning("%s: %s %s is held back: it %s from %s", self._id, key, held.value, _DID[held.reason], held.last)

    def _restore(self) -> None:
        try:
            self.guard.restore(self._store.get("guard", self._id) or {})
        except (StoreError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
            self.guard = EnergyGuard(self._supply.watts)  # nothing of what was read until then
            _LOG.warning("%s: the energy guard starts without a memory", self._id)

    def leave(self) -> None:
        """Write the memory with that of the other meters: hundreds end together, and each write takes the disk."""
        self._store.set_soon("guard", self._id, self.guard.dump())

    def keep(self, *, now: bool = False) -> None:
        """Write the memory where something new has happened, or from time to time."""
        due = self._clock.monotonic() - self._kept >= _EVERY
        if now or due or self.guard.landmarks != self._landmarks:
            self._kept, self._landmarks = self._clock.monotonic(), self.guard.landmarks
            try:
                self._store.set("guard", self._id, self.guard.dump())
            except StoreError as error:
                _LOG.debug("%s: the guard's memory is not kept: %s", self._id, error.message)


def _identities(rows: Rows) -> dict[str, str]:
    """What the meter says it is, by the catalogue's key, whatever the user calls it."""
    return {
        key: str(row.value)
        for item, row, _ in rows
        if (key := _catalogue_key(item)) in KEYS and row.value is not None and not is_nothing(row.raw)
    }


def _catalogue_key(item: PlanItem) -> str:
    """What the user may write under a key of their own is a note of theirs: another one is the same meter."""
    if item.key in KEYS or not (item.config and item.config.key) or item.config.writable:
        return item.key
    attribute = item.attribute
    return quantity(attribute.obis, attribute.class_id, attribute.attribute).key


def _state_class(item: PlanItem) -> str:
    configured = item.config.state_class if item.config else None
    return item.quantity.state_class if configured is None else configured


def _is_counter(item: PlanItem) -> bool:
    return _state_class(item).startswith("total")
