"""A whole local day of one meter on a fake clock: an ordinary one, one of 23 hours and one of 25."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dlms_mqtt.client.state.store import Store
from tests.bridge.rig import VIENNA, Rig

CONFIG = {
    "session": "close",
    "read": {
        "set": "none",
        "also": [
            {"obis": "1.0.16.7.0.255", "class": 3, "every": "5m"},
            {"obis": "1.0.1.8.0.255", "class": 3, "every": "15m"},
            {"obis": "0.0.1.0.0.255", "class": 8, "every": "1h"},
            {"obis": "1.0.2.8.0.255", "class": 3, "at": ["00:05", "02:30", "12:00"]},
        ],
    },
    "profiles": [{"obis": "1.0.99.1.0.255", "key": "load", "at": ["03:15"], "backfill": "6h"}],
}
DAYS = {
    (2026, 6, 10): (24, ["00:05+02:00", "02:30+02:00", "12:00+02:00"], "03:15+02:00"),
    (2026, 3, 29): (23, ["00:05+01:00", "03:30+02:00", "12:00+02:00"], "03:15+02:00"),  # 02:30 is not there
    (2026, 10, 25): (25, ["00:05+02:00", "02:30+02:00", "12:00+01:00"], "03:15+01:00"),  # 02:30 is there twice
}


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


def _clock_text(text: str) -> str:
    return text[11:16] + text[19:]


@pytest.mark.parametrize("day", DAYS, ids=lambda day: "-".join(map(str, day)))
async def test_a_local_day(clock, store, day):
    hours, expected, fetched = DAYS[day]
    begin = datetime(*day, tzinfo=VIENNA)
    end = datetime.combine(begin.date() + timedelta(days=1), begin.time(), VIENNA)
    assert end.timestamp() - begin.timestamp() == hours * 3600
    clock.step(begin.timestamp() - clock.time())
    drifts, states = [], []
    async with Rig(clock, store, CONFIG).run() as rig:
        for _ in range(hours):
            await asyncio.sleep(3590 if not drifts else 3600)
            drifts.append(rig.task.status.clock_drift)
            states.append(set(json.loads(rig.publisher.retained["state"])))
            assert rig.publisher.retained["availability"] == "online"
        assert clock.time() < end.timestamp()
    _check_readings(rig.readings, hours, expected)
    assert all(drift is not None and abs(drift) < 5 for drift in drifts), drifts  # the meter changes its clock too
    assert all({"power", "energy_import", "clock"} <= state for state in states)
    assert all("energy_export" in state for state in states)  # at the start; lives until the next time and longer
    assert rig.task.status.reasons == {} and rig.task.status.refused == {}
    _check_profile([message for topic, message in rig.publisher.messages if topic == "profile/load"], fetched)


def _check_readings(readings, hours, expected):
    counts = Counter(reading["key"] for reading in readings)
    assert counts == {"power": 12 * hours, "energy_import": 4 * hours, "clock": hours, "energy_export": 4}
    at = [_clock_text(reading["time"]) for reading in readings if reading["key"] == "energy_export"]
    assert at[1:] == expected
    assert at[0][:5] == "00:00"  # nothing was known at the start
    for key, seconds in (("power", 300), ("energy_import", 900), ("clock", 3600)):
        times = [datetime.fromisoformat(reading["time"]) for reading in readings if reading["key"] == key]
        gaps = {round((after - before).total_seconds()) for before, after in pairwise(times)}
        assert gaps <= {seconds, seconds + 1, seconds - 1}, (key, gaps)
        assert all(moment.utcoffset() == moment.astimezone(VIENNA).utcoffset() for moment in times)
    energy = [reading["value"] for reading in readings if reading["key"] == "energy_import"]
    assert energy == sorted(energy) and energy[-1] > energy[0]


def _check_profile(messages, fetched):
    """Fetched at its time; every quarter once, none twice and none left out where an hour repeats."""
    rows = [row[0] for message in messages for row in message["rows"]]
    moments = [datetime.fromisoformat(row) for row in rows]
    assert {round((after - before).total_seconds()) for before, after in pairwise(moments)} == {900}
    assert _clock_text(max(rows, key=datetime.fromisoformat)) == fetched
