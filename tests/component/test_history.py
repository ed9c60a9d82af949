"""The history against Home Assistant's real recorder: live rows, holes, what the meter's profile makes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import freezegun
import pytest
from component_fixtures import Broker, add_mqtt_device, make_entry, settle
from fake_bridge import FakeBridge, Refusal
from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder import statistics as st
from homeassistant.components.recorder.db_schema import StatisticsShortTerm
from homeassistant.components.recorder.util import session_scope
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)

from custom_components.dlms_mqtt.const import CONF_HISTORY, CONF_METER, DOMAIN
from custom_components.dlms_mqtt.history import LOAD_PROFILE, sensors_of
from custom_components.dlms_mqtt.history_plan import HOUR
from custom_components.dlms_mqtt.repairs import async_create_fix_flow

T0 = datetime(2036, 11, 1, tzinfo=UTC)  # after the start of any test: the recorder compiles up to its own start
ENTITY = "sensor.house_energy_import"
KWH = {"device_class": "energy", "state_class": "total_increasing", "unit_of_measurement": "kWh"}
FIVE = timedelta(minutes=5)
Register = Callable[[datetime], float]


def register(moment: datetime) -> float:
    """kWh: 0.5 kW by night, 1.5 kW by day."""
    days, hours = divmod((moment - T0).total_seconds() / 3600, 24)
    return 1000 + days * 24 + 0.5 * min(hours, 8) + 1.5 * max(0, min(hours, 20) - 8) + 0.5 * max(0, hours - 20)


def export(moment: datetime) -> float:
    return 10 + (moment - T0).total_seconds() / 36000


def used(start: datetime) -> float:
    return register(start + HOUR) - register(start)


def profile(start: datetime, end: datetime, *values: Register) -> list[list[Any]]:
    steps = int((end - start) / timedelta(minutes=15)) + 1
    moments = (start + timedelta(minutes=15 * step) for step in range(steps))
    return [[moment.isoformat(), 0, *(round(value(moment), 3) for value in values)] for moment in moments]


COLUMNS = [
    {"key": "energy_import", "obis": "1.0.1.8.0.255", "unit": "kWh"},
    {"key": "energy_export", "obis": "1.0.2.8.0.255", "unit": "kWh"},
]


class House:
    """A house with a recorder, a bridge and one meter whose sensor is live while a test says so."""

    def __init__(
        self, hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry, freezer: Any
    ) -> None:
        self.hass, self.broker, self.bridge, self.entry, self.freezer = hass, broker, bridge, entry, freezer

    def sensor(self, key: str, state_class: str = "total_increasing", name: str | None = None) -> er.RegistryEntry:
        """What MQTT discovery would register."""
        return er.async_get(self.hass).async_get_or_create(
            "sensor",
            "mqtt",
            f"dlms_mqtt_house_{key}",
            suggested_object_id=name or f"house_{key}",
            config_entry=self.hass.config_entries.async_entries("mqtt")[0],
            capabilities={"state_class": state_class},
        )

    async def live(self, start: datetime, end: datetime, **sensors: Any) -> None:
        """States every five minutes, and the recorder's own compilation of each."""
        values = sensors or {ENTITY: (register, KWH)}
        moment = start
        while moment < end:
            self.freezer.move_to(moment)
            for entity, (value, attributes) in values.items():
                self.hass.states.async_set(entity.replace("__", "."), str(round(value(moment), 3)), attributes)
            await self.compile(moment)
            moment += FIVE

    async def compile(self, moment: datetime) -> None:
        """The recorder compiles five minutes."""
        await async_wait_recording_done(self.hass)
        self.freezer.move_to(moment + FIVE)
        do_adhoc_statistics(self.hass, start=moment)
        await async_wait_recording_done(self.hass)

    async def away(self, end: datetime, start: datetime, entity: str = ENTITY) -> None:
        """Nothing is known of the meter; the recorder goes on."""
        self.freezer.move_to(start)
        self.hass.states.async_set(entity, "unavailable")
        moment = max(start, end - HOUR)
        while moment < end:
            await self.compile(moment)
            moment += FIVE

    async def fill(self, now: datetime, **data: Any) -> dict[str, Any]:
        """The action, at a time at which the hour before is compiled."""
        self.freezer.move_to(now)
        device = add_mqtt_device(self.hass, "house")
        answer = await self.hass.services.async_call(
            DOMAIN,
            "import_history",
            {"device_id": device.id, **data},
            blocking=True,
            return_response=True,
        )
        await async_wait_recording_done(self.hass)
        return dict(answer["entities"])

    async def rows(self, entity: str = ENTITY, unit: str = "kWh") -> dict[datetime, dict[str, float]]:
        """The statistic by the start of its hours."""
        read = partial(
            st.statistics_during_period,
            self.hass,
            T0 - timedelta(days=60),
            None,
            {entity},
            "hour",
            {"energy": unit},
            {"state", "sum", "change"},
        )
        found = await get_instance(self.hass).async_add_executor_job(read)
        return {datetime.fromtimestamp(row["start"], UTC): row for row in found.get(entity, [])}

    async def changes(self, entity: str = ENTITY) -> dict[datetime, float]:
        """What the energy dashboard shows, without the first row, whose change is from nought."""
        rows = await self.rows(entity)
        return {start: row["change"] for start, row in list(rows.items())[1:]}

    def set_profile(self, start: datetime, end: datetime, *values: Register, **more: Any) -> None:
        """What the meter keeps."""
        columns = COLUMNS[: len(values or (1,))]
        rows = profile(start, end, *(values or (register,)))
        self.bridge.profiles[LOAD_PROFILE] = {"interval": 900, "columns": columns, "rows": rows, **more}

    def asked(self) -> list[dict[str, Any]]:
        """The requests for a profile."""
        return [request for path, request in self.bridge.requests if path == "profile"]


