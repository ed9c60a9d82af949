"""What a meter says on MQTT: values, state, readings, availability, events, discovery. Knows no line, no schedule."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api.payload import dumps, plain_text
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.homeassistant.announcement import COMPONENTS, component_topics
from dlms_mqtt.bridge.meters import lockout
from dlms_mqtt.bridge.meters.output.announcer import Announcer, remembered
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.counter_watch import CounterWatch
from dlms_mqtt.bridge.meters.output.curve import SPACE as CURVE
from dlms_mqtt.bridge.meters.output.curve import Curve
from dlms_mqtt.bridge.meters.output.kept_readings import SPACE as MOMENTS
from dlms_mqtt.bridge.meters.output.kept_readings import KeptReadings
from dlms_mqtt.bridge.meters.output.known_scalers import SPACE as SCALERS
from dlms_mqtt.bridge.meters.output.known_scalers import KnownScalers
from dlms_mqtt.bridge.reading.energy_guard import EnergyGuard
from dlms_mqtt.bridge.reading.interpret import UNUSABLE, bits_of, reading_json, with_class
from dlms_mqtt.bridge.reading.latest_values import MeterState, Value
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem
from dlms_mqtt.client.state.store import PEER_COUNTERS
from dlms_mqtt.errors import StoreError
from dlms_mqtt.meter.readings import Reading

_LOG = logging.getLogger(__name__)
_ALIVE = 120.0  # s: the shortest life of what is retained
_TAKEN_IN = 10.0  # s that Home Assistant has for an announcement
Row = tuple[PlanItem, Reading, float]


class MeterOutput:
    """The topics of one meter."""

    def __init__(self, meter_id: str, config: Meter, context: Context, features: Iterable[str]) -> None:
        self.id, self.config, self._context = meter_id, config, context
        self.topics = context.topics.meter(meter_id)
        self.state = MeterState()
        self._watch = CounterWatch(meter_id, config, context.store, context.clock)
        self.scalers = KnownScalers(meter_id, context.store)
        self.curve = Curve(meter_id, context.store)
        self._moments = KeptReadings(meter_id, context.store)
        self._announcer = Announcer(meter_id, config, context, features)
        self._shown: dict[str, tuple[PlanItem, Reading]] = {}
        self._waiting: dict[str, Row] = {}  # held back by the guard
        self._plan: Plan | None = None  # as it was last announced
        self.online: bool | None = None
        self._renewed = 0.0  # when availability is to be said again (monotonic)
        self._lifetime = _ALIVE  # of the value that lives longest
        self._lives: dict[str, float] = {}  # by key, the longest
        self._said_again = math.inf  # when values are to be said once more, for Home Assistant (monotonic)

    @property
    def guard(self) -> EnergyGuard:
        """What is held back, and why."""
        return self._watch.guard

    # -- values -------------------------------------------------------------------------------------------------------

    def publish(self, readings: Iterable[Row]) -> None:
        """New readings: each with its plan item and how long it lives (s)."""
        for _ in self.publishing(readings):
            pass

    def publishing(self, readings: Iterable[Row]) -> Iterator[None]:
        """The same in steps of one reading, between which others may have their turn."""
        readings = [(self._known(item, reading), reading, lifetime) for item, reading, lifetime in readings]
        self._identify(readings)
        alive = self._watch.is_alive(readings)
        for item, reading, lifetime in readings:
            starts = self.guard.starts_anew(item.key)
            if self._watch.passes(item, reading, alive):
                self._waiting.pop(item.key, None)
                self._publish_one(item, reading, lifetime, starts=starts)
            elif item.key in self.guard.held:
                self._waiting[item.key] = (item, reading, lifetime)
            yield
        self._publish_state()
        self._watch.keep()
        self.scalers.keep()
        self._moments.keep()

    def kept(self, items: Iterable[PlanItem], now: datetime) -> list[Row]:
        """What was read at its time of day before a restart, and how long it lives still (s)."""
        return [row for row in self._moments.fresh(items, now) if row[0].key not in self._shown]

    def restore(self, rows: Sequence[Row]) -> None:
        """Show these again, which were published once."""
        for item, reading, left in rows:
            self._shown[item.key] = (self._known(item, reading), reading)
            self._show(item.key, reading.value, reading.time, left)
        if rows:
            self._publish_state()

    def _known(self, item: PlanItem, reading: Reading) -> PlanItem:
        """The item with what its unit (and what is on its M-Bus channel) tells of it."""
        return with_class(item, reading.unit, self.last_of(f"mbus_{item.attribute.obis[1]}_device_type"))

    def _identify(self, readings: Sequence[Row]) -> None:
        """Another meter than before: every counter of it is a new start, its scalers are its own, and it is told."""
        change = self._watch.identify(readings)
        if change:
            self.scalers.forget()
            self._moments.forget()
            details = {"key": change.key, "old": change.old, "new": change.new}
            self.event("meter_changed", readings[0][1].time, details)

    def accept_held(self) -> list[str]:
        """Publish what is held back; the keys."""
        keys = self.guard.accept()
        self._watch.keep(now=True)
        waiting = [self._waiting.pop(key) for key in keys if key in self._waiting]
        for row in waiting:
            self._publish_one(*row)
        self._publish_state()
        return keys

    def _publish_one(self, item: PlanItem, reading: Reading, lifetime: float, *, starts: bool = False) -> None:
        reading = reading if reading.key == item.key else replace(reading, key=item.key)
        message = reading_json(self.id, reading) | ({"start": True} if starts else {})
        self._context.publisher.store_and_forward(self.topics.reading, message)
        if reading.value is None or reading.quality in UNUSABLE:
            return
        self._tell_alarms(item, reading)
        self._moments.take(item, reading)
        self._shown[item.key] = (item, reading)
        self._show(item.key, reading.value, reading.time, lifetime)
        for key, is_set in bits_of(item, reading).items():
            self._show(key, is_set, reading.time, lifetime)

    def _tell_alarms(self, item: PlanItem, reading: Reading) -> None:
        """An alarm register whose bits change is an event for each of them; the first reading only shows."""
        words = [row.value for row in (self.last_of(item.key), reading) if row and isinstance(row.value, Decimal)]
        if not item.is_alarm or len(words) < 2:
            return
        old, new = map(int, words)
        for bit in range((old | new).bit_length()):
            if (old ^ new) >> bit & 1:
                name = item.quantity.words.get(bit, f"bit {bit}")
                kind = "alarm" if new >> bit & 1 else "alarm_cleared"
                self.event(kind, reading.time, {"key": item.key, "bit": bit, "name": name})

    def _show(self, key: str, value: Any, time: datetime, lifetime: float) -> None:
        self.state.update(key, Value(value, time, self._context.clock.monotonic() + lifetime))
        self._lifetime = max(self._lifetime, lifetime)
        self._lives[key] = max(self._lives.get(key, 0.0), lifetime)
        self._context.publisher.retain(self.topics.value(key), plain_text(value), lifetime)

    def expire(self) -> None:
        """Drop what is too old from every topic, and renew what says that we live."""
        if self.online and self._context.clock.monotonic() >= self._renewed:
            self._publish_availability()
        if self._context.clock.monotonic() >= self._said_again:
            self._say_again()
        gone = self.state.expire(self._context.clock.monotonic())
        for key in gone:
            self._context.publisher.retain(self.topics.value(key), "")
        if gone:
            self._publish_state()

    def _say_again(self) -> None:
        self._said_again, now = math.inf, self._context.clock.monotonic()
        for key, value in self.state.fresh(now).items():
            self._context.publisher.retain(self.topics.value(key), plain_text(value.value), value.expires - now)

    def _publish_state(self) -> None:
        payload = self.state.payload(self._context.clock.monotonic())
        self._context.publisher.retain(self.topics.state, dumps(payload), self._lifetime)

    def clear_stranger(self, topic: str) -> None:
        """A retained value of an earlier run: cleared unless it is fresh now."""
        if not self.state.is_fresh(topic.removeprefix(self.topics.value("")), self._context.clock.monotonic()):
            self._context.publisher.retain(topic, "")

    def last_of(self, key: str) -> Reading | None:
        """The last usable reading of this key."""
        return self._shown[key][1] if key in self._shown else None

    def fresh_row(self, key: str) -> tuple[PlanItem, Reading] | None:
        """What its topic says now."""
        return self._shown.get(key) if self.state.is_fresh(key, self._context.clock.monotonic()) else None

    @property
    def fresh_rows(self) -> dict[str, tuple[PlanItem, Reading]]:
        """What topics say now, by key."""
        fresh = self.state.fresh(self._context.clock.monotonic())
        return {key: row for key, row in self._shown.items() if key in fresh}

    @property
    def last(self) -> Mapping[str, Reading]:
        """The last usable reading by key."""
        return {key: reading for key, (_, reading) in self._shown.items()}

    # -- availability and events --------------------------------------------------------------------------------------

    def set_online(self, online: bool) -> None:
        """Publish availability when it changes."""
        if online != self.online:
            self.online = online
            self._publish_availability()
            self._publish_state()  # also at the start: what a killed bridge left there is stale

    def _publish_availability(self) -> None:
        """``online`` is renewed while the bridge lives, else the broker forgets it."""
        alive = max(_ALIVE, 3 * self.config.every)
        self._renewed = self._context.clock.monotonic() + alive / 3
        text, lifetime = ("online", alive) if self.online else ("offline", math.inf)
        self._context.publisher.retain(self.topics.availability, text, lifetime)

    def event(self, event_type: str, time: datetime, details: Mapping[str, Any]) -> None:
        """Publish an event, stored and forwarded."""
        message = {"event_type": event_type, "time": time.isoformat(timespec="seconds"), **details}
        self._context.publisher.store_and_forward(self.topics.event, message)

    def profile(self, key: str, message: Mapping[str, Any]) -> None:
        """Publish rows of a profile, stored and forwarded."""
        self.curve.take(key, message)
        self._context.publisher.store_and_forward(self.topics.profile(key), {"meter": self.id, **message})

    async def room(self) -> None:
        """Wait while very much waits for the broker."""
        await self._context.publisher.room()

    def flush_readings(self) -> None:
        """Let what was handed over survive a kill."""
        self._context.publisher.keep()

    # -- discovery, and the end ---------------------------------------------------------------------------------------

    def announce(self, plan: Plan | None) -> None:
        """Publish the device message when it says something new; ``plan`` None: nothing is known of the meter yet."""
        self._plan = plan
        if self._announcer.announce(plan, self._shown, self.guard.offsets, self._lives, held=bool(self.guard.held)):
            self._said_again = self._context.clock.monotonic() + _TAKEN_IN

    def announce_again(self) -> None:
        """What Home Assistant is to be told may have changed."""
        self.announce(self._plan)

    def remove(self) -> None:
        """The meter is gone: clear every topic of it."""
        clear_meter(self.id, self._context, self.state.fresh(0))
        self.online = None

    def leave(self) -> None:
        """The bridge ends: no value stays that looks fresh."""
        for key in self.state.fresh(0):
            self._context.publisher.retain(self.topics.value(key), "")
        self.state = MeterState()
        self._publish_state()

    def close(self) -> None:
        """Before the bridge ends."""
        self._watch.leave()


def put_to_sleep(meter_id: str, context: Context) -> None:
    """A meter that is switched off: offline and without values, also where a killed bridge left them."""
    topics = context.topics.meter(meter_id)
    context.publisher.retain(topics.availability, "offline")
    context.publisher.retain(topics.state, dumps(MeterState().payload(0)))


def announced_topics(meter_id: str, context: Context) -> list[str]:
    """Where the meter is announced, also by an earlier run in the other style."""
    device = context.topics.device(meter_id)
    kept = remembered(context.store, meter_id)
    one_by_one = COMPONENTS in (context.discovery.style, kept.get("style"))
    components = component_topics(context.topics, device, kept.get("components", ())) if one_by_one else ()
    return [context.topics.discovery(device), *components]


def peer_of(meter_id: str) -> str:
    """The name under which is kept what the meter counted in its associations; that of its pushes is its id."""
    return f"{meter_id} association"


def clear_meter(meter_id: str, context: Context, keys: Iterable[str]) -> None:
    """Clear the topics of a meter that is no more."""
    topics = context.topics.meter(meter_id)
    names = [topics.availability, topics.state, *(topics.value(key) for key in keys)]
    if meter_id not in context.topics.aliases.values():  # else its device is another meter's now
        names += announced_topics(meter_id, context)
    for topic in names:
        context.publisher.retain(topic, "")
    try:
        for space in ("discovery", "guard", SCALERS, MOMENTS, PEER_COUNTERS, CURVE):
            context.store.forget(space, meter_id)
        context.store.forget(PEER_COUNTERS, peer_of(meter_id))
        lockout.forget(context.store, meter_id)
    except StoreError as error:
        _LOG.debug("%s: the store does not forget: %s", meter_id, error.message)
