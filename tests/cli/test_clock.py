"""``clock``: time, deviation, status and drift; setting it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from dlms_mqtt.cli.meter import clock
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from tests.cli.conftest import Cli

CLOCK = (8, ObisCode.parse("0.0.1.0.0.255"))
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """This computer's clock stands still, however slow the machine is."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=NOW.timestamp))


def put(sim: MeterSimulator, moment: datetime, status: int = 0) -> None:
    octets = DateTime.from_datetime(moment).encode()[:11] + bytes([status])
    sim.objects[CLOCK][2] = DlmsData.octet_string(octets)


def test_json(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    put(sim, NOW + timedelta(seconds=30), status=0x80)
    result = cli("clock", *meter, "--json")
    assert (result.status, result.err) == (0, "")
    document = result.json
    assert list(document) == ["time", "raw", "deviation", "deviation_sense", "status", "drift"]
    assert document["drift"] == 30
    assert document["deviation"] == 0
    assert document["status"] == ["daylight-saving-active"]


def test_words(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    put(sim, NOW - timedelta(minutes=2))
    result = cli("clock", *meter)
    time, deviation, status, drift = result.out.splitlines()
    assert (time.split()[0], deviation.split()[0], status) == ("time", "deviation", "status     good")
    assert drift == "drift      -120.0 s (positive: the meter is ahead)"


def test_set(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    document = cli("clock", "--set", *meter, "--json").json
    assert document["set"] is True
    assert document["drift"] == 0
    assert DateTime(bytes(sim.objects[CLOCK][2].value)).to_datetime() == NOW


def test_a_clock_that_is_not_set(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.objects[CLOCK][2] = DlmsData.octet_string(b"\xff" * 12)
    result = cli("clock", *meter)
    assert result.status == 0
    assert result.out.startswith("time       not set\n")
    assert "drift      unknown" in result.out
    assert cli("clock", *meter, "--json").json["time"] is None


def test_no_clock(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    result = cli("clock", "--object", "0.0.1.0.7.255", *meter)
    assert (result.status, result.out) == (1, "")
    assert "object-undefined" in result.err
    sim.objects[CLOCK][2] = DlmsData.uint8(1)
    result = cli("clock", *meter)
    assert (result.status, result.out) == (1, "")
    assert "does not hold a date and time" in result.err