@pytest.fixture
async def house(recorder_mock: Any, hass: HomeAssistant, broker: Broker) -> AsyncIterator[House]:
    """Set up first: the time that stands still afterwards is that of the event loop too."""
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    await hass.config.async_set_time_zone("Europe/Berlin")
    await async_setup_component(hass, "sensor", {})
    bridge = broker.attach(FakeBridge())
    bridge.stored["house"] = {"name": "House", "connection": {}}
    bridge.health["house"] = {"status": "ok"}
    broker.fire(bridge.publish_info())
    broker.fire(bridge.publish_health())
    await settle(hass)
    entry = make_entry(hass, bridge)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    with freezegun.freeze_time(T0) as freezer:
        made = House(hass, broker, bridge, entry, freezer)
        made.sensor("energy_import")
        yield made


def minutes(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


async def test_history_before_the_first_live_row(house: House) -> None:
    start, end = minutes(81.5), minutes(84)
    await house.live(start, end)
    now = end + timedelta(minutes=20)
    house.set_profile(T0, now)
    done = await house.fill(now)
    assert done == {
        ENTITY: {"hours": 82, "first": (T0 - HOUR).isoformat(), "last": minutes(80).isoformat()},
    }
    changes = await house.changes()
    assert len(changes) == 84
    for hour, change in changes.items():
        assert change == pytest.approx(used(hour), abs=0.13), hour
    first = next(iter((await house.rows()).values()))
    assert first["sum"] == first["change"] == 0  # else the first day would take all of the past back
    assert (await house.fill(now))[ENTITY] == {"hours": 0}  # the same again imports nothing
    assert [request["as"] for request in house.asked()].count("rows") == len(house.asked())
    await house.live(minutes(85), minutes(86))
    *_, last = (await house.changes()).values()
    assert last == pytest.approx(used(minutes(84)) + used(minutes(85)), abs=0.26)  # the live sum goes on


async def test_more_history_before_what_was_filled_in(house: House) -> None:
    """The sums begin anew with the row that is the first now."""
    await house.live(minutes(81.5), minutes(84))
    now = minutes(84) + timedelta(minutes=20)
    house.set_profile(T0, now)
    await house.fill(now, start=minutes(60))
    await house.fill(now, start=minutes(30))
    rows = list((await house.rows()).values())
    assert rows[0]["sum"] == rows[0]["change"] == 0 and len(rows) == 54
    assert all(row["change"] == pytest.approx(used(at), abs=0.13) for at, row in list((await house.rows()).items())[1:])


async def test_a_hole_of_an_outage(house: House) -> None:
    first = minutes(30)
    await house.live(first, first + timedelta(hours=2, minutes=20))
    second = first + timedelta(hours=30, minutes=35)
    await house.away(second, first + timedelta(hours=2, minutes=20))
    await house.live(second, second + timedelta(hours=2, minutes=25))
    spike = max((await house.changes()).values())
    now = second + timedelta(hours=2, minutes=45)
    house.set_profile(T0, now)
    done = await house.fill(now, start=first)
    changes = await house.changes()
    assert max(changes.values()) < 1.7 < spike
    for hour in (hour for hour in changes if first + HOUR < hour < now - 2 * HOUR):
        assert changes[hour] == pytest.approx(used(hour), abs=0.13), hour
    assert done[ENTITY]["hours"] == 29  # one of them the hour in which the values stopped
    await house.live(now.replace(minute=0) + HOUR, now.replace(minute=0) + 2 * HOUR)
    assert 0 < list((await house.changes()).values())[-1] < 3.1  # the live sum goes on undisturbed


async def test_home_assistant_itself_was_down(house: House) -> None:
    """It compiles the hours of its absence with the old state: they are recognised and filled."""
    await house.live(minutes(30), minutes(32.25))
    moment = minutes(32.25)
    while moment < minutes(37.5):
        await house.compile(moment)
        moment += FIVE
    await house.live(minutes(37.5), minutes(39.5))
    changes = await house.changes()
    assert changes[minutes(34)] == 0
    house.set_profile(T0, minutes(40))
    house.freezer.move_to(minutes(39.5))
    async_fire_time_changed(house.hass, minutes(39.5))  # nothing is switched on
    await settle(house.hass)
    assert house.asked() == []
    assert (await house.fill(minutes(39.5), start=minutes(32)))[ENTITY]["hours"] == 5
    changes = await house.changes()
    for hour in range(32, 37):
        assert changes[minutes(hour)] == pytest.approx(used(minutes(hour)), abs=0.13), hour
    assert (await house.fill(minutes(39.5), start=minutes(32)))[ENTITY]["hours"] == 0


async def test_the_hour_not_yet_compiled_is_never_touched(house: House, caplog: Any) -> None:
    """A row for it would cost that hour of every sensor of the house."""
    await house.live(minutes(9), minutes(11))
    await house.away(minutes(14), minutes(11))
    house.set_profile(T0, minutes(16))
    # An hour and a half later, but the recorder is behind (it has just started): it has compiled up to 14:00 only.
    await house.fill(minutes(15.9), start=minutes(9))
    assert max(await house.rows()) == minutes(13)
    other = {ENTITY: (register, KWH), "sensor.other": (register, KWH)}
    await house.live(minutes(14), minutes(15), **other)
    assert minutes(14) in await house.rows("sensor.other")
    assert "duplicated" not in caplog.text


async def test_a_sum_that_restarted_is_mended_on_the_persons_word_only(house: House) -> None:
    await house.live(minutes(6), minutes(8))
    with session_scope(hass=house.hass) as session:  # what the purge does after ten days
        session.query(StatisticsShortTerm).delete()
    st.get_short_term_statistics_run_cache(house.hass)._latest_id_by_metadata_id.clear()
    back = minutes(6) + timedelta(days=12)
    await house.away(back, minutes(8))
    await house.live(back, back + timedelta(hours=2, minutes=5))
    assert min((await house.changes()).values()) <= 0  # the fault of today
    before = await house.rows()
    now = back + timedelta(hours=2, minutes=20)
    house.set_profile(T0, now)
    assert (await house.fill(now, start=minutes(6)))[ENTITY] == {"hours": 0}
    assert await house.rows() == before
    issue = ir.async_get(house.hass).async_get_issue(DOMAIN, "history_jump_main_house")
    assert issue and issue.data and issue.is_fixable
    assert issue.translation_placeholders == {
        "meter": "House",
        "entity": ENTITY,
        "amount": "288.0 kWh",
        "date": "2036-11-13",
    }
    flow = await async_create_fix_flow(house.hass, issue.issue_id, dict(issue.data))
    flow.hass, flow.handler = house.hass, DOMAIN
    house.bridge.refuse["profile"] = Refusal("busy")
    result = await flow.async_step_confirm({})
    assert result["type"] == "create_entry"  # nothing had to be asked again
    house.bridge.refuse.clear()
    await async_wait_recording_done(house.hass)
    changes = await house.changes()
    assert 0 < min(changes.values()) <= max(changes.values()) < 1.7
    assert ir.async_get(house.hass).async_get_issue(DOMAIN, "history_jump_main_house") is None
    assert house.entry.runtime_data.history.last["house"]["entities"][ENTITY]["adjusted"] == pytest.approx(288, abs=0.1)
    await house.live(now.replace(minute=0) + HOUR, now.replace(minute=0) + 2 * HOUR)
    assert 0 < list((await house.changes()).values())[-1] < 3.1
    again = await house.fill(now.replace(minute=0) + 2 * HOUR + timedelta(minutes=20), start=minutes(6), repair=True)
    assert again[ENTITY] == {"hours": 0}


async def test_mending_that_fails(house: House) -> None:
    data = {"key": "history_jump", "bridge": "main", "meter": "house", "data": ""}
    await house.live(minutes(6), minutes(8))
    house.entry.runtime_data.history.jumps["house"] = minutes(2), {}
    house.bridge.refuse["profile"] = Refusal("busy")
    flow = await async_create_fix_flow(house.hass, "x", data)
    flow.hass, flow.handler = house.hass, DOMAIN
    result = await flow.async_step_confirm({})
    assert result["type"] == "form"
    assert result["errors"] == {"base": "failed"}


async def test_a_replaced_meter(house: House) -> None:
    """A new one that starts near nought within the hole."""
    change = minutes(42)

    def replaced(moment: datetime) -> float:
        return register(moment) - register(change) + 0.2 if moment >= change else register(moment)

    start = minutes(30)
    await house.live(start, start + 2 * HOUR)
    back = start + timedelta(hours=24)
    await house.away(back, start + 2 * HOUR)
    await house.live(back, back + timedelta(hours=2, minutes=5), **{ENTITY: (replaced, KWH)})
    now = back + timedelta(hours=2, minutes=20)
    house.set_profile(start, now, replaced)
    done = await house.fill(now, start=start, repair=True)
    assert done[ENTITY]["adjusted"] > 0
    assert min((await house.changes()).values()) > -0.01
    assert (await house.fill(now, start=start, repair=True))[ENTITY] == {"hours": 0}


async def test_import_export_and_what_the_profile_lacks(house: House) -> None:
    house.sensor("energy_export")
    house.sensor("energy_import_t1")
    house.sensor("power", "measurement")
    values = {
        ENTITY: (register, KWH),
        "sensor.house_energy_export": (export, KWH),
        "sensor.house_energy_import_t1": (register, KWH),
    }
    await house.live(minutes(30), minutes(31), **values)
    house.set_profile(T0, minutes(32), register, export)
    done = await house.fill(minutes(31.5), start=minutes(20))
    assert done[ENTITY]["hours"] == done["sensor.house_energy_export"]["hours"] == 10
    assert done["sensor.house_energy_import_t1"] == {"hours": 0, "skipped": "not_in_profile"}
    assert len(done) == 3
    changes = await house.changes("sensor.house_energy_export")
    assert changes[minutes(25)] == pytest.approx(0.1, abs=0.002)
    asked = len(house.asked())
    await house.fill(minutes(31.5), start=minutes(20))
    assert len(house.asked()) == asked  # what the profile lacks is not asked for again


async def test_a_unit_that_a_person_changed(house: House) -> None:
    """The sensor shows MWh; its statistic keeps the unit that it began with."""
    await house.live(minutes(30), minutes(31))
    mega = {**KWH, "unit_of_measurement": "MWh"}
    await house.live(minutes(31), minutes(32), **{ENTITY: (lambda moment: register(moment) / 1000, mega)})
    house.set_profile(T0, minutes(34))
    assert (await house.fill(minutes(32.5), start=minutes(20)))[ENTITY]["hours"] == 10
    changes = await house.changes()
    assert changes[minutes(25)] == pytest.approx(used(minutes(25)), abs=0.01)


async def test_a_statistic_that_began_in_mwh(house: House) -> None:
    mega = {**KWH, "unit_of_measurement": "MWh"}
    await house.live(minutes(30), minutes(31), **{ENTITY: (lambda moment: register(moment) / 1000, mega)})
    house.set_profile(T0, minutes(34))
    assert (await house.fill(minutes(31.5), start=minutes(20)))[ENTITY]["hours"] == 10
    assert (await house.changes())[minutes(25)] == pytest.approx(used(minutes(25)), abs=0.01)


async def test_a_unit_that_does_not_fit(house: House) -> None:
    await house.live(minutes(30), minutes(31))
    columns = [{"key": "energy_import", "obis": "1.0.1.8.0.255", "unit": "m³"}]
    house.set_profile(T0, minutes(34), columns=columns)
    assert (await house.fill(minutes(31.5), start=minutes(20)))[ENTITY] == {"hours": 0, "skipped": "unit"}


async def test_a_renamed_sensor(house: House) -> None:
    await house.live(minutes(30), minutes(31))
    er.async_get(house.hass).async_update_entity(ENTITY, new_entity_id="sensor.cellar")
    await settle(house.hass)
    await async_wait_recording_done(house.hass)
    house.set_profile(T0, minutes(34))
    done = await house.fill(minutes(31.5), start=minutes(20))
    assert done["sensor.cellar"]["hours"] == 10
    assert len(await house.rows("sensor.cellar")) == 11


async def test_interval_columns(house: House) -> None:
    """A profile without registers, energies of each quarter of an hour instead."""
    start = minutes(30)
    await house.live(start, start + 2 * HOUR)
    await house.away(minutes(42), start + 2 * HOUR)
    await house.live(minutes(42), minutes(43))

    def quarter(moment: datetime) -> float:
        return register(moment) - register(moment - timedelta(minutes=15))

    columns = [{"key": "energy_import_interval", "obis": "1.0.1.29.0.255", "unit": "kWh"}]
    house.set_profile(T0, minutes(44), quarter, columns=columns)
    assert (await house.fill(minutes(43.5), start=start))[ENTITY]["hours"] == 10
    changes = await house.changes()
    for hour in range(33, 41):
        assert changes[minutes(hour)] == pytest.approx(used(minutes(hour)), abs=0.13), hour


async def test_a_profile_with_holes_of_its_own(house: House) -> None:
    """An hour without a row, one with a bad status: the next difference holds their energy."""
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(34))
    rows = house.bridge.profiles[LOAD_PROFILE]["rows"]
    bad = minutes(25).isoformat()
    house.bridge.profiles[LOAD_PROFILE]["rows"] = [
        [row[0], 4 if row[0] == bad else 0, *row[2:]] for row in rows if row[0] != minutes(23).isoformat()
    ]
    assert (await house.fill(minutes(31.5), start=minutes(20)))[ENTITY]["hours"] == 8
    changes = await house.changes()
    assert minutes(22) not in changes
    assert minutes(24) not in changes
    assert changes[minutes(23)] == pytest.approx(used(minutes(22)) + used(minutes(23)), abs=0.01)


