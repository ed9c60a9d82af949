"""The app's start: a fake Supervisor, a real Mosquitto, the real bridge; options right and wrong, the broker late."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.bridge import supervisor as module
from dlms_mqtt.bridge.config.load import ConfigMistakes, Loaded, load_config
from dlms_mqtt.bridge.config.spoken import known_language
from dlms_mqtt.bridge.supervisor import configuration, prepare
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import household, serve_tcp
from tests.bridge.conftest import PATIENCE, watching
from tests.bridge.fake_supervisor import TOKEN, FakeSupervisor, fake_supervisor
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]
SERVICE = {"addon": "core_mosquitto", "host": "127.0.0.1", "ssl": False, "protocol": "3.1.1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What the Supervisor mounts into the app's container."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config").mkdir()
    options(tmp_path, {"log_level": "info", "mqtt": {}})
    return tmp_path


def options(root: Path, values: Any) -> None:
    (root / "data/options.json").write_text(values if isinstance(values, str) else json.dumps(values))


class App:
    """The app's process; what it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.log = process, ""
        self.said = asyncio.Event()

    async def follow(self) -> None:
        assert self.process.stderr
        while line := await self.process.stderr.readline():
            self.log += line.decode()
            self.said.set()
        self.said.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in self.log:
                assert self.process.returncode is None, self.log
                self.said.clear()
                await self.said.wait()


@contextlib.asynccontextmanager
async def started(root: Path, supervisor: FakeSupervisor, before: str = "", **environment: str) -> AsyncIterator[App]:
    """The app, as its image starts it; ends as Docker ends it. ``before``: what its process does first."""
    program = (
        "import os, signal, sys; from pathlib import Path; from dlms_mqtt.bridge import supervisor\n"
        f"supervisor._PAUSE = 0.1\n{before}\n"
        "supervisor.main(Path(sys.argv[1]))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(root),
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "SUPERVISOR_API": supervisor.url, "SUPERVISOR_TOKEN": TOKEN,
            "TZ": "Europe/Vienna", "DLMS_MQTT_ALIVE": str(root / "alive"), **environment,
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    app = App(process)
    following = asyncio.create_task(app.follow())
    try:
        yield app
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()
            await following
        assert "Traceback" not in app.log, app.log


# -- what is written --------------------------------------------------------------------------------------------------


def loaded(root: Path, given: dict[str, Any], broker: dict[str, Any], language: str = "", zone: str = "") -> Loaded:
    (root / "config/meters.yaml").touch()
    path = root / "bridge.yaml"
    path.write_text(configuration(given, broker, language, zone, root), encoding="utf-8")
    return load_config(path, preset_connection, {})


def test_what_the_supervisor_says(root: Path) -> None:
    service = {**SERVICE, "host": "core-mosquitto", "port": 1883, "username": "addons", "password": "hex:00"}
    config = loaded(root, {"log_level": "debug"}, service, "de", "Europe/Vienna").config
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.username) == ("core-mosquitto", 1883, "addons")
    assert config.mqtt.password is not None
    assert config.mqtt.password == b"hex:00"
    assert config.mqtt.tls is None
    assert config.mqtt.discovery.language == "de"
    assert config.bridge.management
    assert config.bridge.log_level == "debug"
    assert str(config.bridge.timezone) == "Europe/Vienna"
    assert config.bridge.state_dir == root / "data/state"


def test_every_option_is_heard(root: Path) -> None:
    (root / "config/ca.pem").write_text("")
    given = {"base_topic": "power", "discovery_prefix": "ha", "bridge_id": "cellar"}
    config = loaded(root, given, {"host": "broker.lan", "tls": True, "ca": "ca.pem"}).config
    assert (config.mqtt.base_topic, config.mqtt.discovery.prefix, config.bridge.id) == ("power", "ha", "cellar")
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca == str(root / "config/ca.pem")


@pytest.mark.parametrize(
    "password", ['"', "a: b", "#x", "\\", "ä\u2028\u0085\x07€😀", "!secret x", "text:a", "' }, x: {", " blank "]
)
def test_no_password_breaks_out(root: Path, password: str) -> None:
    config = loaded(root, {}, {**SERVICE, "password": password}).config
    assert config.mqtt.password is not None
    assert config.mqtt.password == password.encode()


def test_a_wrong_option_is_told(root: Path) -> None:
    with pytest.raises(ConfigMistakes, match="base_topic"):
        loaded(root, {"base_topic": "a/#"}, SERVICE)


@pytest.mark.parametrize(("wish", "known"), [("de", "de"), ("de-CH", "de"), ("en-GB", "en"), ("tlh", ""), ("", "")])
def test_languages(wish: str, known: str) -> None:
    assert known_language(wish) == known


