"""``dump``: a capture that replays, and what is left of a session that ends early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.simulator.replay.replay import replay_tcp
from tests.cli.conftest import Cli
from tests.cli.test_find import meter
from tests.free_port import free_port


@contextmanager
def replayed(path: Path) -> Iterator[int]:
    """`simulate --replay` in a thread."""
    ready, where, loop = threading.Event(), [], asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        server = await replay_tcp(Capture.load(path), "127.0.0.1", 0)
        where.append(server.sockets[0].getsockname()[1])
        ready.set()
        await ending.wait()
        server.close()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def test_the_command(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "meter.yaml"
    with meter() as port:
        line = ("--tcp", f"127.0.0.1:{port}")
        result = cli("dump", *line, "--output", str(path), "--values", "5")
        assert result.status == 0, result.err
        assert cli("dump", *line, "--output", str(path)).status == 2
        assert cli("dump", *line, "--hide", "Lee").status == 2
        original = cli("read", "0.0.42.0.0", *line, "--json").json["values"][0]["value"]
    text = path.read_text()
    assert original not in text
    assert "by: dlms-mqtt" in text
    with replayed(path) as port:
        served = cli("read", "0.0.42.0.0", "--tcp", f"127.0.0.1:{port}", "--json")
        assert served.status == 0, served.err
        value = served.json["values"][0]["value"]
    assert value != original
    assert len(value) == len(original)


def test_without_a_file_it_goes_to_standard_output(cli: Cli) -> None:
    with meter() as port:
        result = cli("dump", "--tcp", f"127.0.0.1:{port}", "--values", "1")
    assert (result.status, result.err) == (0, "")
    document = yaml.safe_load(result.out)
    assert list(document)[:3] == ["format", "made", "by"]
    assert document["exchanges"]


def test_a_folder_that_is_not_there_is_told_before_the_meter_is_asked(cli: Cli, tmp_path: Path) -> None:
    result = cli("dump", "--tcp", "192.0.2.1:4059", "--output", str(tmp_path / "none" / "meter.yaml"))
    assert (result.status, result.out) == (2, "")
    assert "is no folder" in result.err


def test_where_nobody_answers_no_file_is_made(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "meter.yaml"
    line = ("--tcp", f"127.0.0.1:{free_port()}")
    result = cli("dump", *line, "--output", str(path))
    assert result.status == 1
    assert "the session ended early: " in result.err
    assert not path.exists()
    document = cli("dump", *line, "--json").json  # a program gets its document all the same
    assert document["exchanges"] == []
    assert "nobody listens at" in document["facts"]["error"]
