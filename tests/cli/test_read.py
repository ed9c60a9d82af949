"""``read``: attributes with scaler and unit, by OBIS in every spelling."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from tests.cli.conftest import Cli

VALUE_KEYS = ["obis", "class", "attribute", "name", "raw", "scaler", "value", "unit", "type", "time"]


def test_json(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "1.0.1.8.0.255", "1.0.31.7.0.255", "1.0.99.98.0.255", *meter, "--json")
    document = result.json
    assert result.status == 0
    assert list(document) == ["meter", "values", "errors"]
    assert document["meter"] == {"system_title": None, "logical_device_name": "PYD1000000000001"}
    energy, current = document["values"]
    assert list(energy) == VALUE_KEYS
    time = datetime.fromisoformat(energy.pop("time"))
    assert time.tzinfo is not None
    assert energy == {
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Active energy import",
        "raw": 12345678,
        "scaler": 0,
        "value": 12345678,
        "unit": "Wh",
        "type": "double-long-unsigned",
    }
    assert (current["raw"], current["scaler"], current["value"], current["unit"]) == (523, -2, 5.23, "A")
    (error,) = document["errors"]
    assert list(error) == ["obis", "class", "attribute", "code", "message"]
    assert (error["obis"], error["class"], error["code"]) == ("1.0.99.98.0.255", 7, "object-undefined")
    assert error["message"] in result.err


@pytest.mark.parametrize(
    ("raw", "scaler", "text"),
    [(123, -3, "0.123"), (1, -1, "0.1"), (4294967295, -3, "4294967.295"), (7, 3, "7000"), (0, -2, "0"), (300, -2, "3")],
)
def test_decimals_are_exact(cli: Cli, sim: MeterSimulator, meter: list[str], raw: int, scaler: int, text: str) -> None:
    unit = DlmsData.structure([DlmsData.int8(scaler), DlmsData.enum(30)])
    sim.add_object(3, "1.0.1.8.1.255", {2: DlmsData.uint32(raw), 3: unit})
    result = cli("read", "1.0.1.8.1.255", *meter, "--json")
    (value,) = json.loads(result.out, parse_float=str, parse_int=str)["values"]
    assert (value["raw"], value["value"]) == (str(raw), text)
    assert cli("read", "1.0.1.8.1.255", *meter).out.split()[-2:] == [text, "Wh"]


def test_table(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "1.0.1.8.0.255", "1.0.31.7.0.255", "0.0.1.0.0.255", *meter)
    assert (result.status, result.err) == (0, "")
    head, *rows = result.out.splitlines()
    assert head.split() == ["OBIS", "ATTR", "NAME", "VALUE", "UNIT"]
    assert rows[0].split() == ["1.0.1.8.0.255", "2", "Active", "energy", "import", "12345678", "Wh"]
    assert rows[1].split()[-2:] == ["5.23", "A"]
    assert rows[2].split()[-1] == "2024-05-01T12:00:00+02:00"


@pytest.mark.parametrize(
    "spelling", ["1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0", "1.0.1.8.0", "3/1.0.1.8.0.255:2", "1-0:1.8.0:value"]
)
def test_spellings_of_an_object(cli: Cli, meter: list[str], spelling: str) -> None:
    (value,) = cli("read", spelling, *meter, "--json").json["values"]
    assert (value["obis"], value["class"], value["attribute"]) == ("1.0.1.8.0.255", 3, 2)


def test_other_attributes_and_types(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "1.0.1.8.0:3", "0.0.1.0.0:2", "0.0.96.1.0", "0.0.96.3.10:2", "1.0.1.6.0:5", *meter, "--json")
    scaler, clock, serial, output, moment = result.json["values"]
    assert scaler["raw"] == ["structure", [["integer", 0], ["enum", 30]]]
    assert (clock["type"], clock["raw"]) == ("octet-string", "07e80501030c000000ff88ff")
    assert clock["value"] == "2024-05-01T12:00:00+02:00"
    assert (serial["type"], serial["value"], serial["unit"]) == ("visible-string", "PYD0000000001", None)
    assert (output["type"], output["value"]) == ("boolean", True)
    assert moment["value"].startswith("2024-05-01T08:00:00")


def test_an_extended_register(cli: Cli, meter: list[str]) -> None:
    (value,) = cli("read", "1.0.1.6.0", *meter, "--json").json["values"]
    assert (value["class"], value["raw"], value["value"], value["unit"]) == (4, 4321, 4.321, "W")


def test_the_class_comes_from_the_meter_where_nobody_knows_it(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.add_object(62, "0.0.94.33.10.255", {4: DlmsData.uint8(3)})
    (value,) = cli("read", "0.0.94.33.10.255:4", *meter, "--json").json["values"]
    assert (value["class"], value["value"]) == (62, 3)
    result = cli("read", "0.0.94.33.99.255", *meter)
    assert (result.status, result.out) == (1, "")
    assert "dlms-mqtt objects" in result.err


def test_everything_refused(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "3/7.7.7.7.7.255", *meter)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "dlms-mqtt: the meter refused to read 3/7.7.7.7.7.255:2: object-undefined. "
        "The meter has no such object for this client; `dlms-mqtt objects` lists what it has.\n"
    )
    result = cli("read", "3/7.7.7.7.7.255", *meter, "--json")
    assert result.status == 1
    assert result.json["values"] == []
    assert len(result.json["errors"]) == 1


def test_as_few_round_trips_as_the_meter_allows(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    names = ["1.0.1.8.0", "1.0.2.8.0", "1.0.1.7.0", "1.0.32.7.0", "1.0.31.7.0"]
    assert len(cli("read", *names, *meter, "--json").json["values"]) == 5
    gets = [request for request in sim.requests if request[0] == 0xC0]
    assert len(gets) == 1
    assert gets[0][1] == 3  # with list: values, scalers and the meter's name


# --- without an object: what the bridge would publish ---------------------------------------------------------------

HOUSE = """
bridge: {{id: here, state_dir: state}}
meters:
  house:
    connection: {{tcp: "{address}"}}
    read:
      except: [1.0.32.7.0.255]
      also:
        - {{obis: 1.0.31.7.0.255, key: milliamperes, transform: "value * 1000", unit: mA, decimals: 0}}
        - {{obis: 1.0.99.98.1.255, class: 3, key: absent}}
    derive:
      twice: {{value: "energy_import * 2", unit: kWh}}
      thrice: "twice / 2 * 3"
