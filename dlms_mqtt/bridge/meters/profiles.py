"""Load profiles and event logs of the configuration: fetched where the last fetch ended, a day at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any, Protocol

from dlms_mqtt.bridge.config.sections.item import Profile as ProfileConfig
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.association import CLOCK_SET, Session
from dlms_mqtt.bridge.meters.output.publisher import MeterOutput
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.bridge.reading.plan import schedule_of
from dlms_mqtt.bridge.reading.schedule import Timetable
from dlms_mqtt.client.procedures.profile import Column, Profile, Selection, read_profile
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import DlmsMqttError, StoreError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.readings import convert
from dlms_mqtt.protocol.obis import Obis

_LOG = logging.getLogger(__name__)
_CHUNK = timedelta(days=1)  # rows of one turn of the line
_LONGEST = timedelta(days=4)  # of a turn, where the days before had none
_AHEAD = timedelta(days=1)  # that a kept time may be ahead of us: clocks are set, zones are changed
_EVERY = 3600.0
_AGAIN = 300.0  # s after a failure, and at least
_SHARE = 20  # times as long as it took: a buffer that never comes leaves the line to the other values
_UNTIMED_KEPT = 2000  # rows without times that are known again
_ROWS = 200  # of one message


def profile_key(config: ProfileConfig) -> str:
    """The key in topics."""
    return config.key or "profile_" + "_".join(map(str, config.obis or b""))


class Owner(Protocol):
    """What the profiles need to know of the meter whose they are."""

    id: str
    config: Meter
    session: Session
    output: MeterOutput
    zone: tzinfo
    status: MeterStatus

    @property
    def sense(self) -> int:
        """Which sign the deviation of the meter's clock has."""
        ...

    def now(self) -> datetime:
        """Our time in the meter's zone."""
        ...


class ProfileReader:
    """The profiles of one meter."""

    def __init__(self, meter: Owner, store: Store) -> None:
        self._meter, self._store = meter, store
        self._logged_notes: set[str] = set()

    async def run(self) -> None:
        """Fetch for ever."""
        profiles = self._meter.config.profiles
        schedules = {index: schedule_of(row, _EVERY, self._meter.zone) for index, row in enumerate(profiles)}
        if not schedules:
            return
        start = self._meter.now()
        timetable: Timetable[int] = Timetable(schedules, start.timestamp())
        loop = asyncio.get_running_loop()
        began = loop.time()
        again: dict[int, float] = {}  # what failed, and when it is tried anew: it keeps no other profile waiting
        while True:
            elapsed, wall = loop.time() - began, self._meter.now().timestamp()
            due = timetable.due(elapsed, wall)
            for index in dict.fromkeys((*due, *(index for index, at in again.items() if at <= elapsed))):
                if again.get(index, 0.0) > elapsed + _AGAIN:
                    continue
                again.pop(index, None)
                asked = loop.time()
                if not await self._is_fetched(profiles[index]):
                    now = loop.time()
                    again[index] = now - began + max(_AGAIN, _SHARE * (now - asked))
            elapsed = loop.time() - began
            wait = timetable.wait(elapsed, self._meter.now().timestamp())
            await asyncio.sleep(max(1.0, min(wait, 600.0, *(at - elapsed for at in again.values()))))

    async def _is_fetched(self, config: ProfileConfig) -> bool:
        try:
            await self.fetch(config)
        except DlmsMqttError as error:
            subject = f"profile {profile_key(config)}"
            self._meter.status.reasons[subject] = f"{subject}: {error.message}"
            _LOG.info("%s: profile %s: %s", self._meter.id, profile_key(config), error.message)
            return False
        return True

    async def fetch(self, config: ProfileConfig) -> None:
        """Everything since the last row that was published."""
        since, last = self._last(config)
        span, end = _CHUNK, self._meter.now().astimezone(UTC)  # one end: the time runs on while rows come
        while since < end:
            until = min(since + span, end)
            profile = await self._rows(config, Selection(since, until, after=last))
            self._tell(config, profile.notes)
            rows = [row for row in profile.rows if _is_after(profile, row, since)]
            times = [moment for row in rows if (moment := _time_of(profile, row)) is not None]
            if not times and profile.rows and not any(_time_of(profile, row) for row in profile.rows):
                self._publish_untimed(config, profile)
                break
            self._publish(config, profile, rows)
            span = _CHUNK if rows else min(2 * span, _LONGEST)
            last = max(times, default=last)
            self._keep(config, last if times else None)
            since = until
        self._meter.status.reasons.pop(f"profile {profile_key(config)}", None)

    def _tell(self, config: ProfileConfig, notes: Iterable[str]) -> None:
        """What is odd: once, not with every fetch."""
        news = [note for note in notes if note not in self._logged_notes]
        self._logged_notes.update(news)
        for note in news:
            _LOG.warning("%s: profile %s: %s", self._meter.id, profile_key(config), note)

    def _publish_untimed(self, config: ProfileConfig, profile: Profile) -> None:
        """Rows of which none has a time: those that were not there at the last fetch, wherever the new ones stand."""
        name = f"{self._name(config)}/rows"
        marks = [blake2b(repr(row).encode(), digest_size=6).hexdigest() for row in profile.rows]
        seen = self._stored(name)
        new = _new_rows(seen if isinstance(seen, list) else [], marks)
        self._publish(config, profile, profile.rows[new])
        self._store_after_publishing(name, marks[-_UNTIMED_KEPT:])

    async def _rows(self, config: ProfileConfig, selection: Selection) -> Profile:
        obis = config.obis
        assert obis is not None  # noqa: S101 - the schema has seen to it
        return await self._meter.session.run(
            Priority.PROFILE,
            lambda client: read_profile(
                client, obis, selection, tz=self._meter.zone, sense=self._meter.sense, now=self._meter.now
            ),
            keep=True,
        )

    def _last(self, config: ProfileConfig) -> tuple[datetime, datetime | None]:
        """From when on rows are new (UTC), and the time of the row that was published last."""
        now = self._meter.now().astimezone(UTC)
        oldest, last = now - timedelta(seconds=config.backfill), _moment(self._stored(self._name(config)))
        if last is not None and last - now > _AHEAD and now.timestamp() >= CLOCK_SET:
            why = f"the last row is kept as of {last.isoformat()}, which is to come: all of the backfill is read again"
            self._tell(config, [why])
            last = None  # else it would be waited for, for years
        return max(oldest, last or oldest), last

    def _keep(self, config: ProfileConfig, last: datetime | None) -> None:
        if last is not None:
            self._store_after_publishing(self._name(config), last.isoformat())

    def _stored(self, name: str) -> Any:
        try:
            return self._store.get("profile", name)
        except StoreError:
            return None

    def _store_after_publishing(self, name: str, value: Any) -> None:
        try:
            self._meter.output.flush_readings()  # what counts as published must survive a kill
            self._store.set("profile", name, value)
        except StoreError as error:
            _LOG.warning("%s: how far the profile was read is not kept: %s", self._meter.id, error.message)

    def _name(self, config: ProfileConfig) -> str:
        return f"{self._meter.id}/{profile_key(config)}"

    def _publish(self, config: ProfileConfig, profile: Profile, rows: list[tuple[Any, ...]]) -> None:
        if config.event_log:
            for row in rows:
                self._publish_event(config, profile, row)
            return
        for start in range(0, len(rows), _ROWS):
            message = profile_json(profile, rows[start : start + _ROWS])
            self._meter.output.profile(profile_key(config), message)

    def _publish_event(self, config: ProfileConfig, profile: Profile, row: tuple[Any, ...]) -> None:
        time = (_time_of(profile, row) or self._meter.now()).astimezone(self._meter.zone)
        doubt = {"uncertain": True} if profile.is_unsure(time) else {}
        cells = dict(_named_cells(profile, row))
        self._meter.output.event("log_entry", time, {"log": profile_key(config), **doubt, **cells})


