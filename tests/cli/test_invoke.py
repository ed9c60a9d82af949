"""The command `invoke`: methods by number and name, arguments with their types, and what they return."""

from __future__ import annotations

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.cosem.enums import ActionResult
from pydlms.obis import ObisCode
from pydlms.simulator import ActionFailure, MeterSimulator

from tests.cli.conftest import Cli

OUTPUT = (70, ObisCode.parse("0.0.96.3.10.255"))


def test_invoke(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    result = cli("invoke", "0.0.96.3.10:1", *meter)
    assert (result.status, result.out, result.err) == (0, "70/0.0.96.3.10.255:1 done\n", "")
    assert sim.objects[OUTPUT][2] == DlmsData.boolean(False)
    sent = next(bytes(request) for request in sim.requests if request[0] == 0xC3)
    assert sent.endswith(bytes.fromhex("010f00"))  # integer 0, never a bare null


def test_invoke_by_name_with_an_answer(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    sim.add_method(70, OUTPUT[1], 1, lambda meter, params: DlmsData.octet_string(b"done"))
    document = cli("invoke", "70/0.0.96.3.10:remote_disconnect", *meter, "--json").json
    assert document == {
        "obis": "0.0.96.3.10.255",
        "class": 70,
        "method": 1,
        "returned": "done",
        "raw": b"done".hex(),
    }


def test_invoke_with_a_value(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    taken = []
    sim.add_method(70, OUTPUT[1], 1, lambda meter, params: taken.append(params))
    assert cli("invoke", "0.0.96.3.10:1", "5", "--type", "long-unsigned", *meter).status == 0
    assert taken == [DlmsData.uint16(5)]


def test_invoke_refused(cli: Cli, sim: MeterSimulator, meter: list[str]) -> None:
    def fail(meter: object, params: object) -> None:
        raise ActionFailure(ActionResult.TEMPORARY_FAILURE)

    sim.add_method(70, OUTPUT[1], 1, fail)
    result = cli("invoke", "0.0.96.3.10:1", *meter)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("dlms-mqtt: the meter refused to run 70/0.0.96.3.10.255:1: temporary-failure. ")
    result = cli("invoke", "0.0.96.3.10:open_door", *meter)
    assert (result.status, result.out) == (2, "")
    assert "remote_disconnect, remote_reconnect" in result.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["0.0.96.3.10"], "which method of 0.0.96.3.10.255? Write 0.0.96.3.10:1 for its first."),
        (["9999/0.0.96.3.10:1", "5"], "the type of the argument of 9999/0.0.96.3.10.255:1 is not known. Give --type."),
    ],
)
def test_what_is_not_understood_runs_nothing(
    cli: Cli, sim: MeterSimulator, meter: list[str], words: list[str], sentence: str
) -> None:
    result = cli("invoke", *words, *meter)
    assert (result.status, result.out) == (2, "")
    assert sentence in result.err
    assert not [request for request in sim.requests if request[0] == 0xC3]