"""


@pytest.fixture
def house(meter: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(HOUSE.format(address=meter[1]))
    return tmp_path / "config.yaml"


def test_without_an_object_what_the_bridge_would_publish(cli: Cli, house: Path) -> None:
    """The configuration here is taken; keys, units, transforms and computed values are the bridge's."""
    result = cli("read")
    head, *rows = result.out.splitlines()
    assert (result.status, head.split()) == (0, ["KEY", "VALUE", "UNIT"])
    values = {key: rest for key, *rest in map(str.split, rows)}
    assert values["energy_import"] == ["12345.678", "kWh"]
    assert values["milliamperes"] == ["5230", "mA"]
    assert (values["twice"], values["thrice"]) == (["24691.356", "kWh"], ["37037.034", "kWh"])
    assert values["power"] == values["power_import"] == ["1520", "W"]
    assert not {"voltage_l1", "current_l1", "absent"} & set(values)
    assert "absent: the meter refused to read 3/1.0.99.98.1.255:2: object-undefined" in result.err


def test_the_same_as_json(cli: Cli, house: Path) -> None:
    document = cli("read", "--config", str(house), "--meter", "house", "--json").json
    rows = {row["key"]: row for row in document["values"]}
    assert document["meter"]["logical_device_name"] == "PYD1000000000001"
    assert all(list(row) == [*VALUE_KEYS, "key", "raw_unit", "quality"] for row in rows.values())
    energy, twice = rows["energy_import"], rows["twice"]
    assert (energy["raw"], energy["value"], energy["unit"], energy["raw_unit"]) == (12345678, 12345.678, "kWh", "Wh")
    assert (twice["value"], twice["unit"], twice["raw_unit"], twice["type"]) == (24691.356, "kWh", None, None)
    (error,) = document["errors"]
    assert (error["key"], error["code"]) == ("absent", "object-undefined")
    assert (error["obis"], error["class"], error["attribute"]) == ("1.0.99.98.1.255", 3, 2)


def test_without_an_object_and_without_a_configuration(cli: Cli, meter: list[str]) -> None:
    result = cli("read", *meter)
    assert (result.status, result.out) == (2, "")
    assert "which object?" in result.err and "--config FILE" in result.err


def test_a_meter_that_only_speaks_is_not_read(cli: Cli, house: Path) -> None:
    house.write_text(
        "bridge: {id: here, state_dir: state}\n"
        "meters: {han: {connection: {tcp: '127.0.0.1:9'}, push: {listen: connection}}}\n"
    )
    result = cli("read")
    assert (result.status, result.out) == (2, "")
    assert "only listens to this meter" in result.err and "dlms-mqtt listen" in result.err


def test_a_meter_without_a_list_of_objects_is_read_as_the_bridge_does(
    cli: Cli, sim: MeterSimulator, house: Path
) -> None:
    sim.set_access(15, ObisCode.parse("0.0.40.0.0.255"), 2, mode=0)
    rows = {row["key"]: row["value"] for row in cli("read", "--json").json["values"]}
    assert (rows["energy_import"], rows["milliamperes"]) == (12345.678, 5230)
