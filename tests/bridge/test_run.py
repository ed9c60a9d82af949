"""The process: what the loop complains of again and again is told once, how it ends, and its signals."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.run import TellOnce, Threads, run_bridge
from tests.bridge.authority import Authority
from tests.bridge.conftest import watching
from tests.bridge.house import bridge_process, write_config
from tests.free_port import free_port


@pytest.fixture
def own_log(monkeypatch):
    """The log that it sets up is taken down again."""
    root, levels = logging.getLogger(), [(name, logging.getLogger(name).level) for name in (None, "asyncio", "mqtt")]
    monkeypatch.setattr(root, "handlers", [])
    yield
    for name, level in levels:
        logging.getLogger(name).setLevel(level)


FULL = {
    "message": "socket.accept() out of system resource",
    "exception": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
}


@pytest.mark.expect_log("no connection can be accepted now: [Errno 24]")
async def test_that_nothing_can_be_accepted_is_told_once_a_minute(clock, caplog):
    tell, loop = TellOnce(), asyncio.get_running_loop()
    for _ in range(59):
        tell(loop, FULL)
        await asyncio.sleep(1)
    assert len(caplog.records) == 1
    await asyncio.sleep(1)
    tell(loop, FULL)
    assert len(caplog.records) == 2


def test_a_name_server_that_does_not_answer_keeps_nobody_from_ending(tmp_path, monkeypatch):
    """asyncio waits for its threads, and each such question takes half a minute."""
    asked, answered = threading.Event(), threading.Event()

    def mute(*_: object, **__: object) -> list[Any]:
        asked.set()
        answered.wait(240)
        return []

    def told_to_end() -> None:
        asked.wait(240)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(socket, "getaddrinfo", mute)
    monkeypatch.setattr("dlms_mqtt.bridge.run._set_up_log", lambda _: None)
    path = write_config(tmp_path, 1, "  m: {connection: {tcp: 'meter.example:4059'}}\n")
    ending = threading.Thread(target=told_to_end)
    ending.start()
    run_bridge(path)
    assert asked.is_set()
    assert not answered.is_set()
    answered.set()
    ending.join()


def test_what_threads_do_is_awaited_for_a_moment(monkeypatch):
    """A file that is being written is written to its end; what failed is told to whom it concerns."""
    monkeypatch.setattr("dlms_mqtt.bridge.run._THREADS_END", 240.0)

    async def work() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Threads())
        loop.run_in_executor(None, lambda: (time.sleep(0.02), written.append(1)))
        failed = asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.gather(asyncio.to_thread(sorted, [2, 1], reverse=True), failed, return_exceptions=True)

    written: list[int] = []
    ordered, failed = asyncio.run(work())
    assert ordered == [2, 1]
    assert isinstance(failed, ZeroDivisionError)
    assert written == [1]


@pytest.mark.expect_log("something else")
async def test_everything_else_is_told_as_ever(clock, caplog):
    for _ in range(2):
        TellOnce()(asyncio.get_running_loop(), {"message": "something else"})
    assert len(caplog.records) == 2


class Stub:
    """An app that does with its process what the test says."""

    def __init__(self, story: Callable[[Stub], Awaitable[None]], level: str = "warning") -> None:
        self.story, self.stopped, self.reloads = story, asyncio.Event(), 0
        self.config = SimpleNamespace(bridge=SimpleNamespace(log_level=level))
        self.going_on = asyncio.Event()

    def stop(self) -> None:
        self.stopped.set()

    async def run(self) -> None:
        await self.story(self)

    async def reload(self) -> None:
        self.reloads += 1
        await self.going_on.wait()
        raise RequestError("bad-request", "no")


def runs(monkeypatch: pytest.MonkeyPatch, app: Stub, verbose: int = 0) -> None:
    monkeypatch.setattr("dlms_mqtt.bridge.run.App", lambda path: app)
    run_bridge(Path("config.yaml"), verbose)


def signalled(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(monkeypatch, own_log, number):
    async def story(app: Stub) -> None:
        signalled(number)
        await app.stopped.wait()

    runs(monkeypatch, app := Stub(story))
    assert app.stopped.is_set()


def test_however_often_it_is_asked_to_reload_two_wait_at_most(monkeypatch, own_log, capfd):
    """The second reads what the file says then; a mistake in it ends nothing."""

    async def story(app: Stub) -> None:
        for number in (*[signal.SIGHUP] * 5, signal.SIGTERM):
            signalled(number)
            await asyncio.sleep(0)
        await app.stopped.wait()
        app.going_on.set()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    runs(monkeypatch, app := Stub(story))
    assert 1 <= app.reloads <= 2
    assert capfd.readouterr().err.count("The running configuration stays in force") == app.reloads


LINES = [(level, f"{level.upper()} it: {level}") for level in ("debug", "info", "warning", "error")]


@pytest.mark.parametrize("journal", [False, True], ids=["", "journal"])
@pytest.mark.parametrize(
    ("level", "verbose", "first"), [("warning", 0, 2), ("error", 0, 3), ("error", 1, 1), ("error", 9, 0)]
)
def test_the_log_is_as_detailed_as_asked(monkeypatch, own_log, capfd, journal, level, verbose, first):
    async def story(app: Stub) -> None:
        for name, _ in LINES:
            getattr(logging.getLogger("it"), name)(name)
        logging.getLogger("asyncio").info("selector")

    status = os.fstat(sys.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}" if journal else "")
    runs(monkeypatch, Stub(story, level), verbose)
    lines = capfd.readouterr().err.splitlines()
    begin = r"<[3467]>" if journal else r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "
    assert [re.sub(begin, "", line, count=1) for line in lines] == [line for _, line in LINES[first:]]
    assert all(re.match(begin, line) for line in lines)


def test_who_cancels_a_call_that_has_not_begun_does_not_get_its_thread(monkeypatch):
    started: list[Callable[[], None]] = []

    class Later(threading.Thread):
        def start(self) -> None:
            started.append(self.run)

    monkeypatch.setattr("dlms_mqtt.bridge.run.Thread", Later)
    done: list[int] = []
    future = Threads().submit(done.append, 1)
    assert future.cancel()
    started[0]()
    assert done == []


def renew(authority, name, certificate, key):
    """New ones under the same names, as certbot does."""
    for now, old in zip(authority.issue(name), (certificate, key), strict=True):
        shutil.copy(now, old)
        os.utime(old, ns=(1, 1))


async def test_the_broker_sees_the_renewed_certificate_after_a_signal(mosquitto_factory, tmp_path):
    """It knows us by the name in it: the old one may say that it is there, only the new one all."""
    ours, port = Authority(tmp_path, "ours"), free_port()
    certificate, key = ours.issue("broker", "127.0.0.1")
    secured = [f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}", f"cafile {ours.file}"]
    rights = tmp_path / "rights"
    rights.write_text(
        "topic read #\nuser old\ntopic read #\ntopic write dlms_mqtt/bridge/main/state\nuser new\ntopic readwrite #\n"
    )
    plain = ["allow_anonymous true", f"acl_file {rights}"]
    broker = mosquitto_factory(
        "\n".join([*plain, *secured, "require_certificate true", "use_identity_as_username true"])
    )
    certificate, key = ours.issue("old")
    tls = f"tls: {{ca: '{ours.file}', certificate: '{certificate}', key: '{key}'}}"
    path = write_config(tmp_path, port, "", bridge="watch_files: false", mqtt=tls)
    async with bridge_process(path) as process, watching(broker.port) as seen:
        await seen.until(lambda: seen.latest.get("dlms_mqtt/bridge/main/state") == "online")
        renew(ours, "new", certificate, key)
        process.send_signal(signal.SIGHUP)
        await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)