# -- the start, in this process ---------------------------------------------------------------------------------------


@pytest.fixture
def _log_level() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def environment(supervisor: FakeSupervisor) -> dict[str, str]:
    return {"SUPERVISOR_API": supervisor.url, "SUPERVISOR_TOKEN": TOKEN, "TZ": "Europe/Vienna"}


@pytest.mark.usefixtures("_log_level")
@pytest.mark.expect_log("There is no MQTT broker yet", "mqtt: password is not used, as mqtt: host is empty")
async def test_it_waits_for_a_broker_and_for_sense(root: Path) -> None:
    options(root, {"mqtt": {"password": "secret"}})
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        supervisor.rubbish = pauses < 2
        supervisor.broker = {**SERVICE, "port": 1883} if pauses > 2 else None

    async with fake_supervisor() as supervisor:
        supervisor.rubbish, supervisor.language = True, "de-AT"
        path = await asyncio.to_thread(prepare, root, environment(supervisor), pause)
    assert pauses == 3
    assert load_config(path, preset_connection, {}).config.mqtt.discovery.language == "de"


@pytest.mark.usefixtures("_log_level")
@pytest.mark.parametrize(("last", "option", "language"), [("de", "", "de"), ("de", "fr", "fr"), (None, "", "en")])
async def test_without_an_answer_of_home_assistant(root: Path, last: str | None, option: str, language: str) -> None:
    """The option, else the language of last time."""
    options(root, {"mqtt": {"host": "broker.lan"}, "language": option})
    if last:
        (root / "data/language").write_text(last)
    (root / "config/meters.yaml").write_text("{}  # mine\n")
    async with fake_supervisor() as supervisor:
        path = await asyncio.to_thread(prepare, root, environment(supervisor), lambda: None)
    assert load_config(path, preset_connection, {}).config.mqtt.discovery.language == language
    assert "mine" in (root / "config/meters.yaml").read_text()


class Became(Exception):
    """The process would be another one from here on."""


def without_signals(masks: list[Any]) -> SimpleNamespace:
    """In the place of the module: this process keeps its handlers; ``masks``: what would be held back."""
    names = {name: getattr(signal, name) for name in ("SIGTERM", "SIG_BLOCK")}
    return SimpleNamespace(signal=lambda *_: None, pthread_sigmask=lambda *mask: masks.append(mask), **names)


@pytest.mark.usefixtures("_log_level")
@pytest.mark.expect_log("There is no MQTT broker yet")
async def test_it_becomes_the_bridge(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def execv(_: str, words: list[str]) -> None:
        raise Became(words[1:])

    def sleep(_: float) -> None:
        assert (root / "alive").exists()  # waiting is no illness
        supervisor.broker = {**SERVICE, "port": 1883}

    async with fake_supervisor() as supervisor:
        for name, value in {**environment(supervisor), "DLMS_MQTT_ALIVE": str(root / "alive")}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(module, "signal", without_signals(masks := []))
        monkeypatch.setattr(module, "os", SimpleNamespace(environ=os.environ, execv=execv))
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
        with pytest.raises(Became, match=r"bridge\.yaml"):
            await asyncio.to_thread(module.main, root)
    assert masks == [(signal.SIG_BLOCK, {signal.SIGTERM})]


@pytest.mark.expect_log("the options of the app")
@pytest.mark.parametrize("text", ["{", "[]"])
def test_it_does_not_start_with_rubbish(root: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(module, "signal", without_signals([]))
    options(root, text)
    with pytest.raises(SystemExit, match="2"):
        module.main(root)


# -- the process ------------------------------------------------------------------------------------------------------


async def test_from_install_to_values(root: Path, mosquitto: Any) -> None:
    """The Supervisor's broker, nothing edited; then a meter in the file, whose values arrive; a clean end."""
    async with fake_supervisor() as supervisor, watching(mosquitto.port) as seen, serve_tcp(household(1)) as meter:
        supervisor.broker = {**SERVICE, "port": mosquitto.port, "username": "addons", "password": "secret"}
        supervisor.language = "de-AT"
        async with started(root, supervisor) as app:
            await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)
            assert seen.json("dlms_mqtt/bridge/main/info")["management"]
            assert (root / "alive").exists()
            text = f'house: {{connection: {{tcp: "127.0.0.1:{meter.port}", client: 17}}, every: 1s}}\n'
            (root / "config/meters.yaml").write_text(text)
            await seen.until(lambda: "dlms_mqtt/meter/house/value/energy_import" in seen.latest)
            await seen.until(lambda: "Spannung" in seen.latest.get("homeassistant/device/dlms_mqtt_house/config", ""))
        await seen.until(lambda: seen.latest["dlms_mqtt/bridge/main/state"] == "offline")
        assert app.process.returncode == 0
        assert "secret" not in app.log
        assert (root / "data/state").is_dir()
        assert (root / "run/dlms-mqtt/bridge.yaml").stat().st_mode & 0o077 == 0


async def test_the_broker_comes_later(root: Path, mosquitto: Any) -> None:
    async with fake_supervisor() as supervisor, watching(mosquitto.port) as seen, started(root, supervisor) as app:
        await app.until("Mosquitto broker app")
        async with asyncio.timeout(PATIENCE):
            while supervisor.asked.count("/services/mqtt") < 3:
                supervisor.was_asked.clear()
                await supervisor.was_asked.wait()
        assert (root / "alive").exists()  # waiting is no illness
        assert app.log.count("Mosquitto broker app") == 1
        supervisor.broker = {**SERVICE, "port": mosquitto.port}
        await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)


