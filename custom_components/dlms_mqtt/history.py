"""The hours that Home Assistant missed, asked of the meters' load profiles, put into the live sensors' statistics.

The recorder is the memory: what has its row is not asked for again, so a fill may end anywhere and go on later. What
was asked and is not in the profile is remembered until Home Assistant stops. The bridge lets live values go first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_track_time_change
from homeassistant.util import dt as dt_util

from .api import ApiError, BridgeApi, Json
from .const import CONF_HISTORY, DOMAIN, LONG_TIMEOUT
from .history_plan import (
    HOUR,
    SETTLED,
    TOLERANCE,
    Gap,
    Series,
    absent,
    compiled_until,
    integrate,
    plan,
    read_table,
    repeated,
)
from .problems import Problem

if TYPE_CHECKING:  # pragma: no cover
    from .recorder_rows import Statistic

_LOGGER = logging.getLogger(__name__)

LOAD_PROFILE = "1.0.99.1.0.255"
MINUTE = 20  # of each hour: the recorder has compiled the hour before
LONG_AWAY = timedelta(hours=1)
LONGEST = 3660  # days
_SUMS = ("total_increasing", "total")


@dataclass(slots=True)
class _Profile:
    """What was learned of one load profile, and which hours were asked for."""

    series: dict[str, Series] = field(default_factory=dict)
    asked: set[datetime] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Sensor:
    """A live sensor of a meter that counts up (or, as a net value, both ways)."""

    key: str
    entity_id: str
    rising: bool


class Bridge(Protocol):  # pragma: no cover - only said, never run
    """What a fill asks of the bridge that it is of."""

    entry: ConfigEntry[Any]
    api: BridgeApi
    online: bool | None

    @property
    def compatible(self) -> bool: ...  # noqa: D102
    @property
    def meters(self) -> dict[str, Json]: ...  # noqa: D102
    def meter_health(self) -> dict[str, Json]: ...  # noqa: D102
    def identifier(self, meter: str) -> str | None: ...  # noqa: D102
    def refresh(self) -> None: ...  # noqa: D102
    def changed(self) -> None: ...  # noqa: D102


class History:
    """The fills of one bridge's meters, one at a time; ``last`` is how each ended, ``running`` how far it is."""

    def __init__(self, hass: HomeAssistant, bridge: Bridge) -> None:
        self.hass = hass
        self.bridge = bridge
        self.last: dict[str, Json] = {}
        self.running: dict[str, Json] = {}
        self.jumps: dict[str, tuple[datetime, dict[str, str]]] = {}  # from when, and the placeholders of the repair
        self._profiles: dict[tuple[str, str], _Profile] = {}
        self._away: dict[str, datetime] = {}
        self._lock = asyncio.Lock()
        self._unsubscribe: CALLBACK_TYPE | None = None

    # When

    @callback
    def start(self) -> None:
        """Look now, and every hour."""
        if "recorder" not in self.hass.config.components:
            return
        self._unsubscribe = async_track_time_change(self.hass, self._look, minute=MINUTE, second=0)
        self._look()

    @callback
    def stop(self) -> None:
        """No more looks; a running fill ends with the entry."""
        if self._unsubscribe:
            self._unsubscribe()
            self._unsubscribe = None

    @callback
    def _look(self, _now: datetime | None = None) -> None:
        for meter, days in self.switched_on():
            self._begin(meter, days)

    def switched_on(self) -> Iterator[tuple[str, int]]:
        """The meters whose gaps shall be filled, and how many days back."""
        for subentry in self.bridge.entry.subentries.values():
            if (days := subentry.data.get(CONF_HISTORY)) and subentry.unique_id in self.bridge.meters:
                yield str(subentry.unique_id), int(days)

    @callback
    def meters_changed(self) -> None:
        """A meter that comes back after an hour or more is looked at in a moment, not at the next full hour."""
        now = dt_util.utcnow()
        for meter, health in self.bridge.meter_health().items():
            if not self.bridge.online or health.get("status") != "ok":
                self._away.setdefault(meter, now)
            elif (since := self._away.pop(meter, None)) and now - since > LONG_AWAY and self._unsubscribe:
                self._look()

    @callback
    def _begin(self, meter: str, days: int) -> None:
        if not self.bridge.online or not self.bridge.compatible or meter in self.running:
            return
        work = self._fill_quietly(meter, dt_util.utcnow() - timedelta(days=days))
        self.bridge.entry.async_create_background_task(self.hass, work, f"{DOMAIN} history of {meter}")

    async def _fill_quietly(self, meter: str, start: datetime) -> None:
        try:
            await self.fill(meter, start)
        except ApiError as error:
            _LOGGER.info("The history of %s is not filled now: %s", meter, error)

    # How

    async def fill(
        self,
        meter: str,
        start: datetime,
        end: datetime | None = None,
        *,
        obis: str = LOAD_PROFILE,
        repair: bool = False,
    ) -> Json:
        """Ask for what is missing and import it; by entity what was done. ApiError.

        ``repair``: sums that started anew are raised. ``last`` says the same to the diagnostics.
        """
        async with self._lock:
            self._tell(meter, {"done": 0, "total": 0})
            result: Json = {"time": dt_util.utcnow().isoformat()}
            try:
                result["entities"] = await self._fill(meter, start, end, obis, repair)
            except ApiError as error:
                result["error"] = error.code
                raise
            finally:
                self.running.pop(meter, None)
                self.last[meter] = result
                self.bridge.refresh()
        return dict(result["entities"])

    async def _fill(self, meter: str, start: datetime, end: datetime | None, obis: str, repair: bool) -> Json:
        from .recorder_rows import compiled, settled, statistics  # a house may have no recorder

        sensors = list(sensors_of(self.hass, self.bridge.identifier(meter)))
        profile = self._profiles.setdefault((meter, obis), _Profile())
        known = await statistics(self.hass, (sensor.entity_id for sensor in sensors), start)
        # After a start the recorder has yet to compile the hours in which Home Assistant was down.
        start = start.replace(minute=0, second=0, microsecond=0)
        until = compiled_until(min(dt_util.utcnow(), await compiled(self.hass) + SETTLED))
        if end is not None:
            until = min(until, end - HOUR)
        await self._ask(meter, obis, profile, _wanted(sensors, profile, known, start, until))
        # A slow line takes minutes, and the recorder went on meanwhile.
        known = await statistics(self.hass, (sensor.entity_id for sensor in sensors), start)
        self.jumps.pop(meter, None)
        done = {
            sensor.entity_id: self._import(meter, sensor, profile.series.get(sensor.key), known, (start, until), repair)
            for sensor in sensors
        }
        await settled(self.hass)
        return done

    async def _ask(self, meter: str, obis: str, profile: _Profile, hours: set[datetime]) -> None:
        """A day at a time, the newest day first."""
        wanted = sorted(hours - profile.asked, reverse=True)
        days = [sorted(group) for _, group in groupby(wanted, key=lambda hour: hour.date())]
        for number, day in enumerate(days):
            self._tell(meter, {"done": number, "total": len(days)})
            request = {
                "obis": obis,
                "from": dt_util.as_local(day[0]).isoformat(),
                "to": dt_util.as_local(day[-1] + HOUR).isoformat(),
                "as": "rows",
            }
            answer = await self.bridge.api.command(meter, "request/profile", request, timeout=LONG_TIMEOUT)
            if not isinstance(answer.get("rows"), list):
                raise ApiError("unknown-request", "as: rows")
            read_table(profile.series, answer)
            profile.asked.update(day)

    def _import(
        self,
        meter: str,
        sensor: Sensor,
        series: Series | None,
        known: dict[str, Statistic],
        period: tuple[datetime, datetime],
        repair: bool,
    ) -> Json:
        from .recorder_rows import add, converted

        if series is None:
            return {"hours": 0, "skipped": "not_in_profile"}
        if (statistic := known.get(sensor.entity_id)) is None or not statistic.is_live:
            return {"hours": 0, "skipped": "no_statistic_yet"}
        registers = converted(series.registers, series.unit, statistic)
        increments = converted(series.increments, series.unit, statistic)
        if registers is None or increments is None:
            return {"hours": 0, "skipped": "unit"}
        registers = registers or integrate(increments, statistic.rows, statistic.latest)
        first, until = period
        present = {row.start for row in statistic.rows}  # the row before a hole may end too low
        inside = {hour: value for hour, value in registers.items() if hour >= first or hour in present}
        tolerance = converted({first: TOLERANCE}, series.unit, statistic) or {first: TOLERANCE}
        gaps = plan(statistic.rows, inside, statistic.latest, until, tolerance[first], rising=sensor.rising)
        if not repair:
            self._note_jumps(meter, sensor, gaps, statistic.unit, first)
            gaps = [gap for gap in gaps if gap.after is None or gap.leads]
        add(self.hass, statistic, gaps)
        return _summary(gaps)

    def _note_jumps(self, meter: str, sensor: Sensor, gaps: Iterable[Gap], unit: str, first: datetime) -> None:
        for gap in gaps:
            if gap.after is not None and not gap.leads:
                placeholders = {
                    "entity": sensor.entity_id,
                    "amount": f"{abs(gap.shift):.1f} {unit}",
                    "date": f"{dt_util.as_local(gap.after):%Y-%m-%d}",
                }
                self.jumps[meter] = first, placeholders

    @callback
    def _tell(self, meter: str, progress: Json) -> None:
        self.running[meter] = progress
        self.bridge.changed()

    def problems(self) -> Iterator[Problem]:
        """Sums that started anew: mended on the person's word only."""
        for meter, (_, placeholders) in self.jumps.items():
            if meter in self.bridge.meters:
                name = str(self.bridge.meters[meter].get("name") or meter)
                yield Problem("history_jump", meter, {"meter": name, **placeholders}, fixable=True)

    async def mend(self, meter: str) -> None:
        """Fill again where sums started anew, and raise them; ApiError."""
        if meter in self.jumps:
            await self.fill(meter, self.jumps[meter][0], repair=True)