async def test_before_there_is_a_live_row(house: House) -> None:
    house.set_profile(T0, minutes(34))
    assert (await house.fill(minutes(31.5)))[ENTITY] == {"hours": 0, "skipped": "not_in_profile"}
    assert house.asked() == []


async def test_a_sensor_that_was_never_live(house: House) -> None:
    """An import would begin at its own nought, and the live sum fall below it."""
    house.sensor("energy_export")
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(34), register, export)
    done = await house.fill(minutes(31.5), start=minutes(25))
    assert done["sensor.house_energy_export"] == {"hours": 0, "skipped": "no_statistic_yet"}


async def test_a_jump_of_a_meter_that_is_gone(house: House) -> None:
    history = house.entry.runtime_data.history
    history.jumps["gone"] = minutes(2), {}
    assert list(history.problems()) == []
    await history.mend("another")
    assert house.asked() == []


# When it is done


def switch_on(house: House, days: int = 1) -> None:
    subentry = next(iter(house.entry.subentries.values()))
    data = {CONF_METER: "house", CONF_HISTORY: days}
    house.hass.config_entries.async_update_subentry(house.entry, subentry, data=data)


async def at_twenty_past(house: House, moment: datetime) -> None:
    house.freezer.move_to(moment)
    async_fire_time_changed(house.hass, moment)
    await settle(house.hass)
    await async_wait_recording_done(house.hass)


