"""One meter: reads what is due when it is due, for ever; what comes of it is others' concern.

    the plan              once, and again where the meter gave no object list: which items, each with its schedule
    timetable             which of them are due now
    one poll              all their attributes at once, in one turn of the line that meters share
    what failed           is tried again after a pause
    what failed alone     is left out of the next polls for a while, so that it costs the others nothing
    intake                values become readings and are published
    status                it works, the meter is online; or the error, and in how many seconds the next try is
    wait                  until something is due, or somebody wakes the task

A meter is online from its first values on, polled or pushed. One failure is none: meters are busy, lines lose frames.
Only failures in a row over some time make it offline (``MeterStatus``), and no push that still comes may be overruled
by a poll that fails. A meter that is read at times of day alone counts as online by the values of before, else it would
be offline from a restart to the evening.

What a meter, a line or the disk does wrong comes to ``failed``, and never ends this task.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import datetime, tzinfo
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.config.speaking import only_speaks, polls
from dlms_mqtt.bridge.meters.association import CLOCK_SET, Session
from dlms_mqtt.bridge.meters.clock import MeterClock
from dlms_mqtt.bridge.meters.intake import Intake
from dlms_mqtt.bridge.meters.once import offered
from dlms_mqtt.bridge.meters.output.publisher import MeterOutput
from dlms_mqtt.bridge.meters.profiles import ProfileReader
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.bridge.reading.failing import FailingAttributes, asks_most, refusing_all
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.reading.list_retries import ListRetries, without_list
from dlms_mqtt.bridge.reading.plan import (
    WELL_KNOWN,
    Plan,
    PlanItem,
    make_plan,
    needs_object_list,
    plan_for,
    without_energy,
)
from dlms_mqtt.bridge.reading.schedule import At, Every, Timetable, phase
from dlms_mqtt.bridge.tasks import together
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import DlmsMqttError, MeterRefused, ResponseTimeout
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_LONGEST_POLL = 600.0  # s at least, and three questions of the longest kind: then something is badly wrong
# Opening costs a second or more and, in a ciphered association, counters; but a meter that is held open serves nobody
# else, and ends the link itself after minutes of silence.
_NEAR = 60.0  # s until the next cycle: the association is kept (session: auto)


class MeterTask:
    """The life of one meter; ``run`` it as a task.

    Two clocks: the monotonic one for intervals and pauses, which nobody can set; Unix time for times of day and stamps.
    """

    def __init__(
        self,
        config: Meter,
        session: Session,
        output: MeterOutput,
        store: Store,
        clock: Clock,
        zone: tzinfo,
        zone_known: bool = True,
        neighbours: Callable[[str], MeterTask | None] = lambda _: None,
    ) -> None:
        """``neighbours``: other meters by their ids, for values that are computed of theirs."""
        self.config, self.session, self.output = config, session, output
        self.id = output.id
        self.zone = zone
        self.status = MeterStatus(output.id)
        self.plan: Plan | None = None  # None until the meter has been asked what it has; see ``planned``
        self.objects: Sequence[ObjectInfo] = ()
        self.store, self._clock = store, clock
        self._timetable: Timetable[int] = Timetable({}, 0)
        self._start = clock.monotonic()
        self.clock = MeterClock(
            config.clock,
            self.id,
            zone=zone,
            now=self.now,
            run=self._run_once,
            store=store,
            status=self.status,
            zone_known=zone_known,
        )
        self.profiles = ProfileReader(self, store)
        self._intake = Intake(config, output, self.clock, self.status, zone, neighbours)
        self._wake = asyncio.Event()  # cuts the wait short: a pause begins or ends, a meter that calls us is there
        self._last_push = -math.inf  # monotonic
        self._failing = FailingAttributes()
        self._list_retries = ListRetries()

    # -- time ---------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Our time in the meter's zone."""
        return self._local(self._clock.time())

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
        # Said at once, not after the first try, which may take a minute: after a crash "online" is still retained. The
        # device is announced with what there is of it without the meter, such as its connectivity.
        self.output.set_online(False)
        self.output.announce(None)
        await self._clock_set()
        self._start = self._clock.monotonic()
        if self.polls:
            await together(self._poll_for_ever(), self.profiles.run())
        elif self.config.is_computed:
            await self._compute_for_ever()
        else:
            await self.watch_pushes()

    @property
    def polls(self) -> bool:
        """Is this meter asked at all, or does it only push?"""
        return polls(self.config, self.session.settings.line)

    @property
    def only_speaks(self) -> bool:
        """Is its line only listened to?"""
        return only_speaks(self.config)

    async def _clock_set(self) -> None:
        """No reading is stamped before the system's clock is set."""
        # A Raspberry Pi has no clock of its own and starts in the past until the network has told it the time.
        while self._clock.time() < CLOCK_SET:
            self.status.judge("clock", "the system's clock is not set")
            await asyncio.sleep(1)
        self.status.judge("clock", "")

    async def _poll_for_ever(self) -> None:
        while True:
            self._wake.clear()  # before the turn: who wakes it meanwhile wants another one
            wait = await self._turn()
            try:
                async with asyncio.timeout(max(wait, 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _compute_for_ever(self) -> None:
        """It is there as long as something of it is; until then its parts are looked for often."""
        # Its parts are other meters' values, which start at the same time as it does: it waits for no error of theirs.
        while True:
            if self._intake.compute():
                self._succeeded(None)
            elif self.output.online and not self.output.fresh_rows:
                self.status.verdict = "no_answer"
                self.output.set_online(False)
            await asyncio.sleep(self.config.every if self.output.online else 1.0)

    async def _turn(self) -> float:
        """Do what is due; seconds until something is due again."""
        # Without a plan nothing can be due: a meter that is not there when we start is asked for its list until it is.
        # OSError: the disk and the port are no less part of life than the meter.
        try:
            if self.plan is None or self._list_retries.is_due(self._clock.monotonic()):
                await self._make_plan()
            await self._read_due()
        except (DlmsMqttError, OSError) as error:
            return self.failed(error)
        return self._timetable.wait(self._elapsed, self._clock.time())

    async def _read_due(self) -> None:
        """What could not be read stays due: it is tried after a pause, not a day later when it is of a time of day."""
        due = self._timetable.due(self._elapsed, self._clock.time())
        if not due:
            return
        assert self.plan is not None  # noqa: S101
        try:
            await self._cycle([self.plan.items[index] for index in due])
        except (DlmsMqttError, OSError):
            self._timetable.put_back(due)
            raise

    def wake(self) -> None:
        """Look again what is due (after a pause)."""
        self._wake.set()

    # -- plan ---------------------------------------------------------------------------------------------------------

    async def _make_plan(self) -> None:
        # Kept open: the first poll follows at once. Who has named all items in the configuration needs no list, and so
        # no meter, for a plan.
        if needs_object_list(self.config):
            self.objects = await self.session.run(Priority.POLL, self._read_objects, keep=True)
            self._list_retries.judge(self._clock.monotonic(), given=self.objects is not WELL_KNOWN)
            if self.plan is not None and self.objects is WELL_KNOWN:
                return  # the plan that there is has been made of them
        plan = await plan_for(self.config, self.objects, self.zone)
        for obis in plan.missing:
            _LOG.warning("%s: nobody knows the class of %s; give it one", self.id, obis)
        self.plan = plan
        self.status.judge("energy", without_energy(plan, self.config, self.session.settings.client))
        # What was read at its time of day before the restart, and not too long ago, stands again and is not read out of
        # its time. What has no value is, once: people want to see that something comes.
        schedules = {index: item.schedule for index, item in enumerate(plan.items)}
        self._intake.restore(plan, self.now())
        fresh = self.output.fresh_rows
        missing = {index for index, item in enumerate(plan.items) if item.key not in fresh}
        if fresh and all(isinstance(item.schedule, At) for item in plan.items):
            self.output.set_online(True)  # it is not asked before its time, and nothing speaks against it
        self._timetable = Timetable(schedules, self._clock.time(), at_once=missing)
        # Meters that start together would all be due together for ever: each begins at another point of its interval.
        self._start = self._clock.monotonic() - phase(self.id, schedules.values())

    async def _read_objects(self, client: DlmsClient) -> Sequence[ObjectInfo]:
        """What the meter offers; where it gives no list, health says it."""
        # The first time a list that was kept on disk will do, as it takes minutes over a slow line; retried, it is not.
        found, why = await offered(client, self.store, fresh=self._list_retries.tries > 0)
        sentence = without_list(why)
        if sentence and "objects" not in self.status.reasons:
            _LOG.info("%s: %s", self.id, sentence)
        self.status.judge("objects", sentence)
        return found

    # -- a cycle ------------------------------------------------------------------------------------------------------

    async def _cycle(self, due: Sequence[PlanItem], priority: Priority = Priority.POLL) -> None:
        # One attribute may serve several items and is asked once. Who asks by a command wants to know how it is now, so
        # nothing is left out for them.
        started = self._clock.monotonic()
        attributes = list(dict.fromkeys(item.attribute for item in due))
        if priority is not Priority.COMMAND:
            attributes = self._failing.due(attributes, started)
        if not attributes:
            return
        answers = await self._read(attributes, priority)
        duration = self._clock.monotonic() - started
        assert self.plan is not None  # noqa: S101
        # Values first, then the error: where the meter went away in the middle, what had come by then is as good as
        # ever. Only then is it told apart whether single attributes failed (no failure of the meter) or the meter did.
        planned = len({item.attribute for item in self.plan.items})
        gone = self._failing.judge(answers, planned, self._clock.monotonic())
        if (left_out := self._failing.sentence) and left_out != self.status.reasons.get("failing"):
            _LOG.info("%s: %s", self.id, left_out)
        self.status.judge("failing", left_out)
        if asks_most(answers, planned):
            self.status.judge("refusing all", refusing_all(answers, planned))
        await self._intake.polled(due, answers, self.plan, self.now())
        if gone is not None:
            raise gone
        self._judge_speed(duration, due)
        self._succeeded(duration)
        # Behind the values, and only of a meter that answers: setting a clock is a write, which is never tried twice.
        await self.clock.care()

    async def _read(
        self, attributes: Sequence[AttributeDescriptor], priority: Priority
    ) -> dict[AttributeDescriptor, Measured | MeterRefused]:
        """One poll; it has an end, whatever every single question does."""
        # Each question ends by itself, but a meter may answer each of a thousand just in time, and the others on the
        # line wait meanwhile.
        longest = max(_LONGEST_POLL, 3 * self.session.settings.exchange_timeout)
        until = math.inf

        async def work(client: DlmsClient) -> list[Measured | MeterRefused]:
            nonlocal until  # the end holds for a second try in a new association too
            until = min(until, asyncio.get_running_loop().time() + longest)
            try:
                async with asyncio.timeout_at(until):
                    return await client.read(attributes)
            except TimeoutError:
                raise ResponseTimeout(
                    f"a poll of {len(attributes)} attributes took longer than {longest:g} s"
                ) from None

        # Told while it lasts: health shows a poll that hangs, which else nobody could tell from one that is not due.
        self.status.poll_since = self._clock.monotonic()
        try:
            answers = await self.session.run(priority, work, keep=self.keeps_open())
        finally:
            self.status.poll_since = None
        return dict(zip(attributes, answers, strict=True))

    @property
    def overdue_poll(self) -> str:
        """A sentence where a poll does not come back."""
        # Sooner than the poll is ended (``_read``): people see the trouble while it is there.
        since = self.status.poll_since
        longest = max(60.0, 3 * self.config.every, 3 * self.session.settings.timeout)
        late = since is not None and self._clock.monotonic() - since > longest
        return f"a poll has not come back for more than {longest:g} s" if late else ""

    def _judge_speed(self, duration: float, due: Sequence[PlanItem]) -> None:
        """Waiting for other meters on the line counts too. Cycles are left out evenly; this only says so."""
        # An item that comes late is read once and then at its next multiple (``Timetable``), so nothing piles up.
        shortest = min((item.schedule.seconds for item in due if isinstance(item.schedule, Every)), default=duration)
        sentence = f"the line is too slow: a cycle took {duration:.0f} s and is due every {shortest:.0f} s"
        self.status.judge("slow", sentence if duration > shortest else "")

    async def _run_once(self, priority: Priority, work: Callable[[DlmsClient], Awaitable[Any]]) -> Any:
        # For what changes the meter: where the answer is lost nobody knows whether it was done, so it is not done
        # again.
        return await self.session.run(priority, work, keep=self.keeps_open(), repeat=False)

    def keeps_open(self) -> bool:
        """Is the association left open after an exchange now?"""
        # Asked before each exchange, not once: of items every 10 s and one at midnight the nearest decides.
        if self.config.session != "auto":
            return self.config.session == "keep"
        return self._timetable.wait(self._elapsed, self._clock.time()) <= _NEAR

    async def poll_now(self, keys: Sequence[str] | None) -> dict[str, Reading]:
        """Read everything, or these keys, at once (on behalf of a request); what was read."""
        # The timetable does not move: the next regular read comes when it would have come.
        if self.config.is_computed:
            _refuse_unknown(keys, self.config.derive)
            self._intake.compute()
            return {key: row for key, (_, row) in self.output.fresh_rows.items() if keys is None or key in keys}
        # A request before the first poll makes the plan itself; its error then is the reply to the request.
        if self.plan is None:
            await self._make_plan()
        assert self.plan is not None  # noqa: S101
        _refuse_unknown(keys, self.plan.by_key)
        wanted = [item for item in self.plan.items if keys is None or item.key in keys]
        await self._cycle(wanted, Priority.COMMAND)
        return {item.key: self.output.last[item.key] for item in wanted if item.key in self.output.last}

    def planned(self, key: str) -> PlanItem | None:
        """A configured item before the meter has answered for the first time."""
        # A request may name an item of the configuration before a plan could be made.
        return make_plan(self.config, (), self.zone).by_key.get(key)

    def take_one(self, item: PlanItem, measured: Measured) -> Reading | None:
        """Publish one value that was read on behalf of a request."""
        # The same way as a polled one: what was read is shown everywhere, not only in the reply.
        return self._intake.single(item, measured, self.now())

    # -- how it goes --------------------------------------------------------------------------------------------------

    def _succeeded(self, duration: float | None) -> None:
        self.status.succeeded(self.now(), duration)
        self.output.set_online(True)

    def take_pushed(self, rows: Sequence[tuple[PlanItem, Measured]], moment: Moment) -> None:
        """A push arrived: publish its values; the meter is there."""
        if self._clock.time() < CLOCK_SET:
            return  # a meter pushes when it likes, and most pushes are stamped by our clock
        # Of a meter that is asked as well the plan is announced, of one that only pushes what has come.
        self._intake.pushed(rows, moment, self.plan, self.plan if self.polls else Plan(()))
        self._last_push = self._clock.monotonic()
        if self.polls and self.status.failures:  # what is asked fails still, and that is what the verdict tells
            self.status.last_success = self.now()
            self.output.set_online(True)
        else:
            self._succeeded(None)

    async def watch_pushes(self) -> None:
        """A meter that only pushes is offline when it has been silent for three of its intervals."""
        # Looked at each second and not by a timer for each push: a second's delay costs nobody anything here.
        while True:
            await asyncio.sleep(1)
            if self.output.online and not self._pushes_come:
                self.status.verdict = "no_answer"
                self.output.set_online(False)

    def failed(self, error: Exception) -> float:
        """Note it; seconds until the next try."""
        # The pause first: it depends on how many failures there were before this one, and is told along with it.
        unix = self._clock.time()
        wait = self.status.wait_after(error, unix, self.session.pause_left, self.config.every)
        gone = self.status.failed(error, self._clock.monotonic(), self._local(unix + wait))
        if gone and not (self.polls and self._pushes_come):
            self.output.set_online(False)
        return wait

    @property
    def _pushes_come(self) -> bool:
        return self._clock.monotonic() - self._last_push <= self._intake.push_lifetime

    def _local(self, unix: float) -> datetime:
        return datetime.fromtimestamp(unix, self.zone)

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


def _refuse_unknown(keys: Sequence[str] | None, known: Container[str]) -> None:
    if unknown := [key for key in keys or () if key not in known]:
        raise RequestError("unknown-key", f"There is no item '{unknown[0]}'")
