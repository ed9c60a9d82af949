"""``write`` and ``invoke``: the type of the object, what is read back, and nothing written by a dry run."""

from __future__ import annotations

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from tests.cli.conftest import Cli

CHANGES = (1, ObisCode.parse("0.0.96.2.0.255"))


def writes(sim: MeterSimulator) -> list[str]:
    return [bytes(request).hex() for request in sim.requests if request[0] == 0xC1]


def test_with_the_type_of_the_object(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    result = cli("write", "0.0.96.2.0:2", "9", *meter)
    assert (result.status, result.err) == (0, "")
    assert result.out == "1/0.0.96.2.0.255:2 = 9 (long-unsigned); read back: 9\n"
    assert sim.objects[CHANGES][2] == DlmsData.uint16(9)


def test_json(cli: Cli, meter: list[str]) -> None:
    document = cli("write", "0.0.96.2.0:value", "10", *meter, "--json").json
    assert document == {
        "obis": "0.0.96.2.0.255",
        "class": 1,
        "attribute": 2,
        "type": "long-unsigned",
        "value": 10,
        "read_back": 10,
        "read_back_raw": 10,
    }


def test_another_type(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    assert cli("write", "0.0.96.2.0:2", "70000", "--type", "double-long-unsigned", *meter).status == 0
    assert sim.objects[CHANGES][2] == DlmsData.uint32(70000)


@pytest.mark.parametrize("text", ["0.0.96.1.0:2 ABC", "0.0.1.0.0:2 2026-11-22T20:15:00+01:00", "1.0.1.8.0:3 1"])
def test_dry_run(cli: Cli, sim: MeterSimulator, meter: list[str], text: str) -> None:
    result = cli("write", *text.split(), "--dry-run", *meter)
    assert not writes(sim)
    if result.status == 0:
        assert "would write" in result.out
        assert ": c101c1" in result.out
    else:
        assert (result.status, result.out) == (2, "")


def test_dry_run_shows_the_bytes_that_are_written(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    shown = cli("write", "0.0.96.2.0:2", "9", "--dry-run", "--json", *meter).json["bytes"]
    assert cli("write", "0.0.96.2.0:2", "9", *meter).status == 0
    (sent,) = writes(sim)
    assert sent[:4] + sent[6:] == shown[:4] + shown[6:]  # but for the invoke id


@pytest.mark.parametrize(
    ("value", "sentence"), [("99999", "0 to 65535"), ("-1", "0 to 65535"), ("nine", "long-unsigned")]
)
def test_a_value_that_does_not_fit(cli: Cli, sim: MeterSimulator, meter: list[str], value: str, sentence: str) -> None:
    result = cli("write", "0.0.96.2.0:2", value, *meter)
    assert (result.status, result.out) == (2, "")
    assert sentence in result.err
    assert not writes(sim)


def test_refused(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.set_access(*CHANGES, 2, mode=1)
    result = cli("write", "0.0.96.2.0:2", "9", *meter)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("dlms-mqtt: the meter refused to write 1/0.0.96.2.0.255:2: read-write-denied. ")


def test_write_only(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.set_access(*CHANGES, 2, mode=2)
    result = cli("write", "0.0.96.2.0:2", "9", *meter)
    assert result.status == 2
    assert "--type" in result.err
    result = cli("write", "0.0.96.2.0:2", "9", "--type", "long-unsigned", *meter)
    assert result.status == 0
    assert "cannot be read back" in result.out