async def test_every_hour_where_it_is_switched_on(house: House) -> None:
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(34))
    switch_on(house)
    await at_twenty_past(house, minutes(31 + 20 / 60))
    assert len(await house.rows()) == 24
    assert len(house.asked()) == 2  # a day at a time
    await house.live(minutes(31.5), minutes(33))
    await at_twenty_past(house, minutes(33 + 20 / 60))
    assert len(house.asked()) == 2  # nothing is missing: nothing is asked
    house.broker.fire(house.bridge.publish_state("offline"))
    await at_twenty_past(house, minutes(34 + 20 / 60))
    assert len(house.asked()) == 2


async def test_a_fill_that_is_cut_off_goes_on(house: House) -> None:
    await house.live(minutes(80), minutes(81))
    house.set_profile(T0, minutes(99))
    switch_on(house, 3)
    answer = house.bridge.receive
    calls: list[str] = []

    def second_fails(topic: str, payload: str) -> Any:
        if topic.endswith("request/profile"):
            calls.append(payload)
            house.bridge.refuse = {"profile": Refusal("no-answer")} if len(calls) == 2 else {}
        return answer(topic, payload)

    with patch.object(house.bridge, "receive", second_fails):
        await at_twenty_past(house, minutes(81 + 20 / 60))
        assert house.entry.runtime_data.history.last["house"]["error"] == "no-answer"
        assert len(await house.rows()) == 1
        await at_twenty_past(house, minutes(82 + 20 / 60))
    assert len(await house.rows()) == 71
    assert len(calls) == 5  # four days; only the one that failed was asked twice


