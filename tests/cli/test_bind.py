"""Commands to a meter that connects by itself: ``--bind``, and ``push: {listen: URL, ask: true}`` of a file."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases.scripted_meter import Lines, ScriptedMeter
from tests.cli.conftest import Cli
from tests.free_port import free_port


@contextlib.contextmanager
def dialling(port: int) -> Iterator[Lines]:
    """A meter that connects as soon as somebody listens, in a thread: the command line has a loop of its own."""
    lines, ended = Lines(ScriptedMeter({"framing": "wrapper"})), threading.Event()

    async def dial() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                await lines._serve(*await asyncio.open_connection("127.0.0.1", port))
                return
            await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(dial(),))
    thread.start()
    try:
        yield lines
    finally:
        ended.set()
        thread.join(60)
        assert not thread.is_alive(), "the command closed the connection"


@pytest.mark.parametrize("way", ["option", "ask", "connection"])
def test_a_meter_that_connects_is_read(cli: Cli, tmp_path: Path, way: str) -> None:
    port = free_port()
    url, config = f"tcp://127.0.0.1:{port}", tmp_path / "config.yaml"
    said = {"ask": f"push: {{listen: '{url}', ask: true}}", "connection": f"connection: {{bind: '{url}'}}"}.get(way, "")
    config.write_text(f"mqtt: {{host: localhost}}\nmeters:\n  house: {{{said}}}\n")
    where = ["--bind", url] if way == "option" else ["--config", str(config)]
    with dialling(port) as lines:
        result = cli("read", "1.0.32.7.0.255", *where, "--state", str(tmp_path / "state"))
        assert (result.status, "230.1" in result.out) == (0, True), result.err
    assert lines.meter.requests[0][0] == 0x60
