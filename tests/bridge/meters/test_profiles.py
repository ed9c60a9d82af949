"""Profiles of the configuration: every row once, over restarts and odd clocks; what fails keeps no other waiting."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from dlms_mqtt.bridge.config.sections.item import Profile
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters import profiles
from dlms_mqtt.bridge.meters.profiles import ProfileReader
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.client.procedures import profile as client_profile
from dlms_mqtt.client.procedures.profile import Column
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit
from dlms_mqtt.errors import AccessRefused, ResponseTimeout, StoreError
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.rig import Rig

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOAD = Obis.parse("1.0.99.1.0.255")
CLOCK = Column(CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2, 0))


class Owner:
    """A meter with one row an hour, whose every answer takes a second of time that runs on."""

    id = "house"
    zone, sense = UTC, -1

    def __init__(self, backfill: float) -> None:
        self.config = Meter(profiles=(Profile(obis=LOAD, key="load", backfill=backfill),))
        self.status = MeterStatus("h")
        self.rows: list[datetime] = []
        self.session = self
        self.output = SimpleNamespace(flush_readings=lambda: None, profile=self.published)
        self.time, self.asked = START, 0

    def now(self) -> datetime:
        return self.time

    def published(self, key, message) -> None:
        self.rows += [row[0] for row in message["rows"]]

    async def run(self, priority, work, *, keep):
        assert self.asked < 100, "the profile is asked for ever"
        self.asked += 1
        self.time += timedelta(seconds=1)
        hours = [(START - timedelta(hours=back),) for back in range(47, -1, -1)]
        return client_profile.Profile(LOAD, (CLOCK,), hours, 3600, 0)


@pytest.mark.parametrize("days", [1, 2, 30])
async def test_a_fetch_ends_though_the_time_runs_on(days):
    owner = Owner(days * 86400)
    with Store(":memory:") as store:
        reader = ProfileReader(owner, store)
        await reader.fetch(owner.config.profiles[0])
        assert owner.asked <= days
        assert owner.rows[-1] == START
        first, owner.asked = len(owner.rows), 0
        owner.time += timedelta(hours=1)
        await reader.fetch(owner.config.profiles[0])
    assert owner.asked == 1
    assert len(owner.rows) == first  # nothing twice


@pytest.mark.expect_log("which is to come")
@pytest.mark.parametrize("kept", ["2027-06-01T12:00:00+00:00", "9999-12-31T23:59:59+00:00"])
async def test_a_kept_time_that_is_to_come_stops_no_profile(kept, caplog):
    owner = Owner(2 * 86400)
    with Store(":memory:") as store:
        store.set("profile", "house/load", kept)
        reader = ProfileReader(owner, store)
        await reader.fetch(owner.config.profiles[0])
        assert (owner.asked, owner.rows[-1]) == (2, START)
        assert store.get("profile", "house/load") == START.isoformat()
        store.set("profile", "house/load", kept)
        await reader.fetch(owner.config.profiles[0])
    assert len(caplog.records) == 1  # told once


async def test_before_our_clock_is_set_no_kept_time_is_doubted():
    owner = Owner(2 * 86400)
    owner.time = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    with Store(":memory:") as store:
        store.set("profile", "house/load", START.isoformat())
        await ProfileReader(owner, store).fetch(owner.config.profiles[0])  # nothing is logged
        assert store.get("profile", "house/load") == START.isoformat()
    assert not owner.rows  # no row twice


async def test_a_kept_time_a_little_ahead_is_waited_for():
    owner = Owner(2 * 86400)
    with Store(":memory:") as store:
        store.set("profile", "house/load", (START + timedelta(hours=3)).isoformat())
        await ProfileReader(owner, store).fetch(owner.config.profiles[0])
    assert owner.asked == 0


class Half(ProfileReader):
    """A reader whose meter refuses the first of two profiles, until ``open``."""

    open = False

    async def fetch(self, said):
        if said.key == "log" and not self.open:
            raise AccessRefused("the meter refused to read", code=4, name="object-undefined")
        self._meter.published(said.key, {"rows": [(said.key,)]})


async def test_a_refused_profile_keeps_no_other_waiting(clock):
    owner = Owner(86400)
    log, load = Profile(obis=Obis.parse("0.0.99.98.0.255"), key="log"), owner.config.profiles[0]
    owner.config = Meter(profiles=(log, load))
    with Store(":memory:") as store:
        reader = Half(owner, store)
        task = asyncio.create_task(reader.run())
        await asyncio.sleep(1)
        assert owner.rows == ["load"]
        assert owner.status.reasons == {"profile log": "profile log: the meter refused to read"}
        reader.open = True
        await asyncio.sleep(301)
        assert owner.rows == ["load", "log"]
        await asyncio.sleep(3600)
        assert sorted(owner.rows) == ["load", "load", "log", "log"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Mute(ProfileReader):
    """A reader whose meter acknowledges the question for rows, and never answers it, until ``open``."""

    asked, open = 0, False

    async def fetch(self, said):
        self.asked += 1
        if not self.open:
            await asyncio.sleep(300)
            raise ResponseTimeout("no answer")


async def test_a_buffer_that_never_comes_leaves_the_line_to_the_others(clock):
    owner = Owner(86400)
    owner.config = Meter(profiles=(Profile(obis=LOAD, key="load", every=60.0),))
    with Store(":memory:") as store:
        reader = Mute(owner, store)
        task = asyncio.create_task(reader.run())
        await asyncio.sleep(86400)
        assert 13 <= reader.asked <= 15
        assert owner.status.reasons == {"profile load": "profile load: no answer"}
        reader.open = True
        await asyncio.sleep(7200)
        assert reader.asked > 20
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Untimed(Owner):
    """A meter whose rows have no times; ``buffer`` is all that it keeps."""

    def __init__(self, columns: tuple[Column, ...] = (CLOCK,)) -> None:
        super().__init__(86400)
        self.columns, self.buffer = columns, [(None, number) for number in range(5)]
        self.notes: tuple[str, ...] = ()

    def published(self, key, message) -> None:
        self.rows += [row[2:] for row in message["rows"]]

    async def run(self, priority, work, *, keep):
        self.asked += 1
        return client_profile.Profile(LOAD, (CLOCK, VALUE), list(self.buffer), 0, 0, self.notes)


VALUE = Column(CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2, 0))


async def test_rows_without_times_are_published_once():
    owner = Untimed()
    with Store(":memory:") as store:
        (config,) = owner.config.profiles
        await ProfileReader(owner, store).fetch(config)
        assert owner.rows == [[number] for number in range(5)]
        assert owner.asked == 1
        await ProfileReader(owner, store).fetch(config)  # after a restart too
        assert len(owner.rows) == 5
        owner.buffer = [*owner.buffer[2:], (None, 4), (None, 9)]  # two went, two came; one of them is alike
        await ProfileReader(owner, store).fetch(config)
        assert owner.rows[5:] == [[4], [9]]
        owner.buffer = [(None, 12), *owner.buffer[:-1]]  # a meter that puts the newest first
        await ProfileReader(owner, store).fetch(config)
        assert owner.rows[7:] == [[12]]


@pytest.mark.parametrize("kept", [5, "x", {"a": 1}, [5], [[]]])
async def test_a_damaged_note_of_rows_without_times_has_them_published_once_more(kept):
    owner = Untimed()
    with Store(":memory:") as store:
        store.set("profile", "house/load/rows", kept)
        for _ in range(2):
            await ProfileReader(owner, store).fetch(owner.config.profiles[0])
    assert owner.rows == [[number] for number in range(5)]


async def test_a_row_without_a_time_among_others_is_not_published_again_and_again():
    owner = Untimed()
    owner.buffer = [(None, 1), (START - timedelta(hours=2), 2), (START, 3)]
    with Store(":memory:") as store:
        for _ in range(3):
            await ProfileReader(owner, store).fetch(owner.config.profiles[0])
    assert owner.rows == [[2], [3]]


@pytest.mark.expect_log("rows have 2 values")
async def test_what_is_odd_about_rows_is_told_once(caplog):
    owner = Untimed()
    owner.notes = ("rows have 2 values",)
    with Store(":memory:") as store:
        reader = ProfileReader(owner, store)
        for _ in range(3):
            await reader.fetch(owner.config.profiles[0])
    assert [record.getMessage() for record in caplog.records] == ["house: profile load: rows have 2 values"]


@pytest.mark.parametrize("kept", [None, "", "x", 5, [], {"a": 1}, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_was_damaged_on_the_disk_is_none(kept):
    assert profiles._moment(kept) is None
    assert profiles._moment("2026-11-29T01:00:00+01:00") == datetime(2026, 11, 29, tzinfo=UTC)


async def test_a_day_of_a_real_profile_is_published_in_its_messages(clock):
    """Rows of a simulated meter, in the published unit; after a restart the fetch goes on where it ended."""
    profile = {"obis": "1.0.99.1.0.255", "key": "load", "every": "6h", "backfill": "1d"}
    config = {"read": "none", "profiles": [profile]}
    with Store(":memory:") as store:
        async with Rig(clock, store, config).run() as rig:
            await asyncio.sleep(6.5 * 3600)
        messages = [message for topic, message in rig.publisher.messages if topic == "profile/load"]
        assert [column["key"] for column in messages[0]["columns"]][:2] == ["energy_import", "energy_export"]
        assert messages[0]["columns"][0]["unit"] == "kWh" and messages[0]["interval"] == 900
        times = [row[0] for message in messages for row in message["rows"]]
        assert len(times) == 96 + 24 and times == sorted(set(times))
        assert (messages[0]["from"], messages[-1]["to"]) == (times[0], times[-1])
        assert all(isinstance(row[2], int | float) and row[2] > 1000 for row in messages[0]["rows"])
        async with Rig(clock, store, config).run() as again:
            await asyncio.sleep(60)
        (message,) = [message for topic, message in again.publisher.messages if topic == "profile/load"]
        assert [row[0] for row in message["rows"]] == ["2026-01-05T19:15:00+01:00", "2026-01-05T19:30:00+01:00"]
        assert times[-1] == "2026-01-05T19:00:00+01:00"


async def test_rows_of_an_event_log_are_events(clock):
    profile = {"obis": "0.0.99.98.0.255", "every": "6h", "backfill": "30d", "event_log": True}
    with Store(":memory:") as store:
        async with Rig(clock, store, {"read": "none", "profiles": [profile]}).run() as rig:
            await asyncio.sleep(3600)
    events = [message for topic, message in rig.publisher.messages if topic == "event"]
    assert events and {event["event_type"] for event in events} == {"log_entry"}
    assert {event["log"] for event in events} == {"profile_0_0_99_98_0_255"}
    assert all(event["time"].endswith("+01:00") for event in events)
    assert len({event["time"] for event in events}) == len(events)


@pytest.mark.parametrize("unsure", [False, True])
def test_an_event_whose_hour_nobody_knows_is_marked(unsure):
    events = []
    owner = Owner(86400)
    owner.output = SimpleNamespace(event=lambda kind, time, details: events.append((kind, time, details)))
    found = client_profile.Profile(LOAD, (CLOCK,), [(START,)], 0, 0, (), frozenset({START} if unsure else ()))
    profiles.ProfileReader(owner, None)._publish(Profile(obis=LOAD, key="log", event_log=True), found, found.rows)
    assert events == [("log_entry", START, {"log": "log", **({"uncertain": True} if unsure else {})})]


async def test_a_meter_without_profiles_fetches_none(clock):
    owner = Owner(86400)
    owner.config = Meter()
    with Store(":memory:") as store:
        await ProfileReader(owner, store).run()
    assert owner.asked == 0


@pytest.mark.expect_log("how far the profile was read is not kept: the disk is full")
async def test_a_store_that_fails_costs_no_row(monkeypatch):
    """Unread, all of the backfill is new; unwritten, that is told."""
    owner = Owner(86400)

    def full(*_):
        raise StoreError("the disk is full")

    with Store(":memory:") as store:
        monkeypatch.setattr(store, "get", full)
        monkeypatch.setattr(store, "set", full)
        await ProfileReader(owner, store).fetch(owner.config.profiles[0])
    assert len(owner.rows) == 24 and owner.rows[-1] == START


STATUS = Column(CaptureObject(1, Obis.parse("0.0.96.10.1.255"), 2, 0))
ENERGY = Column(CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2, 0), ScalerUnit(0, 30))
UNKNOWN = Column(CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2, 0))


@pytest.mark.parametrize(
    ("column", "raw", "value"),
    [
        (ENERGY, 1500, (Decimal("1.5"), "kWh")),
        (ENERGY, True, (True, "")),
        (ENERGY, None, (None, "")),
        (ENERGY, "text", ("text", "")),
        (UNKNOWN, 1500, (1500, "")),
    ],
)
def test_a_cell_in_the_published_unit(column, raw, value):
    assert profiles.cell(column, raw) == value


@pytest.mark.parametrize("rows", [[], [(START, 8, 1500), (START + timedelta(hours=1), 0, 2500)]])
def test_status_and_doubts_of_a_message(rows):
    unsure = frozenset({START})
    found = client_profile.Profile(LOAD, (CLOCK, STATUS, ENERGY), rows, 3600, 0, (), unsure)
    message = profiles.profile_json(found, rows)
    assert message["columns"] == [{"key": "energy_import", "obis": "1.0.1.8.0.255", "unit": "kWh"}]
    assert message["rows"] == [[time, status, Decimal(energy) / 1000] for time, status, energy in rows]
    assert (message["from"], message["to"]) == ((rows[0][0], rows[1][0]) if rows else (None, None))
    assert message.get("uncertain") == ([START] if rows else None)