async def test_a_meter_that_comes_back(house: House) -> None:
    switch_on(house)
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(40))
    house.bridge.health["house"] = {"status": "no_answer"}
    house.broker.fire(house.bridge.publish_health())
    await settle(house.hass)
    await house.away(minutes(33), minutes(31))
    house.bridge.health["house"] = {"status": "ok"}
    house.freezer.move_to(minutes(33.3))
    house.broker.fire(house.bridge.publish_health())
    await settle(house.hass)
    await async_wait_recording_done(house.hass)
    assert {minutes(31), minutes(32)} <= (await house.rows()).keys()  # settled a quarter of an hour after its end


async def test_progress_and_diagnostics(house: House) -> None:
    await house.live(minutes(80), minutes(81))
    house.set_profile(T0, minutes(99))
    seen: list[dict[str, Any]] = []
    history = house.entry.runtime_data.history
    end = house.entry.runtime_data.listen(lambda: seen.append(dict(history.running)))
    await house.fill(minutes(81.5), start=T0)
    end()
    steps = [row["house"] for row in seen if row]
    assert steps[0] == {"done": 0, "total": 0}
    assert {"done": 3, "total": 4} in steps
    assert history.running == {}
    assert history.last["house"]["entities"][ENTITY]["hours"] == 80


async def test_an_older_bridge(house: House) -> None:
    """It answers without the compact table."""
    await house.live(minutes(30), minutes(31))
    with pytest.raises(HomeAssistantError) as caught:
        await house.fill(minutes(31.5), start=minutes(20))
    assert caught.value.translation_key == "unknown_request"


