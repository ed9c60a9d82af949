"""The process: what the loop complains of again and again is told once, how it ends, and its signals."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import socket
import threading
import time
from typing import Any

import pytest

from dlms_mqtt.bridge.run import TellOnce, Threads, run_bridge
from tests.bridge.authority import Authority
from tests.bridge.conftest import watching
from tests.bridge.house import bridge_process, write_config
from tests.free_port import free_port

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