def _wanted(
    sensors: Iterable[Sensor], profile: _Profile, known: dict[str, Statistic], start: datetime, until: datetime
) -> set[datetime]:
    """Hours without a row in any statistic that the profile can fill, or with a mere repetition in all of them."""
    keys = profile.series.keys()
    useful = [
        known[sensor.entity_id].rows
        for sensor in sensors
        if sensor.entity_id in known and known[sensor.entity_id].is_live and (not keys or sensor.key in keys)
    ]
    if not useful:
        return set()
    flat = set.intersection(*(repeated(rows) for rows in useful))
    missing = set().union(*(absent(rows, start, until) for rows in useful))
    return missing | {hour for hour in flat if start <= hour <= until}


def _summary(gaps: Iterable[Gap]) -> Json:
    rows = [row for gap in gaps for row in gap.rows]
    shift = sum(gap.shift for gap in gaps if not gap.leads)
    result: Json = {"hours": len(rows)}
    if rows:
        result |= {"first": rows[0].start.isoformat(), "last": rows[-1].start.isoformat()}
    if shift:
        result["adjusted"] = round(shift, 3)
    return result


def sensors_of(hass: HomeAssistant, identifier: str | None) -> Iterator[Sensor]:
    """The meter's sensors that MQTT discovery made and that keep a sum, whatever they are called now."""
    prefix = f"{identifier}_"
    for entry in hass.config_entries.async_entries(mqtt.DOMAIN):
        for row in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id):
            kind = (row.capabilities or {}).get("state_class")
            if (
                row.domain == Platform.SENSOR
                and row.unique_id.startswith(prefix)
                and kind in _SUMS
                and not row.disabled
            ):
                yield Sensor(row.unique_id.removeprefix(prefix), row.entity_id, kind == "total_increasing")
