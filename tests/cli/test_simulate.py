"""``dlms-mqtt simulate``: what it says, what it refuses, and that another process can read it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_it_says_where_and_who(cli: Cli) -> None:
    lines = [word for kind in ("--tcp", "--udp", "--rfc2217") for word in (kind, "127.0.0.1:0")]
    result = cli("simulate", *lines, "--pty", "--seconds", "0.01", "--seed", "2")
    assert result.status == 0, result.err
    for where in ("wrapper on TCP ", "wrapper on UDP ", "hdlc on rfc2217://"):
        assert re.search(rf"{where}127\.0\.0\.1:[1-9]\d+", result.out)
    assert re.search(r"hdlc on /dev/pts/\d+ \(direct\)", result.out)
    assert "management" in result.out
    assert "DMQ" in result.out


def test_the_time_is_set(cli: Cli) -> None:
    result = cli("simulate", "--pty", "--seconds", "0", "--time", "2026-07-01T12:00:00")
    assert "2026-07-01 12:00:00 +0200" in result.out


def test_faults_are_listed(cli: Cli) -> None:
    result = cli("simulate", "--list-faults")
    assert result.status == 0
    for word in ("silence", "lock-out", "odd-ua", "tariff-switch", "drop-in-blocks"):
        assert word in result.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fault", "gremlins"), "there is no fault"),
        (("--meter", "nowhere.yaml"), "cannot be read"),
        (("--time", "noon"), "is no time"),
        (("--push", "tcp://127.0.0.1:1,colour=red"), "a push has"),
    ],
)
def test_mistakes_of_usage(cli: Cli, words: tuple[str, ...], sentence: str) -> None:
    result = cli("simulate", "--pty", "--seconds", "0", *words)
    assert result.status == 2
    assert sentence in result.err


def test_a_port_that_is_taken(cli: Cli) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = cli("simulate", "--tcp", f"127.0.0.1:{taken.getsockname()[1]}", "--seconds", "0")
    assert result.status == 1
    assert "cannot be served" in result.err


def test_another_process_reads_it(cli: Cli, tmp_path: Path) -> None:
    description = tmp_path / "meter.yaml"
    description.write_text("seed: 5\nobjects: [{obis: 0.0.128.0.1.255, value: 77, type: unsigned, see: public}]\n")
    words = [sys.executable, "-m", "dlms_mqtt", "simulate", "--pty", "--meter", str(description), "--seconds", "120"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            device = re.search(r"/dev/pts/\d+", process.stdout.readline())
            assert device
            result = cli("read", "1/0.0.128.0.1.255", "--serial", device[0], "--json")
        finally:
            process.terminate()
    assert result.status == 0
    assert result.json["values"][0]["value"] == 77
