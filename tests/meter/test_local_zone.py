"""The system's time zone on both sides of both changes, for the bridge and the command line."""

from __future__ import annotations

from datetime import datetime, timedelta
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


def test_what_is_named_goes_before_the_system() -> None:
    assert str(zone_of(("", "Asia/Tokyo"), VIENNA)) == "Asia/Tokyo"
    assert str(zone_of(("", ""), VIENNA)) == "Europe/Vienna"


def test_nonsense_in_the_variable_is_passed_over(tmp_path: Path) -> None:
    assert system_zone({"TZ": "No/Where"}, tmp_path / "none").utcoffset(datetime.now()) is not None
