"""What a meter answered or pushed, on its way to topics: converted, judged, completed by what follows from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime, tzinfo
from functools import cache
from typing import Protocol

from dlms_mqtt.bridge.config.sections.item import Derive
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.clock import MeterClock
from dlms_mqtt.bridge.meters.output.publisher import MeterOutput
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.bridge.reading.derived import Readings, derive
from dlms_mqtt.bridge.reading.interpret import Moment, reading_of
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem, exceptions
from dlms_mqtt.bridge.reading.schedule import Every
from dlms_mqtt.bridge.reading.virtual import Parts, Row, computed, known_keys, place_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.errors import (
    AttributeFailed,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    DecodeError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
)
from dlms_mqtt.meter.catalogue.lookup import DERIVED, Derived, derived
from dlms_mqtt.meter.catalogue.quantity import Kind
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor

_LOG = logging.getLogger(__name__)
_LOST = frozenset(
    error.kind for error in (RemoteProtocolError, DecodeError, ConnectFailed, ConnectionLost, ResponseTimeout)
)
_AT_ONCE = 200  # steps: a hundredth of a second or two; common meters have fewer in a cycle


class Neighbour(Protocol):
    """Another meter, as far as values of this one are computed of its."""

    config: Meter
    output: MeterOutput
    status: MeterStatus
    plan: Plan | None


class Intake:
    """Of one meter. What could not be used is kept in ``status``, the rest is handed to ``output``."""

    def __init__(
        self,
        config: Meter,
        output: MeterOutput,
        clock: MeterClock,
        status: MeterStatus,
        zone: tzinfo,
        neighbours: Callable[[str], Neighbour | None],
    ) -> None:
        """``neighbours``: other meters by their ids, for values that are computed of theirs."""
        self._config, self._output, self._clock, self._status = config, output, clock, status
        self._zone = zone
        self._excepted = exceptions(config.read)
        self._unscaled: set[str] = set()
        self._told: set[str] = set()  # refusals that stand in the log
        self.neighbours = neighbours

    @property
    def push_lifetime(self) -> float:
        """How long (s) what was pushed lives at least."""
        return lifetime(Every(self._config.push.every)) if self._config.push else 0.0

    async def polled(
        self,
        due: Iterable[PlanItem],
        answers: Mapping[AttributeDescriptor, Measured | MeterRefused],
        plan: Plan,
        now: datetime,
    ) -> None:
        """Answers of a cycle; very many do not keep others waiting."""
        for number, _ in enumerate(self._polled(due, answers, plan, now), 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
                await self._output.room()

    def _polled(
        self,
        due: Iterable[PlanItem],
        answers: Mapping[AttributeDescriptor, Measured | MeterRefused],
        plan: Plan,
        now: datetime,
    ) -> Iterator[None]:
        readings: Readings = {}
        moment = self._moment(now)
        for item in due:
            yield
            answer = answers.get(item.attribute)
            if answer is None:
                continue  # it keeps failing, so it was left out this time
            if isinstance(answer, MeterRefused):
                self._refused(item, answer)
                continue
            self._status.refused.pop(item.key, None)
            if reading := self._reading(item, answer, moment):
                readings[item.key] = (item, reading, lifetime(item.schedule))
        yield from self._publishing(readings | derive(readings, plan.derived, plan.by_key), plan)

    def pushed(
        self, rows: Sequence[tuple[PlanItem, Measured]], moment: Moment, plan: Plan | None, announced: Plan | None
    ) -> None:
        """Values of a push; ``announced``: what is planned to be read beside it."""
        readings: Readings = {}
        for item, measured in rows:
            if self._excepted(item.key, item.attribute):
                continue
            if reading := self._reading(item, measured, moment):
                readings[item.key] = (item, reading, max(lifetime(item.schedule), self.push_lifetime))
        found = derive(readings, self._derived_of_push(readings, plan), {row.minus for row in DERIVED})
        for _ in self._publishing(readings | found, announced):
            pass

    def compute(self) -> bool:
        """Values of other meters alone; has anything new come of them?"""
        before = self._output.last
        for _ in self._publishing({}, Plan(())):
            pass
        return self._output.last != before

    def restore(self, plan: Plan, now: datetime) -> None:
        """What was read at its time of day before a restart stands again, with what is computed of it."""
        kept = {row[0].key: row for row in self._output.kept(plan.items, now)}
        self._output.restore([*kept.values(), *derive(kept, plan.derived, plan.by_key).values()])
        for key, formula in self._config.derive.items():
            with suppress(ConfigError):  # which is told when its parts are read
                row = computed(key, formula, self._parts(formula), 0.0)
                if row and self._output.last_of(key) is None:
                    self._output.restore([(*row[:2], row[2] - (now - row[1].time).total_seconds())])

    def single(self, item: PlanItem, measured: Measured, now: datetime) -> Reading | None:
        """One value that was read on behalf of a request."""
        reading = self._reading(item, measured, self._moment(now))
        if reading:
            self._output.publish([(item, reading, lifetime(item.schedule))])
        return reading

    def _publishing(self, readings: Readings, plan: Plan | None) -> Iterator[None]:
        self._judge_scalers(readings)
        yield from self._output.publishing(readings.values())
        yield from self._publishing_virtual(set(readings))
        self._judge_parts(plan)
        self._output.announce(plan)

    def _publishing_virtual(self, news: set[str]) -> Iterator[None]:
        """What the user computes of these values and of others that are fresh; together what waits for no other."""
        waiting: Mapping[str, Derive] = self._config.derive
        while waiting:
            free = {key: formula for key, formula in waiting.items() if not waiting.keys() & _names(formula) - {key}}
            layer, rows = free or waiting, list[Row]()  # nothing is free where two are computed of each other
            for key, formula in layer.items():
                yield
                rows += self._computed(key, formula, news)
            if rows:
                yield from self._output.publishing(rows)
            news |= {item.key for item, _, _ in rows}
            waiting = {key: formula for key, formula in waiting.items() if key not in layer}

    def _computed(self, key: str, formula: Derive, news: Container[str]) -> list[Row]:
        if not any(name in news or place_of(name)[0] for name in _names(formula)):
            return []
        try:
            row = computed(key, formula, self._parts(formula), self.push_lifetime)
        except ConfigError as error:
            self._status.refused[key] = error.message
            return []
        self._status.refused.pop(key, None)
        return [row] if row and row[1] != self._output.last_of(key) else []  # else no part of it is new

    def _parts(self, formula: Derive) -> Parts:
        """What is fresh now, of others too: those have their own turns, so their part is as old as its last one."""
        rows = {name: self._fresh_row(*place_of(name)) for name in _names(formula)}
        return {name: row for name, row in rows.items() if row is not None}

    def _fresh_row(self, meter: str, key: str) -> tuple[PlanItem, Reading] | None:
        other = self.neighbours(meter) if meter else None
        output = other.output if other else None if meter else self._output
        return output.fresh_row(key) if output else None

    def _judge_parts(self, plan: Plan | None) -> None:
        """A value that needs one that never comes is never told: that is said, with the part's name."""
        fresh, keys = self._output.fresh_rows, cache(lambda meter: self._known_keys(meter, plan))
        parts = {row.key: {row.plus, row.minus} for row in (plan.derived if plan else ())}
        parts |= {key: set(_names(formula)) for key, formula in self._config.derive.items()}
        for key, names in parts.items():
            missing = sorted(names - fresh.keys()) if key not in fresh else ()
            why = next(filter(None, (self._why_never(name, keys) for name in missing)), "")
            self._status.judge(f"part of {key}", why and f"{key} cannot be told: {why}")

    def _known_keys(self, meter: str, plan: Plan | None) -> Set[str] | None:
        other = self.neighbours(meter) if meter else None
        return known_keys(other.plan, other.config) if other else known_keys(plan, self._config)

    def _why_never(self, part: str, keys: Callable[[str], Set[str] | None]) -> str:
        """Why this part never comes; empty where it may."""
        meter, key = place_of(part)
        other = self.neighbours(meter) if meter else None
        if meter and other is None:
            return f"there is no meter {meter}"
        if why := (other.status if other else self._status).refused.get(key):
            return f"{part} did not come ({why})" if why in _LOST else f"the meter refuses {part}"
        known = keys(meter)
        return f"there is no value {part}" if known is not None and key not in known else ""

    def _moment(self, now: datetime) -> Moment:
        return Moment(now, self._zone, self._clock.sense)

    def _refused(self, item: PlanItem, answer: MeterRefused) -> None:
        self._status.refused[item.key] = answer.name or answer.message
        # What a line loses comes and goes: health has it. A refusal is told once in a run.
        if item.key not in self._told and not isinstance(answer, AttributeFailed):
            self._told.add(item.key)
            _LOG.info("%s: %s is not read: %s", self._output.id, item.key, answer.message)

    def _reading(self, item: PlanItem, answer: Measured, moment: Moment) -> Reading | None:
        if item.quantity.kind is Kind.TIMESTAMP and item.key == "clock":
            self._clock.watch(answer, moment.time)
            moment = self._moment(moment.time)
        try:
            return reading_of(item, self._output.scalers.complete(answer), moment)
        except ConfigError as error:
            self._status.refused[item.key] = error.message
            return None

    def _derived_of_push(self, readings: Readings, plan: Plan | None) -> list[Derived]:
        """One list of a meter may have the import alone, which tells the power only while it is above zero."""
        offered = {*readings, *(plan.by_key if plan else ())}
        return [row for row in derived(offered) if row.plus in readings and row.key not in self._config.read.except_]

    def _judge_scalers(self, readings: Readings) -> None:
        """Numbers without scaler and unit are sent as they came; this says so."""
        for key, (_, reading, _) in readings.items():
            (self._unscaled.add if reading.quality == Quality.UNSCALED else self._unscaled.discard)(key)
        names = ", ".join(sorted(self._unscaled))
        sentence = f"no scaler and unit is known of {names}; state them in read.also or in a preset of your own"
        self._status.judge("unscaled", sentence if names else "")


def _names(formula: Derive) -> frozenset[str]:
    return formula.value.names if formula.value else frozenset()
