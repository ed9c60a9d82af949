"""``write`` and ``invoke``: the type of the object, what is read back, and nothing written by a dry run."""

from __future__ import annotations

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.server.objects import CosemObject
from tests.cli.conftest import Cli
from tests.simulator.bench import frozen_meter, running

LIMITED = Obis.parse("0.0.96.77.0.255")
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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["0.0.96.2.0", "9"], "which attribute of 0.0.96.2.0.255? Write 0.0.96.2.0:2 for its value."),
        (["0.0.96.2.0:2", "9", "--type", "colour"], "'colour' is no DLMS type"),
    ],
)
def test_what_is_not_understood_asks_no_meter(
    cli: Cli, sim: MeterSimulator, meter: list[str], words: list[str], sentence: str
) -> None:
    result = cli("write", *words, *meter)
    assert (result.status, result.out) == (2, "")
    assert sentence in result.err
    assert not sim.requests


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_value_that_the_meter_takes_and_does_not_keep_is_told(cli: Cli, json: list[str]) -> None:
    """It limits, rounds, or refuses without a word."""
    kept = Data(DataType.LONG_UNSIGNED, 7)
    limited = CosemObject(1, LIMITED, values={2: kept}, writable=frozenset((2,)), writers={2: lambda *_: 0}, write=0)
    meter = frozen_meter()
    meter.add(limited)
    with running(meter) as port:
        options = ("--tcp", f"127.0.0.1:{port}", "--client", "17", *json)
        result = cli("write", f"1/{LIMITED}:2", "9", *options)
    assert result.status == 1
    assert "the meter took 9, but shows 7: it may round, limit or refuse without a word" in result.err
    assert result.json["differs"] is True if json else "read back: 7" in result.out


def test_a_class_that_the_catalogue_has_wrong_is_looked_up_in_the_meter(cli: Cli) -> None:
    """What is written must not go astray: a register whose code says that it is plain data."""
    number = Obis.parse("0.0.96.2.0.255")
    meter = frozen_meter()
    meter.remove(number)
    meter.add(CosemObject(3, number, values={2: Data(DataType.LONG_UNSIGNED, 7)}, writable=frozenset((2,)), write=0))
    with running(meter) as port:
        result = cli("write", "0.0.96.2.0:2", "9", "--tcp", f"127.0.0.1:{port}", "--client", "17")
    assert (result.status, result.out) == (0, "3/0.0.96.2.0.255:2 = 9 (long-unsigned); read back: 9\n")