@pytest.mark.parametrize(
    "period", [{"start": "2036-11-03 00:00:00", "end": "2036-11-02 00:00:00"}, {"start": "1990-01-01 00:00:00"}]
)
async def test_periods_that_make_no_sense(house: House, period: dict[str, str]) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await house.fill(minutes(31.5), **period)
    assert caught.value.translation_key == "no_period"


async def test_up_to_a_time(house: House) -> None:
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(34))
    local = {"start": "2036-11-01 21:00:00", "end": "2036-11-01 23:00:00"}
    assert (await house.fill(minutes(31.5), **local))[ENTITY]["last"] == minutes(21).isoformat()


async def test_two_at_a_time_wait_for_each_other(house: House) -> None:
    await house.live(minutes(30), minutes(31))
    house.set_profile(T0, minutes(34))
    history = house.entry.runtime_data.history
    house.freezer.move_to(minutes(31.5))
    await asyncio.gather(history.fill("house", minutes(20)), history.fill("house", minutes(20)))
    assert len(house.asked()) == 2


async def test_a_disabled_sensor_is_left_alone(house: House) -> None:
    registry = er.async_get(house.hass)
    registry.async_update_entity(ENTITY, disabled_by=er.RegistryEntryDisabler.USER)
    assert list(sensors_of(house.hass, "dlms_mqtt_house")) == []


async def test_a_house_without_a_recorder(
    hass: HomeAssistant, broker: Broker, bridge: FakeBridge, entry: MockConfigEntry
) -> None:
    bridge.stored["house"] = {"name": "House", "connection": {}}
    broker.fire(bridge.publish_info())
    await settle(hass)
    device = add_mqtt_device(hass, "house")
    call = {"device_id": device.id}
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(DOMAIN, "import_history", call, blocking=True, return_response=True)
    assert caught.value.translation_key == "no_recorder"
    assert await hass.config_entries.async_unload(entry.entry_id)
