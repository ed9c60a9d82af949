"""The system's time zone on both sides of both changes, for the bridge and the command line."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from dlms_mqtt.meter.local_zone import system_zone, zone_of

VIENNA = {"TZ": "Europe/Vienna"}
#: local time -> hours before UTC: both sides of the change in spring and of that in autumn
SIDES = [
    ("2026-03-29T01:59:59", 1),
    ("2026-03-29T03:00:00", 2),
    ("2026-10-20T12:00:00", 2),
    ("2026-10-25T01:59:59", 2),
    ("2026-10-25T03:00:00", 1),
    ("2026-11-22T12:00:00", 1),
]
sides = pytest.mark.parametrize(("text", "hours"), SIDES)


@sides
@pytest.mark.parametrize("environment", [VIENNA, {"TZ": ":Europe/Vienna"}], ids=["plain", "colon"])
def test_the_rules_of_the_zone(environment: dict[str, str], text: str, hours: int) -> None:
    moment = datetime.fromisoformat(text).replace(tzinfo=system_zone(environment))
    assert moment.utcoffset() == timedelta(hours=hours)


@sides
def test_the_zone_of_the_system_without_a_variable(tmp_path: Path, text: str, hours: int) -> None:
    zone = tmp_path / "zoneinfo/Europe/Vienna"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)
    moment = datetime.fromisoformat(text).replace(tzinfo=system_zone({}, tmp_path / "localtime"))
    assert moment.utcoffset() == timedelta(hours=hours)


@pytest.fixture(params=["rules", "file"])
def unnamed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tzinfo]:
    """A system whose zone nobody can name: TZ holds rules, or /etc/localtime is a file and no link (a container's)."""
    rules = request.param == "rules"
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3" if rules else "Europe/Vienna")
    time.tzset()
    yield system_zone(os.environ if rules else {}, Path("/etc/localtime") if rules else Path("/etc/hostname"))
    monkeypatch.undo()
    time.tzset()


@sides
def test_rules_without_a_name(unnamed: tzinfo, text: str, hours: int) -> None:
    moment = datetime.fromisoformat(text).replace(tzinfo=unnamed)
    assert (moment.utcoffset(), moment.dst()) == (timedelta(hours=hours), timedelta(hours=hours - 1))
    assert moment.tzname() == ("CET", "CEST")[hours - 1]
    assert moment.astimezone(UTC).astimezone(unnamed) == moment


def test_the_repeated_hour_of_rules_without_a_name(unnamed: tzinfo) -> None:
    texts = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "0001-01-01T00:00:00+01:00"]
    for text in texts[:2]:
        assert datetime.fromisoformat(text).astimezone(unnamed).isoformat() == text
    assert datetime(1, 1, 1, tzinfo=pickle.loads(pickle.dumps(unnamed))).isoformat() == texts[2]
    assert (unnamed.utcoffset(None), unnamed.dst(None), unnamed.tzname(None)) == (None, None, None)


def test_what_is_named_goes_before_the_system() -> None:
    assert str(zone_of(("", "Asia/Tokyo"), VIENNA)) == "Asia/Tokyo"
    assert str(zone_of(("", ""), VIENNA)) == "Europe/Vienna"


def test_nonsense_in_the_variable_is_passed_over(tmp_path: Path) -> None:
    assert system_zone({"TZ": "No/Where"}, tmp_path / "none").utcoffset(datetime.now()) is not None
