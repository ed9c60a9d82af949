"""``SyncMeter``: blocking, from any thread, inside a running loop, interrupted, forked, and closed in any order."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt import AccessRefused, AuthenticationRefused, Meter, SyncMeter
from dlms_mqtt.errors import ConnectFailed, LocalProtocolError
from dlms_mqtt.simulator import household, serve_tcp
from tests.free_port import free_port

READER: Any = {"client": 32, "password": "12345678"}
ENERGY = "1-0:1.8.0"


@pytest.fixture(scope="module")
def line() -> Iterator[str]:
    """A meter in a loop and a thread of its own: what blocks here must not block it."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready, done = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serve_tcp(household(1)) as server:
            started.append(f"tcp://127.0.0.1:{server.port}")
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield started[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def test_it_reads(line: str) -> None:
    with SyncMeter(line, timezone="Europe/Vienna", **READER) as meter:
        assert meter.read(ENERGY).unit == "Wh"
        energy, volts = meter.read(ENERGY, "1-0:32.7.0")
        assert isinstance(volts.value, Decimal)
        assert energy.value > 0
        assert len(meter.read([ENERGY])) == 1
        assert any(item.class_id == 7 for item in meter.objects())
        assert len(meter.profile("1-0:99.1.0", count=4)) == 4
        assert meter.clock().seconds is not None
        assert meter.line == line
        assert repr(meter).startswith("<SyncMeter tcp://")
    with SyncMeter(line, client=17) as meter:
        meter.set_clock()
        assert meter.invoke("0-0:96.3.10:remote_reconnect") is None
        with pytest.raises(AccessRefused):
            meter.write("1-0:99.1.0:4", 900)


def test_it_has_everything_that_meter_has() -> None:
    for name, member in inspect.getmembers(Meter, inspect.iscoroutinefunction):
        if not name.startswith("_"):
            assert str(inspect.signature(getattr(SyncMeter, name))) == str(inspect.signature(member)), name


def test_from_many_threads_at_once(line: str) -> None:
    with SyncMeter(line, **READER) as meter, ThreadPoolExecutor(8) as threads:
        kinds = list(threads.map(lambda n: meter.read(ENERGY if n % 2 else "0-0:42.0.0").obis[0], range(80)))
    assert kinds == [n % 2 for n in range(80)]


async def test_inside_a_running_loop(line: str) -> None:
    with SyncMeter(line, **READER) as meter:
        assert meter.read(ENERGY).unit == "Wh"


def test_no_thread_is_left_when_it_cannot_be_opened(line: str) -> None:
    with pytest.raises(ConnectFailed):
        SyncMeter(f"tcp://127.0.0.1:{free_port()}").open()
    with pytest.raises(AuthenticationRefused), SyncMeter(line, client=32, password="wrong"):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dlms ")]


def test_open_and_closed(line: str) -> None:
    meter = SyncMeter(line, **READER)
    with pytest.raises(LocalProtocolError, match="not open"):
        meter.read(ENERGY)
    with meter:
        with pytest.raises(LocalProtocolError, match="open already"):
            meter.open()
        meter.read(ENERGY)
    meter.close()
    with pytest.raises(LocalProtocolError, match="not open"):
        meter.clock()
    with meter:
        assert meter.read(ENERGY).unit == "Wh"


def test_closing_waits_for_what_another_thread_asks(line: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        with SyncMeter(line, **READER) as meter:
            reading = threads.submit(meter.profile, "1-0:99.1.0", count=500)
            while not meter._meter._line.turn.locked() and not reading.done():
                time.sleep(0.001)
        assert len(reading.result()) == 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_gets_an_error_and_does_not_hang(line: str) -> None:
    with SyncMeter(line, **READER) as meter:
        child = os.fork()
        if not child:
            signal.alarm(20)
            try:
                meter.read(ENERGY)
            except LocalProtocolError as error:
                meter.close()
                os._exit(0 if "another process" in error.message else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert meter.read(ENERGY).unit == "Wh"


INTERRUPTED = """
import os, signal, threading
from dlms_mqtt import SyncMeter
with SyncMeter({line!r}, client=32, password="12345678") as meter:
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            meter.read("1-0:1.8.0")
    except KeyboardInterrupt:
        print(meter.read("1-0:1.8.0").unit)
"""


def test_ctrl_c_interrupts_a_call_and_not_the_meter(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(line=line)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("Wh\n", "")


FORGOTTEN = (
    "from dlms_mqtt import SyncMeter\nmeter = SyncMeter({line!r})\nmeter.open()\nprint(meter.read('0-0:42.0.0').unit)"
)


def test_a_program_that_forgets_to_close_can_end(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGOTTEN.format(line=line)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_meter_of_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "mqtt: {host: localhost}\nmeters:\n  house:\n    connection: {tcp: '127.0.0.1:4059', client: 17}\n"
    )
    meter = SyncMeter.from_config(config, "house")
    assert "tcp://127.0.0.1:4059" in repr(meter)
    meter.close()  # it was never open
    with pytest.raises(LocalProtocolError):
        meter.read("1-0:1.8.0")
