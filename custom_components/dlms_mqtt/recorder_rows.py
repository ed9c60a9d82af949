"""The recorder's side of a history: the statistics that a meter's live sensors have, and what is added to them.

Nothing here is imported in a house without a recorder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from homeassistant.components.recorder.db_schema import StatisticsRuns
from homeassistant.components.recorder.models import StatisticMetaData
from homeassistant.components.recorder.statistics import (
    STATISTIC_UNIT_TO_UNIT_CONVERTER,
    async_import_statistics,
    get_last_short_term_statistics,
    get_metadata,
    statistics_during_period,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import get_instance, session_scope
from sqlalchemy import func

from .history_plan import Gap, Row

_EARLIER = (timedelta(days=2), timedelta(days=60), timedelta(days=3650))  # where the row before a period is looked for


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic: its metadata as the recorder has it, its hours, and the newest five minutes."""

    metadata: StatisticMetaData
    rows: tuple[Row, ...]
    latest: Row | None

    @property
    def id(self) -> str:
        """The live sensor's entity id."""
        return str(self.metadata["statistic_id"])

    @property
    def is_live(self) -> bool:
        """Without any live row an import would count from its own nought."""
        return bool(self.rows or self.latest)

    @property
    def unit(self) -> str:
        """What rows are kept in, whatever unit the person chose for the sensor."""
        return str(self.metadata["unit_of_measurement"] or "")


async def compiled(hass: HomeAssistant) -> datetime:
    """The end of the newest five minutes that the recorder has compiled; they are compiled in order."""
    return await get_instance(hass).async_add_executor_job(_compiled, hass)


def _compiled(hass: HomeAssistant) -> datetime:
    with session_scope(hass=hass, read_only=True) as session:
        newest = session.query(func.max(StatisticsRuns.start)).scalar()
    return newest.replace(tzinfo=UTC) + timedelta(minutes=5) if newest else datetime.fromtimestamp(0, UTC)


async def statistics(hass: HomeAssistant, entities: Iterable[str], first: datetime) -> dict[str, Statistic]:
    """The statistics that these entities have, by entity id, from the last row before ``first`` on."""
    return await get_instance(hass).async_add_executor_job(_statistics, hass, set(entities), first)


def _statistics(hass: HomeAssistant, entities: set[str], first: datetime) -> dict[str, Statistic]:
    found = get_metadata(hass, statistic_ids=entities) if entities else {}
    return {
        name: Statistic(metadata, _rows(hass, metadata, first), _latest(hass, name))
        for name, (_, metadata) in found.items()
        if metadata["has_sum"]
    }


def _rows(hass: HomeAssistant, metadata: StatisticMetaData, first: datetime) -> tuple[Row, ...]:
    name, unit = metadata["statistic_id"], metadata["unit_of_measurement"]
    converter = STATISTIC_UNIT_TO_UNIT_CONVERTER.get(unit)
    units = {str(converter.UNIT_CLASS): str(unit)} if converter else None  # else they come in the sensor's unit
    rows: tuple[Row, ...] = ()
    for earlier in _EARLIER:
        found = statistics_during_period(hass, first - earlier, None, {name}, "hour", units, {"state", "sum"})
        rows = tuple(_row(row) for row in found.get(name, ()) if _whole(row))
        if rows and rows[0].start < first:
            break
    return rows


def _latest(hass: HomeAssistant, name: str) -> Row | None:
    found = get_last_short_term_statistics(hass, 1, name, False, {"state", "sum"}).get(name, ())
    return next((_row(row) for row in found if _whole(row)), None)


def _whole(row: Any) -> bool:
    return row.get("state") is not None and row.get("sum") is not None


def _row(row: Any) -> Row:
    return Row(datetime.fromtimestamp(row["start"], UTC), row["state"], row["sum"])


def converted(values: dict[datetime, float], unit: str, statistic: Statistic) -> dict[datetime, float] | None:
    """Values of a profile in the statistic's unit; None where the two do not fit."""
    if unit == statistic.unit:
        return values
    converter = STATISTIC_UNIT_TO_UNIT_CONVERTER.get(statistic.unit)
    if converter is None or not {unit, statistic.unit} <= converter.VALID_UNITS:
        return None
    factor = converter.converter_factory(unit, statistic.unit)
    return {moment: factor(value) for moment, value in values.items()}


def add(hass: HomeAssistant, statistic: Statistic, gaps: Iterable[Gap]) -> None:
    """Import the rows of the gaps and raise what comes after them where it started anew; queued."""
    for gap in gaps:
        rows = [{"start": row.start, "state": row.state, "sum": row.sum} for row in gap.rows]
        async_import_statistics(hass, statistic.metadata, rows)  # type: ignore[arg-type]
        if gap.after is not None:
            get_instance(hass).async_adjust_statistics(statistic.id, gap.after, gap.shift, statistic.unit)


async def settled(hass: HomeAssistant) -> None:
    """Until the recorder has taken what was queued."""
    await get_instance(hass).async_block_till_done()
