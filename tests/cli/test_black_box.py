"""The commands as another program runs them: processes, every kind of line, one JSON document of the promised shape."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.simulator import KEYS
from tests.free_port import free_port

COMMAND = [sys.executable, "-m", "dlms_mqtt"]
ROOT = Path(__file__).parents[2]
QUICK = ("wrapper", "hdlc", "udp")
LINES = (*QUICK, "sign-on")
CIPHERED = (
    f"--client 1 --authentication gmac --encryption-key hex:{KEYS.encryption.hex()} "
    f"--authentication-key hex:{KEYS.authentication.hex()}"
)
ACCESS = {
    "low": "--client 33 --authentication low --password text:87654321",
    "ciphered": CIPHERED,
    "short names": f"{CIPHERED} --referencing sn",
}
NUMBER = (int, float)


@pytest.fixture(scope="module")
def lines() -> Iterator[dict[str, str]]:
    """One meter for each line: the options that lead there."""
    wrapper, hdlc, udp = free_port(), free_port(), free_port()
    with (
        simulated(f"--tcp 127.0.0.1:{wrapper} --udp 127.0.0.1:{udp} --pty --opening sign-on") as first,
        simulated(f"--tcp 127.0.0.1:{hdlc} --framing hdlc") as second,
    ):
        device = re.search(r"/dev/pts/\d+", "".join(_until(first, "pts")))
        _until(second, "TCP")
        assert device
        yield {
            "wrapper": f"--tcp 127.0.0.1:{wrapper}",
            "hdlc": f"--tcp 127.0.0.1:{hdlc} --framing hdlc",
            "udp": f"--udp 127.0.0.1:{udp}",
            "sign-on": f"--serial {device[0]} --opening sign-on",
        }
        first.terminate()
        second.terminate()


def simulated(words: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "simulate", *words.split()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    seen: list[str] = []
    while not seen or word not in seen[-1]:
        seen.append(process.stdout.readline())
        assert seen[-1], "the meter has ended"
    return seen


def run(words: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *shlex.split(words), "--state", str(state)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def strict(text: str) -> Any:
    """The one document on standard output; NaN and its like are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def check_value(value: dict[str, Any]) -> None:
    kinds: dict[str, Any] = {
        "obis": str,
        "class": int,
        "attribute": int,
        "name": str,
        "raw": (*NUMBER, str, list),
        "scaler": (int, type(None)),
        "value": (*NUMBER, str, list, type(None)),
        "unit": (str, type(None)),
        "type": str,
        "time": str,
    }
    assert list(value) == list(kinds)
    assert [key for key, kind in kinds.items() if not isinstance(value[key], kind)] == []
    assert re.fullmatch(r"\d+(\.\d+){5}", value["obis"])
    assert value["name"]
    assert datetime.fromisoformat(value["time"]).utcoffset() is not None
    if value["scaler"] is not None:
        assert isinstance(value["raw"], NUMBER)
        assert value["value"] == pytest.approx(value["raw"] * 10 ** value["scaler"])


def check_document(document: dict[str, Any]) -> None:
    assert list(document) == ["meter", "values", "errors"]
    assert list(document["meter"]) == ["system_title", "logical_device_name"]
    assert document["meter"]["logical_device_name"].startswith("DMQ")
    for value in document["values"]:
        check_value(value)
    for error in document["errors"]:
        assert list(error) == ["obis", "class", "attribute", "code", "message"]


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("line", LINES)
def test_read(lines: dict[str, str], tmp_path: Path, line: str, access: str) -> None:
    wanted = "1.0.1.8.0 1-0:32.7.0*255 8/0.0.1.0.0.255:2 1.0.1.8.0.255:3 9.9.9.9.9.9"
    result = run(f"read {wanted} {lines[line]} {ACCESS[access]} --json", tmp_path / "state.sqlite")
    assert result.returncode == 0, result.stderr
    document = strict(result.stdout)
    check_document(document)
    assert [value["unit"] for value in document["values"]] == ["Wh", "V", None, None]
    assert [error["code"] for error in document["errors"]] == ["object-undefined"]
    assert result.stderr.startswith("dlms-mqtt: the meter refused to read 3/9.9.9.9.9.9:2: object-undefined. ")


@pytest.mark.parametrize("line", QUICK)
def test_the_other_commands(lines: dict[str, str], tmp_path: Path, line: str) -> None:
    def told(words: str) -> Any:
        result = run(f"{words} {lines[line]} {ACCESS['low']} --json", tmp_path / "state.sqlite")
        assert (result.returncode, result.stderr) == (0, "")
        return strict(result.stdout)

    profile = told("profile 1.0.99.1.0 --first 1 --count 3")
    check_document(profile)
    assert len({value["time"] for value in profile["values"]}) == 3
    objects = told("objects")["objects"]
    assert {"class", "obis", "name", "attributes", "methods"} <= set(objects[0])
    clock = told("clock --set")
    assert datetime.fromisoformat(clock["time"]).utcoffset() is not None
    assert abs(clock["drift"]) < 10  # the machine may be slow
    assert told("write 0.0.96.13.0.255:2 text:hello")["read_back"] == "hello"
    assert bytes.fromhex(told("write 0.0.96.13.0.255:2 text:bye --dry-run")["bytes"]).endswith(b"\x03bye")
    assert told("invoke 0.0.96.3.10.255:remote_reconnect")["method"] == 2


@pytest.mark.parametrize("line", QUICK)
def test_a_refusal(lines: dict[str, str], tmp_path: Path, line: str) -> None:
    for words, sentence in {
        "write 1.0.1.8.0.255:2 5": "the meter refused to write 3/1.0.1.8.0.255:2: read-write-denied",
        "read 9.9.9.9.9.9": "the meter refused to read 3/9.9.9.9.9.9:2: object-undefined",
    }.items():
        result = run(f"{words} {lines[line]} {ACCESS['low']}", tmp_path / "state.sqlite")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"dlms-mqtt: {sentence}. ")
