"""The command line on a serial port: a pseudo-terminal, a sign-on at 300 baud, HDLC behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from pydlms.simulator import MeterSimulator

from tests.cli.conftest import Cli
from tests.line import PacedPty
from tests.peers.lines import answering


@pytest.fixture
def serial(sim: MeterSimulator) -> Iterator[list[str]]:
    """``sim`` at the far end of a line that lives in a thread, as a real one lives outside."""
    ready, device = threading.Event(), []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def line() -> None:
        async with PacedPty(latency=0.0) as pty, answering(pty.meter, sim, sign_on=True):
            device.append(pty.device)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(line(),))
    thread.start()
    assert ready.wait(60)
    yield ["--serial", device[0], "--opening", "sign-on"]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def test_read(cli: Cli, serial: list[str]) -> None:
    result = cli("read", "1.0.1.8.0", "1.0.31.7.0", *serial, "--json")
    assert (result.status, result.err) == (0, "")
    assert [value["value"] for value in result.json["values"]] == [12345678, 5.23]