async def test_ended_while_it_waits(root: Path) -> None:
    async with fake_supervisor() as supervisor:
        async with started(root, supervisor) as app:
            await app.until("Mosquitto broker app")
        assert app.process.returncode == 0


async def test_a_broker_of_ones_own(root: Path, mosquitto: Any) -> None:
    """The Supervisor's is not even asked for."""
    options(root, {"log_level": "info", "mqtt": {"host": "127.0.0.1", "port": mosquitto.port}})
    async with fake_supervisor() as supervisor, watching(mosquitto.port) as seen, started(root, supervisor):
        await seen.until(lambda: "dlms_mqtt/bridge/main/info" in seen.latest)
        assert "/services/mqtt" not in supervisor.asked


async def test_a_password_without_a_host(root: Path, mosquitto: Any) -> None:
    options(root, {"mqtt": {"password": "secret", "tls": False}})
    async with fake_supervisor() as supervisor, started(root, supervisor) as app:
        supervisor.broker = {**SERVICE, "port": mosquitto.port}
        await app.until("mqtt: password")
        assert "secret" not in app.log


async def test_the_language_of_last_time(root: Path, mosquitto: Any) -> None:
    """After a reboot the app is started before Home Assistant answers."""
    async with fake_supervisor() as supervisor:
        supervisor.broker, supervisor.language = {**SERVICE, "port": mosquitto.port}, "de"
        async with started(root, supervisor) as app:
            await app.until("language de")
        supervisor.language = None
        async with started(root, supervisor) as app:
            await app.until("language de")


async def test_a_supervisor_that_answers_rubbish(root: Path) -> None:
    async with fake_supervisor() as supervisor:
        supervisor.rubbish = True
        async with started(root, supervisor) as app:
            await app.until("Mosquitto broker app")


@pytest.mark.parametrize("text", ["", "{", "[]", "7"], ids=["empty", "cut", "list", "number"])
async def test_options_that_cannot_be_read(root: Path, text: str) -> None:
    options(root, text)
    async with fake_supervisor() as supervisor, started(root, supervisor) as app:
        async with asyncio.timeout(PATIENCE):
            await app.process.wait()
    assert app.process.returncode == 2
    assert "options of the app" in app.log


async def test_a_wrong_meters_file_is_told(root: Path, mosquitto: Any) -> None:
    (root / "config/meters.yaml").write_text("house: {conection: {}}\n")
    async with fake_supervisor() as supervisor:
        supervisor.broker = {**SERVICE, "port": mosquitto.port}
        async with started(root, supervisor) as app:
            async with asyncio.timeout(PATIENCE):
                await app.process.wait()
    assert app.process.returncode == 2
    assert "meters.yaml:1" in app.log
    assert "conection" in app.log


SIGNALLED = """
become = os.execv
def signalled(*words):
    os.kill(os.getpid(), signal.SIGTERM)
    become(*words)
os.execv = signalled
"""


async def test_an_end_that_comes_while_it_becomes_the_bridge_is_not_lost(root: Path) -> None:
    """It waits until the bridge takes it: what the one process had noticed, the other one would know nothing of."""
    async with fake_supervisor() as supervisor:
        supervisor.broker = {**SERVICE, "port": free_port()}
        async with started(root, supervisor, SIGNALLED) as app, asyncio.timeout(PATIENCE):
            assert await app.process.wait() == 0
    assert (root / "data/state").is_dir(), "it is the bridge that has ended"


async def test_an_end_while_it_waits_for_a_broker(root: Path) -> None:
    async with fake_supervisor() as supervisor, started(root, supervisor) as app:
        await app.until("Mosquitto broker app")
    assert app.process.returncode == 0
