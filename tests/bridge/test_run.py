"""The process: what the loop complains of again and again is told once; what a reload takes over beside the meters."""

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

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.run import TellOnce, Threads, run_bridge
from tests.bridge.conftest import watching
from tests.bridge.house import bridge_process, write_config
from tests.bridge.test_broker import Authority
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


def _renew(authority, name, certificate, key):
    """New ones under the same names, as certbot does."""
    for now, old in zip(authority.issue(name), (certificate, key), strict=True):
        shutil.copy(now, old)
        os.utime(old, ns=(1, 1))


@pytest.mark.expect_log("the line to the broker stays as it is")
async def test_renewed_certificates_are_taken_over_by_a_reload(tmp_path):
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("bridge")
    path = write_config(tmp_path, 1, "", mqtt=f"tls: {{ca: '{ours.file}', certificate: '{certificate}', key: '{key}'}}")
    app = App(path, environment={})
    app.stop()
    await app.run()
    assert await app.reload() == []
    _renew(ours, "renewed", certificate, key)
    assert await app.reload() == ["mqtt.tls"]
    assert await app.reload() == []
    shutil.copy(path, certificate)
    with pytest.raises(RequestError, match="TLS files"):
        await app.reload()


async def test_reloads_wait_for_each_other(tmp_path, monkeypatch):
    """Two at once would start a meter twice: one of the two, and its connection to the meter, would stay for ever."""
    app = App(write_config(tmp_path, 1, ""), environment={})
    at_once = most = 0

    async def apply(old, fresh):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return []

    monkeypatch.setattr(app, "_apply", apply)
    assert await asyncio.gather(*(app.reload() for _ in range(5))) == [[]] * 5
    assert most == 1


@pytest.mark.expect_log("was not reloaded")
async def test_a_reload_with_other_certificates_that_cannot_be_used(tmp_path):
    """The bridge does not end over it, as it would at its start."""
    path = write_config(tmp_path, 1, "")
    app = App(path, environment={})
    write_config(tmp_path, 1, "", mqtt=f"tls: {{ca: '{path}'}}")
    with pytest.raises(RequestError, match="TLS files"):
        await app.reload()
    assert app.config.mqtt.tls is None


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
        _renew(ours, "new", certificate, key)
        process.send_signal(signal.SIGHUP)
        await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)
