"""A disk that takes nothing more, under a real bridge: it goes on publishing, says so, and uses no counter unstored."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dlms_mqtt.simulator import KEYS, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.house import house, write_config

ROOT = Path(__file__).parents[2]
HEALTH = "dlms_mqtt/bridge/main/health"
UNLIMITED = resource.RLIM_INFINITY
METERS = f"""
  plain:
    connection: {{tcp: "127.0.0.1:PORT", client: 17, timeout: 20s, retries: 0}}
    every: 1s
    read: [1.0.1.7.0.255]
  ciphered:
    connection:
      tcp: "127.0.0.2:PORT"
      client: 1
      authentication: gmac
      security: both
      invocation_counter: 1
      encryption_key: "hex:{bytes(KEYS.encryption).hex()}"
      authentication_key: "hex:{bytes(KEYS.authentication).hex()}"
      timeout: 20s
      retries: 0
    every: 1s
    read: [1.0.1.7.0.255]
"""


def _fill(process: asyncio.subprocess.Process, full: bool = True) -> None:
    """No file of the process can be written any more: what it writes, its journal too, is refused by the system."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0 if full else UNLIMITED, UNLIMITED))


@contextlib.asynccontextmanager
async def bridge(path: Path, *, full: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)); " if full else ""
    program = f"{limits}from dlms_mqtt.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "run", "--config", str(path),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _readings(seen, meter):
    return [json.loads(text) for text in seen.of(f"dlms_mqtt/meter/{meter}/reading")]


@pytest.fixture
def meter():
    return household(1)


async def _read_until_refused(seen) -> dict:
    """Use up the block of counters that was reserved while there was room."""
    for number in range(200):
        body = {"id": f"r{number}", "items": ["1.0.1.8.0.255"]}
        reply = await seen.ask("dlms_mqtt/meter/ciphered/request/read", body)
        if reply["status"] == "error":
            return reply
    raise AssertionError("the counter was used although it cannot be stored")


async def test_the_disk_fills_while_the_bridge_runs(mosquitto, tmp_path, meter):
    async with serve_tcp(meter, host="0.0.0.0") as server:
        path = write_config(tmp_path, mosquitto.port, METERS.replace("PORT", str(server.port)), "watch_files: false")
        async with watching(mosquitto.port) as seen, bridge(path) as process:
            await seen.until(lambda: _readings(seen, "plain") and _readings(seen, "ciphered"))
            _fill(process)
            reply = await _read_until_refused(seen)
            assert reply["error"]["code"] == "internal" and "state.sqlite" in reply["error"]["message"], reply
            counter, plain = meter.client_counter(), len(_readings(seen, "plain"))
            await seen.until(lambda: len(_readings(seen, "plain")) > plain)  # they come in order: older ones are here
            plain, ciphered = len(_readings(seen, "plain")), len(_readings(seen, "ciphered"))
            await seen.until(lambda: len(_readings(seen, "plain")) >= plain + 2)
            assert len(_readings(seen, "ciphered")) == ciphered and meter.client_counter() == counter
            await seen.until(lambda: "state.sqlite" in seen.latest[HEALTH])
            assert seen.json(HEALTH)["status"] == "degraded"
            _fill(process, full=False)
            await seen.until(lambda: len(_readings(seen, "ciphered")) > ciphered)
            assert meter.client_counter() > counter
            await seen.until(lambda: seen.json(HEALTH)["status"] == "ok")
    seqs = [reading["seq"] for name in ("plain",) for reading in _readings(seen, name)]
    assert seqs == sorted(set(seqs))


async def test_a_bridge_that_starts_on_a_full_disk(mosquitto, tmp_path, meter):
    async with serve_tcp(meter, host="0.0.0.0") as server:
        path = write_config(tmp_path, mosquitto.port, METERS.replace("PORT", str(server.port)), "watch_files: false")
        async with watching(mosquitto.port) as seen, bridge(path):
            await seen.until(lambda: _readings(seen, "plain") and _readings(seen, "ciphered"))
        last = max(reading["seq"] for name in ("plain", "ciphered") for reading in _readings(seen, name))
        counter = meter.client_counter()
        async with watching(mosquitto.port) as seen, bridge(path, full=True) as process:
            await seen.until(lambda: len(_readings(seen, "plain")) >= 2)
            assert min(reading["seq"] for reading in _readings(seen, "plain")) > last
            reply = await seen.ask("dlms_mqtt/meter/ciphered/request/read", {"id": "x", "items": ["1.0.1.8.0.255"]})
            assert reply["status"] == "error" and _readings(seen, "ciphered") == []
            assert meter.client_counter() == counter
            await seen.until(lambda: seen.latest.get(HEALTH) and seen.json(HEALTH)["status"] == "degraded")
            _fill(process, full=False)  # and when there is room, nobody has to do anything
            await seen.until(lambda: _readings(seen, "ciphered") and seen.json(HEALTH)["status"] == "ok")
            assert meter.client_counter() > counter


@pytest.mark.expect_log("the disk is full", "can be stored again")
async def test_sqlite_itself_says_that_the_disk_is_full(mosquitto_factory, tmp_path, meter, caplog):
    """SQLITE_FULL, provoked by a limit of pages: nothing is lost while the memory holds it, and it is told."""
    broker = mosquitto_factory("allow_anonymous true\nmax_queued_messages 0")  # all come at once
    text = "\n  plain:\n    connection: {tcp: '127.0.0.1:PORT', client: 17}\n    every: 1s\n    read: [1.0.1.7.0.255]\n"
    async with serve_tcp(meter) as server, house(broker, tmp_path, text.replace("PORT", str(server.port))) as home:
        await home.until(lambda: _readings(home.seen, "plain"))
        with home.app.bridge.store.transaction() as database:
            ((pages,),) = database.execute("PRAGMA page_count").fetchall()
            database.execute(f"PRAGMA max_page_count = {pages}")
        say = home.app.bridge.publisher
        for number in range(2000):  # more than the free space of the pages holds
            say.store_and_forward("dlms_mqtt/meter/plain/event", {"number": number, "text": "x" * 200})
        say.keep()
        assert "the disk is full" in home.app.bridge.outbox.trouble
        assert "the disk is full" in str(home.app.bridge.health()["reasons"])  # no longer than until they are sent
        event = "dlms_mqtt/meter/plain/event"
        await home.until(lambda: len(home.seen.of(event)) >= 2000)
        assert [json.loads(row)["number"] for row in home.seen.of(event)] == list(range(2000))
        await home.until(lambda: home.seen.json(HEALTH)["meters"]["plain"]["status"] == "ok")
        with home.app.bridge.store.transaction() as database:
            database.execute("PRAGMA max_page_count = 1000000")
        await home.until(lambda: home.seen.json(HEALTH)["status"] == "ok")
