"""One meter: reads what is due when it is due, and says so on MQTT; knows how well that goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api import replies
from dlms_mqtt.bridge.api.errors import LockedOut, RequestError
from dlms_mqtt.bridge.config.sections import Meter, Read
from dlms_mqtt.bridge.meters.association import CLOCK_SET, Session
from dlms_mqtt.bridge.meters.clock import MeterClock
from dlms_mqtt.bridge.meters.profiles import ProfileReader
from dlms_mqtt.bridge.meters.publisher import MeterOutput
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.meters.status import Wellbeing
from dlms_mqtt.bridge.reading.interpret import Moment, reading_of
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem, make_plan, needs_object_list
from dlms_mqtt.bridge.reading.schedule import Every, Timetable, phase
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import ConfigError, DlmsMqttError, MeterRefused
from dlms_mqtt.meter.catalogue.lookup import DERIVED, Derived, derived
from dlms_mqtt.meter.catalogue.quantity import Kind
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
Readings = dict[str, tuple[PlanItem, Reading, float]]  # by key: what it is, what was read, how long it lives (s)
_FAILURES, _FAILING_FOR = 3, 60.0  # cycles, and s: then the meter is offline
_NEAR = 60.0  # s until the next cycle: the association is kept (session: auto)
_RETRY = (5.0, 10.0, 20.0, 40.0, 60.0)  # s after failed cycles, at most the shortest interval
_STATUS = {
    "link-down": "link_down",
    "no-answer": "no_answer",
    "timeout": "no_answer",
    "association-refused": "association_refused",
    "authentication-refused": "password_refused",
    "locked-out": "locked_out",
    "security-error": "security_error",
    "paused": "paused",
    "internal": "error",
}


class MeterTask:
    """The life of one meter; ``run`` it as a task."""

    def __init__(
        self, config: Meter, session: Session, output: MeterOutput, store: Store, clock: Clock, zone: tzinfo
    ) -> None:
        self.config, self.session, self.output = config, session, output
        self.id = output.id
        self.zone = zone
        self.well = Wellbeing()
        self.plan: Plan | None = None
        self.objects: Sequence[ObjectInfo] = ()
        self.store, self._clock = store, clock
        self._timetable: Timetable[int] = Timetable({}, 0)
        self._start = clock.monotonic()
        self.clock = MeterClock(
            config.clock, self.id, zone=zone, now=self.now, run=self._run_once, store=store, well=self.well
        )
        self.profiles = ProfileReader(self, store)
        self._wake = asyncio.Event()
        self._heard = 0.0
        self._unscaled: set[str] = set()
        self.changed = asyncio.Event()

    # -- time ---------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Our time in the meter's zone."""
        return datetime.fromtimestamp(self._clock.time(), self.zone)

    @property
    def sense(self) -> int:
        """Which sign the deviation of the meter's clock has."""
        return self.clock.sense

    @property
    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._start

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read for ever; errors of the meter and the line are part of life."""
        self.output.set_online(False)
        self.output.announce(None)
        await self._clock_set()
        self._start = self._clock.monotonic()
        if self.polls:
            await together(self._poll_for_ever(), self.profiles.run())
        else:
            await self.watch_pushes()

    @property
    def polls(self) -> bool:
        """Is this meter asked at all, or does it only push?"""
        read = self.config.read
        wanted = read.set != "none" or bool(read.also) or bool(self.config.profiles)
        return bool(self.session.settings.line) and wanted and not self.only_speaks

    @property
    def only_speaks(self) -> bool:
        """Is its line only listened to: ``listen: connection``, and neither a set to read nor profiles asked for?

        ``read.also`` describes what is pushed (name, unit, scaler, transform) and asks nothing.
        """
        push, read = self.config.push, replace(self.config.read, also=())
        asks = (read != Read() and read.set != "none") or bool(self.config.profiles)
        return push is not None and push.listen == "connection" and not asks

    async def _clock_set(self) -> None:
        """No reading is stamped before the system's clock is set."""
        while self._clock.time() < CLOCK_SET:
            self.well.reasons["clock"] = "the system's clock is not set"
            await asyncio.sleep(1)
        self.well.reasons.pop("clock", None)

    async def _poll_for_ever(self) -> None:
        while True:
            wait = await self._turn()
            self._wake.clear()
            try:
                async with asyncio.timeout(max(wait, 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _turn(self) -> float:
        """Do what is due; seconds until something is due again."""
        try:
            if self.plan is None:
                await self._make_plan()
            due = self._due()
            if due:
                await self._cycle(due)
        except (DlmsMqttError, OSError) as error:
            return self.failed(error)
        return self._timetable.wait(self._elapsed, self._clock.time())

    def _due(self) -> list[PlanItem]:
        assert self.plan is not None  # noqa: S101
        return [self.plan.items[index] for index in self._timetable.due(self._elapsed, self._clock.time())]

    def wake(self) -> None:
        """Look again what is due (after a pause)."""
        self._wake.set()

    # -- plan ---------------------------------------------------------------------------------------------------------

    async def _make_plan(self) -> None:
        if needs_object_list(self.config):
            self.objects = await self.session.run(Priority.POLL, self._read_objects, keep=True)
        plan = make_plan(self.config, self.objects, self.zone)
        for obis in plan.missing:
            _LOG.warning("%s: nobody knows the class of %s; give it one", self.id, obis)
        self.plan = plan
        schedules = {index: item.schedule for index, item in enumerate(plan.items)}
        self._timetable = Timetable(schedules, self._clock.time())
        self._start = self._clock.monotonic() - phase(self.id, schedules.values())

    async def _read_objects(self, client: DlmsClient) -> Sequence[ObjectInfo]:
        try:
            found = await read_objects(client, self.store)
        except MeterRefused as error:
            self.well.reasons["objects"] = f"the meter does not give its object list: {error.message}"
            return ()
        self.well.reasons.pop("objects", None)
        return found

    # -- a cycle ------------------------------------------------------------------------------------------------------

    async def _cycle(self, due: Sequence[PlanItem], priority: Priority = Priority.POLL) -> None:
        started = self._clock.monotonic()
        attributes = list(dict.fromkeys(item.attribute for item in due))
        keep = self.keeps_open()
        answers = await self.session.run(priority, lambda client: client.read(attributes), keep=keep)
        self._take(due, dict(zip(attributes, answers, strict=True)))
        duration = self._clock.monotonic() - started
        self._judge_speed(duration, due)
        self._succeeded(duration)
        await self.clock.care()

    def _judge_speed(self, duration: float, due: Sequence[PlanItem]) -> None:
        """Waiting for other meters on the line counts too. Cycles are left out evenly; this only says so."""
        shortest = min((item.schedule.seconds for item in due if isinstance(item.schedule, Every)), default=duration)
        if duration > shortest:
            sentence = f"the line is too slow: a cycle took {duration:.0f} s and is due every {shortest:.0f} s"
            self.well.reasons["slow"] = sentence
        else:
            self.well.reasons.pop("slow", None)

    def _judge_scalers(self, readings: Readings) -> None:
        """Numbers without scaler and unit are sent as they came; this says so."""
        for key, (_, reading, _) in readings.items():
            (self._unscaled.add if reading.quality == Quality.UNSCALED else self._unscaled.discard)(key)
        if self._unscaled:
            names = ", ".join(sorted(self._unscaled))
            sentence = f"no scaler and unit is known of {names}; state them in read.also or in a preset of your own"
            self.well.reasons["unscaled"] = sentence
        else:
            self.well.reasons.pop("unscaled", None)

    async def _run_once(self, priority: Priority, work: Callable[[DlmsClient], Awaitable[Any]]) -> Any:
        return await self.session.run(priority, work, keep=self.keeps_open(), repeat=False)

    def keeps_open(self) -> bool:
        """Is the association left open after an exchange now?"""
        if self.config.session != "auto":
            return self.config.session == "keep"
        return self._timetable.wait(self._elapsed, self._clock.time()) <= _NEAR

    def _take(self, due: Sequence[PlanItem], answers: dict[Any, Measured | MeterRefused]) -> None:
        moment = Moment(self.now(), self.zone, self.sense)
        readings: Readings = {}
        for item in due:
            answer = answers[item.attribute]
            if isinstance(answer, Measured):
                self.well.refused.pop(item.key, None)
                reading = self._reading(item, answer, moment)
                if reading:
                    readings[item.key] = (item, reading, lifetime(item.schedule))
            elif item.key not in self.well.refused:
                self.well.refused[item.key] = answer.name or answer.message
                _LOG.info("%s: %s is not read: %s", self.id, item.key, answer.message)
        assert self.plan is not None  # noqa: S101
        self._derive(readings, self.plan.derived, self.plan.by_key)
        self._judge_scalers(readings)
        self.output.publish(readings.values())
        self.output.announce(self.plan)

    def _reading(self, item: PlanItem, answer: Measured, moment: Moment) -> Reading | None:
        if item.quantity.kind is Kind.TIMESTAMP and item.key == "clock":
            self.clock.watch(answer, moment.time)
            moment = Moment(moment.time, moment.zone, self.sense)
        try:
            return reading_of(item, self.output.scalers.complete(answer), moment)
        except ConfigError as error:
            self.well.refused[item.key] = error.message
            return None

    @staticmethod
    def _derive(readings: Readings, rows: Iterable[Derived], offered: Container[str]) -> None:
        values = {key: row[1].value for key, row in readings.items()}
        numbers = {key: value for key, value in values.items() if isinstance(value, Decimal)}
        for row in rows:
            value = row.value(numbers, offered)
            if value is not None:
                item, reading, life = readings[row.plus]
                readings[row.key] = (_derived_item(row, item), _derived_reading(row, reading, value), life)

    async def poll_now(self, keys: Sequence[str] | None) -> dict[str, Reading]:
        """Read everything, or these keys, at once (on behalf of a request); what was read."""
        if self.plan is None:
            await self._make_plan()
        assert self.plan is not None  # noqa: S101
        unknown = [key for key in keys or () if key not in self.plan.by_key]
        if unknown:
            raise RequestError("unknown-key", f"There is no item '{unknown[0]}'")
        wanted = [item for item in self.plan.items if keys is None or item.key in keys]
        await self._cycle(wanted, Priority.COMMAND)
        return {item.key: self.output.last[item.key] for item in wanted if item.key in self.output.last}

    def planned(self, key: str) -> PlanItem | None:
        """A configured item before the meter has answered for the first time."""
        return make_plan(self.config, (), self.zone).by_key.get(key)

    def take_one(self, item: PlanItem, measured: Measured) -> Reading | None:
        """Publish one value that was read on behalf of a request."""
        reading = self._reading(item, measured, Moment(self.now(), self.zone, self.sense))
        if reading:
            self.output.publish([(item, reading, lifetime(item.schedule))])
        return reading

    # -- how it goes --------------------------------------------------------------------------------------------------

    def _succeeded(self, duration: float | None) -> None:
        well = self.well
        if well.failures:
            _LOG.warning("%s: reading works again after %d failures", self.id, well.failures)
        elif well.last_success is None:
            _LOG.info("%s: the meter is there", self.id)
        well.failures, well.error, well.next_try = 0, None, None
        well.status, well.last_success = "ok", self.now()
        if duration is not None:
            well.read_duration = round(duration, 3)
        self.output.set_online(True)
        self.changed.set()

    def take_pushed(self, rows: Sequence[tuple[PlanItem, Measured]], moment: Moment) -> None:
        """A push arrived: publish its values; the meter is there."""
        if self._clock.time() < CLOCK_SET:
            return
        readings: Readings = {}
        for item, measured in rows:
            reading = self._reading(item, measured, moment)
            if reading:
                readings[item.key] = (item, reading, max(lifetime(item.schedule), self._push_lifetime))
        self._derive(readings, self._derived_of_push(readings), {row.minus for row in DERIVED})
        self._judge_scalers(readings)
        self.output.publish(readings.values())
        self.output.announce(self.plan if self.polls else Plan(()))
        self._heard = self._clock.monotonic()
        self._succeeded(None)

    def _derived_of_push(self, readings: Readings) -> list[Derived]:
        """One list of a meter may have the import alone, so both parts must be in this push."""
        offered = {*readings, *(self.plan.by_key if self.plan else ())}
        return [row for row in derived(offered) if row.plus in readings and row.key not in self.config.read.except_]

    @property
    def _push_lifetime(self) -> float:
        return lifetime(Every(self.config.push.every)) if self.config.push else 0.0

    async def watch_pushes(self) -> None:
        """A meter that only pushes is offline when it has been silent for three of its intervals."""
        while True:
            await asyncio.sleep(1)
            if self.output.online and self._clock.monotonic() - self._heard > self._push_lifetime:
                self.well.status = "no_answer"
                self.output.set_online(False)
                self.changed.set()

    def failed(self, error: Exception) -> float:
        """Note it; seconds until the next try."""
        well, now = self.well, self._clock.monotonic()
        reply = replies.error_of(error)
        wait = self._wait_after(error)
        well.next_try = datetime.fromtimestamp(self._clock.time() + wait, self.zone)
        well.status = _STATUS.get(reply["code"], "meter_refused")
        if well.status == "paused":
            return wait
        if well.failures == 0 or well.error is None or well.error["code"] != reply["code"]:
            _LOG.warning("%s: %s", self.id, ". ".join(filter(None, (reply["message"], reply.get("hint")))))
        if isinstance(error, LockedOut):
            reply["detail"] = {**reply["detail"], "until": datetime.fromtimestamp(error.until, self.zone).isoformat()}
        well.error = reply
        well.failing_since = well.failing_since if well.failures else now
        well.failures += 1
        if well.failures >= _FAILURES and now - well.failing_since >= _FAILING_FOR:
            self.output.set_online(False)
        self.changed.set()
        return wait

    def _wait_after(self, error: Exception) -> float:
        if isinstance(error, LockedOut):
            return max(1.0, error.until - self._clock.time())
        if isinstance(error, RequestError) and error.code == "paused":
            return max(1.0, self.session.pause_left)
        return min(_RETRY[min(self.well.failures, len(_RETRY) - 1)], max(self.config.every, 1.0))

    @property
    def is_paused(self) -> bool:
        """Has another program the line now?"""
        return self.session.pause_left > 0

    @property
    def invocation_counter(self) -> int | None:
        """The next number that messages to the meter get; None without ciphering."""
        return self.session.invocation_counter

    async def close(self) -> None:
        """End the association; the guard's memory is kept."""
        await self.session.close()
        self.output.close()


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side; when one fails, the others end too and the error goes on."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for coroutine in coroutines:
                tasks.create_task(coroutine)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _derived_item(row: Derived, item: PlanItem) -> PlanItem:
    return PlanItem(item.attribute, row.quantity, item.schedule)


def _derived_reading(row: Derived, part: Reading, value: Decimal) -> Reading:
    return Reading(
        part.obis, part.class_id, part.attribute, row.key, value, part.scaler, value, part.unit, part.time, part.quality
    )
