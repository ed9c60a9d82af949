"""The clock of one meter: how wrong it is, which sign its deviation has, and setting it within the rules."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from dlms_mqtt.bridge.config.sections.meter import ClockCare
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.clock import interpret, read_clock, set_clock
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import DlmsMqttError, StoreError
from dlms_mqtt.meter.clock_care import ClockKeeper, ClockRules
from dlms_mqtt.protocol.axdr.timestamps import DateTime

_LOG = logging.getLogger(__name__)
#: Sense of the clock's deviation by the word in the configuration; None compares.
SENSES: dict[str, int | None] = {"auto": None, "standard": -1, "inverted": 1}

Work = Callable[[DlmsClient], Awaitable[tuple[datetime | None, float | None]]]
Run = Callable[[Priority, Work], Awaitable[tuple[datetime | None, float | None]]]


class MeterClock:
    """``now``: our time in the meter's ``zone``. ``run`` does work on the meter once, when it is its turn."""

    def __init__(
        self,
        care: ClockCare,
        meter_id: str,
        *,
        zone: tzinfo,
        now: Callable[[], datetime],
        run: Run,
        store: Store,
        status: MeterStatus,
        zone_known: bool = True,
    ) -> None:
        self.id, self.zone, self._care_rules = meter_id, zone, care
        self.sense = SENSES[care.sense] or -1
        self._now, self._run, self._store, self._status = now, run, store, status
        self.keeper = self._restored(zone_known)

    def _restored(self, zone_known: bool) -> ClockKeeper:
        care = self._care_rules
        try:
            kept = self._store.get("clock care", self.id)
        except StoreError:
            kept = None
        return ClockKeeper.restore(ClockRules(care.sync, care.tolerance, care.per_day, zone_known), self.zone, kept)

    def watch(self, answer: Measured, now: datetime) -> None:
        """The clock was read, or came with a push."""
        octets = answer.data.value.raw if isinstance(answer.data.value, DateTime) else answer.data.value
        if not isinstance(octets, bytes) or len(octets) != 12:
            return
        moment, self.sense = interpret(octets, now, self.zone, SENSES[self._care_rules.sense])
        self._status.clock_drift = round((moment - now).total_seconds(), 1) if moment and moment.tzinfo else None

    async def care(self) -> None:
        """Set it, where that is configured and nothing speaks against it."""
        obstacle = self.keeper.obstacle(self._status.clock_drift, self._now())
        self._tell_zone(obstacle == "zone")
        if obstacle == "right":
            self._tell_failure("")
        if obstacle is not None:
            return
        try:
            await self.set(Priority.POLL, allowed=self._may_be_set)
        except DlmsMqttError as error:
            self._tell_failure(f"the clock could not be set: {error.message}")
        else:
            self._tell_failure("")

    def _tell_failure(self, sentence: str) -> None:
        """In health until the clock is right, and once in the log: it is tried again each day."""
        if sentence and sentence != self._status.reasons.get("clock"):
            _LOG.warning("%s: %s", self.id, sentence)
        self._status.judge("clock", sentence)

    def _tell_zone(self, wrong: bool) -> None:
        if not wrong:
            self._status.reasons.pop("zone", None)
            return
        hours = (self._status.clock_drift or 0) / 3600
        self._status.reasons["zone"] = (
            f"the clock is off by {hours:+.2f} h, as one of another time zone is, and is not set: "
            "state the timezone of the meter, which may be another than the system's"
        )

    def _may_be_set(self, drift: float | None) -> bool:
        """Asked again when it is our turn on the line: the drift of a push is old, and an edge may have come near."""
        if self.keeper.obstacle(drift, self._now()) is not None:
            return False
        self.keeper.was_set(self._now())
        self._store.set("clock care", self.id, self.keeper.keep())
        return True

    async def set(
        self,
        priority: Priority,
        wanted: datetime | None = None,
        allowed: Callable[[float | None], bool] = lambda _drift: True,
    ) -> dict[str, Any]:
        """Set the clock to ours (or to ``wanted``), if it is ``allowed`` at its drift, and read it back."""
        # In UTC: a wall clock skips an hour, or tells it twice, between now and then.
        shift = wanted.astimezone(UTC) - self._now().astimezone(UTC) if wanted else timedelta(0)

        async def work(client: DlmsClient) -> tuple[datetime | None, float | None]:
            sense = SENSES[self._care_rules.sense]
            reading = await read_clock(client, tz=self.zone, now=self._now, sense=sense)
            if not allowed(reading.drift):
                return None, reading.drift
            sent = await set_clock(client, reading, tz=self.zone, now=lambda: self._now().astimezone(UTC) + shift)
            after = await read_clock(client, tz=self.zone, now=self._now, sense=reading.sense)
            return sent, after.drift

        sent, drift = await self._run(priority, work)
        self._status.clock_drift = drift = None if drift is None else round(drift, 1)
        if sent is not None:
            _LOG.info("%s: the clock was set to %s", self.id, sent.isoformat(timespec="seconds"))
        return {"time": sent, "drift": drift}
