"""The command line in this process, and a meter of pydlms-client to talk to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydlms.cosem.data import DlmsData
from pydlms.simulator import MeterSimulator, example_meter, serve

from dlms_mqtt.cli import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one document and nothing else."""
        return json.loads(self.out)


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Runs a command; a warning in the log shows up on its standard error."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "UTC")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(*words: str) -> Result:
        for handler in handlers:  # `main` replaces them, and closes what it replaces
            root.removeHandler(handler)
        capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            root.handlers, root.level = list(handlers), level
        return Result(status, *capsys.readouterr())

    yield run
    root.handlers, root.level = handlers, level


def household() -> MeterSimulator:
    """The example meter of pydlms with a few things more that a household meter has."""
    sim = example_meter()
    sim.add_object(1, "1.0.0.2.0.255", {2: DlmsData.octet_string(b"V1.23")}, base_name=0x5000)
    sim.add_object(1, "0.0.96.2.0.255", {2: DlmsData.uint16(7)}, base_name=0x5100)
    sim.add_object(
        4,
        "1.0.1.6.0.255",
        {
            2: DlmsData.uint32(4321),
            3: DlmsData.structure([DlmsData.int8(-3), DlmsData.enum(27)]),
            5: DlmsData.octet_string(bytes.fromhex("07e8050103080000ff800000")),
        },
        base_name=0x5200,
    )
    return sim


@contextmanager
def served(sim: MeterSimulator, **options: Any) -> Iterator[list[str]]:
    """The meter on a TCP port; the options that lead there."""
    server = serve(sim, **options)
    host, port = server.server_address[:2]
    try:
        yield ["--tcp", f"{host}:{port}", *(["--framing", "hdlc"] if options.get("hdlc") else [])]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def sim() -> MeterSimulator:
    return household()


@pytest.fixture
def meter(sim: MeterSimulator) -> Iterator[list[str]]:
    """``sim`` behind the TCP wrapper."""
    with served(sim) as options:
        yield options
