"""``objects``: the association view, with values, as a suggestion, and kept between sessions."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydlms.cosem.data import DlmsData
from pydlms.cosem.enums import DataAccessResult
from pydlms.obis import ObisCode
from pydlms.simulator import MeterSimulator

from tests.cli.conftest import Cli


def test_json(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.set_access(1, ObisCode.parse("0.0.96.2.0.255"), 2, mode=1)
    result = cli("objects", *meter, "--json")
    assert (result.status, result.err) == (0, "")
    found = {item["obis"]: item for item in result.json["objects"]}
    assert result.json["meter"]["logical_device_name"] == "PYD1000000000001"
    assert len(found) == len(sim.objects)
    energy = found["1.0.1.8.0.255"]
    assert (energy["class"], energy["class_name"], energy["version"]) == (3, "Register", 0)
    assert energy["name"] == "Active energy import"
    assert energy["attributes"][1] == {"attribute": 2, "name": "value", "access": "read-and-write"}
    assert energy["methods"] == [{"method": 1, "name": "reset", "access": "access"}]
    assert found["0.0.96.2.0.255"]["attributes"][1]["access"] == "read-only"


def test_table(cli: Cli, meter: list[str]) -> None:
    result = cli("objects", *meter)
    head, *rows = result.out.splitlines()
    assert head.split() == ["CLASS", "OBIS", "NAME", "ACCESS"]
    assert "    3  1.0.1.8.0.255    Active energy import          1:r 2:rw 3:rw m1" in rows
    codes = [[int(part) for part in row.split()[1].split(".")] for row in rows]
    assert codes == sorted(codes)  # of all classes together, as numbers


def test_values(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.set_access(3, ObisCode.parse("1.0.2.8.0.255"), 2, mode=2)
    document = cli("objects", "--values", *meter, "--json").json
    values = {(value["obis"], value["attribute"]): value for value in document["values"]}
    assert values["1.0.32.7.0.255", 2]["value"] == 230.1
    assert ("1.0.2.8.0.255", 2) not in values  # not allowed, so not asked
    assert not any(obis == "1.0.99.1.0.255" and attribute == 2 for obis, attribute in values)
    assert document["errors"] == []
    assert "230.1 V" in cli("objects", "--values", *meter).out


def test_a_value_of_thousands_of_octets(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.add_object(1, "0.0.96.5.5.255", {2: DlmsData.octet_string(bytes(range(128, 256)) * 20)}, base_name=0x5200)
    table = cli("objects", "--values", *meter).out
    assert "8081828384" in table and "(5120 characters)" in table
    assert max(map(len, table.splitlines())) < 300
    values = cli("objects", "--values", *meter, "--json").json["values"]
    assert [len(row["value"]) for row in values if row["obis"] == "0.0.96.5.5.255" and row["attribute"] == 2] == [5120]


def test_suggest(cli: Cli, meter: list[str]) -> None:
    result = cli("objects", "--suggest", *meter)
    block = yaml.safe_load(result.out)["read"]
    assert block["set"] == "core"
    assert {item["obis"] for item in block["also"]} >= {"0.0.96.2.0.255"}
    assert all(set(item) == {"obis", "class", "key"} for item in block["also"])


def view_requests(sim: MeterSimulator) -> int:
    return sum(bytes(request[3:12]) == bytes.fromhex("000f0000280000ff02") for request in sim.requests)


def test_the_list_is_kept(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    cli("objects", *meter)
    first = cli("objects", *meter, "--json").json
    assert view_requests(sim) == 1
    sim.objects.pop((1, ObisCode.parse("0.0.96.2.0.255")))
    assert cli("objects", *meter, "--json").json == first
    assert len(cli("objects", "--fresh", *meter, "--json").json["objects"]) == len(first["objects"]) - 1
    assert view_requests(sim) == 2


@pytest.mark.parametrize("changed", ["firmware", "client"])
def test_another_firmware_or_client_has_another_list(
    cli: Cli, sim: MeterSimulator, meter: list[str], changed: str
) -> None:
    from pydlms.cosem.data import DlmsData
    from pydlms.simulator import ClientProfile

    cli("objects", *meter)
    if changed == "firmware":
        sim.objects[1, ObisCode.parse("1.0.0.2.0.255")][2] = DlmsData.octet_string(b"V1.24")
        cli("objects", *meter)
    else:
        sim.clients[17] = ClientProfile()
        cli("objects", *meter, "--client", "17")
    assert view_requests(sim) == 2


def test_progress_only_on_a_terminal(cli: Cli, meter: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert cli("objects", "--values", *meter).err == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert cli("objects", "--values", *meter).status == 0
    assert "objects [" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")  # and is wiped off at the end


def refuse(sim: MeterSimulator, class_id: int, obis: str, attribute: int) -> None:
    """Refused, whatever the list says of it."""
    plain, which = sim._read, (class_id, ObisCode.parse(obis), attribute)

    def read(*question: Any) -> Any:
        return DataAccessResult.READ_WRITE_DENIED if question[:3] == which else plain(*question)

    sim._read = read  # type: ignore[method-assign]


@pytest.mark.parametrize("others", [True, False])
def test_a_meter_without_a_list_is_asked_for_what_most_have(
    cli: Cli, sim: MeterSimulator, meter: list[str], others: bool
) -> None:
    refuse(sim, 15, "0.0.40.0.0.255", 2)
    sim.objects = sim.objects if others else {}
    result = cli("objects", *meter, "--json")
    assert result.status == (0 if others else 1)
    assert "the meter gives no object list (" in result.err
    assert ("these of the well-known objects answer" if others else "none of the well-known") in result.err
    assert "Another --client may be shown more." in result.err
    assert ("1.0.1.8.0.255" in {item["obis"] for item in result.json["objects"]}) is others


def test_an_empty_list_is_none(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.object_list = lambda: DlmsData.array([])  # type: ignore[method-assign]
    result = cli("objects", *meter)
    assert result.status == 0
    assert "the meter gives no object list (it is empty)" in result.err
    assert "1.0.1.8.0.255" in result.out


def test_a_value_that_is_refused_though_the_list_allows_it(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    refuse(sim, 1, "0.0.96.2.0.255", 2)
    document = cli("objects", "--values", *meter, "--json").json
    (error,) = document["errors"]
    assert (error["obis"], error["attribute"], error["code"]) == ("0.0.96.2.0.255", 2, "read-write-denied")
    assert ("0.0.96.2.0.255", 2) not in {(value["obis"], value["attribute"]) for value in document["values"]}
    assert document["values"]