def _time_of(profile: Profile, row: tuple[Any, ...]) -> datetime | None:
    """In UTC: two times of one zone would be compared by their wall clocks."""
    moment = _get(row, profile.time_column)
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None


def _is_after(profile: Profile, row: tuple[Any, ...], since: datetime) -> bool:
    """Among rows with times, one without is not published: nothing would tell it from the one of the last fetch."""
    moment = _time_of(profile, row)
    return moment is not None and moment > since


def _new_rows(before: list[str], now: list[str]) -> slice:
    """Which of the rows ``now`` are new: behind (a buffer that moves on) or before (newest first) those seen before."""
    for length in range(min(len(before), len(now)), 0, -1):
        if before[-length:] == now[:length]:
            return slice(length, None)
        if before[:length] == now[-length:]:
            return slice(0, len(now) - length)
    return slice(0, None)


def _is_status(column: Column) -> bool:
    obis = column.source.obis
    return obis[0] == 0 and obis[2:4] == b"\x60\x0a"  # 0.x.96.10.x.255: profile status


def _named_cells(profile: Profile, row: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for index, (column, raw) in enumerate(zip(profile.columns, row, strict=False)):
        if index != profile.time_column:
            source = column.source
            yield quantity(source.obis, source.class_id, source.attribute).key, cell(column, raw)[0]


def cell(column: Column, raw: Any) -> tuple[Any, str]:
    """A cell's value in the published unit, and that unit."""
    source = column.source
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return raw, ""
    if column.scaler_unit is None:
        return raw, ""
    found = quantity(source.obis, source.class_id, source.attribute)
    value, unit, _ = convert(column.scaler_unit.apply(raw), column.scaler_unit.unit, found.unit)
    return value, unit


def profile_json(profile: Profile, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """The message of the ``profile/<key>`` topic: rows of time, status, then the columns."""
    status = next((index for index, column in enumerate(profile.columns) if _is_status(column)), None)
    others = [index for index in range(len(profile.columns)) if index not in (profile.time_column, status)]
    table = [
        [
            _get(row, profile.time_column),
            _get(row, status),
            *(cell(profile.columns[index], row[index])[0] for index in others),
        ]
        for row in rows
    ]
    unsure = [row[0] for row in table if profile.is_unsure(row[0])]
    return {
        "from": table[0][0] if table else None,
        "to": table[-1][0] if table else None,
        "interval": profile.period,
        "columns": [_column(profile.columns[index]) for index in others],
        "rows": table,
        **({"uncertain": unsure} if unsure else {}),
    }


def _column(column: Column) -> dict[str, Any]:
    source = column.source
    found = quantity(Obis(source.obis), source.class_id, source.attribute)
    return {"key": found.key, "obis": str(source.obis), "unit": cell(column, 0)[1]}


def _get(row: tuple[Any, ...], index: int | None) -> Any:
    return row[index] if index is not None else None


def _moment(kept: Any) -> datetime | None:
    """The time that is kept; None where none is, or what is kept was damaged."""
    try:
        return datetime.fromisoformat(kept).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
